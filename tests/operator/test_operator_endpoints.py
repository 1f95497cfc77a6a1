"""Whole rollouts without a gateway: the router Endpoints, and what its users' requests meet."""

from datetime import timedelta
from itertools import pairwise

import pytest
from mooring_operator.adapters.api_server import Connection
from mooring_operator.adapters.cluster import ClusterError, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, SERVICE

from tests.operator.world import CI_SPEC, RESTING, World
from tests.played_revisions import PlayedRevisions

V1, V2 = "s3://m/v1", "s3://m/v2"
SERVING = {"minReplicas": 4, "autoscaling": {"scaler": "None"}}
STEPS = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]


def runtime(name, image="server:1", **spec):
    """A runtime that KServe may choose for ONNX models."""
    formats = [{"name": "onnx", "version": "1", "autoSelect": True}]
    container = {"name": "kserve-container", "image": image, "args": ["--model_name={{.Name}}"]}
    said = {"supportedModelFormats": formats, "containers": [container], **spec}
    return {"metadata": {"name": name}, "spec": said}


class Played:
    """The world, with Kubernetes and KServe played for every revision, and what each moment looked like."""

    def __init__(self, world: World, connection: Connection) -> None:
        self.world = world
        self.kserve = PlayedRevisions(KubernetesCluster(connection), "ns")
        self.shares: list[dict[str, int]] = []

    def deploy(self, model: str, serving=SERVING, **rollout):
        spec = {"router": "Endpoints", "steps": STEPS, "progressDeadline": "1m", **rollout}
        self.world.deploy(model, rollout=spec, serving=serving)

    async def settle(self, limit: int = 120):
        """Go on until only people can move it; time passes."""
        for _ in range(limit):
            before = self.world.objects.version
            try:
                pause = await self.world.step()
            except ClusterError:
                pause = 1
            await self.kserve.act()
            if self.kserve.weights and self.shares[-1:] != [self.kserve.weights]:
                self.shares.append(self.kserve.weights)
            if self.world.objects.version == before and self.world.phase in RESTING and (pause or 60) >= 5:
                return self.world.status
            self.world.now += timedelta(seconds=pause or 1)
        raise AssertionError(self.world.status)

    async def promoted(self):
        self.deploy("v1")
        status = await self.settle()
        assert status["phase"] == "Promoted", status
        self.shares.clear()
        return status["stable"]["revision"]


@pytest.fixture
def played(world, players):
    world.objects.create(CLUSTER_SERVING_RUNTIME, "", runtime("onnx-server"))
    return Played(world, players)


async def test_a_rollout_goes_by_pods_and_none_is_lost_to_it(played):
    first = await played.promoted()
    assert played.world.status["url"] == "http://digits.ns.svc"
    played.deploy("v2")
    status = await played.settle()
    assert (status["phase"], played.kserve.weights) == ("AwaitingApproval", {V1: 50, V2: 50})
    played.world.command("approve", status["candidate"]["revision"])
    status = await played.settle()
    assert (status["phase"], played.kserve.weights) == ("Promoted", {V2: 100})
    assert status["previous"]["revision"] == first
    # What has traffic has it by its pods alone, at every moment.
    assert all(sum(shares.values()) == 100 for shares in played.shares)
    played.world.now += timedelta(minutes=1)
    await played.settle()
    assert await played.kserve.pods() == {V2: 4}
    # The revision that was left is there without pods, to go back to.
    assert len(played.world.objects.list(INFERENCE_SERVICE, "ns")) == 2
    played.world.command("rollback", status["stable"]["revision"])
    status = await played.settle()
    assert (status["stable"]["revision"], played.kserve.weights) == (first, {V1: 100})


async def test_a_share_by_pods_does_not_fall_on_the_way_to_all_traffic(played):
    serving = {"minReplicas": 10, "autoscaling": {"scaler": "None"}}
    played.deploy("v1", serving, steps=[{"setWeight": 100}])
    await played.settle()
    played.shares.clear()
    played.deploy("v2", serving, steps=[{"setWeight": 50}, {"setWeight": 90}, {"setWeight": 100}])
    assert (await played.settle())["phase"] == "Promoted"
    had = [shares.get(V2, 0) for shares in played.shares]
    assert had == sorted(had)
    assert {50, 90, 100} <= set(had)


@pytest.mark.parametrize("scaler", ["HPA", "None"])
@pytest.mark.parametrize("least", [4, 10])
async def test_shares_smaller_than_the_least_pods_of_a_revision_are_had_by_its_pods(played, scaler, least):
    """An autoscaler would give a candidate its least number of pods, which is more than its part of all pods."""
    serving = {"minReplicas": least, "maxReplicas": 12, "autoscaling": {"scaler": scaler}}
    steps = [step for weight in (25, 50, 75) for step in ({"setWeight": weight}, {"approve": {}})]
    played.deploy("v1", serving, steps=[{"setWeight": 100}])
    await played.settle()
    played.deploy("v2", serving, steps=[*steps, {"setWeight": 100}])
    had = []
    while (status := await played.settle())["phase"] == "AwaitingApproval":
        had.append(played.kserve.weights[V2])
        played.world.command("approve", status["candidate"]["revision"])
        await played.world.step()
    assert (status["phase"], played.kserve.weights) == ("Promoted", {V2: 100}), status["message"]
    assert all(share <= asked for share, asked in zip(had, (25, 50, 75), strict=True)), had
    assert all(later > sooner for sooner, later in pairwise([0, *had])), had
    assert (await played.kserve.pods())[V2] >= least


