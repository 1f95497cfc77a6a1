"""Queue, leadership, resynchronisation and health as one thing that starts and stops."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from mooring_operator.adapters.cluster import (
    Cluster,
    ClusterError,
    Conflict,
    Forbidden,
    Kind,
    Unavailable,
)
from mooring_operator.adapters.leases import Leases
from mooring_operator.adapters.recent import RecentObjects
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.reconcile.kinds import (
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
    CLUSTER_MODEL_POLICY,
    DRIFT_MONITOR,
    MODEL_DEPLOYMENT,
    MODEL_POLICY,
)
from mooring_operator.runtime.dispatch import REPORT_DEADLINE, Dispatch, Reconcilers
from mooring_operator.runtime.election import Election, Terms
from mooring_operator.runtime.health import HealthServer, overdue
from mooring_operator.runtime.intake import Intake
from mooring_operator.runtime.lanes import Lanes
from mooring_operator.runtime.leadership import Leadership
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.watchdog import Watchdog
from mooring_operator.runtime.workqueue import Key
from mooring_operator.settings import Settings

logger = logging.getLogger(__name__)

KINDS: Sequence[Kind] = (
    MODEL_DEPLOYMENT,
    DRIFT_MONITOR,
    MODEL_POLICY,
    CLUSTER_MODEL_POLICY,
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
)
LOST_AFTER = 60.0
"""Seconds after the end of its time in which a worker may still tidy up; then it is lost."""
STOP_DEADLINE = 20.0
_RETRY_LIST = 5.0


class Engine:
    """Everything of the operator but the watching of the cluster, which tells `intake` what it sees."""

    def __init__(
        self,
        settings: Settings,
        *,
        cluster: Cluster,
        leases: Leases,
        reconcilers: Reconcilers,
        telemetry: Telemetry,
        expected: tuple[type[Exception], ...] = (Conflict, Unavailable),
        terms: Terms | None = None,
        recent: RecentObjects | None = None,
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._terms = terms or Terms()
        deadline = settings.reconcile_deadline
        dispatch = Dispatch(reconcilers, telemetry, deadline=deadline, expected=expected)
        lanes = [kind.kind for kind in (*KINDS, HTTP_ROUTE)]
        self.queue = Lanes(
            dispatch, lanes, urgent=HTTP_ROUTE.kind, workers=settings.workers, expected=expected
        )
        self._recent = recent or RecentObjects()
        self.intake = Intake(self.queue, dispatch, telemetry, reconcilers.bindings_changed, self._recent)
        self.watching = asyncio.Event()
        self._gained = asyncio.Event()
        self._leading = False
        self._tasks: list[asyncio.Task[None]] = []
        self._leadership = self._candidate(leases) if settings.leader_election else None
        self.healthy = overdue(lambda: self.queue.longest_work, deadline + REPORT_DEADLINE + LOST_AFTER)
        self._health = HealthServer(
            telemetry,
            healthy=self.healthy,
            ready=lambda: None if self.watching.is_set() else "not watching the cluster yet",
        )
        self._watchdog = Watchdog(telemetry.saw_lag)
        telemetry.watch_queues(self.queue.queues)
        telemetry.watch_pools(reconcilers.pools)
        telemetry.gauge("mooring_leader", "1 while this replica leads.", lambda: float(self._leading))

    @property
    def may_write(self) -> bool:
        """Whether no other replica can lead, however long this process has stood still."""
        return self._leadership is None or self._leadership.holds

    def _candidate(self, leases: Leases) -> Leadership:
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        return Leadership(
            leases,
            Election(identity, self._terms),
            namespace=self._settings.lease_namespace,
            name=self._settings.lease_name,
            gained=self._begin,
            lost=self._give_up,
        )

    async def start(self) -> None:
        """Listen for probes, and begin to work as soon as this replica leads.

        Raises:
            OSError: the health server's port cannot be had.
        """
        port = await self._health.start(self._settings.health_host, self._settings.health_port)
        logger.info("probes and metrics on port %d", port)
        self._spawn(self.queue.run(), "queue")
        self._spawn(self._resync(), "resync")
        self._spawn(self._watchdog.run(), "watchdog")
        if self._leadership is None:
            self._begin()
        else:
            self._spawn(self._leadership.run(), "leadership")

    async def wait(self) -> None:
        """Wait for ever; raises what ended one of the tasks, which none of them should."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise RuntimeError(f"{', '.join(task.get_name() for task in done)} ended")

    async def stop(self) -> None:
        """Let running work finish, give leadership back, and stop listening."""
        # The Lease is renewed until the work is done: that may take longer than a Lease lasts.
        if not await self.queue.stop(STOP_DEADLINE):
            logger.warning("work did not finish within %.0f s and was cancelled", STOP_DEADLINE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._leadership is not None:
            await self._leadership.release()
        self._leading = False
        await self._health.stop()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def _begin(self) -> None:
        self._leading = True
        # What whoever led before has written last, the watch may not have told yet.
        self._recent.forget_all()
        # Resumed before the list is asked for, so that no change falls between the two.
        self.queue.resume()
        self._gained.set()

    async def _give_up(self) -> None:
        self._leading = False
        left = self._terms.duration - self._terms.renew_deadline
        if not await self.queue.pause(deadline=left / 2):
            # Another replica is about to start on the same objects.
            logger.critical("work goes on after leadership was lost; ending the process")
            os._exit(1)

    async def _resync(self) -> None:
        """Look at everything: when leadership is gained, and every now and then in case a change was missed."""
        while True:
            self._gained.clear()
            delay = self._settings.resync_interval
            if self._leading:
                try:
                    await self._list_all()
                except ClusterError as error:
                    logger.warning("the resources cannot be listed: %s", error)
                    delay = _RETRY_LIST
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gained.wait(), delay)

    async def _list_all(self) -> None:
        for kind in KINDS:
            if not kind.namespaced and not self._settings.cluster_policies:
                continue
            found: set[Key] = set()
            for namespace in (self._settings.namespaces or (None,)) if kind.namespaced else (None,):
                found |= await self._list(kind, namespace)
            self.intake.listed_all(kind.kind, found)

    async def _list(self, kind: Kind, namespace: str | None) -> set[Key]:
        found: set[Key] = set()
        try:
            async for page in self._cluster.pages(kind, namespace=namespace):
                found |= self.intake.listed(kind.kind, page)
        except Forbidden as error:
            if kind.namespaced:
                raise
            # Every ModelDeployment says so; the other kinds are looked at all the same.
            logger.warning("%s cannot be listed: %s", kind.plural, error)
        return found
