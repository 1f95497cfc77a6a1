"""Which install of Mooring works on an object: the one whose Lease ``status.operator`` names.

Two installs that watch one namespace would both do all that there is to do. Each writes its name with the first
status that it writes, by the version that it has read: of two at once one wins, and nothing is done before. Whoever
finds another name looks at that Lease: while it is held the object is left alone, and then it is taken over.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mooring_operator.adapters.cluster import Cluster, Forbidden, Kind, Ref
from mooring_operator.adapters.notifier import Notifier
from mooring_operator.api import forms, reasons
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.leases import Sighting
from mooring_operator.planning.objects.owner import Manifest, part
from mooring_operator.planning.status.reading import Status

logger = logging.getLogger(__name__)

AGAIN_S = 15.0
"""Seconds until an object is looked at again that another install is known to work on."""
SOON_S = 5.0
"""Seconds until that is known: longer than it takes to renew a Lease."""
_FRESH_S = 2.0
_LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")

_Key = tuple[str, str, str]


@dataclass
class _Other:
    """Another install, as its Lease was last seen, for `good_until` by our clock; `problem`: why it cannot be."""

    sighting: Sighting = field(default_factory=Sighting)
    held: bool = True
    problem: str = ""
    good_until: float = float("-inf")

    @property
    def is_known(self) -> bool:
        """Whether it was seen to be at work, or nobody can see that."""
        return self.held and (self.sighting.renewed or bool(self.problem))


class Installs:
    """Tells the objects of this install from those of others.

    me: the Lease of this install, as NAMESPACE/NAME; empty where it holds none, and can therefore claim nothing.
    """

    def __init__(
        self, cluster: Cluster, notifier: Notifier, me: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._notifier = notifier
        self._me = me
        self._clock = clock
        self._looking = asyncio.Lock()
        self._others: dict[str, _Other] = {}
        self._left: dict[_Key, str] = {}
        """What is left to others, and whom of it was said."""

    @property
    def left(self) -> int:
        """Number of objects that are left to others."""
        return len(self._left)

    def leaves(self, kind: str, namespace: str, name: str) -> bool:
        """Whether an object was left to another install when it was last looked at."""
        return (kind, namespace, name) in self._left

    def sign(self, status: Status) -> Status:
        """Give `status` as that of an object that this install works on."""
        return status.model_copy(update={"operator": self._me or None})

    async def leave(self, resource: Manifest) -> float | None:
        """Leave an object alone that another install works on, and tell people so, once.

        Returns:
            Seconds until it is to be looked at again; None where it is this install's to work on.

        Raises:
            ClusterError: the API server does not answer.
        """
        key, name = _key(resource), operator_of(resource)
        if not await self.is_anothers(resource):
            self._left.pop(key, None)
            return None
        other = self._others[name]
        said = self._left.setdefault(key, "")
        if not other.is_known:
            return SOON_S
        if said != (about := f"{resource['metadata']['uid']} {name}"):
            self._left[key] = about
            await self._notifier.notify(resource, Notify("Warning", reasons.OTHER_OPERATOR, self._text(name)))
        return AGAIN_S

    def forget(self, kind: str, namespace: str, name: str) -> None:
        """Leave what is remembered of an object that is gone."""
        self._left.pop((kind, namespace, name), None)

    async def is_anothers(self, resource: Manifest) -> bool:
        """Whether another install, which may be at work, has the object.

        Raises:
            ClusterError: the API server does not answer.
        """
        name = operator_of(resource)
        if name in ("", self._me):
            return False
        async with self._looking:
            other = self._others.setdefault(name, _Other())
            if self._clock() >= other.good_until:
                await self._look(name, other)
        return other.held

    async def _look(self, name: str, other: _Other) -> None:
        namespace, _, lease_name = name.partition("/")
        was_held, now = other.held, self._clock()
        try:
            lease = await self._cluster.get(Ref(_LEASE, namespace, lease_name))
        except Forbidden as error:
            other.held, other.problem = True, str(error)
        else:
            other.held = other.sighting.is_held((lease or {}).get("spec") or {}, now)
            other.problem = ""
        other.good_until = now + _FRESH_S
        if was_held and not other.held:
            logger.warning("nobody holds Lease %s any more: what that operator worked on is taken over", name)

    def _text(self, name: str) -> str:
        us = f"operator {self._me}" if self._me else "this operator, which holds no Lease,"
        problem = self._others[name].problem
        leaves = f"{us} leaves this alone, for operator {name} works on it (status.operator), and"
        if problem:
            return (
                f"{leaves} it cannot be seen whether that is at work: {problem}. Let this operator get that Lease "
                "(its ClusterRole names those it may), or, if that operator is gone, take status.operator away"
            )
        return (
            f"{leaves} its Lease is renewed. Remove one of the two, or give each namespaces of its own "
            "(MOORING_NAMESPACES)"
        )


def operator_of(resource: Manifest) -> str:
    """Give the Lease of the install that works on an object, as its status says; empty where it names none."""
    name = part(resource, "status").get("operator")
    # Whoever may write a status writes what is asked for below: only what can be two names is.
    return str(name) if forms.LEASE.fits(name) else ""


def _key(resource: Manifest) -> _Key:
    metadata = resource["metadata"]
    return resource["kind"], metadata["namespace"], metadata["name"]
