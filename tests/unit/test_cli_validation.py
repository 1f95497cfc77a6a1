"""The offline validator takes and refuses what the API server does."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api import (
    AnalysisTemplateSpec,
    ClusterAnalysisTemplateSpec,
    ClusterModelPolicySpec,
    DriftMonitorSpec,
    ModelDeploymentSpec,
    ModelPolicySpec,
)
from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.cli.validation.check import check_document, check_object, schemas
from mooring_operator.cli.validation.rules import broken_rules, is_transition
from mooring_operator.cli.validation.source import SourceError, read_documents
from mooring_operator.planning.status.spec_errors import describe
from pydantic import ValidationError

from tests.unit.spec_table import ABSENT, BASES, CASES, Case
from tests.unit.spec_table_grammars import GRAMMARS

MODELS = {
    "ModelDeployment": ModelDeploymentSpec,
    "DriftMonitor": DriftMonitorSpec,
    "ModelPolicy": ModelPolicySpec,
    "ClusterModelPolicy": ClusterModelPolicySpec,
    "AnalysisTemplate": AnalysisTemplateSpec,
    "ClusterAnalysisTemplate": ClusterAnalysisTemplateSpec,
}


def said(manifest):
    return [f"{problem.field}: {problem.message}" for problem in check_object(manifest)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.name}")
def test_the_table_of_specs(case):
    problems = said(case.manifest)
    if case.accepted:
        assert problems == []
    else:
        assert any(case.says in problem for problem in problems), problems


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.accepted], ids=lambda case: f"{case.kind}-{case.name}"
)
def test_what_the_schema_accepts_the_operator_can_read(case):
    manifest = case.manifest
    MODELS[case.kind].model_validate(_without_nulls(manifest["spec"]))


@pytest.mark.parametrize("case", GRAMMARS, ids=lambda case: f"{case.kind}-{case.name}")
def test_the_operator_reads_schedules_quantities_and_metrics_like_the_api_server(case):
    model = MODELS[case.kind]
    if case.accepted:
        model.model_validate(case.manifest["spec"])
        return
    with pytest.raises(ValidationError) as raised:
        model.model_validate(case.manifest["spec"])
    assert case.says.partition("[")[0] in describe(raised.value)


def _without_nulls(value):
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return value


def test_the_names_of_cases_are_unique():
    names = [(case.kind, case.name) for case in CASES]
    assert len(names) == len(set(names))


def test_every_rule_that_needs_no_update_has_a_case_that_breaks_it():
    """A rule's message begins alike whatever it quotes; some case of the table must bring it out."""
    refused = "\n".join(line for case in CASES if not case.accepted for line in said(case.manifest))
    for rule in _rules(list(schemas().values())):
        if is_transition(rule):
            continue
        literals = re.split(r"%[sd]|'", rule.get("message") or rule["messageExpression"])
        quoted = [part for part in literals if not re.search(r"self|\+|\(\[", part)]
        text = max(quoted, key=len)
        assert text.strip() in refused, rule["rule"]


def _rules(node):
    if isinstance(node, dict):
        for key, child in node.items():
            if key == "x-kubernetes-validations" and isinstance(child, list):
                yield from child
            else:
                yield from _rules(child)
    elif isinstance(node, list):
        for child in node:
            yield from _rules(child)


STEPS = st.lists(
    st.one_of(
        st.builds(lambda weight: {"setWeight": weight}, st.integers(1, 100)),
        st.just({"setWeight": 100}),
        st.just({"pause": {}}),
        st.just({"pause": {"duration": "1m"}}),
        st.just({"approve": {}}),
        st.just({}),
    ),
    min_size=1,
    max_size=5,
)


@given(steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_the_rules_and_the_models_agree_about_steps(steps):
    manifest = Case("", {"spec.rollout": {"steps": steps}}).manifest
    try:
        RolloutSpec.model_validate({"steps": steps})
        readable = True
    except ValidationError:
        readable = False
    assert (said(manifest) == []) == readable


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    field=st.sampled_from(["model", "ci", "serving", "rollout", "policies", "historyLimit"]),
)
@settings(max_examples=200, deadline=None)
def test_nonsense_gets_an_answer(value, field):
    for problem in said(Case("", {f"spec.{field}": value}).manifest):
        assert problem


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'%s and %d of %s%%'.format([self.name, self.count, self.share])", "a and 2 of 50%"),
        ("'got %s'.format([self.list])", "got [1, 2]"),
        ("string(self.share) + ' ' + string(self.half) + ' ' + string(self.count)", "50 0.5 2"),
        ("['a', 'b'].join(', ')", "a, b"),
        ("'size ' + string(size(self.list)) + string(true)", "size 2true"),
    ],
)
def test_messages_are_written_as_the_api_server_does(expression, message):
    schema = {
        "properties": {"share": {"type": "number"}, "half": {"type": "number"}},
        "x-kubernetes-validations": [{"rule": "false", "messageExpression": expression}],
    }
    value = {"name": "a", "count": 2, "share": 50, "half": 0.5, "list": [1, 2]}
    assert [problem.message for problem in broken_rules(value, schema)] == [message]


