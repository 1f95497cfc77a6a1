"""One InferenceService for each revision, before KServe's own controller and Kubernetes' own.

These tests need KServe's controller; see cluster/README.md.
"""

import asyncio
import itertools
import time
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers.inference_services.revisions import RevisionServices
from mooring_operator.adapters.routers.inference_services.runtime_copy import pinned
from mooring_operator.adapters.routers.inference_services.under_test import InstancesUnderTest
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE, REVISION_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning import identity
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routing import Arm, Routing

from tests.cluster.rollout_steps import install

NAMESPACE = "revisions"
NUMBERS = itertools.count(1)
SERVICES = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
RUNTIMES = f"/apis/serving.kserve.io/v1alpha1/namespaces/{NAMESPACE}/servingruntimes"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
FIXED = {"minReplicas": 2, "autoscaling": {"scaler": "None"}}
SCALED = {"minReplicas": 2, "maxReplicas": 5}


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
    api.apply(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ClusterServingRuntime",
            "metadata": {"name": "onnx-server"},
            "spec": {
                "supportedModelFormats": [
                    {"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}
                ],
                "protocolVersions": ["v1", "v2"],
                "containers": [container],
            },
        }
    )
    return api


class Stage:
    """The revisions of one deployment, and what KServe makes of them."""

    def __init__(self, api, connection):
        self.api = api
        self.cluster = KubernetesCluster(connection)
        self.services = RevisionServices(self.cluster)
        name = f"m{next(NUMBERS)}"
        made = api.apply(
            {
                "apiVersion": "mooring.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"model": {"uri": "s3://m/v1", "format": "onnx"}},
            }
        )
        self.owner = Owner(NAMESPACE, name, made["metadata"]["uid"], 1)
        source = api.get("/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/onnx-server")
        self.runtime = pinned("ClusterServingRuntime", source)

    def revision(self, version, runtime=None, **serving):
        text = identity.fingerprint([self.owner.name, version, serving])
        return Revision(
            revision=text,
            model_uri=f"pvc://models/{version}",
            storage_uri=f"pvc://models/{version}",
            format="onnx",
            workload=identity.workload_name(text),
            serving=serving,
            runtime=runtime or self.runtime,
        )

    async def run(self, *arms, kept=(), ended=False, **how):
        routing = Routing(tuple(arms), kept=tuple(kept), ended=ended)
        revisions = [*(arm.revision for arm in arms), *kept]
        await self.services.run(
            self.owner, routing, await self.services.observe(self.owner, revisions), **how
        )
        await self.services.clear(self.owner, routing, await self.services.observe(self.owner, revisions))

    async def look(self, *revisions):
        return (await self.services.observe(self.owner, revisions)).variants

    async def until(self, revision, holds):
        deadline = time.monotonic() + 60
        while True:
            seen = (await self.look(revision)).get(revision.revision)
            if seen is not None and holds(seen):
                return seen
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.1)

    def named(self, revision):
        return f"{self.owner.name}-{revision.workload}"

    def pods(self, revision):
        found = self.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")
        return {
            pod["metadata"]["name"]
            for pod in found
            if pod["metadata"]["name"].startswith(self.named(revision))
            and "deletionTimestamp" not in pod["metadata"]
        }

    def deployment(self, revision):
        return self.api.get(f"{DEPLOYMENTS}/{self.named(revision)}-predictor")


@pytest.fixture
async def stage(api, kserve_cluster, node):
    connection = Connection(load_config(Path(kserve_cluster.kubeconfig)))
    yield Stage(api, connection)
    await connection.close()


@pytest.mark.parametrize("serving", [FIXED, SCALED], ids=["fixed", "scaled"])
async def test_capacity_comes_and_goes_without_a_restart(stage, serving):
    first, second = stage.revision("v1", **serving), stage.revision("v2", **serving)
    await stage.run(Arm(first))
    await stage.until(first, lambda seen: seen.pods == 2)
    pods = stage.pods(first)
    await stage.run(Arm(first), Arm(second, pods=1))
    await stage.until(second, lambda seen: seen.ready)
    await stage.run(Arm(first, pods=4), Arm(second, pods=4))
    await stage.until(first, lambda seen: seen.pods == 4)
    await stage.until(second, lambda seen: seen.pods == 4)
    assert pods <= stage.pods(first)
    await stage.run(Arm(second), kept=[first])
    await stage.until(first, lambda seen: seen.pods == 0)
    for _ in range(3):
        await stage.run(Arm(second), kept=[first])
    assert stage.deployment(first)["spec"]["replicas"] == 0
    before = time.monotonic()
    await stage.run(Arm(first, pods=3), kept=[second])
    await stage.until(first, lambda seen: seen.pods == 3)
    print("back after", time.monotonic() - before)


