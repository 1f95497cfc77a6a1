"""Looks out of what was counted: both revisions at the same times, oldest first."""

from collections.abc import Mapping

from mooring_operator.planning.analysis.bets import Look

Counts = Mapping[str, Mapping[float, float]]
"""By revision and time."""


def pair(events: Counts, requests: Counts, candidate: str, stable: str) -> list[Look]:
    """Give a look for each time at which something was counted; a revision that is not there counted nothing.

    Events and requests are two queries: a scrape between them may add an event without its request. It is taken for
    a request then, which is the cautious reading.
    """
    times = sorted({at for by_time in (*requests.values(), *events.values()) for at in by_time})
    return [
        Look(
            _at(events, candidate, at),
            max(_at(requests, candidate, at), _at(events, candidate, at)),
            _at(events, stable, at),
            max(_at(requests, stable, at), _at(events, stable, at)),
        )
        for at in times
    ]


def _at(counts: Counts, revision: str, at: float) -> float:
    return counts.get(revision, {}).get(at, 0.0)
