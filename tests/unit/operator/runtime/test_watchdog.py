"""A loop that is late is measured, and one that is blocked is logged with the place that blocks it."""

import asyncio
import threading

from mooring_operator.runtime.watchdog import Watchdog


async def watch(lags, caplog, block):
    """Run a watchdog, and block the loop once."""
    watching = asyncio.create_task(Watchdog(lags.append, interval=0.01, blocked_after=0.1).run())
    await asyncio.sleep(0.03)
    block()
    await asyncio.sleep(0.05)
    watching.cancel()


async def test_a_blocked_loop_is_measured_and_its_place_is_logged_once(caplog):
    lags, said = [], threading.Event()

    def block():
        hold_up_everybody(lambda: "has been blocked" in caplog.text, said)

    await watch(lags, caplog, block)
    blocked = [record for record in caplog.records if "has been blocked" in record.getMessage()]
    assert len(blocked) == 1
    assert "hold_up_everybody" in blocked[0].getMessage()
    assert max(lags) > 0.1


def hold_up_everybody(until, never):
    for _ in range(500):
        if until():
            # Long enough for a second line, if there were one.
            never.wait(0.1)
            return
        never.wait(0.01)
    raise AssertionError("the watchdog said nothing")


async def test_a_loop_that_runs_is_not_logged(caplog):
    lags = []
    await watch(lags, caplog, lambda: None)
    assert lags
    assert "blocked" not in caplog.text
