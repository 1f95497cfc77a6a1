"""Pinned runtimes before KServe's own controller: the operator's process, and people who edit runtimes.

These tests need KServe's controller; see cluster/README.md.
"""

import itertools

import pytest

from cluster.serving.runtimes import NoRuntimeError, Runtimes
from cluster.stand_ins import NodeStandIn
from tests.cluster.deployed import CLUSTER_RUNTIMES, ONNX, RUNTIMES, Deployed, runtime
from tests.cluster.rollout_steps import Operator, install, until

NAMESPACE = "runtimes"
CLUSTERS = CLUSTER_RUNTIMES
OWN = f"{RUNTIMES}/namespaces/{NAMESPACE}/servingruntimes"
SERVICES = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
NUMBERS = itertools.count(1)
STEPS = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]


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


@pytest.fixture(scope="module")
def node(kserve_cluster):
    """What is ready behind a Service is told for pods on a node alone."""
    with NodeStandIn(kserve_cluster.api, name="lab") as stand_in:
        yield stand_in


@pytest.fixture
def model(api, operator, node):
    found = Deployed(api, NAMESPACE, f"m{next(NUMBERS)}")
    yield found
    api.delete(found.path)


def edit(api, path, image):
    container = api.get(path)["spec"]["containers"][0]
    api.merge(path, {"spec": {"containers": [{**container, "image": image}]}})


def test_an_edited_image_tag_is_a_canary_and_moves_no_pod_of_what_serves(model, api):
    model.deploy(runtime="shared")
    first = model.reaches("Promoted")
    assert first["stable"]["runtime"]["name"] == "shared"
    pods = until(model.pods, lambda pods: len(pods) == 1)
    assert set(pods.values()) == {"server:1"}
    model.deploy(steps=STEPS, runtime="shared")
    model.reaches("Promoted")
    edit(api, f"{CLUSTERS}/shared", "server:2")
    status = until(lambda: model.status, lambda seen: seen["phase"] == "AwaitingApproval")
    # Both serve: what was there, and the edit.
    assert set(model.pods().values()) == {"server:1", "server:2"}
    assert pods.items() <= model.pods().items()
    assert status["stable"]["revision"] == first["stable"]["revision"]
    model.command("approve", status["candidate"]["revision"])
    status = until(
        lambda: model.status, lambda seen: seen["stable"]["revision"] != first["stable"]["revision"]
    )
    edit(api, f"{CLUSTERS}/shared", "server:1")


def test_pinned_leaves_every_pod_alone(model, api):
    model.deploy(runtime="shared", runtimePolicy="Pinned")
    before = model.reaches("Promoted")["stable"]
    pods = until(model.pods, lambda pods: len(pods) == 1)
    edit(api, f"{CLUSTERS}/shared", "server:3")
    # Whatever the edit does it has done by the time that another number of pods is there.
    model.apply("v1", spec={"rollout": {"router": "Endpoints"}}, runtime="shared", runtimePolicy="Pinned",
                minReplicas=2, autoscaling={"scaler": "None"})  # fmt: skip
    after = until(model.pods, lambda pods: len(pods) == 2)
    assert set(after.values()) == set(pods.values())
    assert pods.items() <= after.items()
    assert model.status["stable"]["revision"] == before["revision"]
    edit(api, f"{CLUSTERS}/shared", "server:1")


def test_kserve_is_asked_and_what_asked_is_gone_afterwards(model):
    model.deploy()
    status = model.reaches("Promoted")
    name = f"{model.name}-{status['stable']['workload']}"
    assert status["stable"]["runtime"]["name"] == "shared"
    assert [each["metadata"]["name"] for each in model.of(SERVICES)] == [name]
    [copy] = model.of(OWN)
    assert copy["spec"]["containers"][0]["args"] == [f"--model_name={model.name}"]
    served = model.of(SERVICES)[0]["status"]
    assert (served["servingRuntimeName"], served.get("clusterServingRuntimeName", "")) == (name, "")
    model.api.delete(f"{OWN}/{name}")
    until(lambda: model.of(OWN), what="the copy is not made again", timeout=10)


def test_what_serves_stays_when_a_runtime_cannot_be_had(model, api):
    model.deploy()
    before = model.reaches("Promoted")["stable"]["revision"]
    model.deploy(runtime="nobodys")
    status = until(lambda: model.status, lambda seen: seen["reason"] == "RuntimeNotFound")
    assert status["stable"]["revision"] == before
    # It is looked for when it comes, not only every minute.
    api.apply(runtime("nobodys", ONNX, image="server:5", namespace=NAMESPACE))
    status = until(lambda: model.status, lambda seen: seen["phase"] == "Promoted", timeout=30)
    assert status["stable"]["runtime"]["kind"] == "ServingRuntime"
    assert set(until(model.pods, lambda pods: "server:5" in pods.values()).values())
    api.delete(f"{OWN}/nobodys")
    assert model.status["stable"]["revision"] == status["stable"]["revision"]


