"""What KServe's stand-in makes of an InferenceService, and what it says of it: the same as KServe's own controller.

The cases of the stand-in run everywhere; KServe's need its controller, see cluster/README.md.
"""

import itertools

import pytest

from cluster.serving import workloads
from cluster.serving.service import Service
from cluster.serving.status import Failure
from tests.cluster.deployed import ONNX, runtime
from tests.cluster.rollout_steps import SERVING, install, until

NAMESPACE = "contract"
NUMBERS = itertools.count(1)
CASES = {
    "a fixed number": ("none", {"minReplicas": 2, "maxReplicas": 2}, 2),
    "a fixed number of none": ("none", {"minReplicas": 0, "maxReplicas": 1}, 0),
    "nothing said": ("none", {}, 1),
    "an autoscaler starts with one where it may have none": ("hpa", {"minReplicas": 0, "maxReplicas": 3}, 1),
    "labels of its own": ("none", {"labels": {"team": "vision"}}, 1),
}


def service(name, scaler, predictor):
    """An InferenceService that KServe makes no route for."""
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://models/x", "runtime": "contract"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"networking.kserve.io/visibility": "cluster-local"},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": scaler,
            },
        },
        "spec": {"predictor": {"model": model, **predictor}},
    }


def made_by_the_stand_in(request, asked):
    """Deployment and Service, as the stand-in writes them."""
    return workloads.deployment(asked, workloads.replicas(asked, None)), workloads.service(asked)


def made_by_kserve(request, asked):
    """Deployment and Service, as KServe writes them."""
    api = request.getfixturevalue("kserve_cluster").api
    install(api, NAMESPACE, kserve=False)
    api.apply(runtime("contract", {**ONNX, "autoSelect": False}))
    api.apply(asked)
    name = f"{asked['metadata']['name']}-predictor"
    paths = (
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}",
        f"/api/v1/namespaces/{NAMESPACE}/services/{name}",
    )
    made = tuple(until(lambda path=path: api.get(path), what=f"{path} is not made") for path in paths)
    api.delete(f"{SERVING}/namespaces/{NAMESPACE}/inferenceservices/{asked['metadata']['name']}")
    return made


@pytest.mark.parametrize("make", [made_by_the_stand_in, made_by_kserve], ids=["stand-in", "KServe"])
@pytest.mark.parametrize("case", CASES)
def test_the_same_stands_behind_an_inference_service(request, case, make):
    scaler, predictor, replicas = CASES[case]
    asked = service(f"c{next(NUMBERS)}", scaler, predictor)
    deployment, front = make(request, asked)
    name = f"{asked['metadata']['name']}-predictor"
    assert deployment["metadata"]["name"] == front["metadata"]["name"] == name
    assert deployment["spec"]["replicas"] == replicas
    selected = {"app": f"isvc.{name}"}
    assert deployment["spec"]["selector"]["matchLabels"] == front["spec"]["selector"] == selected
    labels = {
        **asked["metadata"]["labels"],
        **predictor.get("labels", {}),
        **selected,
        "component": "predictor",
        "serving.kserve.io/inferenceservice": asked["metadata"]["name"],
    }
    assert deployment["spec"]["template"]["metadata"]["labels"] == labels
    assert deployment["metadata"]["labels"] == front["metadata"]["labels"] == labels
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "kserve-container"
    [port] = front["spec"]["ports"]
    [behind] = container["ports"]
    assert (port["port"], port["protocol"]) == (80, "TCP")
    assert (port["name"], port["targetPort"]) == (behind["name"], behind["containerPort"])
    for made in (deployment, front):
        [owner] = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == (
            "InferenceService",
            asked["metadata"]["name"],
            True,
        )


# --- what status says, and when -------------------------------------------------------------------

LOCAL_ADDRESS = "http://NAME-predictor.contract.svc.cluster.local"
ROUTELESS = ("False", "Predictor Deployment NotReady")
LACKING = ("False", "MinimumReplicasUnavailable")
SERVED = {
    "PredictorReady": ("True", "NewReplicaSetAvailable"),
    "IngressReady": ("True", ""),
    "Ready": ("True", ""),
}
STOPPED = {"PredictorReady": ("False", "Stopped"), "Ready": ("False", "Stopped")}
TOLD = {
    "local": {
        "started": (
            {"IngressReady": ("True", ""), "PredictorReady": LACKING, "Ready": LACKING},
            True,
            LOCAL_ADDRESS,
        ),
        "ready": (SERVED, True, LOCAL_ADDRESS),
        "crashed": ({**SERVED, "PredictorReady": LACKING, "Ready": LACKING}, True, LOCAL_ADDRESS),
        "stopped": ({**STOPPED, "IngressReady": ("True", "")}, True, ""),
    },
    "routed": {
        "started": ({"IngressReady": ROUTELESS, "PredictorReady": LACKING, "Ready": ROUTELESS}, False, ""),
        "ready": (SERVED, True, LOCAL_ADDRESS),
        "crashed": ({**SERVED, "PredictorReady": LACKING, "Ready": LACKING}, True, LOCAL_ADDRESS),
        "stopped": ({**STOPPED, "IngressReady": ("False", "Stopped")}, False, ""),
    },
}
"""By what an InferenceService has gone through: its conditions, whether it has an URL, and its address."""
MODELS = {
    "started": ("InProgress", {"activeModelState": "", "targetModelState": "Pending"}),
    "ready": ("UpToDate", {"activeModelState": "Loaded", "targetModelState": "Loaded"}),
    "crashed": ("BlockedByFailedLoad", {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}),
    "stopped": ("", None),
}


