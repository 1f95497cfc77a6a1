"""One tenant beside another who asks for much, or for what never ends: the operator's process."""

import httpx
import pytest
from mooring_operator.adapters.cluster import Manifest, Ref
from mooring_operator.reconcile.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT

from tests.operator.processes import operator, until, until_promoted
from tests.operator.world import World

FLOOD = 2000
MONITORS = 500
LONG = 120.0
"""Seconds, for machines that are busy."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(autouse=True)
def surroundings(surroundings_act):
    """KServe and CI act while operators run."""


def flood(world: World) -> list[Ref]:
    """Two thousand deployments of one namespace, none of which finds its model."""
    refs = [Ref(MODEL_DEPLOYMENT, "flood", f"m{number}") for number in range(FLOOD)]
    spec = {"model": {"uri": "s3://m/broken", "format": "onnx"}}
    for ref in refs:
        world.objects.apply(ref, {"metadata": {"name": ref.name}, "spec": spec}, "user")
    return refs


def monitors(world: World) -> list[Ref]:
    """Five hundred monitors of the deployment and of others, in ten namespaces."""
    spec = {
        "target": {"name": "digits"},
        "baseline": {"uri": "s3://d/baseline"},
        "window": {"uri": "s3://d/window"},
    }
    model = {"model": {"uri": "s3://m/v1", "format": "onnx"}}
    namespaces = ["ns", *(f"ns{number}" for number in range(9))]
    for namespace in namespaces[1:]:
        ref = Ref(MODEL_DEPLOYMENT, namespace, "digits")
        world.objects.apply(ref, {"metadata": {"name": ref.name}, "spec": model}, "user")
    refs = [Ref(DRIFT_MONITOR, namespaces[number % 10], f"d{number}") for number in range(MONITORS)]
    for ref in refs:
        world.objects.apply(ref, {"metadata": {"name": ref.name}, "spec": spec}, "user")
    return refs


def looked_at(world: World, refs: list[Ref]) -> int:
    return sum("status" in world.objects.peek(ref) for ref in refs)


async def test_a_rollout_does_not_wait_for_the_two_thousand_of_another_namespace(world: World):
    refs = flood(world)
    async with operator(world) as process:
        await until(lambda: looked_at(world, refs) >= 50, "the flood is being worked on", LONG)
        began = looked_at(world, refs)
        world.deploy("v1")
        await until_promoted(world, "v1", LONG)
        # Several looks at the deployment, each after one or two of the flood's: not after all of them.
        assert looked_at(world, refs) - began < FLOOD / 4
        assert (await process.ask("healthz")).status_code == 200


async def test_a_rollout_does_not_wait_for_five_hundred_monitors_that_stall(world: World):
    monitors(world)
    world.deploy("v1")
    async with operator(world, fault="stall", workers=8) as process:
        await until_promoted(world, "v1", LONG)
        await until(lambda: busy(process, "DriftMonitor"), "every worker of the monitors stalls", LONG)
        world.deploy("v2")
        await until_promoted(world, "v2", LONG)
        assert await metric(process, "mooring_workers_busy", "DriftMonitor") == 8
        answer = await process.ask("healthz")
        assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_monitors_that_stall_are_stopped_and_say_so(world: World):
    refs = monitors(world)[:3]
    async with operator(world, fault="stall", reconcile_deadline=5, namespaces="ns"):
        world.deploy("v1")
        reasons = {"DeadlineExceeded"}
        await until(
            lambda: (
                {condition_of(world.objects.get(ref)) for ref in refs if ref.namespace == "ns"} == reasons
            ),
            "a monitor says that it was stopped",
            LONG,
        )


async def test_a_loop_that_is_blocked_answers_no_probe_and_says_where(world: World):
    world.deploy("v1")
    async with operator(world, fault="block") as process:
        await until_promoted(world, "v1", LONG)
        assert (await process.ask("healthz")).status_code == 200
        world.monitor()
        await until(lambda: unanswered(process), "the probe fails", LONG)
        await until(
            lambda: "the event loop has been blocked" in process.log.read_text(), "it is logged", LONG
        )
        assert "in launch" in process.log.read_text()
        with pytest.raises(httpx.TimeoutException):
            await process.ask("healthz", seconds=1.0)


async def test_what_breaks_one_is_said_there_and_in_the_log_and_stops_no_other(world: World):
    broken = Ref(MODEL_DEPLOYMENT, "ns", "broken")
    spec = {"model": {"uri": "s3://m/broken", "format": "onnx"}}
    world.objects.apply(broken, {"metadata": {"name": "broken"}, "spec": spec}, "user")
    async with operator(world) as process:
        await until(lambda: condition_of(world.objects.get(broken)) == "InternalError", "it is said")
        world.deploy("v1")
        await until_promoted(world, "v1", LONG)
        (condition,) = world.objects.get(broken)["status"]["conditions"]
        assert "s3cret" not in condition["message"]
        reference = condition["message"].rsplit(" ", 1)[1]
        log = process.log.read_text()
        assert reference in log
        assert "KeyError: 's3cret-of-a-store'" in log
        await until(lambda: process.log.read_text().count(reference) >= 2, "it is tried again")
        assert world.events("broken") == ["InternalError"]


async def unanswered(process) -> bool:
    try:
        await process.ask("healthz", seconds=1.0)
    except httpx.TimeoutException:
        return True
    return False


async def busy(process, kind: str) -> bool:
    return await metric(process, "mooring_workers_busy", kind) == 8


async def metric(process, name: str, kind: str) -> float:
    lines = (await process.ask("metrics")).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f'{name}{{kind="{kind}"}}'))


def condition_of(resource: Manifest) -> str:
    found = resource.get("status", {}).get("conditions", [])
    return next((one["reason"] for one in found if one["type"] == "Reconciled"), "")
