"""Kinds do not share workers."""

import asyncio

import pytest
from mooring_operator.runtime.lanes import Lanes
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key

MONITOR, ROLLOUT = "DriftMonitor", "ModelDeployment"


class Stalling:
    """Works on rollouts at once, and on monitors until it is let go."""

    def __init__(self):
        self.done, self.going_on = [], asyncio.Event()

    async def __call__(self, key):
        if key.kind == MONITOR:
            await self.going_on.wait()
        self.done.append(key)


@pytest.fixture
async def lanes():
    lanes = Lanes(Stalling(), (ROLLOUT, MONITOR), workers=2)
    lanes.process = lanes.queues[ROLLOUT]._process
    running = asyncio.create_task(lanes.run())
    lanes.resume()
    yield lanes
    running.cancel()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_monitors_that_stall_hold_no_worker_of_a_rollout(lanes):
    for number in range(500):
        lanes.add(Key(MONITOR, f"ns{number}", "m"))
    await until(lambda: lanes.queues[MONITOR].busy == 2)
    rollout = Key(ROLLOUT, "ns0", "r")
    lanes.add(rollout)
    await until(lambda: lanes.process.done == [rollout])
    assert lanes.queues[MONITOR].depth == 498
    assert lanes.longest_work > 0


async def test_they_pause_resume_and_stop_together(lanes):
    lanes.add(Key(MONITOR, "ns", "m"))
    await until(lambda: lanes.queues[MONITOR].busy == 1)
    assert await lanes.pause(deadline=1)
    lanes.add(Key(ROLLOUT, "ns", "r"))
    lanes.add_after(Key(ROLLOUT, "ns", "later"), 0)
    lanes.discard(Key(ROLLOUT, "ns", "later"))
    await asyncio.sleep(0.01)
    assert (lanes.process.done, lanes.longest_work) == ([], 0)
    lanes.resume()
    await until(lambda: lanes.queues[MONITOR].busy == 1 and len(lanes.process.done) == 1)
    assert not await lanes.stop(deadline=0.01)
    assert await lanes.stop(deadline=0.01)
    assert lanes.process.done == [Key(ROLLOUT, "ns", "r")]


async def test_queues_are_shown_by_kind(lanes):
    telemetry = Telemetry()
    telemetry.watch_queues(lanes.queues)
    for number in range(5):
        lanes.add(Key(MONITOR, "ns", str(number)))
    await until(lambda: lanes.queues[MONITOR].busy == 1)

    def shown(name, kind):
        return telemetry.registry.get_sample_value(name, {"kind": kind})

    assert shown("mooring_queue_depth", MONITOR) == 4
    assert shown("mooring_queue_age_seconds", MONITOR) > 0
    assert shown("mooring_workers_busy", MONITOR) == 1
    assert shown("mooring_queue_depth", ROLLOUT) == shown("mooring_workers_busy", ROLLOUT) == 0
