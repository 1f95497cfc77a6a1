"""Counts of each look, out of Prometheus: what is asked for, and what an answer means.

A count is what counters grew by between two looks, sample by sample. ``increase()`` would extrapolate to the edges of
its window: its counts are no whole numbers, and those of looks side by side overlap.

Source: Prometheus 3, querying basics and the HTTP API.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

# A series whose scrapes fail for less goes on from its last value; counted afresh, it would count twice.
_MEMORY = "1h"


class AnswerUnusableError(Exception):
    """Prometheus answered, and not with what can be judged; the message says with what."""


@dataclass(frozen=True)
class Rate:
    """A rate of counters: some of the requests are events.

    counter: name of the counter of requests. events: matchers of those that are events, as ``code=~"5.."``.
    arm: label that tells revisions apart.
    """

    counter: str
    events: str
    arm: str = "revision"


RATES: Mapping[str, Rate] = {
    "errorRate": Rate("mooring_inference_requests_total", 'code=~"5.."'),
    "rejectedRate": Rate("mooring_inference_requests_total", 'code=~"4.."'),
}
"""Ready-made rates of our runtime, by the name that specs use."""


@dataclass(frozen=True)
class Question:
    """Which rate is asked for, of which revisions; `matchers` narrow it (a namespace)."""

    rate: Rate
    revisions: tuple[str, ...]
    matchers: tuple[str, ...] = ()
    every_s: int = 10

    @property
    def requests(self) -> str:
        """PromQL of the requests of each look, by revision."""
        return self._counts("")

    @property
    def events(self) -> str:
        """PromQL of the events of each look, by revision."""
        return self._counts(self.rate.events)

    def _counts(self, more: str) -> str:
        chosen = f'{self.rate.arm}=~"{"|".join(self.revisions)}"'
        selected = (
            f"{self.rate.counter}{{{','.join(part for part in (chosen, *self.matchers, more) if part)}}}"
        )
        before = f"last_over_time({selected}[{_MEMORY}] offset {self.every_s}s)"
        # A counter that fell was reset, and one that was not there before begins: both have grown by what they show.
        return f"sum by ({self.rate.arm}) (({selected} - {before}) >= 0 or {selected})"


def quoted(value: str) -> str:
    """Write a label's value as PromQL has it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def read_matrix(answer: Any, arm: str) -> dict[str, dict[float, float]]:
    """Give the values of a range query by arm and time.

    Raises:
        AnswerUnusableError: it is an error, of another kind, has two series for one arm, or a value that is no number.
    """
    if not isinstance(answer, dict) or answer.get("status") != "success":
        said = answer.get("error", "") if isinstance(answer, dict) else ""
        raise AnswerUnusableError(f"Prometheus refused the query: {said}"[:500])
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise AnswerUnusableError("Prometheus gave no time series, where a range was asked for")
    found: dict[str, dict[float, float]] = {}
    for series in data.get("result", []):
        name = series.get("metric", {}).get(arm)
        if name is None:
            raise AnswerUnusableError(f"a series has no label {arm}: revisions cannot be told apart")
        if name in found:
            raise AnswerUnusableError(f"there are several series for {arm} {name}: sum them up by {arm}")
        found[name] = {float(at): _number(value, name) for at, value in series.get("values", [])}
    return found


def _number(text: str, arm: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise AnswerUnusableError(f"{arm}: the value {text} is no count")
    return value
