"""The port for the audit trail, and its adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mooring_artifacts.audit.records import Entry
from mooring_artifacts.audit.trail import Trail
from mooring_artifacts.errors import StoreUnavailable

from mooring_operator.adapters.pools import Pool


class AuditUnavailable(Exception):
    """What was decided cannot be recorded now: try again later."""


class Audit(Protocol):
    """Where decisions are recorded, before they take effect."""

    async def append(self, namespace: str, entries: Sequence[Entry]) -> None:
        """Record decisions; one that is recorded already is not recorded again.

        Raises:
            AuditUnavailable: the store does not take them now.
        """
        ...


class StoredAudit:
    """The trail in a store."""

    def __init__(self, root: str, pool: Pool | None = None) -> None:
        self._trail = Trail(root)
        self._pool = pool or Pool("audit trail", AuditUnavailable)

    async def append(self, namespace: str, entries: Sequence[Entry]) -> None:
        """Record decisions; one that is recorded already is not recorded again."""
        try:
            await self._pool.call(lambda: self._trail.append(namespace, entries))
        except StoreUnavailable as error:
            raise AuditUnavailable(str(error)) from error


class NoAudit:
    """Nothing is recorded: no trail was set up."""

    async def append(self, namespace: str, entries: Sequence[Entry]) -> None:
        """Do nothing."""
