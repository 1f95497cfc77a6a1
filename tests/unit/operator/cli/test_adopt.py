"""What `mooring adopt` writes for InferenceServices, Rollouts and Canaries, and what it says that it cannot."""

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.restoring import undone
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.adoption.inference_services import adopt_inference_service
from mooring_operator.cli.adoption.serving import revision_of
from mooring_operator.cli.adoption.writing import to_yaml
from mooring_operator.cli.commands.validate import check_manifest
from mooring_operator.cli.errors import RefusedError
from mooring_operator.cli.files import Manifest
from mooring_operator.cli.validation.source import read_objects
from mooring_operator.planning.objects.ownership import owned_labels

from tests.unit.cli_world import FakeCluster, invoke

ISVC = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {
        "name": "iris",
        "namespace": "ml",
        "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
    },
    "spec": {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://m/iris"}}},
}
CLASSES = {None: "hpa", "HPA": "hpa", "KEDA": "keda", "None": "none"}


def isvc(predictor=None, model=None, **metadata):
    item = copy.deepcopy(ISVC)
    item["metadata"] |= metadata
    item["spec"]["predictor"] |= predictor or {}
    item["spec"]["predictor"]["model"] |= model or {}
    return item


def problems(adopted):
    text = to_yaml(adopted.manifest)
    assert [document.value for document in read_objects(text)] == [adopted.manifest]
    return [
        problem for finding in check_manifest(Manifest("adopted", text)) for problem in finding["problems"]
    ]


# --- there and back ----------------------------------------------------------------------------

names = st.from_regex(r"[a-z]([a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)
values = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12) | st.sampled_from(
    ["$(A)", "$$(A)", "a$b", "$", "{{.Name}}", "{{`{{`}}x", "$$", ""]
)
cores = st.sampled_from(["1", "500m", "2"])
resources = st.fixed_dictionaries(
    {},
    optional={
        "requests": st.fixed_dictionaries({"cpu": st.just("100m")}),
        "limits": st.fixed_dictionaries({"cpu": cores}),
    },
)
scaled = st.one_of(
    st.just({"scaler": "None"}),
    st.fixed_dictionaries({"metric": st.sampled_from(["cpu", "memory"]), "target": st.integers(1, 100)}),
    st.fixed_dictionaries(
        {
            "scaler": st.just("KEDA"),
            "metric": st.sampled_from(["cpu", "memory"]),
            "target": st.integers(1, 100),
        }
    ),
    st.fixed_dictionaries(
        {
            "scaler": st.just("KEDA"),
            "metric": st.just("prometheus"),
            "target": st.integers(1, 100),
            "prometheus": st.just({"address": "http://prometheus:9090", "query": "sum(up)"}),
        }
    ),
)


@st.composite
def servings(draw):
    said = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "runtime": names,
                "serviceAccountName": names,
                "minReplicas": st.integers(1, 9),
                "resources": resources,
                "gpu": st.builds(
                    lambda count, name: {"count": count, "resourceName": name},
                    st.integers(1, 8),
                    st.sampled_from(["nvidia.com/gpu", "amd.com/gpu"]),
                ),
                "nodeSelector": st.dictionaries(names, names, max_size=2),
                "tolerations": st.lists(
                    st.fixed_dictionaries({"key": names, "operator": st.just("Exists")}), max_size=2
                ),
                "env": st.lists(
                    st.builds(lambda name, value: {"name": name.upper(), "value": value}, names, values),
                    max_size=3,
                    unique_by=lambda variable: variable["name"],
                ),
                "batching": st.fixed_dictionaries(
                    {"maxBatchSize": st.integers(1, 64)}, optional={"maxLatencyMs": st.integers(1, 100)}
                ),
                "autoscaling": scaled,
            },
        )
    )
    fixed = said.get("autoscaling", {}).get("scaler") == "None"
    if not fixed and draw(st.booleans()):
        said["maxReplicas"] = said.get("minReplicas", 1) + draw(st.integers(0, 5))
    return said


def predictor_of(spec):
    """What the builder of manifests makes of a ModelDeployment's spec."""
    parsed = ModelDeploymentSpec.model_validate(spec)
    revision = revision_of(spec.get("serving", {}), spec["model"])
    return {**manifests.predictor(revision), **manifests.scaling(parsed.serving)}


