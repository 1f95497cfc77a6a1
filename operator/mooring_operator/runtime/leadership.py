"""Holds the Lease: among several replicas one works, the others stand by.

A leader counts its time from before a renewal was sent, stops `renew_deadline` after the last one
that was answered, and cancels its work before the Lease runs out. A process that is frozen for
longer than that cannot cancel in time: `holds` is asked before each write.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from mooring_operator.adapters.cluster import ClusterError, Conflict, Manifest
from mooring_operator.adapters.leases import Leases
from mooring_operator.runtime.election import Election, Step, held, new_lease, released

logger = logging.getLogger(__name__)


class Leadership:
    """Runs for leader, stays it, and says so.

    `gained` must return quickly, for no renewal happens meanwhile; `lost` must not return before all
    work has stopped.
    """

    def __init__(
        self,
        leases: Leases,
        election: Election,
        *,
        namespace: str,
        name: str,
        gained: Callable[[], None],
        lost: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._leases = leases
        self._election = election
        self._namespace = namespace
        self._name = name
        self._gained = gained
        self._lost = lost
        self._clock = clock
        self._sleep = sleep
        self._lease: Manifest | None = None
        self._renewed_at = 0.0
        self.leading = False

    @property
    def holds(self) -> bool:
        """Whether the Lease is held by what the last renewal says, however long this process has stood still since."""
        return self.leading and not self._election.lost(self._renewed_at, self._clock())

    async def run(self) -> None:
        """Take part in the election for ever."""
        while True:
            await self.step()
            await self._sleep(self._pause())

    async def step(self) -> None:
        """Read the Lease, and create, take or renew it."""
        started = self._clock()
        ours = True
        try:
            async with asyncio.timeout(self._patience(started)):
                ours = await self._try(started)
        except (ClusterError, TimeoutError) as error:
            # A conflict is somebody's progress; a leader reads it at the next step.
            level = logging.DEBUG if isinstance(error, Conflict) else logging.WARNING
            logger.log(level, "the lease cannot be held now: %s", _words(error))
        # Outside of the timeout: stopping must not be cut short.
        if self.leading and not ours:
            await self._step_down("another replica holds the lease")
        if self.leading and self._election.lost(self._renewed_at, self._clock()):
            await self._step_down("the lease could not be renewed in time")

    async def release(self) -> None:
        """Give the Lease back; call it when all work has stopped."""
        if not self.leading or self._lease is None:
            return
        self.leading = False
        try:
            async with asyncio.timeout(self._election.terms.retry):
                await self._leases.replace(released(self._lease, datetime.now(UTC)))
        except (ClusterError, TimeoutError) as error:
            logger.warning(
                "the lease is not released, a successor has to wait for its end: %s",
                str(error) or type(error).__name__,
            )
        else:
            logger.info("the lease is released")

    async def _try(self, started: float) -> bool:
        """Do what the Lease asks for; give whether it is ours now."""
        lease = await self._leases.get(self._namespace, self._name)
        step = self._election.decide(lease, self._clock())
        if step is Step.WAIT:
            return False
        terms, identity = self._election.terms, self._election.identity
        wanted = held(
            lease or new_lease(self._namespace, self._name), identity, terms.duration, datetime.now(UTC)
        )
        write = self._leases.create if step is Step.CREATE else self._leases.replace
        self._lease = await write(wanted)
        self._renewed_at = started
        if not self.leading:
            logger.info("%s leads", identity)
            self.leading = True
            self._gained()
        return True

    async def _step_down(self, why: str) -> None:
        self.leading = False
        logger.error("leads no more: %s", why)
        await self._lost()

    def _patience(self, now: float) -> float:
        """Give the seconds that a step may take: a leader must still be able to stop in time."""
        terms = self._election.terms
        if not self.leading:
            return terms.renew_deadline
        return max(0.0, self._renewed_at + terms.renew_deadline - now)

    def _pause(self) -> float:
        return min(self._election.terms.retry, max(0.0, self._patience(self._clock())))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
