"""What a deployment costs: the calls of each pass, by router."""

from collections import Counter
from datetime import timedelta

import pytest
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.recent import RecentObjects
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revisions import SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from tests.operator.test_operator_endpoints import runtime
from tests.operator.world import World
from tests.played_gateway import NAME, NAMESPACE, PlayedGateway
from tests.played_revisions import PlayedRevisions

WATCHED = (MODEL_DEPLOYMENT, INFERENCE_SERVICE, SERVING_RUNTIME, CLUSTER_SERVING_RUNTIME)
SHARED = ("clustermodelpolicies", "apiresources")
"""Asked for by one look for all of the same second, or once."""
SERVING = {"minReplicas": 2, "maxReplicas": 2}
STEPS = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
GATEWAY = {"gateway": {"name": NAME, "namespace": NAMESPACE}}


class Costs:
    """The world with a watch that tells everything before a pass, and what each pass asks."""

    def __init__(self, world: World, router: str, act) -> None:
        self.world, self._act, self._told = world, act, 0
        self.rollout = {"router": router, "steps": STEPS, **(GATEWAY if router == "Gateway" else {})}

    def deploy(self, model):
        self.world.deploy(model, serving=SERVING, rollout=self.rollout)

    async def one_pass(self):
        """The reason that a pass ends with, and its calls."""
        self._tell()
        self.world.emulator.calls.clear()
        pause = await self.world.step()
        asked = [f"{call.verb} {call.resource}" for call in self._calls()]
        self.world.now += timedelta(seconds=pause or 1)
        await self._act()
        return self.world.status["reason"], Counter(asked)

    async def until(self, phase, most=10):
        """Each pass, the last of which has nothing to say."""
        passes = []
        for _ in range(most):
            passes.append(await self.one_pass())
            if self.world.phase == phase and not any(call.writes for call in self._calls()):
                return passes
        raise AssertionError(passes)

    def _calls(self):
        calls = self.world.emulator.calls
        return [call for call in calls if call.who == "operator" and call.resource not in SHARED]

    def _tell(self):
        for change in self.world.objects.changes:
            if change.version > self._told and change.ref.kind in WATCHED:
                self._tell_of(change)
        self._told = self.world.objects.version

    def _tell_of(self, change):
        kind, found = change.ref.kind, change.after or change.before
        metadata = {**found["metadata"], "resourceVersion": str(change.version)}
        manifest = {**found, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        if change.after is None:
            self.world.recent.gone(manifest)
        else:
            self.world.recent.told(manifest)


@pytest.fixture
async def watched(world):
    world.recent = RecentObjects()
    world.install = "mooring-system/mooring-operator"
    await world.start()
    world.objects.create(CLUSTER_SERVING_RUNTIME, "", runtime("onnx-server"))
    return world


async def nothing():
    """KServe's own routing is played by the world."""


@pytest.fixture
def kserve(watched):
    return Costs(watched, "KServe", nothing)


@pytest.fixture
def endpoints(watched, players):
    return Costs(watched, "Endpoints", PlayedRevisions(KubernetesCluster(players), "ns").act)


@pytest.fixture
async def gateway(watched, players):
    played = PlayedGateway(KubernetesCluster(players), "ns")
    await played.open()
    return Costs(watched, "Gateway", played.act)


def calls(said: str) -> Counter[str]:
    """Read calls as they stand here: `get services x2, create events`; a status is the ModelDeployment's."""
    counted: Counter[str] = Counter()
    for each in said.split(", "):
        what, _, times = each.replace("write status", "update modeldeployments/status").partition(" x")
        counted[what] += int(times or 1)
    return counted


def told(*passes: tuple[str, str]) -> list[tuple[str, Counter[str]]]:
    return [(reason, calls(said)) for reason, said in passes]


async def test_what_a_first_deployment_costs_by_kserve(kserve):
    kserve.deploy("v1")
    assert await kserve.until("Promoted") == told(
        ("Deploying", "get inferenceservices, write status, create inferenceservices, create events"),
        ("Promoted", "get deployments, write status, create events"),
        ("Promoted", "get deployments"),
    )


async def test_what_a_first_deployment_costs_without_a_gateway(endpoints):
    endpoints.deploy("v1")
    rest = "list services, get services, get deployments, list endpointslices"
    assert await endpoints.until("Promoted") == told(
        (
            "ChoosingRuntime",
            "get services, get inferenceservices, write status, create inferenceservices",
        ),
        (
            "Deploying",
            "get services, get clusterservingruntimes, write status, create servingruntimes, "
            "create inferenceservices, delete inferenceservices, create events",
        ),
        (
            "Promoted",
            f"{rest}, get services, get servingruntimes, write status, create services, create events",
        ),
        ("Promoted", rest),
    )


async def test_what_a_first_deployment_costs_behind_a_gateway(gateway):
    gateway.deploy("v1")
    way = "get httproutes x2, get gateways"
    rest = f"{way}, get deployments, get services, list endpointslices"
    assert await gateway.until("Promoted") == told(
        ("ChoosingRuntime", f"{way}, get inferenceservices, write status, create inferenceservices"),
        (
            "Deploying",
            f"{way}, get clusterservingruntimes, write status, create servingruntimes, create inferenceservices, "
            "delete inferenceservices, create events",
        ),
        ("Deploying", f"{rest}, get servingruntimes, write status, create httproutes"),
        ("Promoted", f"{rest}, write status, create events"),
        ("Promoted", rest),
    )


async def test_what_a_step_costs_behind_a_gateway(gateway):
    gateway.deploy("v1")
    await gateway.until("Promoted")
    gateway.deploy("v2")
    *_, shifted, taken_up, again = await gateway.until("AwaitingApproval")
    look = "get httproutes x2, get gateways, get deployments x2, list services, list endpointslices"
    # The new revision enters at weight 0, and the Gateway's controller, which is slow here, is waited for.
    assert 1 <= shifted[1].pop("get httproutes") - 2 <= 7
    entered = look.replace("get httproutes x2, ", "")
    assert [shifted, taken_up, again] == told(
        ("SettingWeight", f"{entered}, write status, patch httproutes x3, get servingruntimes"),
        ("AwaitingApproval", f"{look}, write status, create events"),
        ("AwaitingApproval", look),
    )