async def test_a_candidate_that_does_not_start_gets_nothing_and_is_taken_away(played):
    await played.promoted()
    played.kserve.starts = lambda uri: uri != V2
    played.deploy("v2")
    status = await played.settle()
    assert status["phase"] == "RolledBack"
    assert played.shares in ([], [{V1: 100}])
    assert await played.kserve.pods() == {V1: 4}


async def test_pods_that_are_missing_hold_the_step_up(played):
    await played.promoted()
    played.kserve.most[V2] = 1
    played.deploy("v2")
    status = await played.settle()
    assert status["phase"] == "RolledBack"
    assert "1 of 2 pods are ready" in status["message"]
    assert all(shares.get(V2, 0) <= 50 for shares in played.shares)


async def test_kserve_that_is_away_costs_no_candidate_its_rollout(played):
    await played.promoted()
    played.deploy("v2", progressDeadline="30s")
    while "candidate" not in played.world.status:
        await played.kserve.act()
        await played.world.step()
    played.kserve.away = True
    for _ in range(10):
        await played.world.step()
        await played.kserve.act()
        played.world.now += timedelta(minutes=1)
    assert played.world.status["reason"] == "Waiting"
    assert "is its controller running?" in played.world.status["message"]
    played.kserve.away = False
    assert (await played.settle())["phase"] == "AwaitingApproval"


async def test_a_revision_on_other_ports_is_told_of_and_stable_keeps_its_pods(played):
    await played.promoted()
    played.kserve.ports[V2] = 9000
    played.deploy("v2")
    for _ in range(20):
        await played.world.step()
        await played.kserve.act()
        played.world.now += timedelta(seconds=5)
    conditions = {entry["type"]: entry for entry in played.world.status["conditions"]}
    assert conditions["RouterReady"]["status"] == "False"
    assert "different ports" in conditions["RouterReady"]["message"]
    assert played.kserve.weights == {V1: 100}
    assert (await played.kserve.pods())[V1] == 4


async def test_blue_green_has_a_preview_address_and_switches_at_once(played):
    await played.promoted()
    preview = Ref(SERVICE, "ns", "digits-preview")
    played.deploy("v2", strategy="BlueGreen", steps=[{"setWeight": 100}])
    status = await played.settle()
    candidate = status["candidate"]["revision"]
    assert (status["reason"], played.kserve.weights) == ("PausedByStep", {V1: 100})
    assert "answers at its preview address digits-preview.ns alone" in status["message"]
    [endpoints] = [
        made["endpoints"]
        for made in played.world.objects.list(ENDPOINT_SLICE, "ns")
        if made["metadata"]["labels"]["kubernetes.io/service-name"] == "digits-preview"
    ]
    assert len(endpoints) == 4
    assert played.world.objects.get(preview)["spec"]["selector"]["mooring.dev/revision"] == candidate
    played.world.command("approve", candidate)
    status = await played.settle()
    assert (status["phase"], played.kserve.weights) == ("Promoted", {V2: 100})
    assert all(shares in ({V1: 100}, {V2: 100}) for shares in played.shares)
    assert played.world.objects.find(preview) is None


async def test_a_preview_of_somebody_elses_name_is_waited_for_and_stops_no_other_rollout(played):
    await played.promoted()
    theirs = Ref(SERVICE, "ns", "digits-preview")
    played.world.objects.apply(
        theirs, {"metadata": {"name": "digits-preview"}, "spec": {"ports": []}}, "someone"
    )
    played.deploy("v2", strategy="BlueGreen", steps=[{"setWeight": 100}])
    for _ in range(20):
        await played.world.step()
        await played.kserve.act()
        played.world.now += timedelta(seconds=2)
    assert played.world.status["reason"] == "SettingWeight"
    assert (
        "its preview address does not lead to it yet: Service digits-preview"
        in played.world.status["message"]
    )
    assert played.kserve.weights == {V1: 100}
    played.deploy("v3", steps=[{"setWeight": 100}])
    assert (await played.settle())["phase"] == "Promoted"
    assert played.world.objects.get(theirs)["spec"] == {"ports": []}


