"""What an answer of Prometheus means: counts and histograms of each look.

Source: Prometheus 3, the HTTP API.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil, isfinite, nan
from typing import Any

from mooring_operator.planning.analysis.histograms import Histogram, NotAtOneTimeError
from mooring_operator.planning.analysis.queries import AnswerUnusableError
from mooring_operator.planning.status.wording import one_line

MOST_COUNTED = 2.0**53
"""Whole numbers up to that are exact; nothing has counted more."""
LEAST_COUNTED = 1e-9
"""Less is what subtractions leave of counters that are no whole numbers: it is nothing."""


class OtherTimesError(AnswerUnusableError):
    """Prometheus answered about other times than it was asked about: with what it, or somebody before it, has kept."""


class NotPrometheusError(AnswerUnusableError):
    """Who answers does not do so as Prometheus does: it is another program, or another path."""


@dataclass(frozen=True)
class Times:
    """Which times are asked about, in seconds: from `first` on, `every` so many, up to `last`."""

    first: float
    last: float
    every: float

    def asked(self, at: float) -> float:
        """Give the time that was asked about, of one that an answer has.

        Whoever keeps answers may move them all down to multiples of the step, as Thanos' query frontend does.

        Raises:
            OtherTimesError: it is none of them.
        """
        number = ceil((at - self.first) / self.every - 0.001) if isfinite(at) else -1
        if not 0 <= number <= (self.last - self.first) / self.every + 0.001:
            # No numbers: it becomes a status, which is written when it changes.
            raise OtherTimesError(
                "Prometheus answers about other times than it was asked about: does a cache before it give what was "
                "asked earlier? Ask past the cache, or switch it off for /api/v1/query_range"
            )
        return self.first + number * self.every


def read_counts(answer: Any, arm: str, times: Times) -> dict[str, dict[float, float]]:
    """Give the values of a range query by arm and time.

    Raises:
        AnswerUnusableError: it is an error, of another kind, has two series for one arm, or a value that is no count.
    """
    found: dict[str, dict[float, float]] = {}
    for labels, values in _counts(answer, times):
        name = _label(labels, arm)
        if name in found:
            raise AnswerUnusableError(f"there are several series for {arm} {name}: sum them up by {arm}")
        found[name] = values
    return found


def read_predictions(
    answer: Any, arm: str, label: str, times: Times
) -> dict[str, dict[float, dict[str, float]]]:
    """Give how often each prediction was made in a range query, by arm and time.

    Raises:
        AnswerUnusableError: as `read_counts`.
    """
    found: dict[str, dict[float, dict[str, float]]] = {}
    for labels, values in _counts(answer, times):
        by_time, cell = found.setdefault(_label(labels, arm), {}), _label(labels, label)
        for at, count in values.items():
            by_time.setdefault(at, {})[cell] = count
    return found


def read_buckets(answer: Any, arm: str, times: Times, unit: float = 1.0) -> dict[str, dict[float, Histogram]]:
    """Give the histograms of a range query by arm and time.

    Raises:
        AnswerUnusableError: as `read_counts`, or the buckets are not those of a histogram.
    """
    buckets: dict[str, dict[float, dict[float, float]]] = {}
    for labels, values in _counts(answer, times):
        by_time, bound = buckets.setdefault(_label(labels, arm), {}), _bound(_label(labels, "le")) * unit
        for at, count in values.items():
            counts = by_time.setdefault(at, {})
            # Exporters write one bound in several ways: le="1" and le="1.0" are the same bucket.
            counts[bound] = counts.get(bound, 0.0) + count
    return _whole(
        {
            name: {at: partial(Histogram.of_buckets, list(counts.items())) for at, counts in by_time.items()}
            for name, by_time in buckets.items()
        }
    )


def read_natives(answer: Any, arm: str, times: Times, unit: float = 1.0) -> dict[str, dict[float, Histogram]]:
    """Give the native histograms of a range query by arm and time; none of who does not know them and refuses.

    Raises:
        AnswerUnusableError: as `read_buckets`.
    """
    if isinstance(answer, dict) and answer.get("status") == "error":
        return {}
    found: dict[str, dict[float, Callable[[], Histogram]]] = {}
    for labels, histograms in _series(answer, "histograms"):
        if not histograms:
            continue
        name = _label(labels, arm)
        if name in found:
            raise AnswerUnusableError(f"there are several series for {arm} {name}: sum them up by {arm}")
        found[name] = {
            times.asked(at): partial(_native, histogram, labels, unit) for at, histogram in histograms
        }
    return _whole(found)


def finest(
    classic: dict[str, dict[float, Histogram]], native: dict[str, dict[float, Histogram]]
) -> dict[str, dict[float, Histogram]]:
    """Give the native histograms, which resolve more, where every revision has them; else the classic ones."""
    return native if set(classic) <= set(native) else classic


def _whole(
    found: Mapping[str, Mapping[float, Callable[[], Histogram]]],
) -> dict[str, dict[float, Histogram]]:
    """Give the histograms of the looks that are whole.

    Where a server begins anew within a look, and some buckets soon have more than before, the look tells nothing.

    Raises:
        AnswerUnusableError: none is whole, or one is no histogram.
    """
    whole: dict[str, dict[float, Histogram]] = {}
    torn = ""
    for name, by_time in found.items():
        for at, histogram in by_time.items():
            try:
                whole.setdefault(name, {})[at] = histogram()
            except NotAtOneTimeError as error:
                torn = str(error)
            except ValueError as error:
                raise AnswerUnusableError(str(error)) from None
    if torn and not any(whole.values()):
        raise AnswerUnusableError(torn)
    return whole


def _native(histogram: Any, labels: Mapping[str, str], unit: float) -> Histogram:
    try:
        buckets = [
            (float(lower) * unit, float(upper) * unit, float(count))
            for _, lower, upper, count in histogram.get("buckets", [])
        ]
        total = histogram["count"]
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        raise NotPrometheusError(_NO_SERIES) from None
    counted = [_count(count, labels) if not count < 0 else count for _, _, count in buckets]
    kept = [(lower, upper, count) for (lower, upper, _), count in zip(buckets, counted, strict=True) if count]
    return Histogram.of_native(kept, _count(total, labels))


def read_values(answer: Any, times: Times) -> dict[float, list[float]]:
    """Give the values of a range query by time, of all of its series; also those that are no numbers.

    Raises:
        AnswerUnusableError: it is an error, or of another kind.
    """
    found: dict[float, list[float]] = {}
    for _, values in _series(answer):
        for at, value in values:
            found.setdefault(times.asked(at), []).append(_as_number(value))
    return found


_NO_SERIES = "what answers does not write time series as Prometheus does"


def _counts(answer: Any, times: Times) -> Iterator[tuple[dict[str, str], dict[float, float]]]:
    """Yield the labels of each series, and its counts by time."""
    for labels, values in _series(answer):
        counts = [(at, _count(value, labels)) for at, value in values]
        yield labels, {times.asked(at): count for at, count in counts}


def _series(answer: Any, kind: str = "values") -> Iterator[tuple[dict[str, str], list[tuple[float, Any]]]]:
    """Yield the labels of each series, and its values with their times, or its native histograms."""
    if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
        raise NotPrometheusError("what answers is not Prometheus: its JSON has no status success or error")
    if answer["status"] == "error":
        said = one_line(str(answer.get("error") or "it does not say why"), 450)
        raise AnswerUnusableError(f"Prometheus refused the query: {said}")
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise NotPrometheusError("Prometheus gave no time series, where a range was asked for")
    result = data.get("result", [])
    if not isinstance(result, list):
        raise NotPrometheusError(_NO_SERIES)
    for series in result:
        try:
            labels = dict(series["metric"])
            if kind == "values" and not series.get("values") and series.get("histograms"):
                raise AnswerUnusableError(
                    "Prometheus gave a native histogram, where numbers were asked for: take one of it, as by "
                    "histogram_count(), or scrape its classic buckets too"
                )
            values = [
                (float(at), value)
                for at, value in (series[kind] if kind == "values" else series.get(kind, []))
            ]
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            raise NotPrometheusError(_NO_SERIES) from None
        if not all(isinstance(text, str) for text in (*labels, *labels.values())):
            raise NotPrometheusError(_NO_SERIES)
        yield labels, values


def _label(labels: Mapping[str, str], name: str) -> str:
    if name not in labels:
        raise AnswerUnusableError(f"a series has no label {name}: revisions and buckets cannot be told apart")
    return labels[name]


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise AnswerUnusableError(f"the bucket le={text} is no number") from None


def _as_number(text: Any) -> float:
    """Give the number that a value is; NaN where it is none."""
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return nan


def _count(text: Any, labels: Mapping[str, str]) -> float:
    value = _as_number(text)
    if not 0 <= value <= MOST_COUNTED:
        raise AnswerUnusableError(
            f"the series {_shown(labels)} has {text!r:.40}, which is no count: what is asked for has to be a "
            "counter, and nothing that goes down or divides"
        )
    return value if value >= LEAST_COUNTED else 0.0


def _shown(labels: Mapping[str, str]) -> str:
    """Write labels as PromQL does."""
    pairs = (f"{one_line(name, 40)}={json.dumps(one_line(value, 80))}" for name, value in labels.items())
    return one_line(f"{{{', '.join(pairs)}}}", 200)
