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

FIELDS = {
    "arguments": {"args": ["--max-model-len=4096", "$(HOME)", "{{.Name}}"]},
    "variables from elsewhere": {
        "env": [
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token", "optional": True}}},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "modes", "key": "mode"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        ],
        "envFrom": [{"secretRef": {"name": "buckets"}}, {"prefix": "C_", "configMapRef": {"name": "modes"}}],
    },
    "labels and annotations": {"labels": {"team": "vision"}, "annotations": {"example.com/why": "a b"}},
    "pull secrets": {"imagePullSecrets": [{"name": "registry"}]},
    "timeout": {"timeout": 300},
    "strategy": {"deploymentStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "0%"}}},
    "recreation": {"deploymentStrategy": {"type": "Recreate"}},
    "priority": {"priorityClassName": "system-cluster-critical"},
    "spread": {
        "topologySpreadConstraints": [
            {"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2},
            {"topologyKey": "rack", "labelSelector": {"matchLabels": {"a": "b"}}},
        ]
    },
    "storage": {"storage": {"key": "minio", "parameters": {"region": "eu"}}},
    "logger": {"logger": {"url": "http://log", "mode": "request", "metadataHeaders": ["x-user"]}},
    "several metrics": {
        "maxReplicas": 5,
        "autoscaling": {"metrics": [{"metric": "cpu", "target": 60}, {"metric": "memory", "target": 70}]},
    },
    "several metrics of KEDA": {
        "maxReplicas": 5,
        "autoscaling": {
            "scaler": "KEDA",
            "metrics": [
                {"metric": "cpu", "target": 60},
                {"metric": "prometheus", "target": 10, "prometheus": {"address": "http://p", "query": "up"}},
            ],
            "behavior": {
                "scaleUp": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 2, "periodSeconds": 15}]},
                "scaleDown": {"stabilizationWindowSeconds": 600},
            },
        },
    },
    "template": {
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "template": {
            "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1024Mi"}}, {"name": "shm", "emptyDir": {}}],
            "initContainers": [{"name": "warm", "image": "none", "args": ["$(A)"]}],
            "containers": [{"name": "sidecar", "image": "none", "args": ["{{.Name}} $(A)"]}],
            "terminationGracePeriodSeconds": 120,
            "securityContext": {"runAsNonRoot": True, "fsGroup": 1000},
            "model": {
                "protocolVersion": "v2",
                "env": [{"name": "B", "value": "{{3}}"}],
                "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
                "securityContext": {"readOnlyRootFilesystem": True},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
            },
        },
    },
}  # fmt: skip
ALONE = {
    "transformer": {
        "transformer": {"minReplicas": 2, "containers": [{"name": "t", "image": "none", "args": ["$(A)"]}]}
    },
    "explainer": {"explainer": {"containers": [{"name": "e", "image": "none"}], "timeout": 10}},
    "a container of one's own": {
        "env": [{"name": "A", "value": "$(B)"}],
        "args": ["--port=8080"],
        "resources": {"limits": {"cpu": "2"}},
        "template": {
            "containers": [
                {"name": "sidecar", "image": "none"},
                {"name": "kserve-container", "image": "own", "command": ["serve", "{{.Name}}"]},
            ]
        },
    },
    "concurrency": {"mode": "Knative", "containerConcurrency": 4, "timeout": 30},
}
"""What KServe does not split by spec.canary, or knows in Knative mode alone."""


def all_at_once():
    """Every field in one spec, the metrics of KEDA aside."""
    out = {}
    for serving in FIELDS.values():
        out |= {name: value for name, value in serving.items() if name != "env"}
    variables = [variable for serving in FIELDS.values() for variable in serving.get("env", [])]
    return {**out, "env": variables, **FIXED, "maxReplicas": 2, **ALONE["explainer"]}


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


@pytest.mark.parametrize("serving", [*SPECS.values(), *FIELDS.values()], ids=[*SPECS, *FIELDS])
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


@pytest.mark.parametrize("serving", ALONE.values(), ids=ALONE)
def test_kserve_accepts_one_revision_of_what_it_does_not_split(api, serving):
    owner = Owner(namespace=NAMESPACE, name=f"s{next(NUMBERS)}", uid="u", generation=1, labels={})
    serve = knative.serve if serving.get("mode") == "Knative" else kserve.serve
    for version in ("v1", "v2"):
        manifest = serve(owner, revision(version, serving))
        apply(api, manifest)
    api.delete(api.path(manifest))


