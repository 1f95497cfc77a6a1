"""What may go wrong in a rollout, before KServe's own controller and Kubernetes' own, with the operator's process.

These tests need KServe's controller; see cluster/README.md.
"""

import itertools
import time

import pytest

from cluster.stand_ins import NodeStandIn
from tests.cluster.deployed import ONNX, Deployed, runtime
from tests.cluster.rollout_steps import SERVING, Operator, install, until

NAMESPACE = "faults"
NUMBERS = itertools.count(1)
STEPS = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
SCALED = {"minReplicas": 2, "maxReplicas": 6, "autoscaling": {"scaler": "HPA"}}
ROUTERS = pytest.mark.parametrize("router", ["Endpoints", "KServe"])
CONFIGURATION = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"


@pytest.fixture(scope="module")
def api(kserve_cluster):
    install(kserve_cluster.api, NAMESPACE, kserve=False)
    kserve_cluster.api.apply(runtime("shared", ONNX))
    return kserve_cluster.api


@pytest.fixture(scope="module")
def operator(api, kserve_cluster, tmp_path_factory):
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with Operator(kserve_cluster.kubeconfig, log, namespaces=NAMESPACE) as process:
        yield process


@pytest.fixture
def node(kserve_cluster):
    """What is ready behind a Service is told for pods on a node alone."""
    with NodeStandIn(kserve_cluster.api, name="lab") as stand_in:
        yield stand_in


@pytest.fixture
def model(api, operator, node):
    found = Deployed(api, NAMESPACE, f"m{next(NUMBERS)}")
    yield found
    api.delete(found.path)


def status_of(model, holds, **how):
    return until(lambda: model.status, holds, **how)


# --- an autoscaler --------------------------------------------------------------------------------


@ROUTERS
def test_an_autoscalers_step_with_a_pending_pod_is_no_rollout(model, node, router):
    model.deploy(router=router, **SCALED)
    model.reaches("Promoted")
    model.has(2)
    before = until(lambda: model.status, lambda seen: seen["conditions"])
    [name] = model.deployments()
    node.most[f"{NAMESPACE}/{name}"] = 2
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"
    model.api.merge(f"{path}/scale", {"spec": {"replicas": 4}})
    until(lambda: model.deployments()[name]["status"].get("unavailableReplicas") == 2)
    phases = []
    # It is looked at again, whether or not anything about it has changed.
    for generation, deadline in ((2, "5s"), (3, "6s")):
        model.api.merge(model.path, {"spec": {"rollout": {"progressDeadline": deadline}}})
        until(
            lambda seen=generation: (
                phases.append(model.status["phase"]) or model.status["observedGeneration"] == seen
            )
        )
    phases.append(model.status["phase"])
    assert set(phases) == {"Promoted"}
    assert conditions(model) == {c["type"]: c["status"] for c in before["conditions"]}
    assert model.deployments()[name]["spec"]["replicas"] == 4


def conditions(model):
    return {condition["type"]: condition["status"] for condition in model.status["conditions"]}


# --- a storage initializer ------------------------------------------------------------------------