class Process:
    """A process of the stand-in's that does not exist."""

    failure, ready = None, False

    def __init__(self, deployment):
        self.deployment = deployment

    async def stop(self):
        pass


class StandIn:
    """The stand-in's decisions about one InferenceService."""

    def __init__(self, request, asked):
        self.asked, self.processes, self.seen = asked, [], []
        self.service = Service(asked, start=self._start, base_url="http://front")

    def _start(self, deployment):
        self.processes.append(Process(deployment))
        return self.processes[-1]

    def becomes(self, stage):
        for process in self.processes:
            process.ready = stage == "ready"
            process.failure = Failure("ModelLoadFailed", "it ended", 1) if stage == "crashed" else None
        if stage == "stopped":
            self.asked["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"
        while True:
            self.service.observe({**self.asked, "status": self.service.status})
            self.seen.append(self.service.reconcile("2026-11-01T12:00:00Z"))
            if self.seen[-1] == self.service.status:
                return self.seen[-1]
            self.service.status = self.seen[-1]


class Real:
    """The same InferenceService before KServe's own controller."""

    def __init__(self, request, asked):
        self.api, self.asked, self.seen = request.getfixturevalue("kserve_cluster").api, asked, []
        self.node = request.getfixturevalue("node")
        self.deployment = f"{NAMESPACE}/{asked['metadata']['name']}-predictor"
        self.node.unavailable.add(self.deployment)
        install(self.api, NAMESPACE, kserve=False)
        self.api.apply(runtime("contract", {**ONNX, "autoSelect": False}))

    def becomes(self, stage):
        if stage == "ready":
            self.node.unavailable.discard(self.deployment)
        if stage == "crashed":
            self.node.crashing.add(self.deployment)
        if stage == "stopped":
            self.asked["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"
        path = self.api.path(self.api.apply(self.asked))
        wanted = (TOLD[kind_of(self.asked)][stage], MODELS[stage])

        def read():
            self.seen.append(self.api.get(path).get("status") or {})
            return self.seen[-1]

        return until(read, lambda status: told(status, self.asked) == wanted, what=f"it is not {stage}")


def kind_of(asked):
    return "local" if asked["metadata"]["labels"] else "routed"


def told(status, asked):
    conditions = {entry["type"]: entry for entry in status.get("conditions") or [] if "severity" not in entry}
    said = {kind: (entry["status"], entry.get("reason", "")) for kind, entry in conditions.items()}
    address = (status.get("address") or {}).get("url", "").replace(asked["metadata"]["name"], "NAME")
    model = status.get("modelStatus") or {}
    return (said, "url" in status, address), (model.get("transitionStatus"), model.get("states"))


@pytest.mark.parametrize("play", [StandIn, Real], ids=["stand-in", "KServe"])
@pytest.mark.parametrize("kind", TOLD)
async def test_status_says_the_same_in_the_same_order(request, kind, play):
    asked = service(f"c{next(NUMBERS)}", "none", {"minReplicas": 1, "maxReplicas": 1})
    if kind == "routed":
        asked["metadata"]["labels"] = {}
    played = play(request, asked)
    for stage in TOLD[kind]:
        status = played.becomes(stage)
        assert told(status, asked) == (TOLD[kind][stage], MODELS[stage])
        assert [entry["type"] for entry in status["conditions"]] == sorted(
            ["IngressReady", "PredictorReady", "Ready", "Stopped"]
        )
        assert ("predictor" in status.get("components", {})) == (stage != "stopped")
        has_url = "url" in status.get("components", {}).get("predictor", {})
        assert has_url == (stage in ("ready", "crashed"))
        if stage == "ready":
            was_ready = False
            for before in played.seen:
                was_ready = check_order(before, kind, was_ready=was_ready)


def check_order(status, kind, *, was_ready):
    """Whether it has pods by now: a route comes after them, and addresses with it or at once."""
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or []}
    was_ready = was_ready or conditions.get("PredictorReady") == "True"
    if conditions:
        assert conditions["IngressReady"] == "True" or kind == "routed"
        assert ("address" in status) == ("url" in status) == (conditions["IngressReady"] == "True")
        assert was_ready or conditions["IngressReady"] == "False" or kind == "local"
    return was_ready


# --- what is written into a spec ------------------------------------------------------------------


@pytest.mark.parametrize("where", ["control_plane", "kserve_cluster"], ids=["stand-in", "KServe"])
def test_the_same_is_written_into_a_spec(request, where):
    api = request.getfixturevalue(where).api
    install(api, NAMESPACE, kserve=where == "control_plane")
    asked = service(f"c{next(NUMBERS)}", "none", {"name": "v1", "minReplicas": 2})
    canary = {"name": "v2", "model": {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://models/y"}}
    asked["spec"]["canary"] = [{"trafficPercent": 25, "predictor": canary}]
    made = api.apply(asked)
    added = {"name": "", "resources": {}}
    predictor = asked["spec"]["predictor"]
    wanted = {**predictor, "model": {**predictor["model"], **added}, "automountServiceAccountToken": False}
    assert made["spec"]["predictor"] == wanted
    [entry] = made["spec"]["canary"]
    assert entry == {"trafficPercent": 25, "predictor": {**canary, "model": {**canary["model"], **added}}}
    api.delete(api.path(made))
