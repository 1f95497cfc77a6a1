"""Time that passes only while the process runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.running_clock import RunningClock


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=20))
def test_no_step_counts_for_more_than_the_longest(steps):
    now = 0.0
    clock = RunningClock(1.0, lambda: now)
    counted = since_tick = 0.0
    for seconds, ticks in steps:
        now += seconds
        since_tick += seconds
        assert abs(clock.read() - (counted + min(since_tick, 1.0))) < 1e-6
        if ticks:
            assert abs(clock.tick() - max(0.0, since_tick - 1.0)) < 1e-6
            counted, since_tick = counted + min(since_tick, 1.0), 0.0
