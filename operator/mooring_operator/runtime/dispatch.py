"""From a key of the queue to the reconciler of its kind, within a deadline, and to words when that fails."""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Protocol

from mooring_operator.adapters.cluster import ClusterError, Conflict, Manifest, Unavailable
from mooring_operator.adapters.pools import Pool
from mooring_operator.planning.objects.owner import part
from mooring_operator.reconcile.failures import DeadlineExceeded, InternalError, ReconcileFailed
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key

logger = logging.getLogger(__name__)

REPORT_DEADLINE = 10.0
_MOST_DELETED = 1000


class Reconcilers(Protocol):
    """The controllers of all kinds."""

    @property
    def pools(self) -> Sequence[Pool]:
        """The pools of the outside systems, to be watched."""
        ...

    @property
    def left(self) -> int:
        """Number of objects that another operator of the cluster works on."""
        ...

    async def reconcile(self, key: Key) -> float | None:
        """Bring one object a step further; give the seconds until the next, None: only on a change."""
        ...

    async def deleted(self, kind: str, body: Manifest) -> None:
        """Clean up after an object that is gone; `body` is its last state."""
        ...

    async def failed(self, key: Key, failure: ReconcileFailed) -> None:
        """Say on the object that reconciling it failed."""
        ...

    def bindings_changed(self) -> None:
        """Look up anew which ClusterModelPolicies bind which namespaces."""
        ...


class Dispatch:
    """Works on a key: first on deletions of its objects, then on the object; `deadline` seconds in all.

    Deletions travel with the key so that they too are serial, repeated after failures, and left to
    the leader. A replica that stands by keeps the last few, in case a leader goes between a deletion
    and the work on it.

    `expected` are exceptions that are part of life: the reconciler has said what there is to say, or nothing
    can be said, for the API server is away. Any other becomes a condition of the object.
    """

    def __init__(
        self,
        reconcilers: Reconcilers,
        telemetry: Telemetry,
        *,
        deadline: float = 60.0,
        expected: tuple[type[Exception], ...] = (Conflict, Unavailable),
    ) -> None:
        self._reconcilers = reconcilers
        self._telemetry = telemetry
        self._deadline = deadline
        self._expected = expected
        self._deleted: OrderedDict[str, tuple[Key, Manifest]] = OrderedDict()

    def note_deleted(self, key: Key, body: Manifest) -> Key | None:
        """Remember the last state of an object that is gone, for the next work on its key.

        Returns:
            The key of an object that is forgotten in its place: one of the namespace that has most of them.
        """
        self._deleted[body["metadata"]["uid"]] = (key, _essence(body))
        if len(self._deleted) <= _MOST_DELETED:
            return None
        counts = Counter(key.namespace for key, _ in self._deleted.values())
        most = max(counts, key=lambda namespace: counts[namespace])
        uid = next(uid for uid, (key, _) in self._deleted.items() if key.namespace == most)
        forgotten, _ = self._deleted.pop(uid)
        logger.debug("too many deletions wait: nothing will be cleaned up after %s", forgotten)
        return forgotten

    async def __call__(self, key: Key) -> float | None:
        """Work on `key`; whatever the reconciler raises goes on to the queue."""
        try:
            with self._telemetry.reconcile(key.kind):
                return await self._work_in_time(key)
        except self._expected:
            raise
        except Exception as error:
            failure = error if isinstance(error, ReconcileFailed) else InternalError(error)
            await self._tell(key, failure)
            raise failure from error

    async def _work_in_time(self, key: Key) -> float | None:
        limit = asyncio.timeout(self._deadline)
        try:
            async with limit:
                return await self._work(key)
        except TimeoutError as error:
            if limit.expired():
                raise DeadlineExceeded(self._deadline) from error
            raise

    async def _work(self, key: Key) -> float | None:
        for uid, (_, body) in [item for item in self._deleted.items() if item[1][0] == key]:
            await self._reconcilers.deleted(key.kind, body)
            self._deleted.pop(uid, None)
        return await self._reconcilers.reconcile(key)

    async def _tell(self, key: Key, failure: ReconcileFailed) -> None:
        try:
            async with asyncio.timeout(REPORT_DEADLINE):
                await self._reconcilers.failed(key, failure)
        except (ClusterError, TimeoutError) as error:
            logger.warning("%s cannot be said on the resource: %s", failure.reason, error or "no answer")


def _essence(body: Manifest) -> Manifest:
    """Give what cleaning up needs of an object: who it was, its status, and by what it was being judged."""
    kept: Manifest = {name: body[name] for name in ("apiVersion", "kind", "status") if name in body}
    kept["metadata"] = {name: body["metadata"][name] for name in ("namespace", "name", "uid")}
    spec = part(body, "spec")
    if part(body, "status").get("analysis") and (analysis := part(spec, "rollout").get("analysis")):
        # Not all of a spec: there may be many, and they may be large.
        kept["spec"] = {"model": spec.get("model"), "rollout": {"analysis": analysis}}
    return kept
