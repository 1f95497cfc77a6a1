"""From a key of the queue to the reconciler of its kind."""

from collections import OrderedDict
from typing import Protocol

from mooring_operator.adapters.cluster import Manifest
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key

_MOST_DELETED = 200


class Reconcilers(Protocol):
    """The controllers of all kinds."""

    async def reconcile(self, key: Key) -> float | None:
        """Bring one object a step further; give the seconds until the next, None: only on a change."""
        ...

    async def deleted(self, kind: str, body: Manifest) -> None:
        """Clean up after an object that is gone; `body` is its last state."""
        ...


class Dispatch:
    """Works on a key: first on deletions of its objects, then on the object.

    Deletions travel with the key so that they too are serial, repeated after failures, and left to
    the leader. A replica that stands by keeps the last few, in case a leader goes between a deletion
    and the work on it.
    """

    def __init__(self, reconcilers: Reconcilers, telemetry: Telemetry) -> None:
        self._reconcilers = reconcilers
        self._telemetry = telemetry
        self._deleted: OrderedDict[str, tuple[Key, Manifest]] = OrderedDict()

    def note_deleted(self, key: Key, body: Manifest) -> None:
        """Remember the last state of an object that is gone, for the next work on its key."""
        self._deleted[body["metadata"]["uid"]] = (key, body)
        while len(self._deleted) > _MOST_DELETED:
            self._deleted.popitem(last=False)

    async def __call__(self, key: Key) -> float | None:
        """Work on `key`; whatever the reconciler raises goes on to the queue."""
        with self._telemetry.reconcile(key.kind):
            for uid, (_, body) in [item for item in self._deleted.items() if item[1][0] == key]:
                await self._reconcilers.deleted(key.kind, body)
                self._deleted.pop(uid, None)
            return await self._reconcilers.reconcile(key)
