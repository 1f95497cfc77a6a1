"""Forms of names: the engines that read a pattern agree, and no form lets a path, a line or a selector through."""

import re
from typing import Annotated

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mooring_operator.api import DriftMonitorSpec, ModelDeploymentSpec, ModelPolicySpec, crds, forms
from mooring_operator.planning.status.spec_errors import describe
from pydantic import TypeAdapter, ValidationError

from tests.unit.largest import BOUNDED_AS_A_WHOLE
from tests.unit.spec_case import Case
from tests.unit.spec_table_names import NAME_CASES, TRAVERSALS

SPECS = {
    "ModelDeployment": ModelDeploymentSpec,
    "DriftMonitor": DriftMonitorSpec,
    "ModelPolicy": ModelPolicySpec,
}
NAMES = [form for name, form in vars(forms).items() if isinstance(form, forms.Form)]
SEGMENTS = [forms.OBJECT_NAME, forms.LABEL, forms.DEPLOYMENT_NAME]

alphabets = st.one_of(
    st.text(max_size=40),
    st.text("ab1-._/:@%+ \n\r\t\x00\x1b\x85\u2028\u202e\u00a0é🙂", max_size=20),
    st.sampled_from(["s3://", "models:/", "redis://", "https://", "sha256:"]).flatmap(
        lambda scheme: st.text("ab/1@ \n\x1c\u00a0\u202e", max_size=12).map(lambda rest: scheme + rest)
    ),
)