@given(servings())
def test_what_the_builder_makes_of_a_spec_is_adopted_as_that_spec(serving):
    model = {"uri": "s3://m/iris", "format": "onnx", "formatVersion": "1"}
    predictor = predictor_of({"model": model, "serving": serving})
    item = isvc()
    item["spec"] = {"predictor": predictor}
    scaler = serving.get("autoscaling", {}).get("scaler")
    item["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = CLASSES[scaler]
    adopted = adopt_inference_service(item)
    assert adopted.left_out == ()
    assert adopted.spec["model"] == model
    assert predictor_of(adopted.spec) == predictor
    assert problems(adopted) == []
    assert undone(item, revision_of(adopted.spec.get("serving", {}), model)) == {}


written = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 9), values, st.dictionaries(names, values, max_size=2)
)
predictors = st.fixed_dictionaries(
    {},
    optional={
        "minReplicas": st.integers(0, 5),
        "maxReplicas": st.integers(0, 9),
        "timeout": st.integers(1, 99),
        "volumes": st.lists(
            st.fixed_dictionaries({"name": names}), max_size=2, unique_by=lambda volume: volume["name"]
        ),
        "nodeSelector": st.dictionaries(names, names, max_size=2),
        "serviceAccountName": names,
        "containers": st.lists(st.fixed_dictionaries({"name": names, "image": names}), max_size=1),
        "unheardOf": written,
    },
)
models = st.fixed_dictionaries(
    {},
    optional={
        "protocolVersion": st.sampled_from(["v1", "v2"]),
        "args": st.lists(values, max_size=2),
        "env": st.lists(
            st.fixed_dictionaries(
                {"name": names}, optional={"value": values, "valueFrom": st.just({"x": {}})}
            ),
            max_size=3,
            unique_by=lambda variable: variable["name"],
        ),
        "resources": st.fixed_dictionaries(
            {},
            optional={"limits": st.dictionaries(st.sampled_from(["cpu", "nvidia.com/gpu", "x.io/y"]), cores)},
        ),
        "unheardOf": written,
    },
)


@given(predictors, models)
def test_every_field_is_carried_over_or_named(predictor, model):
    item = isvc(predictor, model)
    adopted = adopt_inference_service(item)
    assert problems(adopted) == []
    made = predictor_of(adopted.spec)
    told = "\n".join(adopted.left_out)
    for name, value in predictor.items():
        if value and name not in ("minReplicas", "maxReplicas"):
            assert made.get(name) == value or f"spec.predictor.{name}" in told
    carried = {one["name"]: one for one in made["model"]["env"]}
    for name, value in model.items():
        if name == "env":
            missing = [one["name"] for one in value if one["name"] not in carried]
            assert all(f"env.{one}" in told for one in missing)
        elif value and name != "resources":
            assert made["model"].get(name) == value or f"spec.predictor.model.{name}" in told
    for name, amount in model.get("resources", {}).get("limits", {}).items():
        limits = made["model"].get("resources", {}).get("limits", {})
        assert limits.get(name) == amount or f"resources.limits.{name}" in told or "model.resources" in told


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.booleans(), max_size=4))
def test_kubectl_reads_what_was_written(manifest):
    manifest = {name: value for name, value in manifest.items() if name != "<<"}
    assert [document.value for document in read_objects(to_yaml({"kind": "X", **manifest}))] == [
        {"kind": "X", **manifest}
    ]


# --- examples ----------------------------------------------------------------------------------


def test_values_of_variables_that_are_left_out_are_not_shown():
    secret = {"name": "KEY", "value": "hunter2$(X)"}
    adopted = adopt_inference_service(
        isvc(model={"env": [secret, {"name": "OF", "valueFrom": {"x": "hunter2"}}]})
    )
    assert adopted.left_out == ("spec.predictor.model.env.KEY", "spec.predictor.model.env.OF")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a$b", "a$b"),
        ("$$(HOME)", "$(HOME)"),
        ("{{`{{`}}x}}", "{{x}}"),
        ("$(HOME)", None),
        ("{{.Name}}", None),
    ],
)
def test_a_variable_keeps_what_reaches_the_container_or_is_left_out(value, said):
    adopted = adopt_inference_service(isvc(model={"env": [{"name": "A", "value": value}]}))
    carried = [one["value"] for one in adopted.spec.get("serving", {}).get("env", [])]
    assert carried == ([] if said is None else [said])
    assert len(adopted.left_out) == (said is None)


