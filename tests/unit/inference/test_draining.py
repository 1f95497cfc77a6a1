"""When a drain is over, by a clock and callers that are played."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.draining import until_drained

SECONDS = 5.0


class Machine:
    """A process that runs but for ``stalls``: (when, for how long); callers ask at ``calls``, of its running time."""

    def __init__(self, *, stalls=(), calls=()):
        self.now = self.ran = 0.0
        self.stalls = sorted(stalls)
        self.calls = calls

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        self.ran += seconds
        while self.stalls and self.stalls[0][0] <= self.ran:
            self.now += self.stalls.pop(0)[1]

    def count_calls(self):
        return sum(at <= self.ran for at in self.calls)

    async def drain(self, seconds=SECONDS, **options):
        await until_drained(
            seconds, count_calls=self.count_calls, clock=self.clock, sleep=self.sleep, **options
        )
        return self.ran


def test_a_drain_of_nothing_is_over_at_once():
    assert asyncio.run(Machine(calls=[0.1]).drain(0)) == 0


def test_a_drain_without_calls_at_its_end_is_as_long_as_it_was_set():
    assert SECONDS <= asyncio.run(Machine(calls=[0.1, 1.0, 3.5]).drain()) < SECONDS + 0.2


def test_calls_that_still_come_prolong_a_drain_until_none_has_come_for_a_quarter():
    assert 7.25 <= asyncio.run(Machine(calls=[4.0, 5.0, 6.0]).drain()) < 7.5


def test_who_comes_back_again_and_again_is_left_after_twice_as_long():
    calls = [0.5 * index for index in range(100)]
    assert 2 * SECONDS <= asyncio.run(Machine(calls=calls).drain()) < 2 * SECONDS + 0.2


def test_who_was_not_told_yet_is_waited_for_and_no_longer_than_twice():
    machine = Machine()
    assert 7.0 <= asyncio.run(machine.drain(seconds_left=lambda: 7.0 - machine.ran)) < 7.2
    assert 2 * SECONDS <= asyncio.run(Machine().drain(seconds_left=lambda: 1.0)) < 2 * SECONDS + 0.2


def test_quiet_begins_anew_after_the_process_has_stood_still():
    assert asyncio.run(Machine(stalls=[(4.9, 3.0)]).drain()) >= 4.9 + SECONDS / 4


@given(
    stalls=st.lists(st.tuples(st.floats(0, 2 * SECONDS), st.floats(0.3, 10)), max_size=5),
    calls=st.lists(st.floats(0, 3 * SECONDS), max_size=20),
)
def test_stalls_shorten_no_drain_and_no_quiet(stalls, calls):
    machine = Machine(stalls=stalls, calls=calls)
    ran = asyncio.run(machine.drain())
    # A stall counts as a quarter of a second.
    assert ran >= SECONDS - 0.25 * len(stalls) - 0.1
    if ran < 2 * SECONDS - 0.25 * len(stalls) - 0.1:
        edges = [at for at in calls if at <= ran] + [at for at, _ in stalls if at <= ran]
        assert ran - max(edges, default=0) >= SECONDS / 4 - 0.1