# --- how YAML is read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-02", "2026-01-02"),
        ("1:30", "1:30"),
        ("1.0", 1),
        ("1.5", 1.5),
        ("1e3", 1000),
        ("yes", True),
        ("'yes'", "yes"),
        ("off", False),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("0", 0),
        ("-3", -3),
        ("~", None),
        ("", None),
        ("1.18.0", "1.18.0"),
        ("5m", "5m"),
        ("{<<: {b: 1, c: 2}, b: 3}", {"b": 3, "c": 2}),
    ],
)
def test_scalars_are_read_as_kubernetes_does(text, value):
    (document,) = read_documents(f"a: {text}\n")
    assert document.value == {"a": value}


def test_every_field_knows_its_line():
    (document,) = read_documents("a:\n  b:\n  - c: 1\n  - d: 2\n")
    assert document.line_of(("a",)) == 1
    assert document.line_of(("a", "b", 1, "d")) == 4
    assert document.line_of(("a", "b", 1, "missing")) == 4
    assert document.line_of(("nothing",)) == 1


def test_documents_are_told_apart_and_empty_ones_left_out():
    documents = list(read_documents("---\n---\na: 1\n---\n# only a comment\n---\nb: 2\n"))
    assert [(document.line, document.value) for document in documents] == [(3, {"a": 1}), (7, {"b": 2})]


@pytest.mark.parametrize(
    ("text", "line"), [("a: [1\nb: {", 2), ("a: b: c", 1), ("a:\n\t- b", 2), ("a: *nowhere", 1)]
)
def test_a_syntax_error_has_a_line(text, line):
    with pytest.raises(SourceError) as caught:
        list(read_documents(text))
    assert caught.value.line == line


def findings(text):
    (document,) = read_documents(text)
    report = check_document(document)
    return [(document.line_of(problem.path), problem.field, problem.message) for problem in report.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("just text", (1, "", 'must be a mapping with apiVersion and kind, got "just text"')),
        ("[1]", (1, "", "must be a mapping with apiVersion and kind, got [1]")),
        ("kind: X", (1, "apiVersion", "is required")),
        (
            "apiVersion: mooring.dev/v1alpha1\nkind: ModelDeploymnt",
            (
                2,
                "kind",
                '"ModelDeploymnt" is not one of ModelDeployment, DriftMonitor, ModelPolicy, ClusterModelPolicy, '
                "AnalysisTemplate, ClusterAnalysisTemplate",
            ),
        ),
        (
            "apiVersion: mooring.dev/v1\nkind: ModelDeployment",
            (1, "apiVersion", '"mooring.dev/v1" is not served; use mooring.dev/v1alpha1'),
        ),
        ("apiVersion: v1\nkind: A\nkind: B", (3, "kind", "is given twice")),
    ],
)
def test_a_document_that_is_no_resource(text, expected):
    assert expected in findings(text)


def test_other_kinds_are_skipped():
    (document,) = read_documents("apiVersion: v1\nkind: Secret\nmetadata: {name: s}")
    report = check_document(document)
    assert report.ok
    assert report.skipped == "Secret of v1 is not Mooring's"


def test_a_status_in_a_manifest_is_ignored():
    assert said(Case("", {"status": {"phase": "Nonsense"}}).manifest) == []


def test_labels_are_strings():
    assert said(Case("", {"metadata.labels": {"version": 2}}).manifest) == [
        "metadata.labels.version: must be a string, got the integer 2; quote it"
    ]


def test_metadata_is_needed():
    assert said(Case("", {"metadata": ABSENT}).manifest) == [
        "metadata: is required: give the object a name in metadata.name"
    ]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"spec.model.formt": "x"}, "spec.model.formt: unknown field; did you mean format?"),
        (
            {"spec.serving": {"mode": "Serverless"}},
            'spec.serving.mode: "Serverless" is not one of Standard, Knative',
        ),
        (
            {"spec.serving": {"minReplicas": "1"}},
            'spec.serving.minReplicas: must be an integer, got the string "1"; write 1',
        ),
        ({"spec.historyLimit": 26}, "spec.historyLimit: must be at most 25, got 26"),
        ({"spec.rollout": {"steps": []}}, "spec.rollout.steps: must have at least 1 item, got 0"),
        (
            {"spec.model.pollInterval": "soon"},
            'spec.model.pollInterval: "soon" is not a valid duration above 0: '
            "write hours, minutes and seconds, each from 1 to 99999, like 1h30m or 45s",
        ),
        (
            {"spec.model": []},
            "spec.model: must be a mapping, got a list; it has digest, format, formatVersion, pollInterval, "
            "promoteAlias, signature, uri",
        ),
    ],
)
def test_messages_say_what_is_allowed(patch, message):
    assert message in said(Case("", patch).manifest)


def test_the_bases_survive_a_round_through_yaml():
    for base in BASES.values():
        (document,) = read_documents(yaml.safe_dump(base))
        assert document.value == base