def test_a_format_that_nothing_serves_is_told_in_kserves_words(model):
    model.api.apply(
        {
            "apiVersion": "mooring.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": model.name, "namespace": NAMESPACE},
            "spec": {
                "model": {"uri": "pvc://models/x", "format": "cobol"},
                "rollout": {"router": "Endpoints"},
            },
        }
    )
    status = until(lambda: model.status, lambda seen: seen.get("reason") == "RuntimeUnsuitable")
    assert "No runtime found to support specified framework/version" in status["message"]
    assert model.pods() == {}


# --- the stand-in decides as KServe does --------------------------------------------------------

CASES = {
    "the only one": ([runtime("a", ONNX)], {}),
    "priority": ([runtime("a", ONNX), runtime("b", {**ONNX, "priority": 2})], {}),
    "a priority before none": (
        [runtime("a", {"name": "onnx", "autoSelect": True}), runtime("b", ONNX)],
        {},
    ),
    "its own before the cluster's": (
        [runtime("a", {**ONNX, "priority": 9}), runtime("own", ONNX, namespace=NAMESPACE)],
        {},
    ),
    "not by itself": ([runtime("a", {"name": "onnx"})], {}),
    "named, though not by itself": ([runtime("a", {"name": "onnx"})], {"runtime": "a"}),
    "named, disabled": ([runtime("a", ONNX, disabled=True)], {"runtime": "a"}),
    "disabled": ([runtime("a", ONNX, disabled=True), runtime("b", ONNX)], {}),
    "named, another format": ([runtime("a", {"name": "pmml"})], {"runtime": "a"}),
    "named, not there": ([], {"runtime": "a"}),
    "named, its own before the cluster's": (
        [runtime("a", ONNX), runtime("a", ONNX, namespace=NAMESPACE)],
        {"runtime": "a"},
    ),
    "version": (
        [runtime("a", ONNX), runtime("b", {**ONNX, "version": "2"})],
        {"modelFormat": {"name": "onnx", "version": "2"}},
    ),
    "no such version": ([runtime("a", ONNX)], {"modelFormat": {"name": "onnx", "version": "7"}}),
    "protocol": (
        [runtime("a", ONNX, protocolVersions=["v1"]), runtime("b", ONNX, protocolVersions=["v2"])],
        {"protocolVersion": "v2"},
    ),
    "the first protocol": (
        [
            runtime("a", {**ONNX, "priority": 2}, protocolVersions=["v2"]),
            runtime("b", ONNX, protocolVersions=["v1", "v2"]),
        ],
        {},
    ),
    "several models": ([runtime("a", ONNX, multiModel=True)], {}),
}


@pytest.fixture
def alone(api):
    """The cluster with no runtime but the test's."""
    kept = list(api.items(CLUSTERS))
    for each in kept:
        api.delete(f"{CLUSTERS}/{each['metadata']['name']}")
    yield api
    for path in (CLUSTERS, OWN):
        for each in api.items(path):
            api.delete(f"{path}/{each['metadata']['name']}")
    for each in kept:
        api.apply({**each, "metadata": {"name": each["metadata"]["name"]}})


@pytest.mark.parametrize("case", CASES)
def test_the_stand_in_chooses_as_kserve_does(case, alone):
    runtimes, asked = CASES[case]
    for each in runtimes:
        alone.apply(each)
    model = {"modelFormat": {"name": "onnx"}, **asked}
    name = f"asks{next(NUMBERS)}"
    alone.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "annotations": {
                    "serving.kserve.io/stop": "true",
                    "serving.kserve.io/deploymentMode": "Standard",
                },
                "labels": {"networking.kserve.io/visibility": "cluster-local"},
            },
            "spec": {"predictor": {"model": model}},
        }
    )
    there = Runtimes(alone.items(OWN), alone.items(CLUSTERS))
    try:
        choice = there.of({"model": model})
        expected = {**choice.status}
    except NoRuntimeError as problem:
        expected = {"failure": problem.failure.info()}
    status = until(lambda: said(alone.get(f"{SERVICES}/{name}")), what=f"KServe says nothing; {expected}")
    assert status == expected
    alone.delete(f"{SERVICES}/{name}")


def said(service):
    status = service.get("status") or {}
    names = {
        field: status[field]
        for field in ("servingRuntimeName", "clusterServingRuntimeName")
        if status.get(field)
    }
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo")
    return names or ({"failure": failure} if failure else {})
