"""What the serving agent writes for InferenceServices that others route to."""

import pytest

from cluster.serving import workloads
from cluster.serving.predictors import make_deployment
from cluster.serving.status import Failure

NOW = "2026-01-01T00:00:00Z"
LABELS = {"mooring.dev/model-deployment": "iris", "mooring.dev/revision": "1a2b"}


def inference_service(*, scaler="hpa", **predictor):
    return {
        "metadata": {
            "name": "iris-r1",
            "namespace": "shop",
            "uid": "u1",
            "labels": {"networking.kserve.io/visibility": "cluster-local"},
            "annotations": {"serving.kserve.io/autoscalerClass": scaler},
        },
        "spec": {"predictor": {"model": {"storageUri": "file:///m"}, "labels": LABELS, **predictor}},
    }


class Replica:
    address, restarts, failure, pid, backend = "10.99.0.7", 0, None, 1, None

    def __init__(self, name="iris-r1-predictor-1", *, ready=True, **predictor):
        self.name, self.ready = name, ready
        self.deployment = make_deployment("iris-r1-predictor", predictor, 1)


@pytest.mark.parametrize(
    ("scaler", "least", "present", "asked"),
    [
        ("hpa", 0, None, 1),
        ("hpa", 3, None, 3),
        ("hpa", 1, 4, 4),
        ("hpa", 3, 1, 3),
        ("hpa", 3, 0, 0),
        ("none", 0, None, 0),
        ("none", 2, 5, 2),
        ("none", 2, 0, 2),
        ("hpa", None, None, 1),
    ],
)
def test_pods_are_those_that_kserve_and_its_scaler_would_ask_for(scaler, least, present, asked):
    service = inference_service(scaler=scaler, minReplicas=least)
    assert workloads.replicas(service, present) == asked


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {}},
        {"annotations": {"serving.kserve.io/stop": "true"}},
        {"annotations": {"serving.kserve.io/deploymentMode": "Knative"}},
    ],
)
def test_only_what_others_route_to_and_is_to_run_has_a_workload(changes):
    service = inference_service()
    assert workloads.has_workload(service)
    service["metadata"] |= changes
    assert not workloads.has_workload(service)


def test_a_service_selects_the_pods_of_its_deployment():
    service, deployment = (make(inference_service()) for make in (workloads.service, _deployment))
    pod = workloads.pod(inference_service(), Replica())
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert LABELS.items() <= pod["metadata"]["labels"].items()


def _deployment(service):
    return workloads.deployment(service, 1)


def test_a_pod_that_asks_for_a_gpu_is_on_no_node_and_says_why():
    replica = Replica(ready=False, model={"resources": {"limits": {"nvidia.com/gpu": "1"}}})
    status = workloads.pod_status(replica, NOW)
    assert "nodeName" not in workloads.pod(inference_service(), replica)["spec"]
    assert status["phase"] == "Pending"
    assert "Insufficient nvidia.com/gpu" in status["conditions"][0]["message"]


def test_a_pod_whose_server_ended_says_how():
    replica = Replica(ready=False)
    replica.failure = Failure("ModelLoadFailed", "the model is junk", 3)
    container = workloads.pod_status(replica, NOW)["containerStatuses"][0]
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert container["lastState"]["terminated"]["message"] == "the model is junk"


def test_a_deployment_counts_the_pods_that_are_ready():
    present = {"metadata": {"generation": 4}}
    status = workloads.deployment_status(present, [Replica(), Replica(ready=False)], NOW)
    assert (status["observedGeneration"], status["replicas"], status["readyReplicas"]) == (4, 2, 1)
    assert status["conditions"][0]["status"] == "False"
    assert workloads.deployment_status(present, [], NOW)["conditions"][0]["status"] == "True"