def test_a_transformer_a_canary_and_annotations_are_named():
    item = isvc(
        annotations={
            "serving.kserve.io/deploymentMode": "Serverless",
            "sidecar": "true",
            "serving.kserve.io/stop": "true",
        }
    )
    item["spec"] |= {"transformer": {"containers": [{"volumeMounts": 7}]}, "canary": [{"trafficPercent": 10}]}
    adopted = adopt_inference_service(item)
    # Pods get an InferenceService's annotations as they get a predictor's.
    assert adopted.spec["serving"] == {"mode": "Knative", "annotations": {"sidecar": "true"}}
    assert adopted.left_out == (
        "spec.transformer: is there",
        "spec.canary: is there",
        "metadata.annotations.serving.kserve.io/stop: 'true'",
    )


def test_what_no_field_says_goes_into_the_template_and_a_transformer_along():
    item = isvc({"volumes": [{"name": "x", "emptyDir": {}}]}, {"protocolVersion": "v2"})
    item["spec"]["transformer"] = {"containers": [{"name": "kserve-container", "image": "ours/t:1"}]}
    adopted = adopt_inference_service(item)
    assert adopted.left_out == ()
    assert adopted.spec["serving"] == {
        "transformer": item["spec"]["transformer"],
        "template": {"volumes": [{"name": "x", "emptyDir": {}}], "model": {"protocolVersion": "v2"}},
    }
    assert problems(adopted) == []


def test_a_mode_that_nobody_says_is_told():
    (told,) = adopt_inference_service(isvc(annotations={})).left_out
    assert "deploymentMode: is missing" in told


def test_formats_that_are_fields_are_models():
    item = isvc()
    item["spec"]["predictor"] = {"sklearn": {"storageUri": "s3://m/s", "runtimeVersion": "1.2"}}
    adopted = adopt_inference_service(item)
    assert adopted.spec == {"model": {"uri": "s3://m/s", "format": "sklearn", "formatVersion": "1.2"}}
    assert adopted.left_out == ()


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (isvc(model={"storageUri": ""}), "spec.predictor.model.storageUri is missing"),
        (isvc(model={"modelFormat": {}}), "spec.predictor.model.modelFormat is missing"),
        (
            isvc(ownerReferences=[{"kind": "ModelDeployment", "name": "iris", "controller": True}]),
            "belongs to ModelDeployment iris already",
        ),
        (isvc(labels=owned_labels("iris")), "was made for ModelDeployment iris and left behind"),
    ],
)
def test_what_cannot_be_adopted_is_refused(item, says):
    with pytest.raises(RefusedError, match=says):
        adopt_inference_service(item)


# --- the command -------------------------------------------------------------------------------

ROLLOUT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "digits"},
    "spec": {
        "replicas": 3,
        "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
        "template": {
            "spec": {
                "nodeSelector": {"pool": "gpu"},
                "containers": [
                    {"name": "m", "image": "x", "env": [{"name": "STORAGE_URI", "value": "s3://m/d"}]}
                ],
            }
        },
    },
}


@pytest.fixture
def cluster(monkeypatch):
    made = FakeCluster(ISVC, ROLLOUT)
    monkeypatch.setattr("mooring_operator.cli.cluster.connect", lambda *_: made)


def test_an_inference_service_of_the_cluster(capsys, cluster):
    code, out, err = invoke(capsys, "adopt", "isvc/iris")
    assert (code, err) == (0, "")
    assert yaml.safe_load(out) == {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "iris", "namespace": "ml"},
        "spec": {"model": {"uri": "s3://m/iris", "format": "onnx"}},
    }


def test_what_is_left_out_stands_in_comments_and_on_stderr(capsys, cluster):
    code, out, err = invoke(capsys, "adopt", "rollout/digits", "--format", "onnx")
    assert code == 1
    [told] = err.splitlines()
    assert told.startswith(
        "digits: not carried over: spec.template.spec.containers[0].image: the serving runtime"
    )
    assert f"#   {told.removeprefix('digits: not carried over: ')}\n" in out
    assert yaml.safe_load(out)["spec"] == {
        "model": {"uri": "s3://m/d", "format": "onnx"},
        "serving": {"nodeSelector": {"pool": "gpu"}, "minReplicas": 3},
        "rollout": {"steps": [{"setWeight": 50}, {"setWeight": 100}]},
    }


