"""Reconciles that failed in a way that their reconciler did not foresee: said on the resource, once.

The condition `Reconciled` is False from a failure until the next reconcile that comes to its end, which writes
the status without it. The rest of the status stays: it is what the last successful reconcile found.
"""

import hashlib
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.notifier import Notifier
from mooring_operator.api import reasons
from mooring_operator.api.types import format_time
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.status.conditions import RECONCILED
from mooring_operator.reconcile.installs import Installs


class ReconcileFailed(Exception):
    """A reconcile failed; `reason` and `message` are for the resource's status."""

    reason = reasons.INTERNAL_ERROR

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InternalError(ReconcileFailed):
    """An exception that nobody foresaw. Its text may hold what was read, and stays in the operator's log."""

    def __init__(self, error: Exception) -> None:
        self.reference = _reference(error)
        super().__init__(
            f"the operator failed with {type(error).__name__}, and tries again; its log says more beside "
            f"{self.reference}"
        )


class DeadlineExceeded(ReconcileFailed):
    """A reconcile took too long, and was stopped."""

    reason = reasons.DEADLINE_EXCEEDED

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"this was not done within {seconds:g} s, for something that it needs answers slowly; it is tried again"
        )


class StatusUnreadable(ReconcileFailed):
    """The status lacks what cannot be done without, or it is of no known form."""

    reason = reasons.STATUS_UNREADABLE


class FailureReports:
    """Says failures on the resources that they are about."""

    def __init__(
        self,
        cluster: Cluster,
        notifier: Notifier,
        clock: Callable[[], datetime],
        installs: Installs | None = None,
    ) -> None:
        self._cluster = cluster
        self._notifier = notifier
        self._clock = clock
        self._installs = installs or Installs(cluster, notifier, "")

    async def report(self, kind: Kind, namespace: str, name: str, failure: ReconcileFailed) -> None:
        """Set the condition and record an Event; nothing where the resource says so already, or is gone, or another's.

        Raises:
            ClusterError: it cannot be written.
        """
        resource = await self._cluster.get(Ref(kind, namespace, name))
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return
        if await self._installs.is_anothers(resource):
            return
        status = with_failure(resource, failure, self._clock())
        if status is None:
            return
        resource = await self._cluster.write_status(resource, status)
        await self._notifier.notify(resource, Notify("Warning", failure.reason, failure.message))


def with_failure(resource: Manifest, failure: ReconcileFailed, now: datetime) -> Manifest | None:
    """Give the status with the condition, None where it has it. Of the rest nothing is read."""
    status = resource.get("status")
    status = dict(status) if isinstance(status, Mapping) else {}
    conditions = status.get("conditions")
    listed = [one for one in conditions if isinstance(one, Mapping)] if isinstance(conditions, list) else []
    others = [one for one in listed if one.get("type") != RECONCILED]
    known = next((one for one in listed if one.get("type") == RECONCILED), None)
    said = {"type": RECONCILED, "status": "False", "reason": failure.reason, "message": failure.message}
    if known is not None and all(known.get(name) == value for name, value in said.items()):
        return None
    since = known.get("lastTransitionTime") if known is not None else None
    condition: dict[str, Any] = {
        **said,
        "lastTransitionTime": since or format_time(now),
        "observedGeneration": resource["metadata"].get("generation", 0),
    }
    return {**status, "conditions": [*others, condition]}


def _reference(error: Exception) -> str:
    """Name an error by its type and place, so that it has the same name each time it happens."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames]
    return hashlib.sha256("\n".join([type(error).__name__, *places]).encode()).hexdigest()[:8]
