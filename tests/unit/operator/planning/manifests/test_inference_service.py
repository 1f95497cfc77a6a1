"""The InferenceServices that are built."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.manifests import inference_service
from mooring_operator.planning.objects.owner import Owner

from tests.unit.operator.planning.world import START

OWNER = Owner("ns", "digits", "uid-1", 3)


def revision(kind=Revision, name="aaaabbbbcc", model="v1", **serving):
    fields = {"started_at": START, "step_started_at": START} if kind is Candidate else {}
    return kind(
        revision=name,
        model_uri=f"s3://m/{model}",
        storage_uri=f"s3://m/{model}",
        format="onnx",
        workload=f"r{name[:8]}",
        serving=serving,
        **fields,
    )


def test_a_first_revision_is_one_named_predictor():
    service = inference_service.serve(OWNER, revision())
    assert service["metadata"]["name"] == "digits"
    assert service["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert service["metadata"]["labels"]["mooring.dev/model-deployment"] == "digits"
    annotations = service["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
    assert annotations["serving.kserve.io/autoscalerClass"] == "hpa"
    predictor = service["spec"]["predictor"]
    assert (predictor["name"], predictor["minReplicas"], predictor["maxReplicas"]) == ("raaaabbbb", 1, 1)
    assert predictor["labels"] == {"mooring.dev/revision": "aaaabbbbcc"}
    assert predictor["model"]["env"] == [{"name": "MOORING_REVISION", "value": "aaaabbbbcc"}]
    assert "canary" not in service["spec"]


@pytest.mark.parametrize(
    ("serving", "path", "value"),
    [
        ({"gpu": {"count": 2}}, "model.resources", {"limits": {"nvidia.com/gpu": "2"}}),
        (
            {"gpu": {"count": 1, "resourceName": "amd.com/gpu"}},
            "model.resources",
            {"limits": {"amd.com/gpu": "1"}},
        ),
        ({"nodeSelector": {"gpu": "l4"}}, "nodeSelector", {"gpu": "l4"}),
        (
            {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
            "tolerations",
            [{"key": "gpu", "operator": "Exists"}],
        ),
        ({"affinity": {"nodeAffinity": {}}}, "affinity", {"nodeAffinity": {}}),
        ({"runtime": "mine"}, "model.runtime", "mine"),
        ({"serviceAccountName": "reader"}, "serviceAccountName", "reader"),
        ({"maxReplicas": 6}, "maxReplicas", 6),
        ({"autoscaling": {"metric": "memory", "target": 70}}, "scaleMetric", "memory"),
        ({"autoscaling": {"metric": "memory", "target": 70}}, "scaleTarget", 70),
        (
            {"batching": {"maxBatchSize": 8, "maxLatencyMs": 250}},
            "batcher",
            {"maxBatchSize": 8, "maxLatency": 250},
        ),
        ({"mode": "Knative", "minReplicas": 0}, "minReplicas", 0),
        ({"mode": "Knative", "minReplicas": 0}, "maxReplicas", 1),
    ],
)
def test_what_serving_says_is_where_kserve_reads_it(serving, path, value):
    found = inference_service.serve(OWNER, revision(**serving))["spec"]["predictor"]
    for part in path.split("."):
        found = found[part]
    assert found == value


def test_keda_scales_on_a_query():
    query = {"address": "http://prometheus:9090", "query": "sum(rate(x[1m]))"}
    scaling = {"scaler": "KEDA", "metric": "prometheus", "target": 20, "prometheus": query}
    service = inference_service.serve(OWNER, revision(autoscaling=scaling))
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
    [metric] = service["spec"]["predictor"]["autoScaling"]["metrics"]
    assert metric["external"]["metric"] == {
        "backend": "prometheus",
        "serverAddress": "http://prometheus:9090",
        "query": "sum(rate(x[1m]))",
    }
    assert metric["external"]["target"] == {"type": "Value", "value": "20"}


def test_a_canary_has_its_share_and_no_autoscaling_of_its_own():
    candidate = revision(Candidate, "ddddeeeeff", "v2", maxReplicas=9, minReplicas=3).model_copy(
        update={"weight": 10}
    )
    service = inference_service.split(OWNER, revision(minReplicas=2), candidate)
    [entry] = service["spec"]["canary"]
    assert entry["trafficPercent"] == 10
    assert entry["predictor"]["name"] == "rddddeeee"
    assert not {"minReplicas", "maxReplicas", "scaleMetric"} & set(entry["predictor"])
    whole = inference_service.split(
        OWNER, revision(minReplicas=2), candidate.model_copy(update={"weight": 100})
    )
    assert whole["spec"]["canary"][0]["predictor"]["minReplicas"] == 2


def test_knative_keeps_a_rejected_revision_at_nothing():
    stable = revision(mode="Knative")
    candidate = revision(Candidate, "ddddeeeeff", "v2", mode="Knative").model_copy(update={"weight": 20})
    tried = inference_service.split(OWNER, stable, candidate)["spec"]
    assert tried["predictor"]["canaryTrafficPercent"] == 20
    assert tried["predictor"]["model"]["storageUri"] == "s3://m/v2"
    assert "name" not in tried["predictor"]
    assert "canary" not in tried
    left = inference_service.reject(OWNER, stable, candidate)["spec"]["predictor"]
    assert (left["canaryTrafficPercent"], left["model"]["storageUri"]) == (0, "s3://m/v2")
    promoted = inference_service.serve(OWNER, candidate)["spec"]["predictor"]
    assert "canaryTrafficPercent" not in promoted


def test_the_fingerprint_follows_the_spec_and_nothing_else():
    def fingerprint(service):
        return service["metadata"]["annotations"]["mooring.dev/applied"]

    same = inference_service.serve(Owner("ns", "digits", "uid-1", 99), revision())
    assert fingerprint(inference_service.serve(OWNER, revision())) == fingerprint(same)
    assert fingerprint(inference_service.serve(OWNER, revision(minReplicas=2))) != fingerprint(same)


@pytest.mark.parametrize("text", ["$(DB_PASSWORD)", "$$(DB_PASSWORD)", "plain"])
def test_variables_of_a_spec_are_not_expanded_in_the_pod(text):
    manifest = inference_service.serve(OWNER, revision(env=[{"name": "A", "value": text}]))
    written, ours = manifest["spec"]["predictor"]["model"]["env"]
    assert written == {"name": "A", "value": text.replace("$", "$$")}
    assert ours == {"name": "MOORING_REVISION", "value": "aaaabbbbcc"}


def test_models_are_given_no_token_of_the_api_server():
    candidate = revision(Candidate, "ddddeeeeff", "v2").model_copy(update={"weight": 10})
    spec = inference_service.split(OWNER, revision(), candidate)["spec"]
    assert spec["predictor"]["automountServiceAccountToken"] is False
    assert spec["canary"][0]["predictor"]["automountServiceAccountToken"] is False


def executed(text):
    """What KServe makes of a value in a container; of programs only the one that gives its text is known here."""
    out, at = "", 0
    while (start := text.find("{{", at)) >= 0:
        literal = re.match(r"\{\{`([^`]*)`\}\}", text[start:])
        assert literal, f"KServe would execute {text[start:]}"
        out, at = out + text[at:start] + literal[1], start + literal.end()
    return out + text[at:]


@given(st.text(alphabet='{}`-. $/*"\\a'))
@example("{{.Name}}")
@example("{{{{{")
@example("{{/* */}}{{`{{`}}")
@example("{{$a := printf `%1000000d` 1}}{{$a = printf `%s%s` $a $a}}")
def test_variables_of_a_spec_are_no_programs_for_kserve(text):
    """KServe executes a model's container as a template, in the process that serves every tenant."""
    manifest = inference_service.serve(OWNER, revision(env=[{"name": "A", "value": text}]))
    (written, _) = manifest["spec"]["predictor"]["model"]["env"]
    assert executed(written["value"]).replace("$$", "$") == text