CANARY = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "Canary",
    "metadata": {"name": "w"},
    "spec": {"targetRef": {"kind": "Deployment", "name": "digits"}, "analysis": {"stepWeight": 50}},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "digits"},
    "spec": {"template": ROLLOUT["spec"]["template"]},
}


def canary_of(out):
    return [one["spec"]["serving"] for one in yaml.safe_load_all(out)]


def test_a_canary_is_adopted_with_the_pods_of_its_target(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("mooring_operator.cli.cluster.connect", lambda *_: FakeCluster(CANARY, DEPLOYMENT))
    code, out, _ = invoke(capsys, "adopt", "canary/w", "--format", "onnx")
    assert (code, canary_of(out)) == (1, [{"nodeSelector": {"pool": "gpu"}}])
    path = tmp_path / "all.yaml"
    path.write_text(
        yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [CANARY, DEPLOYMENT, ROLLOUT]})
    )
    code, out, _ = invoke(capsys, "adopt", "-f", str(path), "--format", "onnx")
    assert (code, len(canary_of(out))) == (1, 2)
    assert canary_of(out)[0] == {"nodeSelector": {"pool": "gpu"}}


def test_a_namespace_that_is_no_text_is_refused(capsys, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump({**ROLLOUT, "metadata": {"name": "x", "namespace": 5}}))
    code, out, err = invoke(capsys, "adopt", "-f", str(path), "--format", "onnx")
    assert (code, out, err) == (2, "", "error: Rollout x: metadata.namespace: 5 is not a text\n")


def test_a_broken_rollout_gets_one_sentence(capsys, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump({**ROLLOUT, "spec": {"strategy": {"canary": {"steps": 5}}}}))
    code, out, err = invoke(capsys, "adopt", "-f", str(path), "--uri", "s3://m/x", "--format", "onnx")
    assert (code, out) == (2, "")
    assert err == "error: Rollout digits: spec.strategy.canary.steps: 5 is not a list\n"


def test_files_hold_several(capsys, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(
        yaml.safe_dump_all([ISVC, {"kind": "Service", "metadata": {"name": "x"}}, isvc(name="b")])
    )
    code, out, _ = invoke(capsys, "adopt", "-f", str(path))
    assert code == 0
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(out)] == ["iris", "b"]


def test_text_of_an_object_stays_in_its_comment(capsys, tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text(yaml.safe_dump(isvc({"unheardOf\nspec": "a\n---\nkind: Evil\x1b[2J"})))
    code, out, err = invoke(capsys, "adopt", "-f", str(path))
    assert code == 1
    assert [one["kind"] for one in yaml.safe_load_all(out)] == ["ModelDeployment"]
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "name one object of the cluster"),
        (["isvc/iris", "-f", "x.yaml"], 2, "name one object of the cluster"),
        (["iris"], 2, "write isvc/NAME"),
        (["deployment/iris"], 2, "write isvc/NAME"),
        (["isvc/none"], 2, "does not exist"),
        (["rollout/digits"], 1, "does not say which model it serves: say it by --format"),
        (["-f", "/nowhere.yaml"], 2, "no such file"),
    ],
)
def test_wrong_usage_gets_one_sentence(capsys, cluster, arguments, code, says):
    ended, out, err = invoke(capsys, "adopt", *arguments)
    assert (ended, out) == (code, "")
    assert says in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize(
    "spec",
    [
        [],
        {"predictor": []},
        {"predictor": {"model": 5}},
        {"predictor": {"minReplicas": "x", "model": {}}},
        "x",
    ],
)
def test_objects_of_another_form_get_one_sentence(capsys, tmp_path, spec):
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump({**ISVC, "spec": spec}))
    code, out, err = invoke(capsys, "adopt", "-f", str(path))
    assert code in (1, 2)
    assert out == ""
    assert err.startswith("error: InferenceService iris")
    assert "object" not in err