async def test_a_transformer_that_only_one_revision_has_is_passed_by_no_request(played):
    """One Service selects one component of all: the new predictor would get what its transformer should."""
    await played.promoted()
    serving = {**SERVING, "transformer": {"containers": [{"name": "a", "image": "b"}]}}
    rollout = {"router": "Endpoints", "steps": STEPS, "progressDeadline": "1m"}
    played.world.deploy("v2", rollout=rollout, serving=serving)
    for _ in range(20):
        await played.world.step()
        await played.kserve.act()
        for service in played.world.objects.list(INFERENCE_SERVICE, "ns"):
            made = Ref(SERVICE, "ns", f"{service['metadata']['name']}-transformer")
            if "transformer" in service["spec"] and played.world.objects.find(made) is None:
                spec = {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
                played.world.objects.apply(made, {"metadata": {"name": made.name}, "spec": spec}, "kserve")
        played.world.now += timedelta(seconds=1)
    condition = played.world.condition("RouterReady")
    assert condition["status"] == "False"
    assert condition["message"].startswith("revisions take requests at different components")
    assert condition["message"].endswith("by spec.rollout.strategy BlueGreen or a single step setWeight 100")
    assert played.kserve.weights == {V1: 100}


async def test_what_is_ready_is_read_from_the_slices(played):
    await played.promoted()
    made = played.world.objects.get(Ref(ENDPOINT_SLICE, "ns", "digits"))
    assert len(made["endpoints"]) == 4
    played.kserve.starts = lambda uri: False
    await played.kserve.act()
    await played.world.step()
    assert played.world.condition("Ready")["status"] != "True"


async def test_a_service_without_any_pod_in_its_slice_is_not_said_to_serve(played):
    """KServe's Services have theirs: it is the deployment's own that nobody answers by."""
    played.kserve.silent = {"digits"}
    played.deploy("v1")
    for _ in range(20):
        await played.world.step()
        await played.kserve.act()
        played.world.now += timedelta(seconds=5)
    status = played.world.status
    assert status["phase"] == "Deploying", status
    assert "Kubernetes has not taken up its pods for requests yet" in status["message"]
    assert played.world.condition("Ready")["status"] != "True"
    played.kserve.silent = set()
    await played.kserve.act()
    assert (await played.settle())["phase"] == "Promoted"
    assert played.kserve.weights == {V1: 100}


@pytest.mark.parametrize(
    "rollout",
    [
        {},
        {"steps": [{"setWeight": 100}]},
        {
            "strategy": "BlueGreen",
            "blueGreen": {"promoteAfter": "1s"},
            "steps": [{"setWeight": 100}],
        },
    ],
    ids=["Canary", "at once", "BlueGreen"],
)
async def test_no_service_moves_to_pods_that_kubernetes_sends_no_requests_to(played, rollout):
    await played.promoted()
    played.kserve.left_out = {V2}
    played.deploy("v2", **rollout)
    for _ in range(40):
        await played.world.step()
        await played.kserve.act()
        played.world.now += timedelta(seconds=5)
    status = played.world.status
    assert (status["phase"], status["reason"]) == ("Canary", "Waiting")
    assert "Kubernetes has not taken up its pods for requests yet" in status["message"]
    assert (played.kserve.weights, (await played.kserve.pods())[V1]) == ({V1: 100}, 4)
    played.kserve.left_out = set()
    await played.kserve.act()
    assert (await played.settle())["phase"] in ("AwaitingApproval", "Promoted")
    assert played.kserve.weights[V2] >= 50
    assert all(sum(shares.values()) == 100 for shares in played.shares)


async def test_a_model_is_tested_as_it_will_be_served_and_gets_no_request_for_it(played):
    await played.promoted()
    ci = {**CI_SPEC, "target": "Endpoint"}
    rollout = {"router": "Endpoints", "steps": [{"setWeight": 100}]}
    played.world.deploy("v2", rollout=rollout, serving=SERVING, ci=ci)
    while not played.world.runs.tested:
        await played.world.step()
        await played.kserve.act()
    instance = played.world.status["testInstance"]
    [run_id] = played.world.runs.ids
    address = f"http://{instance}-predictor.ns.svc/v2/models/digits"
    assert played.world.runs.read(run_id)["parameters"]["endpoint"] == address
    # Its pod is one of nobody's.
    assert (played.kserve.weights, await played.kserve.pods()) == ({V1: 100}, {V1: 4, V2: 1})
    assert (await played.settle())["phase"] == "Promoted"
    assert "testInstance" not in played.world.status
    names = {found["metadata"]["name"] for found in played.world.objects.list(INFERENCE_SERVICE, "ns")}
    assert instance not in names
    assert all(sum(shares.values()) == 100 for shares in played.shares)


async def test_a_model_whose_instance_does_not_start_is_rejected(played):
    played.kserve.starts = lambda address: address != V2
    await played.promoted()
    ci = {**CI_SPEC, "target": "Endpoint"}
    rollout = {"router": "Endpoints", "progressDeadline": "1m"}
    played.world.deploy("v2", rollout=rollout, serving=SERVING, ci=ci)
    status = await played.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "TestInstanceNotReady")
    assert status["message"].endswith("keeps serving")
    assert (played.kserve.weights, await played.kserve.pods()) == ({V1: 100}, {V1: 4})
