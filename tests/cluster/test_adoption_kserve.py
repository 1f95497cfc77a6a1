"""InferenceServices that run are taken over by the operator, before KServe's own controller and Kubernetes' own.

These tests need KServe's controller; see cluster/README.md.
"""

import itertools

import pytest
import yaml

from cluster.stand_ins import NodeStandIn, deployment_of
from tests.cluster.rollout_steps import OURS, Operator, install, until
from tests.played_gateway import gateway
from tests.unit.cli_world import invoke

NAMESPACE = "adopting"
NUMBERS = itertools.count(1)
SERVICES = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
ROUTES = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes"
ONCE = [{"setWeight": 100}]
STEPS = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
NONE = {"serving.kserve.io/autoscalerClass": "none"}
MODEL = {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://models/v1"}
FULL = {
    "minReplicas": 2,
    "maxReplicas": 3,
    "labels": {"team": "a"},
    "nodeSelector": {"pool": "y"},
    "timeout": 60,
    "model": {
        **MODEL,
        "runtime": "onnx-server",
        "args": ["--threads=2"],
        "env": [{"name": "LEVEL", "value": "$info"}],
        "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "2Gi"}},
    },
}
TRANSFORMER = {"containers": [{"image": "none", "env": [{"name": "A", "value": "b"}]}], "minReplicas": 2}
OWN = {
    "minReplicas": 2,
    "volumes": [{"name": "scratch", "emptyDir": {}}],
    "containers": [
        {
            "name": "kserve-container",
            "image": "none",
            "command": ["serve"],
            "args": ["--price=$$5"],
            "env": [{"name": "STORAGE_URI", "value": "pvc://models/v1"}, {"name": "LEVEL", "value": "$info"}],
            "ports": [{"name": "http1", "containerPort": 8080}],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        },
        {"name": "beside", "image": "none", "env": [{"name": "A", "value": "b"}]},
    ],
}
SHAPES = {
    "automatic": {"predictor": {"model": MODEL}},
    "named": {"predictor": FULL},
    "fixed": {"predictor": {"minReplicas": 2, "model": MODEL}, "annotations": NONE},
    "transformer": {"predictor": {"model": MODEL}, "transformer": TRANSFORMER},
    "labelled": {"predictor": {"model": MODEL}, "labels": {"team": "a"}, "annotations": {"note": "b"}},
    "own container": {"predictor": OWN},
    "own container and transformer": {"predictor": OWN, "transformer": TRANSFORMER},
    "framework": {"predictor": {"onnx": {"storageUri": "pvc://models/v1"}}},
}


@pytest.fixture(scope="module")
def api(kserve_cluster):
    api = kserve_cluster.api
    install(api, NAMESPACE, kserve=False)
    container = {
        "name": "kserve-container",
        "image": "none",
        "args": ["--model_name={{.Name}}"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    }
    runtime = {
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v1", "v2"],
        "containers": [container],
    }
    api.apply(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ClusterServingRuntime",
            "metadata": {"name": "onnx-server"},
            "spec": runtime,
        }
    )
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateways"}})
    made = gateway()
    status = made.pop("status")
    api.apply(made)
    api.merge(f"{api.path(made)}/status", {"status": status})
    return api


@pytest.fixture
def node(api):
    with NodeStandIn(api, name="node") as stand_in:
        yield stand_in


@pytest.fixture
def operator(api, kserve_cluster, node, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(kserve_cluster.kubeconfig))
    log = tmp_path / "operator.log"
    with Operator(kserve_cluster.kubeconfig, log, namespaces=NAMESPACE) as process:
        yield process


class Adopted:
    """An InferenceService that runs, and the ModelDeployment that `mooring adopt` writes for it."""

    def __init__(self, api, name):
        self.api, self.name = api, name
        self.path = f"{OURS}/namespaces/{NAMESPACE}/modeldeployments/{name}"
        self.service_path = f"{SERVICES}/{name}"

    def start(self, *, labels=None, annotations=None, **spec):
        """Have KServe run the InferenceService, all pods of it ready."""
        metadata = {"labels": labels or {}, "annotations": annotations or {}}
        made = self.api.apply(
            {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceService",
                "metadata": {"name": self.name, "namespace": NAMESPACE, **metadata},
                "spec": spec,
            }
        )
        # As many as their autoscalers want, of which KServe starts one.
        wanted = {f"{self.name}-{part}": said.get("minReplicas", 1) for part, said in spec.items()}
        until(lambda: {name: self._ready(name) for name in wanted}, lambda ready: ready == wanted)
        return made

    def _ready(self, name):
        found = self.api.get(f"{DEPLOYMENTS}/{name}") or {}
        return found.get("status", {}).get("readyReplicas", 0)

    def manifest(self, capsys, steps=None, **rollout):
        """What `mooring adopt` writes, with a course."""
        code, out, err = invoke(capsys, "adopt", f"isvc/{self.name}", "-n", NAMESPACE, "--format", "onnx")
        assert (code, err) == (0, ""), out
        written = yaml.safe_load(out)
        written["spec"]["rollout"] = {"steps": steps or ONCE, "progressDeadline": "60s", **rollout}
        return written

    @property
    def status(self):
        return self.api.request("GET", self.path).get("status", {})

    def reaches(self, phase, holds=lambda _: True):
        generation = self.api.request("GET", self.path)["metadata"]["generation"]
        return until(
            lambda: self.status,
            lambda status: (
                status.get("phase") == phase and status["observedGeneration"] >= generation and holds(status)
            ),
        )

    def runs(self):
        """All by which one could see that a pod was started anew."""
        found = {}
        for item in self.api.items(DEPLOYMENTS):
            metadata = item["metadata"]
            if metadata["name"].rpartition("-")[0] == self.name:
                found[metadata["name"]] = (metadata["uid"], metadata["generation"], item["spec"]["template"])
        return found, self.pods()

    def pods(self, name=None):
        found = self.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")
        return {
            pod["metadata"]["name"]
            for pod in found
            if deployment_of(pod).rpartition("-")[0] == (name or self.name)
            and "deletionTimestamp" not in pod["metadata"]
        }


@pytest.fixture
def adopted(api):
    one = Adopted(api, f"m{next(NUMBERS)}")
    yield one
    api.delete(one.path)
    api.delete(one.service_path)
    until(lambda: api.get(one.service_path) is None)


def weights(api, name):
    rules = (api.get(f"{ROUTES}/{name}-mooring") or {"spec": {"rules": [{}]}})["spec"]["rules"]
    return {ref["name"]: ref["weight"] for ref in rules[0].get("backendRefs", [])}


@pytest.mark.parametrize(
    ("shape", "router"),
    [
        *((shape, "Gateway") for shape in SHAPES),
        ("automatic", "Endpoints"),
        ("transformer", "Endpoints"),
        ("own container", "Endpoints"),
    ],
)
def test_what_runs_is_taken_over_and_no_pod_moves(api, operator, adopted, capsys, shape, router):
    adopted.start(**SHAPES[shape])
    before, service = adopted.runs(), api.get(adopted.service_path)
    named = {"gateway": {"name": "front", "namespace": "gateways"}} if router == "Gateway" else {}
    manifest = adopted.manifest(capsys, **named)
    api.apply(manifest)
    status = adopted.reaches("Promoted")
    assert status["router"]["name"] == router
    assert (status["reason"], status["history"][0]["reason"]) == ("Promoted", "Adopted")
    assert status["stable"]["adopted"] == f"{adopted.name}/{service['metadata']['uid']}"
    now = api.get(adopted.service_path)
    [owner] = now["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("ModelDeployment", adopted.name, True)
    assert now["spec"] == service["spec"]
    for part in ("labels", "annotations", "generation"):
        assert now["metadata"].get(part) == service["metadata"].get(part)
    # The next revision is one as any other, and what it replaces goes as any other.
    manifest["spec"]["model"]["uri"] = "pvc://models/v2"
    assert adopted.runs() == before
    if router == "Gateway":
        manifest["spec"]["rollout"]["steps"] = STEPS
        manifest["spec"]["rollout"]["scaleDownDelay"] = "1s"
        api.apply(manifest)
        waiting = adopted.reaches("AwaitingApproval", lambda status: status["candidate"].get("routed") == 50)
        entry = "transformer" if "transformer" in SHAPES[shape] else "predictor"
        second = f"{adopted.name}-{waiting['candidate']['workload']}-{entry}"
        assert weights(api, adopted.name) == {f"{adopted.name}-{entry}": 50, second: 50}
        assert before[1] <= adopted.pods()
        api.merge(
            adopted.path,
            {"metadata": {"annotations": {"mooring.dev/approve": waiting["candidate"]["revision"]}}},
        )
    else:
        manifest["spec"]["rollout"]["scaleDownDelay"] = "1s"
        api.apply(manifest)
    adopted.reaches("Promoted", lambda status: "adopted" not in status["stable"])
    until(adopted.pods, lambda pods: not pods)
    assert not operator.messages("error", "critical")


EDITS = {
    "named": {"model": {"args": ["--threads=9"], "storageUri": "pvc://models/other"}},
    "own container": {"containers": [{**OWN["containers"][0], "image": "other"}, OWN["containers"][1]]},
}


@pytest.mark.parametrize("shape", EDITS)
def test_an_edit_of_what_was_taken_over_is_undone(api, operator, adopted, capsys, shape):
    adopted.start(**SHAPES[shape])
    before, service = adopted.runs()[0], api.get(adopted.service_path)
    api.apply(adopted.manifest(capsys, gateway={"name": "front", "namespace": "gateways"}))
    adopted.reaches("Promoted")
    api.merge(adopted.service_path, {"spec": {"predictor": EDITS[shape]}})
    until(lambda: api.get(adopted.service_path)["spec"], lambda spec: spec == service["spec"], timeout=120)
    # The pods that the edit has started go, for the template is as it was.
    name = f"{adopted.name}-predictor"
    until(lambda: adopted.runs()[0][name][2], lambda template: template == before[name][2])
    assert not operator.messages("error", "critical")
