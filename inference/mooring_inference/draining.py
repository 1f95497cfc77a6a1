"""How long a server that was told to stop goes on answering.

Callers leave with an answer that says so, and a load balancer takes a while to notice. Where a machine has too much to
do, both may stand still for seconds; a server that goes by the clock alone then ends before it has read what was sent
meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

# Of the drain: how long no call may have come at its end, and how long it lasts at most.
_QUIET, _LONGEST = 0.25, 2.0
# Between two looks, and what a look takes at most where the process runs, seconds.
_LOOK_SECONDS, _RUNNING_SECONDS = 0.05, 0.25


async def until_drained(
    seconds: float,
    *,
    count_calls: Callable[[], int],
    seconds_left: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], float] = perf_counter,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Wait until callers have had ``seconds`` to leave, and no call has come for a quarter of that.

    Time in which the process stood still does not count, and the quiet begins anew after it. Whoever comes back again
    and again has nowhere else to go: after twice as long it is over.

    Args:
        seconds: of the drain; 0 waits for nobody.
        count_calls: how many calls have come so far.
        seconds_left: how long it takes until all who have called were told to leave.
        clock: never goes back, seconds.
        sleep: waits for so many seconds.
    """
    ran = quiet = 0.0
    now, calls = clock(), count_calls()
    while ran < _LONGEST * seconds:
        await sleep(min(_LOOK_SECONDS, seconds / 10))
        before, now = now, clock()
        known, calls = calls, count_calls()
        ran += min(now - before, _RUNNING_SECONDS)
        is_quiet = calls == known and now - before < _RUNNING_SECONDS
        quiet = quiet + now - before if is_quiet else 0.0
        if ran >= seconds and quiet >= _QUIET * seconds and seconds_left() <= 0:
            return
