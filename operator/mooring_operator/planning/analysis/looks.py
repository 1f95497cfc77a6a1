"""Looks out of what was counted: both revisions at the same times, oldest first."""

from collections.abc import Mapping, Sequence

from mooring_operator.planning.analysis.bets import Look
from mooring_operator.planning.analysis.histograms import Histogram, added_up
from mooring_operator.planning.analysis.latency import Exceedance
from mooring_operator.planning.analysis.prediction_drift import CellLook

Counts = Mapping[str, Mapping[float, float]]
"""By revision and time."""

Histograms = Mapping[str, Mapping[float, Histogram]]
"""By revision and time."""

Predicted = Mapping[str, Mapping[float, Mapping[str, float]]]
"""How often each prediction was made, by revision and time."""

_NOTHING = Histogram((), (), 0.0)


def pair(events: Counts, requests: Counts, candidate: str, stable: str) -> dict[float, Look]:
    """Give a look for each time at which something was counted; a revision that is not there counted nothing.

    Events and requests are two queries: a scrape between them may add an event without its request. It is taken for
    a request then, which is the cautious reading.
    """
    times = sorted({at for by_time in (*requests.values(), *events.values()) for at in by_time})
    return {
        at: Look(
            _at(events, candidate, at),
            max(_at(requests, candidate, at), _at(events, candidate, at)),
            _at(events, stable, at),
            max(_at(requests, stable, at), _at(events, stable, at)),
        )
        for at in times
    }


def pair_slow(histograms: Histograms, decided: Exceedance, candidate: str, stable: str) -> dict[float, Look]:
    """Give a look at how many requests took longer than was decided, for each time at which something was counted.

    Raises:
        NoResolutionError: a histogram has not the bounds that were decided on.
    """
    times = sorted({at for by_time in histograms.values() for at in by_time})
    return {
        at: decided.look(
            histograms.get(candidate, {}).get(at, _NOTHING), histograms.get(stable, {}).get(at, _NOTHING)
        )
        for at in times
    }


def pair_predictions(
    predicted: Predicted, sets: Sequence[str], candidate: str, stable: str
) -> dict[float, CellLook]:
    """Give a look at sets of predictions for each time at which something was counted."""
    times = sorted({at for by_time in predicted.values() for at in by_time})
    both = (predicted.get(candidate, {}), predicted.get(stable, {}))
    return {at: CellLook.of(sets, *(by_time.get(at, {}) for by_time in both)) for at in times}


def rest(part: Counts, counts: Counts) -> dict[str, dict[float, float]]:
    """Give what is left of counts without a part of them; a part that is larger leaves nothing."""
    return {
        revision: {at: max(count - _at(part, revision, at), 0.0) for at, count in by_time.items()}
        for revision, by_time in counts.items()
    }


def together(histograms: Mapping[float, Histogram]) -> Histogram:
    """Add up the histograms of all times that are of the newest one's kind, by the bounds that they share."""
    return added_up([histograms[at] for at in sorted(histograms)])


def _at(counts: Counts, revision: str, at: float) -> float:
    return counts.get(revision, {}).get(at, 0.0)