def accepts(model, value):
    try:
        model.validate_python(value) if isinstance(model, TypeAdapter) else model.model_validate(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("form", NAMES, ids=lambda form: form.allowed[:30])
def test_pydantic_and_python_read_a_pattern_alike(form):
    model = TypeAdapter(Annotated[str, form.field])

    @given(alphabets)
    @example("a\n")
    @example("a\u00a0b")
    @example("s3://a\u00a0b")
    @example("s3://a\x1cb")
    def agree(text):
        assert form.fits(text) == accepts(model, text)

    agree()


@pytest.mark.parametrize("form", SEGMENTS, ids=lambda form: form.allowed[:30])
def test_a_name_is_one_segment_of_a_path(form):
    assert not any(form.fits(name) for name in TRAVERSALS)

    @given(alphabets)
    def hold(text):
        if form.fits(text):
            assert re.fullmatch(r"[a-z0-9.-]+", text)
            assert text not in (".", "..")

    hold()


@pytest.mark.parametrize("form", NAMES, ids=lambda form: form.allowed[:30])
def test_no_form_lets_a_line_or_a_terminal_sequence_through(form):
    # A schema of rows is YAML, and a parameter of a run.
    lines = ("\n",) if form is not forms.ROWS else ()
    for start in ("a", "s3://b/", "models:/a/", "models:/a@", "redis://h/", "https://h/", "a/"):
        for unseen in (*lines, "\r", "\x00", "\x1b[2J", "\x9b2J", "\u202e", "\u2028"):
            assert not form.fits(start + unseen) or form is forms.REGISTERED_MODEL
            assert not (forms.ADDRESS.fits(start + unseen))


@pytest.mark.parametrize("value", [None, 1, ["a"], {"a": 1}, b"a"])
def test_only_text_has_a_form(value):
    assert not any(form.fits(value) for form in NAMES)


@pytest.mark.parametrize("case", NAME_CASES, ids=lambda case: f"{case.kind}-{case.name}")
def test_the_models_judge_names_like_the_api_server(case):
    assert accepts(SPECS[case.kind], case.manifest["spec"]) == case.accepted


def test_a_condition_says_what_a_name_may_be():
    spec = Case("", {"spec.target.name": "../../team-b/modeldeployments/fraud"}, kind="DriftMonitor").manifest
    with pytest.raises(ValidationError) as raised:
        DriftMonitorSpec.model_validate(spec["spec"])
    assert describe(raised.value) == (
        "spec.target.name: must be the name of a ModelDeployment: at most 37 characters, a to z, 0 to 9 and -, "
        "starting with a letter, got '../../team-b/modeldeployments/fraud'"
    )


def test_a_condition_names_a_key_on_its_line():
    spec = Case("", {"spec.serving": {"nodeSelector": {"a\nb": "x"}}}).manifest
    with pytest.raises(ValidationError) as raised:
        ModelDeploymentSpec.model_validate(spec["spec"])
    assert describe(raised.value).startswith(
        "spec.serving.nodeSelector[a\\nb]: must be the key of a label: NAME or DOMAIN/NAME"
    )


FREE = {
    "DriftMonitor.spec.retrain.args[]",
    "DriftMonitor.spec.retrain.command[]",
    "AnalysisTemplate.spec.arguments[].description",
    "ClusterAnalysisTemplate.spec.arguments[].description",
    "ModelDeployment.spec.serving.annotations{}",
    "ModelDeployment.spec.serving.args[]",
    "ModelDeployment.spec.serving.autoscaling.metrics[].prometheus.query",
    "ModelDeployment.spec.serving.autoscaling.prometheus.query",
    "ModelDeployment.spec.serving.env[].value",
    "ModelDeployment.spec.serving.explainer",
    "ModelDeployment.spec.serving.storage.parameters{}",
    "ModelDeployment.spec.serving.template",
    "ModelDeployment.spec.serving.transformer",
    "ModelDeployment.spec.rollout.steps[].approve.message",
    "ModelDeployment.spec.rollout.steps[].job.args[]",
    "ModelDeployment.spec.rollout.steps[].job.command[]",
    "ModelPolicy.spec.rules[].expression",
    "ModelPolicy.spec.rules[].message",
    "ClusterModelPolicy.spec.rules[].expression",
    "ClusterModelPolicy.spec.rules[].message",
    *(
        f"{kind}.spec.queries[].{text}"
        for kind in ("AnalysisTemplate", "ClusterAnalysisTemplate")
        for text in (
            "query",
            "successCondition",
            "failureCondition",
            "job.command[]",
            "job.args[]",
            "datadog.query",
            "datadog.queries{}",
            "datadog.formula",
            "cloudWatch.queries[].expression",
            "cloudWatch.queries[].metric.namespace",
            "cloudWatch.queries[].metric.name",
            "cloudWatch.queries[].metric.dimensions{}",
        )
    ),
}
"""Texts that are nobody's name, address or key: nothing is looked up, written or run by them as they are."""


PODS = {f"ModelDeployment.spec.serving.{name}" for name in BOUNDED_AS_A_WHOLE}
"""Pods as their author writes them, who could make them alone: the policy pod-fields sees to it."""


def texts_without_form(node, path):
    if path in PODS:
        yield path
        return
    text = node.get("type") == "string" or node.get("x-kubernetes-int-or-string")
    rules = [rule["rule"] for rule in node.get("x-kubernetes-validations", [])]
    has_form = {"pattern", "enum"} & node.keys() or any("self.matches(" in rule for rule in rules)
    if (text and not has_form) or node.get("x-kubernetes-preserve-unknown-fields"):
        yield path
    for name, child in node.get("properties", {}).items():
        yield from texts_without_form(child, f"{path}.{name}")
    if "items" in node:
        yield from texts_without_form(node["items"], f"{path}[]")
    if isinstance(values := node.get("additionalProperties"), dict):
        yield from texts_without_form(values, f"{path}{{}}")
        if not any("self.all(key" in rule for rule in rules):
            yield f"{path} (its keys)"


def test_every_text_of_a_spec_has_a_form():
    found = set()
    for resource in crds.RESOURCES:
        version = crds.custom_resource_definition(resource)["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        found |= set(texts_without_form(schema, f"{resource.kind}.spec"))
    assert found == FREE


@pytest.mark.parametrize("form", forms.FORMS, ids=lambda form: form.allowed[:40])
def test_of_forms_with_one_pattern_the_length_tells_which_is_meant(form):
    alike = {
        other.allowed
        for other in forms.FORMS
        if (other.pattern, other.longest) == (form.pattern, form.longest)
    }
    assert forms.allowed_by(form.pattern, form.longest) in alike
    assert forms.allowed_by(form.pattern) is not None


@pytest.mark.parametrize(
    ("form", "value", "says"),
    [
        *((forms.DURATION, value, "above 0") for value in ("0s", "0m", "0h", "00s")),
        *((forms.DURATION, value, "each from 1 to 99999") for value in ("0m30s", "100000s")),
        *((forms.SHARE, value, "from 1 to 9999") for value in ("0", "10000")),
        *((forms.SHARE, value, "from 1% to 100%") for value in ("0%", "101%", "250%")),
        (forms.RISK, "0%", "from 0.01%"),
        (forms.RISK, "50%", "below 50%"),
        (forms.QUANTITY, "-1", "not negative"),
        (forms.FREEZE, "24:00", "before 24:00"),
    ],
)
def test_a_bound_that_a_number_is_beyond_is_told(form, value, says):
    assert not form.fits(value)
    assert says in form.allowed