def deployed(api, serving, component="predictor"):
    """The Deployment that KServe makes of a component of a revision."""
    owner = Owner(namespace=NAMESPACE, name=f"s{next(NUMBERS)}", uid="u", generation=1, labels={})
    made = revision("v1", serving)
    manifest = kserve.serve(owner, made)
    apply(api, manifest)
    name = (
        f"{owner.name}-{made.workload}-predictor" if component == "predictor" else f"{owner.name}-{component}"
    )
    found = until(lambda: api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"))
    api.delete(api.path(manifest))
    return found, made


def container(deployment, name="kserve-container"):
    [found] = [c for c in deployment["spec"]["template"]["spec"]["containers"] if c["name"] == name]
    return found


def test_every_field_at_once_reaches_the_deployment(api):
    found, made = deployed(api, all_at_once())
    pod, metadata = found["spec"]["template"]["spec"], found["spec"]["template"]["metadata"]
    model = container(found)
    # The runtime's own arguments first, then what was written, as it was written.
    assert model["args"][1:] == ["--max-model-len=4096", "$$(HOME)", "{{.Name}}"]
    said = {variable["name"]: variable for variable in model["env"]}
    assert said["TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "hf", "key": "token", "optional": True}
    assert said["MODE"]["valueFrom"]["configMapKeyRef"]["name"] == "modes"
    assert said["POD"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert said["CPU"]["valueFrom"]["resourceFieldRef"] == {"resource": "limits.cpu", "divisor": "1m"}
    assert (said["A"]["value"], said["B"]["value"]) == ("1", "{{3}}")
    assert said["MOORING_REVISION"]["value"] == made.revision
    assert [source.get("prefix") for source in model["envFrom"]] == [None, "C_"]
    assert {"name": "cache", "mountPath": "/cache"} in model["volumeMounts"]
    assert model["securityContext"]["readOnlyRootFilesystem"] is True
    assert model["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container(found, "sidecar")["args"] == ["{{.Name}} $$(A)"]
    [warm] = [c for c in pod["initContainers"] if c["name"] == "warm"]
    assert warm["args"] == ["$$(A)"]
    assert {volume["name"] for volume in pod["volumes"]} >= {"cache", "shm"}
    assert metadata["labels"]["team"] == "vision"
    assert metadata["labels"]["mooring.dev/revision"] == made.revision
    assert metadata["annotations"]["example.com/why"] == "a b"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] == 120
    zone, rack = pod["topologySpreadConstraints"]
    assert (zone["minDomains"], zone["labelSelector"]["matchLabels"]) == (
        2,
        {"mooring.dev/revision": made.revision},
    )
    assert rack["labelSelector"]["matchLabels"] == {"a": "b"}
    # The logger is KServe's agent, which its webhook adds to pods.
    assert metadata["annotations"]["internal.serving.kserve.io/logger-sink-url"] == "http://log"
    assert metadata["annotations"]["internal.serving.kserve.io/storage-spec-key"] == "minio"
    assert found["spec"]["strategy"]["type"] == "Recreate"


def test_a_strategy_and_several_metrics_reach_kubernetes(api):
    found, _ = deployed(api, {**FIELDS["strategy"], **FIELDS["several metrics"]})
    assert found["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": "0%"}


def test_a_transformer_has_the_revision_of_its_predictor(api):
    found, made = deployed(api, ALONE["transformer"], "transformer")
    assert found["spec"]["template"]["metadata"]["labels"]["mooring.dev/revision"] == made.revision
    assert found["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    [ran] = found["spec"]["template"]["spec"]["containers"]
    assert "$$(A)" in ran["args"]


def test_a_container_of_ones_own_is_the_model(api):
    found, made = deployed(api, ALONE["a container of one's own"])
    model = container(found)
    assert (model["image"], model["command"]) == ("own", ["serve", "{{.Name}}"])
    said = {variable["name"]: variable["value"] for variable in model["env"]}
    assert (said["A"], said["STORAGE_URI"]) == ("$$(B)", made.storage_uri)
    assert model["resources"]["limits"]["cpu"] == "2"
    assert container(found, "sidecar")


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
    assert "ended with exit code 1: the model cannot be loaded" in model.status["message"]
    until(lambda: second not in names(api, "deployments"))
    assert weights(api, model) == {first: 100}
    assert model.service["spec"].get("canary") is None
    api.delete(model.path)
    api.delete(model.service_path)


def test_a_template_that_kserve_refuses_is_told_in_its_words_and_traffic_stays(api, node, operator):
    model = Model(api, NAMESPACE, "w")
    first = workload(model, "v1", FIXED)
    model.apply("v1", **FIXED)
    model.reaches("Promoted", "v1")
    model.apply("v2", steps=STEPS, template={"workerSpec": {"pipelineParallelSize": 2}}, **FIXED)
    until(lambda: model.status["reason"], lambda reason: reason == "ServiceRefused")
    assert "denied the request" in model.status["message"]
    assert "workerSpec" in model.status["message"]
    assert weights(api, model) == {first: 100}
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