@ROUTERS
def test_a_storage_initializer_that_failed_once_is_told_and_waited_for(model, node, router):
    node.uninitialized.add(f"{NAMESPACE}/{model.name}-*")
    model.deploy(router=router, fetched=True)
    told = "container storage-initializer ended with exit code 1: the store does not answer"
    status = status_of(model, lambda seen: told in seen.get("message", ""))
    assert status["phase"] == "Deploying"
    [service] = model.services().values()
    # KServe calls it a failed load, in words that sound final.
    assert service["status"]["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    node.uninitialized.clear()
    model.reaches("Promoted")


@ROUTERS
def test_a_storage_initializer_that_keeps_failing_ends_at_the_deadline(model, node, router):
    model.deploy(router=router, fetched=True)
    model.reaches("Promoted")
    node.uninitialized.add(f"{NAMESPACE}/{model.name}-*")
    began = time.monotonic()
    model.deploy("v2", router=router, deadline="8s", steps=STEPS, fetched=True)
    status = model.reaches("RolledBack")
    # Times in status are whole seconds: the clock may begin up to one early.
    assert time.monotonic() - began > 7
    assert status["reason"] == "ProgressDeadlineExceeded"
    assert "the store does not answer" in status["message"]


# --- KServe away ----------------------------------------------------------------------------------


@ROUTERS
def test_kserve_that_is_killed_for_20_s_in_a_rollout_costs_nobody_anything(model, kserve_cluster, router):
    model.deploy(router=router, runtime="shared")
    first = model.reaches("Promoted")["stable"]["revision"]
    with kserve_cluster.without("kserve-controller"):
        model.deploy("v2", router=router, runtime="shared", deadline="5s", steps=STEPS)
        status = status_of(model, lambda seen: seen["reason"] == "Waiting")
        assert "failed calling webhook" in status["message"]
        assert f"revision {first} keeps serving" in status["message"]
        began, seen = time.monotonic(), []
        until(lambda: seen.append(model.status) or time.monotonic() - began > 20)
        # It is said once, however often it is tried.
        assert all(each == status for each in seen)
    status = model.reaches("AwaitingApproval", weight=50)
    model.command("approve", status["candidate"]["revision"])
    assert model.reaches("Promoted")["stable"]["revision"] != first


def test_kserve_that_is_away_when_it_is_to_choose_a_runtime_is_waited_for(model, kserve_cluster):
    model.deploy()
    model.reaches("Promoted")
    with kserve_cluster.without("kserve-controller"):
        model.deploy("v2", deadline="5s")
        status = status_of(model, lambda seen: seen["reason"] == "Waiting")
        assert "cannot be asked which runtime it chooses" in status["message"]
    assert model.reaches("Promoted", "v2")


# --- objects without an owner ---------------------------------------------------------------------


@ROUTERS
def test_what_was_orphaned_is_taken_up_by_a_deployment_of_its_name(model, router):
    model.deploy(router=router, minReplicas=2)
    revision = model.reaches("Promoted")["stable"]["revision"]
    pods = model.has(2)
    uid = model.resource["metadata"]["uid"]
    model.api.request("DELETE", model.path, {"propagationPolicy": "Orphan"})
    until(lambda: model.api.get(model.path) is None, what="it is not deleted")
    [service] = model.services().values()
    assert "ownerReferences" not in service["metadata"]
    model.deploy(router=router, minReplicas=2)
    assert model.reaches("Promoted")["stable"]["revision"] == revision
    [service] = model.services().values()
    [owner] = service["metadata"]["ownerReferences"]
    assert owner["uid"] == model.resource["metadata"]["uid"] != uid
    assert model.has(2) == pods


@ROUTERS
def test_labels_that_were_stripped_by_hand_come_back(model, router):
    model.deploy(router=router, minReplicas=2)
    model.reaches("Promoted")
    model.has(2)
    [(name, service)] = model.services().items()
    labels = service["metadata"]["labels"]
    path = f"{SERVING}/namespaces/{NAMESPACE}/inferenceservices/{name}"
    model.api.merge(path, {"metadata": {"labels": dict.fromkeys(labels)}})
    until(lambda: model.services()[name]["metadata"].get("labels") == labels, what="labels stay stripped")
    model.has(2)


# --- where it runs --------------------------------------------------------------------------------


@ROUTERS
def test_a_stop_by_somebody_else_is_lifted_and_pods_come_back(model, router):
    model.deploy("v1", router=router, minReplicas=2)
    model.reaches("Promoted")
    name = next(iter(model.services()))
    path = f"{SERVING}/namespaces/{NAMESPACE}/inferenceservices/{name}"
    before = model.has(2)
    model.api.merge(path, {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})
    after = until(
        lambda: model.has(2), lambda pods: not pods & before, what="pods were not stopped and started"
    )
    assert len(after) == 2
    assert "serving.kserve.io/stop" not in model.api.get(path)["metadata"]["annotations"]
    model.reaches("Promoted")


def test_the_address_inside_of_the_cluster_stays_when_a_revision_is_promoted(model):
    model.deploy()
    before = model.reaches("Promoted")
    address = f"/api/v1/namespaces/{NAMESPACE}/services/{model.name}"
    service = model.api.get(address)
    model.deploy("v2")
    after = model.reaches("Promoted", "v2")
    assert before["url"] == after["url"] == f"http://{model.name}.{NAMESPACE}.svc"
    now = model.api.get(address)
    assert (now["metadata"]["uid"], now["spec"]["clusterIP"]) == (
        service["metadata"]["uid"],
        service["spec"]["clusterIP"],
    )
    workload = after["stable"]["workload"]
    until(lambda: behind(model), lambda pods: pods and all(workload in pod for pod in pods))


def behind(model):
    """The pods that the Service of the deployment's name leads to."""
    slices = model.api.items(f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices")
    mine = [s for s in slices if s["metadata"]["labels"].get("kubernetes.io/service-name") == model.name]
    return [
        endpoint["targetRef"]["name"]
        for found in mine
        for endpoint in found["endpoints"] or []
        if endpoint["conditions"].get("ready")
    ]


def test_from_a_pool_with_gpus_to_one_without_nothing_asks_for_a_gpu(model):
    model.deploy(gpu={"count": 1}, nodeSelector={"pool": "gpu"})
    model.reaches("Promoted")
    model.deploy("v2", nodeSelector={"pool": "cpu"})
    workload = model.reaches("Promoted", "v2")["stable"]["workload"]
    pod = model.deployments()[f"{model.name}-{workload}-predictor"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "cpu"}
    assert "nvidia.com/gpu" not in str(pod)


# --- capacity and routes --------------------------------------------------------------------------


@ROUTERS
def test_a_candidate_beside_a_stable_revision_that_lacks_a_pod_is_not_promoted_unseen(model, node, router):
    model.deploy(router=router, minReplicas=3)
    model.reaches("Promoted")
    model.has(3)
    [name] = model.deployments()
    node.most[f"{NAMESPACE}/{name}"] = 2
    pod = sorted(model.running())[0]
    model.api.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}?gracePeriodSeconds=0")
    until(lambda: model.deployments()[name]["status"].get("readyReplicas") == 2)
    model.deploy("v2", router=router, minReplicas=3, steps=STEPS)
    candidate = model.reaches("AwaitingApproval", weight=50)["candidate"]
    assert candidate["routed"] >= 50
    # What is said is what there is, where requests are sent.
    sent = behind(model) if router == "Endpoints" else backends(model)
    assert any(candidate["workload"] in name for name in sent)


def backends(model):
    """The Services that KServe's route sends requests to."""
    route = model.api.get(
        f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes/{model.name}"
    )
    rules = [
        {entry["name"] for entry in rule["backendRefs"] if entry["weight"]} for rule in route["spec"]["rules"]
    ]
    return set.intersection(*rules)


# --- a KServe that routes nothing -----------------------------------------------------------------


def test_a_kserve_without_the_gateway_api_is_told_and_nothing_is_shifted(model):
    configuration = model.api.get(CONFIGURATION)
    said = configuration["data"]["ingress"]
    without = said.replace('"enableGatewayApi": true', '"enableGatewayApi": false')
    assert without != said
    model.api.merge(CONFIGURATION, {"data": {"ingress": without}})
    try:
        model.deploy(router="KServe")
        model.reaches("Promoted")
        model.deploy("v2", router="KServe", steps=STEPS)
        status = status_of(
            model, lambda seen: seen["reason"] == "Waiting" and "enableGatewayApi: true" in seen["message"]
        )
        assert conditions(model)["RouterReady"] == "False"
        assert not status["candidate"].get("routed")
    finally:
        model.api.merge(CONFIGURATION, {"data": {"ingress": said}})
