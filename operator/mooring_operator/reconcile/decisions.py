"""Writes decisions: into the audit trail first, and then into status, from where they take effect.

What cannot be recorded is not decided, and tried again; but for going back to what served before, which waits for no
store: that is recorded as soon as the store takes it.
"""

import logging
from collections.abc import Sequence

from mooring_artifacts.audit.records import Entry
from pydantic import BaseModel

from mooring_operator.adapters.audit import Audit, AuditUnavailable, NoAudit
from mooring_operator.adapters.cluster import Cluster, Manifest
from mooring_operator.reconcile.wire import write_status

logger = logging.getLogger(__name__)

_MOST_OWED = 1000


class Decisions:
    """The one writer of statuses that say what was decided."""

    def __init__(self, cluster: Cluster, audit: Audit | None = None) -> None:
        self._cluster = cluster
        self._audit = audit or NoAudit()
        self._owed: dict[str, list[Entry]] = {}
        """What was decided and is not recorded yet, by namespace."""
        self._recorded: dict[str, set[tuple[str, str]]] = {}
        """What was recorded about an object and is not in its status yet: action and message, by uid."""

    async def write(
        self, resource: Manifest, status: BaseModel, entries: Sequence[Entry] = (), *, waits: bool = True
    ) -> Manifest:
        """Record, and have `resource` carry `status`; gives it as it is then.

        Args:
            resource: the object as it was read.
            status: what it shall say.
            entries: what is new in it.
            waits: whether it has to be recorded before it takes effect.

        Raises:
            AuditUnavailable: it is not recorded, and not written.
            Conflict: somebody has written the object since it was read.
        """
        await self.record(resource, entries, waits=waits)
        written = await write_status(self._cluster, resource, status)
        self._recorded.pop(resource["metadata"]["uid"], None)
        return written

    async def record(self, resource: Manifest, entries: Sequence[Entry], *, waits: bool = True) -> None:
        """Record what is about to be decided about `resource`, before it is written.

        Raises:
            AuditUnavailable: it is not recorded.
        """
        if not entries:
            return
        namespace, uid = resource["metadata"].get("namespace", ""), resource["metadata"]["uid"]
        recorded = self._recorded.setdefault(uid, set())
        # Somebody may have written the object meanwhile: what is decided again then is one decision.
        new = [entry for entry in entries if (entry.action, entry.message) not in recorded]
        owed = [*self._owed.get(namespace, ()), *new]
        try:
            await self._audit.append(namespace, owed)
        except AuditUnavailable as error:
            if waits:
                raise
            logger.error("decided before it could be recorded, for it takes traffic back: %s", error)
            self._owed[namespace] = owed[-_MOST_OWED:]
        else:
            self._owed.pop(namespace, None)
        recorded |= {(entry.action, entry.message) for entry in new}
