"""KServe itself, its webhooks and its controller: it accepts what Mooring writes, and traffic follows.

These tests need KServe's controller; see cluster/README.md.
"""

import itertools

import pytest
from mooring_operator.adapters.routers import knative, kserve
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import identity
from mooring_operator.planning.objects.difference import covers
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routing import Arm

from cluster.api import ApiError
from cluster.stand_ins import deployment_of
from tests.cluster.rollout_steps import Model, Operator, install, storage_uri, until

NAMESPACE = "accepted"
NUMBERS = itertools.count(1)
FIXED = {"minReplicas": 2, "autoscaling": {"scaler": "None"}}
STEPS = [{"setWeight": 10}, {"approve": {}}, {"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
            ]
        }
    }
}
SPECS = {
    "defaults": {},
    "several replicas": {"minReplicas": 3},
    "scaled by cpu": {"minReplicas": 2, "maxReplicas": 5, "autoscaling": {"metric": "cpu", "target": 60}},
    "scaled by memory": {"minReplicas": 2, "maxReplicas": 5, "autoscaling": {"scaler": "HPA", "metric": "memory"}},
    "scaled by KEDA": {"minReplicas": 1, "maxReplicas": 5, "autoscaling": {"scaler": "KEDA", "metric": "cpu"}},
    "scaled by KEDA and Prometheus": {
        "minReplicas": 1,
        "maxReplicas": 5,
        "autoscaling": {
            "scaler": "KEDA",
            "metric": "prometheus",
            "target": 10,
            "prometheus": {"address": "http://prometheus:9090", "query": "sum(rate(requests[1m]))"},
        },
    },
    "not scaled": {"minReplicas": 2, "autoscaling": {"scaler": "None"}},
    "GPU": {
        "gpu": {"count": 2},
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H200"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "slice of a GPU": {"gpu": {"count": 1, "resourceName": "nvidia.com/mig-1g.10gb"}},
    "resources": {
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "2Gi"}}
    },
    "limits below KServe's defaults": {"resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}},
    "tolerations": {
        "tolerations": [
            {"key": "spot", "value": "true", "effect": "NoExecute", "tolerationSeconds": 30},
            {"operator": "Exists"},
        ]
    },
    "affinity": {"affinity": AFFINITY},
    "batching": {"batching": {"maxBatchSize": 16, "maxLatencyMs": 500}},
    "batching by count": {"batching": {"maxBatchSize": 16}},
    "environment": {"env": [{"name": "OMP_NUM_THREADS", "value": "4"}, {"name": "EMPTY", "value": ""}]},
    "runtime and service account": {"runtime": "onnx-server", "serviceAccountName": "models"},
    "Knative": {"mode": "Knative", "minReplicas": 0, "maxReplicas": 3},
    "Knative by concurrency": {
        "mode": "Knative",
        "maxReplicas": 3,
        "autoscaling": {"metric": "concurrency", "target": 10},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def api(kserve_cluster):
    api = kserve_cluster.api
    install(api, NAMESPACE, kserve=False)
    container = {"name": "kserve-container", "image": "none", "args": ["--model_name={{.Name}}"]}
    api.apply(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ClusterServingRuntime",
            "metadata": {"name": "onnx-server"},
            "spec": {
                "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True}],
                "protocolVersions": ["v1", "v2"],
                "containers": [container],
            },
        }
    )
    return api


def revision(version, serving):
    text = identity.fingerprint([version, serving])
    workload = None if serving.get("mode") == "Knative" else identity.workload_name(text)
    snapshot = identity.serving_snapshot(ServingSpec.model_validate(serving))
    return Revision(
        revision=text, model_uri=storage_uri("m", version), storage_uri=storage_uri("m", version),
        format="onnx", serving=snapshot, workload=workload,
    )  # fmt: skip


def apply(api, manifest):
    applied = api.apply({**manifest, "metadata": {**manifest["metadata"], "ownerReferences": []}})
    # Or Mooring would write it again and again.
    assert covers(applied["spec"], manifest["spec"])


@pytest.mark.parametrize("serving", SPECS.values(), ids=SPECS)
def test_kserve_accepts_every_step_from_one_revision_to_the_next(api, serving):
    owner = Owner(namespace=NAMESPACE, name=f"s{next(NUMBERS)}", uid="u", generation=1, labels={})
    stable, next_one = (revision(version, serving) for version in ("v1", "v2"))
    arms = [Arm(next_one, weight) for weight in (1, 10, 50, 100)]
    if serving.get("mode") == "Knative":
        first, last = knative.serve(owner, stable), knative.serve(owner, next_one)
        splits = [knative.split(owner, arm) for arm in arms]
        rejection = knative.reject(owner, next_one)
    else:
        first, last = kserve.serve(owner, stable), kserve.serve(owner, next_one)
        splits = [kserve.split(owner, stable, arm) for arm in arms]
        rejection = first
    steps = [first, *splits, rejection, splits[-1], last]
    for manifest in steps:
        apply(api, manifest)
    api.delete(api.path(steps[0]))


def test_kserve_accepts_another_way_to_serve_the_same_files(api):
    owner = Owner(namespace=NAMESPACE, name=f"s{next(NUMBERS)}", uid="u", generation=1, labels={})
    stable = revision("v1", {})
    other = revision("v1", {"minReplicas": 2})
    promoted = revision("v1", {"minReplicas": 2}).model_copy(update={"workload": stable.workload})
    for manifest in (
        kserve.serve(owner, stable),
        kserve.split(owner, stable, Arm(other, 10)),
        kserve.serve(owner, promoted),
    ):
        apply(api, manifest)
    api.delete(api.path(manifest))


def test_kserve_refuses_what_mooring_keeps_clear_of(api):
    """The rules are KServe's own, so that the tests above say something."""
    owner = Owner(namespace=NAMESPACE, name="refused", uid="u", generation=1, labels={})
    first = revision("v1", {})
    manifest = kserve.serve(owner, first)
    apply(api, manifest)
    manifest["spec"]["predictor"]["name"] = "renamed"
    with pytest.raises(ApiError, match="denied the request"):
        apply(api, manifest)
    api.delete(api.path(manifest))


@pytest.fixture
def operator(api, kserve_cluster, tmp_path):
    log = tmp_path / "operator.log"
    with Operator(kserve_cluster.kubeconfig, log, namespaces=NAMESPACE) as process:
        yield process


def weights(api, model):
    """Traffic by predictor, in the route that the gateway serves."""
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes/{model.name}"
    rules = (api.get(path) or {"spec": {"rules": []}})["spec"]["rules"]
    shares = [{entry["name"]: entry["weight"] for entry in rule["backendRefs"]} for rule in rules]
    assert all(share == shares[0] for share in shares)
    total = sum(shares[0].values()) if shares else 0
    return {name: 100 * weight / total for name, weight in shares[0].items()} if shares else {}


def workload(model, version, serving):
    """The Deployment that KServe makes for a version of a model."""
    uri = storage_uri(model.name, version)
    asked = ModelSpec(uri=uri, format="onnx")
    text = identity.revision_of(asked, uri, ServingSpec.model_validate(serving))
    return f"{model.name}-{identity.workload_name(text)}-predictor"


def names(api, kind):
    path = {"deployments": "apps/v1", "horizontalpodautoscalers": "autoscaling/v2"}[kind]
    return {item["metadata"]["name"] for item in api.items(f"/apis/{path}/namespaces/{NAMESPACE}/{kind}")}


def test_traffic_follows_a_rollout_to_its_promotion_and_back(api, node, operator):
    model = Model(api, NAMESPACE, "m")
    first, second = (workload(model, version, FIXED) for version in ("v1", "v2"))
    model.apply("v1", steps=STEPS, **FIXED)
    assert model.reaches("Promoted", "v1")["url"] == "http://m-accepted.example.com"
    assert weights(api, model) == {first: 100}
    before = until(lambda: running(api, first), lambda pods: len(pods) == 2)
    model.apply("v2", steps=STEPS, **FIXED)
    revision = model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"]
    assert weights(api, model) == {first: 90, second: 10}
    model.command("approve", revision)
    model.reaches("AwaitingApproval", weight=50)
    assert weights(api, model) == {first: 50, second: 50}
    # Steps start no pod of the stable revision anew; KServe ends those that its share does not need.
    assert running(api, first) <= before
    pods = until(lambda: running(api, second), lambda pods: len(pods) == 1)
    model.command("approve", revision)
    model.reaches("Promoted", "v2")
    until(lambda: weights(api, model), lambda shares: shares == {second: 100})
    until(lambda: names(api, "deployments"), lambda left: left == {second})
    # The pod that answered as a canary goes on to answer.
    assert pods < until(lambda: running(api, second), lambda pods: len(pods) == 2)
    model.command("rollback", f"{revision} drifted")
    model.reaches("RolledBack", "v1")
    until(lambda: weights(api, model), lambda shares: shares == {first: 100})
    assert not operator.messages("warning", "error", "critical")
    api.delete(model.path)
    api.delete(model.service_path)


def running(api, deployment):
    found = api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")
    return {
        pod["metadata"]["name"]
        for pod in found
        if deployment_of(pod) == deployment and "deletionTimestamp" not in pod["metadata"]
    }


def test_canary_whose_pods_crash_gets_no_traffic_and_is_rolled_back(api, node, operator):
    model = Model(api, NAMESPACE, "n")
    first, second = (workload(model, version, FIXED) for version in ("v1", "v2"))
    model.apply("v1", **FIXED)
    model.reaches("Promoted", "v1")
    node.crashing.add(f"{NAMESPACE}/{second}")
    model.apply("v2", steps=STEPS, deadline="4s", **FIXED)
    until(lambda: second in names(api, "deployments"))
    seen = []
    until(
        lambda: seen.append(weights(api, model)) or model.status["phase"], lambda phase: phase == "RolledBack"
    )
    assert all(shares == {first: 100} for shares in seen), seen
    assert "Deployment does not have minimum availability" in model.status["message"]
    until(lambda: second not in names(api, "deployments"))
    assert weights(api, model) == {first: 100}
    assert model.service["spec"].get("canary") is None
    api.delete(model.path)
    api.delete(model.service_path)


def test_autoscalers_that_kserve_leaves_behind_are_deleted(api, node, operator):
    model = Model(api, NAMESPACE, "h")
    model.apply("v1")
    model.reaches("Promoted", "v1")
    first, second = (workload(model, version, {}) for version in ("v1", "v2"))
    assert names(api, "horizontalpodautoscalers") == {first}
    model.apply("v2", steps=STEPS)
    revision = model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"]
    until(lambda: names(api, "horizontalpodautoscalers"), lambda found: found == {first, second})
    model.command("promote", revision)
    model.reaches("Promoted", "v2")
    until(lambda: names(api, "horizontalpodautoscalers"), lambda left: left == {second})
    assert weights(api, model) == {second: 100}
    api.delete(model.path)
    api.delete(model.service_path)
