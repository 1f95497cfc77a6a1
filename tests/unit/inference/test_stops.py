"""Callers of public clients lose nothing when a server behind a load balancer is stopped under load.

`python -m tests.benchmarks.serving.stops` stops more of them, with more callers.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.serving.stops.cases import CASES
from tests.benchmarks.serving.stops.tries import Load, stop_again_and_again

# Long beside the notice, since machines of tests stand still now and then.
LOAD = Load(clients=16, drain_seconds=3.0, notice_seconds=0.2)
STALLED = replace(LOAD, stall_seconds=2.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nothing_is_lost_when_a_server_is_stopped_under_load(case, tmp_path):
    counts = await stop_again_and_again(case, LOAD, tmp_path, tries=1, say=lambda _: None)
    assert counts.lost == {}
    assert counts.answered > 100


@pytest.mark.parametrize("case", CASES[0::3], ids=lambda case: case.name)
async def test_nothing_is_lost_when_a_server_stands_still_while_it_stops(case, tmp_path):
    counts = await stop_again_and_again(case, STALLED, tmp_path, tries=2, say=lambda _: None)
    assert counts.lost == {}
