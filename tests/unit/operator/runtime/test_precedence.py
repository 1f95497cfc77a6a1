"""What is urgent goes first, and nobody who is urgent without end has the process for himself."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.runtime.lanes import Lanes
from mooring_operator.runtime.precedence import MOST_S, Precedence
from mooring_operator.runtime.workqueue import Key

ROLLOUT, ROUTE = "ModelDeployment", "HTTPRoute"
WORKERS = 4


class World:
    """Work that ends when it is told to, and time that passes when it is told to."""

    def __init__(self):
        self.now, self.going_on = 0.0, {}
        self.lanes = Lanes(
            self._work,
            (ROLLOUT, ROUTE),
            urgent=ROUTE,
            workers=WORKERS,
            clock=lambda: self.now,
            sleep=self._sleep,
        )

    async def _work(self, key):
        self.going_on[key] = ended = asyncio.get_running_loop().create_future()
        try:
            await ended
        finally:
            del self.going_on[key]

    async def _sleep(self, delay):
        assert delay == 0, "nobody is to come back later here"

    async def settle(self):
        for _ in range(30):
            await asyncio.sleep(0)

    async def add(self, kind, *numbers):
        for number in numbers:
            self.lanes.add(Key(kind, f"ns{number}", str(number)))
        await self.settle()

    async def end(self, kind, count):
        """Have the work end that has been going on for longest."""
        for ended in [ended for key, ended in self.going_on.items() if key.kind == kind][:count]:
            ended.set_result(None)
        await self.settle()

    @property
    def workers(self):
        found = Counter(key.kind for key in self.going_on)
        return found[ROLLOUT], found[ROUTE]


@pytest.fixture
async def world():
    world = World()
    running = asyncio.create_task(world.lanes.run())
    world.lanes.resume()
    yield world
    running.cancel()


async def test_other_work_goes_on_by_one_worker_until_what_is_urgent_is_done(world):
    await world.add(ROUTE, *range(6))
    await world.add(ROLLOUT, *range(10))
    assert world.workers == (1, WORKERS)
    await world.end(ROLLOUT, 1)
    assert world.workers == (1, WORKERS), "one goes on"
    await world.end(ROUTE, WORKERS)
    assert world.workers == (1, 2)
    await world.end(ROUTE, 2)
    assert world.workers == (WORKERS, 0), "nothing has to happen before the others begin"


async def test_what_has_begun_is_not_stopped(world):
    await world.add(ROLLOUT, *range(10))
    await world.add(ROUTE, 0)
    assert world.workers == (WORKERS, 1)
    await world.end(ROLLOUT, WORKERS - 1)
    assert world.workers == (1, 1)


async def test_urgent_work_that_never_ends_holds_the_others_for_a_while(world):
    await world.add(ROUTE, 0)
    await world.add(ROLLOUT, *range(20))
    assert world.workers == (1, 1)
    world.now += MOST_S
    await world.end(ROLLOUT, 1)
    assert world.workers == (WORKERS, 1)


async def test_urgent_work_does_not_wait_for_other_urgent_work(world):
    await world.add(ROUTE, *range(6))
    assert world.workers == (0, WORKERS)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 3.0)), min_size=1, max_size=60))
def test_others_have_at_least_half_of_the_time(course):
    """Whenever something urgent begins and ends: of any time, no more than half is for it alone, and what began."""
    now, busy = 0.0, False
    precedence = Precedence(lambda: busy, lambda: now)
    held = []
    for busy, seconds in course:
        for _ in range(max(1, round(seconds / 0.05))):
            held.append(precedence.holds())
            assert busy or not held[-1]
            now += 0.05
    window = round(2 * MOST_S / 0.05)
    for begin in range(0, len(held), 7):
        assert sum(held[begin : begin + window]) <= 2 * MOST_S / 0.05 / 2 + 2
