"""Measurements that run in the deployment's namespace: which one is due, and what it is called.

One takes a while, and the next one begins when it has ended. Which one is due follows from what the status keeps alone:
whoever comes to it, after a crash or beside another, comes to the same name, and what has that name is made once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from pydantic import JsonValue

from mooring_operator.planning import identity
from mooring_operator.planning.analysis.agreements import AgreementQuery, PairCounts, stretch
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.measuring import Reading, UsedQuery
from mooring_operator.planning.analysis.thresholds import Tally
from mooring_operator.planning.objects.owner import Owner

_GRACE = timedelta(minutes=5)
"""Whoever carries a measurement out ends it in time; one that has not ended so long after that is left."""


@dataclass(frozen=True)
class Due:
    """The measurement that is due, or under way.

    measurement_id: names whatever carries it out. at: when it was due.
    """

    owner: Owner
    query: UsedQuery
    request: Request
    measurement_id: str
    at: datetime

    @property
    def facts(self) -> dict[str, str]:
        """What it is told of the rollout, by names as those of a step's checks."""
        request = self.request
        told = {
            f"argument{name[:1].upper()}{name[1:]}": value for name, value in self.query.arguments.items()
        }
        return {
            "deployment": request.name,
            "namespace": request.namespace,
            "revision": request.candidate,
            "stableRevision": request.stable,
            "url": request.address,
            "query": self.query.name,
            "measurementId": self.measurement_id,
            **told,
        }

    @property
    def values(self) -> dict[str, str]:
        """What stands for places in what is asked."""
        request = self.request
        return self.query.values(request.namespace, request.name, request.candidate, request.stable)

    def found(
        self,
        begun: datetime | None,
        result: JsonValue = None,
        *,
        problem: str = "",
        failed: str = "",
        pairs: PairCounts | None = None,
    ) -> Reading:
        """Give the reading that ends it, in this look."""
        until, began = self.request.until, self.request.began or self.request.since
        return Reading(
            until,
            result,
            problem,
            failed,
            begun=max(begun, self.at) if begun is not None else self.at,
            settled=ceil((until - began).total_seconds()),
            pairs=pairs,
        )

    @property
    def stretch(self) -> tuple[datetime, datetime] | None:
        """From when to when pairs of an agreement are counted; None where all have been, and of what is none."""
        query, request = self.query.query, self.request
        if not isinstance(query, AgreementQuery):
            return None
        began = request.began or request.since
        return stretch(query.agreement, request.copies, began, request.joined, request.until)

    def is_late(self, begun: datetime | None, allowed: timedelta) -> bool:
        """Whether it should have ended long ago."""
        return self.request.until > (begun or self.at) + allowed + _GRACE


def due(request: Request, query: UsedQuery) -> Due | None:
    """Give the measurement of a query that is due, or under way; None where none is."""
    owner, began = request.owner, request.began or request.since
    settled = request.settled.get(query.name, 0)
    at = _after(query, began, settled)
    if owner is None or at > request.until:
        return None
    found = Due(owner, query, request, _id(owner, request.candidate, began, query, settled), at)
    return None if query.is_agreement and found.stretch is None else found


def under_way(
    owner: Owner,
    candidate: str,
    began: datetime,
    until: datetime,
    queries: Sequence[UsedQuery],
    tallies: Mapping[str, Tally],
) -> list[tuple[str, UsedQuery]]:
    """Give what may be under way at a time, in an analysis of `candidate` that `began` then: ids, and of what."""
    slow = [(query, tallies[query.name].settled) for query in queries if query.in_namespace]
    return [
        (_id(owner, candidate, began, query, settled), query)
        for query, settled in slow
        if _after(query, began, settled) <= until
    ]


def _after(query: UsedQuery, began: datetime, settled: int) -> datetime:
    return query.first_after(began, began + timedelta(seconds=settled))


def _id(owner: Owner, candidate: str, began: datetime, query: UsedQuery, settled: int) -> str:
    return identity.measurement_id_of(owner.uid, candidate, began, query.where, query.fingerprint, settled)
