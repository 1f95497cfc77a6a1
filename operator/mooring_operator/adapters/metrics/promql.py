"""Queries in PromQL: measured at all times that are due, with one question."""

from mooring_operator.adapters.metrics.port import Metrics
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.measuring import Reading, UsedQuery, number_of
from mooring_operator.planning.analysis.queries import AnswerUnusableError


class PromQL:
    """Implements `Provider` by whatever keeps the counters."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def read(self, request: Request, query: UsedQuery) -> list[Reading]:
        """Ask for the number of each time; those of an outage are made up for."""
        times = request.times(query)
        if not times:
            return []
        try:
            asked = query.promql(request.namespace, request.name, request.candidate, request.stable)
            found = await self._metrics.values(asked, times[0], times[-1], query.query.interval)
        except (AnswerUnusableError, ValueError) as error:
            return [Reading(at, problem=str(error)) for at in times]
        return [Reading.of(at, number_of(found.get(at.timestamp(), ()))) for at in times]