async def test_the_address_of_a_revision_is_a_service_for_its_pods_alone(stage):
    revision = stage.revision("v1", **FIXED)
    await stage.run(Arm(revision))
    seen = await stage.until(revision, lambda seen: seen.ready)
    scheme, _, host = seen.address.partition("://")
    name, *rest = host.split(".")
    assert (scheme, rest) == ("http", [NAMESPACE, "svc"])
    service = stage.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{name}")
    assert service["spec"].get("clusterIP") != "None"
    assert [port["port"] for port in service["spec"]["ports"]] == [80]
    labels = stage.deployment(revision)["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    # By these its EndpointSlices are watched, which have the labels of their Service.
    watched = {MANAGED_BY: MANAGED_BY_VALUE, DEPLOYMENT_LABEL: stage.owner.name}
    assert watched.items() <= service["metadata"]["labels"].items()


async def test_what_runs_for_a_test_answers_alone_and_nothing_of_the_deployment_selects_it(stage):
    serves, tested = stage.revision("v1", **FIXED), stage.revision("v2", **SCALED)
    await stage.run(Arm(serves))
    name, instances = f"{stage.owner.name}-t12345678", InstancesUnderTest(stage.cluster)
    await instances.run(stage.owner, name, tested)
    deadline = time.monotonic() + 60
    while not (seen := await instances.observe(stage.owner, name, tested)).ready:
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.1)
    service = stage.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{name}-predictor")
    assert seen.address == f"http://{name}-predictor.{NAMESPACE}.svc"
    assert service["spec"].get("clusterIP") != "None"
    template = stage.api.get(f"{DEPLOYMENTS}/{name}-predictor")["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert not {DEPLOYMENT_LABEL, REVISION_LABEL} & template["metadata"]["labels"].keys()
    # As the one that serves calls it.
    assert seen.model_name == stage.owner.name
    [container] = [found for found in template["spec"]["containers"] if found["name"] == "kserve-container"]
    assert f"--model_name={stage.owner.name}" in container["args"]
    await stage.run(Arm(serves), ended=True)
    assert (await instances.observe(stage.owner, name, tested)).ready
    await instances.stop(stage.owner, name)
    while await instances.observe(stage.owner, name, tested) is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    names = [found["metadata"]["name"] for found in stage.api.items(RUNTIMES)]
    assert [one for one in names if one.startswith(f"{stage.owner.name}-")] == [stage.named(serves)]


async def test_a_fixed_number_of_pods_may_shrink(stage):
    revision = stage.revision("v1", **SCALED)
    await stage.run(Arm(revision, pods=4), exact=[revision.revision])
    await stage.until(revision, lambda seen: seen.pods == 4)
    await stage.run(Arm(revision, pods=1), exact=[revision.revision])
    await stage.until(revision, lambda seen: seen.pods == 1)


async def test_an_edited_runtime_moves_no_pod_and_a_deleted_copy_is_made_again(stage):
    revision = stage.revision("v1", **FIXED)
    await stage.run(Arm(revision))
    await stage.until(revision, lambda seen: seen.pods == 2)
    pods = stage.pods(revision)
    source = "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/onnx-server"
    containers = stage.api.get(source)["spec"]["containers"]
    stage.api.merge(source, {"spec": {"containers": [{**containers[0], "image": "other"}]}})
    copy = f"{RUNTIMES}/{stage.named(revision)}"
    before = stage.api.get(copy)
    assert before["spec"]["containers"][0]["args"] == [f"--model_name={stage.owner.name}"]
    stage.api.delete(copy)
    await stage.run(Arm(revision))
    assert stage.api.get(copy)["spec"] == before["spec"]
    await stage.until(revision, lambda seen: seen.ready and seen.blocked is None)
    # Whatever KServe made of the edit and of the gap, it has done by the time that another number of pods is there.
    await stage.run(Arm(revision, pods=3))
    await stage.until(revision, lambda seen: seen.pods == 3)
    assert pods <= stage.pods(revision)
    stage.api.merge(source, {"spec": {"containers": containers}})


async def test_what_was_orphaned_is_owned_again_without_a_restart(stage):
    revision = stage.revision("v1", **FIXED)
    await stage.run(Arm(revision))
    await stage.until(revision, lambda seen: seen.pods == 2)
    pods, path = stage.pods(revision), f"{SERVICES}/{stage.named(revision)}"
    stage.api.merge(path, {"metadata": {"ownerReferences": None}})
    await stage.run(Arm(revision))
    [owner] = stage.api.get(path)["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (stage.owner.uid, True)
    await stage.run(Arm(revision, pods=3))
    await stage.until(revision, lambda seen: seen.pods == 3)
    assert pods <= stage.pods(revision)


async def test_labels_that_were_stripped_by_hand_come_back(stage):
    revision = stage.revision("v1", **FIXED)
    await stage.run(Arm(revision))
    await stage.until(revision, lambda seen: seen.pods == 2)
    path = f"{SERVICES}/{stage.named(revision)}"
    labels = stage.api.get(path)["metadata"]["labels"]
    stage.api.merge(path, {"metadata": {"labels": dict.fromkeys(labels)}})
    await stage.run(Arm(revision))
    assert stage.api.get(path)["metadata"]["labels"] == labels
    # KServe may have been quicker: it starts pods anew without the labels, and again with them.
    await stage.run(Arm(revision, pods=3))
    await stage.until(revision, lambda seen: seen.pods == 3)


async def test_a_revision_for_nodes_without_gpus_asks_for_none(stage):
    first = stage.revision("v1", gpu={"count": 1}, nodeSelector={"pool": "gpu"}, **FIXED)
    second = stage.revision("v2", nodeSelector={"pool": "cpu"}, **FIXED)
    await stage.run(Arm(first), Arm(second, pods=1))
    asked = {}
    for revision in (first, second):
        await stage.until(revision, lambda seen, revision=revision: stage.deployment(revision) is not None)
        pod = stage.deployment(revision)["spec"]["template"]["spec"]
        container = next(each for each in pod["containers"] if each["name"] == "kserve-container")
        limits = (container.get("resources") or {}).get("limits") or {}
        asked[pod["nodeSelector"]["pool"]] = limits.get("nvidia.com/gpu")
    assert asked == {"gpu": "1", "cpu": None}


async def test_what_kserve_cannot_do_is_told_in_its_words(stage):
    revision = stage.revision("v1", **FIXED).model_copy(update={"storage_uri": "abc://m/v1"})
    await stage.run(Arm(revision))
    seen = await stage.until(revision, lambda seen: "abc://" in seen.message)
    assert (seen.ready, seen.waiting) == (False, "")
