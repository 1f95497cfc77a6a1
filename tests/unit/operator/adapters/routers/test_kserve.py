"""What is written for KServe in Standard mode."""

from mooring_operator.adapters.routers import kserve
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routing import Arm

from tests.unit.operator.adapters.routers.revisions import OWNER, revision


def test_a_first_revision_is_one_named_predictor():
    service = kserve.serve(OWNER, revision())
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


def test_a_canary_has_its_share_and_no_autoscaling_of_its_own():
    candidate = revision("ddddeeeeff", "v2", maxReplicas=9, minReplicas=3)
    service = kserve.split(OWNER, revision(minReplicas=2), Arm(candidate, 10))
    [entry] = service["spec"]["canary"]
    assert entry["trafficPercent"] == 10
    assert entry["predictor"]["name"] == "rddddeeee"
    assert not {"minReplicas", "maxReplicas", "scaleMetric"} & set(entry["predictor"])
    whole = kserve.split(OWNER, revision(minReplicas=2), Arm(candidate, 100))
    assert whole["spec"]["canary"][0]["predictor"]["minReplicas"] == 2


def test_keda_scales_on_a_query():
    query = {"address": "http://prometheus:9090", "query": "sum(rate(x[1m]))"}
    scaling = {"scaler": "KEDA", "metric": "prometheus", "target": 20, "prometheus": query}
    service = kserve.serve(OWNER, revision(autoscaling=scaling))
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
    [metric] = service["spec"]["predictor"]["autoScaling"]["metrics"]
    assert metric["external"]["metric"] == {
        "backend": "prometheus",
        "serverAddress": "http://prometheus:9090",
        "query": "sum(rate(x[1m]))",
    }
    assert metric["external"]["target"] == {"type": "Value", "value": "20"}


def test_models_are_given_no_token_of_the_api_server():
    candidate = revision("ddddeeeeff", "v2")
    spec = kserve.split(OWNER, revision(), Arm(candidate, 10))["spec"]
    assert spec["predictor"]["automountServiceAccountToken"] is False
    assert spec["canary"][0]["predictor"]["automountServiceAccountToken"] is False


def test_the_fingerprint_follows_the_spec_and_nothing_else():
    def fingerprint(service):
        return service["metadata"]["annotations"]["mooring.dev/applied"]

    same = kserve.serve(Owner("ns", "digits", "uid-1", 99), revision())
    assert fingerprint(kserve.serve(OWNER, revision())) == fingerprint(same)
    assert fingerprint(kserve.serve(OWNER, revision(minReplicas=2))) != fingerprint(same)
