"""Who leads: the decisions of leader election, without I/O."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from mooring_operator.adapters.cluster import Manifest
from mooring_operator.planning.leases import DURATION, Sighting


@dataclass(frozen=True)
class Terms:
    """Times of the election, in seconds.

    A leader that could not renew for `renew_deadline` stops; others wait `duration`. What lies
    between is the time that it has for stopping.
    """

    duration: float = DURATION
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError("leader election needs 0 < retry < renew deadline < lease duration")


class Step(Enum):
    """What to do about the Lease now."""

    CREATE = auto()
    TAKE = auto()
    RENEW = auto()
    WAIT = auto()


class Election:
    """Remembers what was seen of the Lease, and when, by a monotonic clock in seconds."""

    def __init__(self, identity: str, terms: Terms) -> None:
        self.identity = identity
        self.terms = terms
        self._sighting = Sighting()

    def decide(self, lease: Manifest | None, now: float) -> Step:
        """Decide on a Lease just read; None: there is none."""
        if lease is None:
            self._sighting = Sighting()
            return Step.CREATE
        spec = lease.get("spec") or {}
        is_held = self._sighting.is_held(spec, now, duration=self.terms.duration)
        if spec.get("holderIdentity") == self.identity:
            return Step.RENEW
        return Step.WAIT if is_held else Step.TAKE

    def lost(self, renewed_at: float, now: float) -> bool:
        """Whether a leader whose last renewal was sent at `renewed_at` must stop."""
        return now - renewed_at >= self.terms.renew_deadline


def new_lease(namespace: str, name: str) -> Manifest:
    """Give a Lease that nobody holds."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {},
    }


def held(lease: Manifest, identity: str, duration: float, now: datetime) -> Manifest:
    """Give `lease` as held by `identity`; `now` is for people to read."""
    spec = lease.get("spec") or {}
    mine = spec.get("holderIdentity") == identity
    time = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    # Every change of hands counts, but not the first.
    changes = spec.get("leaseTransitions", 0) + (0 if mine or "acquireTime" not in spec else 1)
    return {
        **lease,
        "spec": {
            **spec,
            "holderIdentity": identity,
            "leaseDurationSeconds": math.ceil(duration),
            "acquireTime": spec["acquireTime"] if mine else time,
            "renewTime": time,
            "leaseTransitions": changes,
        },
    }


def released(lease: Manifest, now: datetime) -> Manifest:
    """Give `lease` as held by nobody, so that a successor need not wait."""
    time = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": time}
    return {**lease, "spec": spec}
