"""Copies of requests in a rehearsal: how many of the pairs are answered otherwise, look by look."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.api.strategies import Shadow
from mooring_operator.planning.analysis.agreements import AgreementQuery, Copies, PairCounts, stretch
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.measuring import Measurement


def share_copied(rollout: RolloutSpec) -> float:
    """Give the share of the requests that a rollout sends copies of, while it does."""
    return (rollout.shadow or Shadow()).percent / 100 if rollout.strategy == "Shadow" else 0.0


def compared(
    request: Request,
    differing: Mapping[str, float],
    per_second: float,
    count: Callable[[float, float], float],
) -> dict[str, tuple[Measurement, ...]]:
    """Give what looks at pairs find, of agreements of which `differing` says the share that differs.

    per_second: copies that are sent, until `request.copies` says that they have ended.
    """
    return {
        query.name: tuple(_looks(request, query.query, differing[query.name], per_second, count, times))
        for query in request.queries
        if isinstance(query.query, AgreementQuery) and query.name in differing
        for times in [query.times(request.began or request.since, request.since, request.until)]
    }


def _looks(
    request: Request,
    query: AgreementQuery,
    share: float,
    per_second: float,
    count: Callable[[float, float], float],
    times: list[datetime],
) -> Iterator[Measurement]:
    began, joined = request.began or request.since, dict(request.joined)
    for at in times:
        if request.copies.problem:
            yield Measurement(at.timestamp(), "Error", request.copies.problem)
            continue
        found = stretch(query.agreement, request.copies, began, joined, at)
        if found is None:
            continue
        joined[query.name] = int((found[1] - began).total_seconds())
        pairs = round(per_second * _seconds(found, request.copies))
        differ = min(round(count(pairs, share)), pairs)
        counts = PairCounts(pairs, differ, joined[query.name])
        yield Measurement(at.timestamp(), "Success", f"{differ} of {pairs} differ", pairs=counts)


def _seconds(stretch: tuple[datetime, datetime], copies: Copies) -> float:
    """Give for how much of a stretch copies were sent."""
    since, until = stretch
    return max((min(until, copies.until or until) - since).total_seconds(), 0.0)
