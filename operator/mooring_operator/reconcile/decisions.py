"""Writes decisions: into the audit trail first, and then into status, from where they take effect.

What cannot be recorded is not decided, and tried again; but for going back to what served before, which waits for no
store: that is recorded as soon as the store takes it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence

from mooring_artifacts.audit.records import Entry
from pydantic import BaseModel

from mooring_operator.adapters.audit import Audit, AuditUnavailable, NoAudit
from mooring_operator.adapters.cluster import Cluster, Manifest
from mooring_operator.reconcile.wire import write_status

logger = logging.getLogger(__name__)

_MOST_OWED = 1000
_MOMENT_S = 1.0
"""What going back waits for a store that stalls."""
_AGAIN_S = 5.0


class Decisions:
    """The one writer of statuses that say what was decided.

    again: seconds until what is owed to the store is tried again.
    """

    def __init__(self, cluster: Cluster, audit: Audit | None = None, *, again: float = _AGAIN_S) -> None:
        self._cluster = cluster
        self._audit = audit or NoAudit()
        self._again = again
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._owed: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
        """What was decided and is not recorded yet, by namespace and id."""
        self._paying: dict[str, asyncio.Task[None]] = {}
        self._recorded: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
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
        if not entries:
            return await write_status(self._cluster, resource, status)
        await self.record(resource, entries, waits=waits)
        return await self.write_recorded(resource, status)

    async def write_recorded(self, resource: Manifest, status: BaseModel) -> Manifest:
        """Have `resource` carry a decision that `record` has taken: the same once more, later, is another one.

        Raises:
            Conflict: somebody has written the object since it was read.
        """
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
        recorded = self._recorded[uid]
        # Somebody may have written the object meanwhile: what is decided again then is one decision.
        new = [entry for entry in entries if _said(entry) not in recorded]
        if not waits:
            self._owe(namespace, new)
            recorded |= {_said(entry) for entry in new}
            await self._pay_soon(namespace)
            return
        async with self._locks[namespace]:
            await self._pay(namespace)
            for entry in new:
                await self._audit.append(namespace, [entry])
                recorded.add(_said(entry))

    def _owe(self, namespace: str, entries: Sequence[Entry]) -> None:
        owed = self._owed[namespace]
        owed.update((entry.id, entry) for entry in entries)
        while len(owed) > _MOST_OWED:
            del owed[next(iter(owed))]

    async def _pay(self, namespace: str) -> None:
        """Record what is owed, in its order; with the namespace's lock."""
        for entry in list(self._owed[namespace].values()):
            await self._audit.append(namespace, [entry])
            self._owed[namespace].pop(entry.id, None)

    async def _pay_soon(self, namespace: str) -> None:
        """Record what is owed at once where the store takes it, and else without anybody who waits for it."""
        try:
            async with asyncio.timeout(_MOMENT_S), self._locks[namespace]:
                await self._pay(namespace)
        except (AuditUnavailable, TimeoutError) as error:
            why = str(error) or f"the store has not answered within {_MOMENT_S:g} s"
            for entry in self._owed[namespace].values():
                logger.error(
                    "decided before it could be recorded, for it takes traffic back (%s): %s %s/%s: %s by %s: %s",
                    why,
                    entry.subject.kind,
                    namespace,
                    entry.subject.name,
                    entry.action,
                    entry.actor,
                    entry.message,
                )
            if namespace not in self._paying:
                self._paying[namespace] = asyncio.create_task(self._pay_in_the_end(namespace))

    async def _pay_in_the_end(self, namespace: str) -> None:
        try:
            while self._owed[namespace]:
                await asyncio.sleep(self._again)
                try:
                    async with self._locks[namespace]:
                        await self._pay(namespace)
                except AuditUnavailable as error:
                    logger.warning("what was decided in %s is not recorded yet: %s", namespace, error)
        finally:
            del self._paying[namespace]


def _said(entry: Entry) -> tuple[str, str]:
    return entry.action, entry.message
