"""Judge what was measured by gates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mooring_artifacts.gates import (
    LEAST_SLICE_ROWS,
    Difference,
    GatedSlices,
    Interval,
    TestGate,
    Violation,
    interval_in_words,
)

_LONGEST_REASON = 900
_MOST_NAMED = 5
BETTER_LOW = frozenset({"logLoss", "mae", "rmse", "mape"})
"""Metrics of what goes wrong; of all others that are compared more is better."""


class MeasuredSlice(Protocol):
    """A metric on the rows with one value in a column."""

    @property
    def column(self) -> str:
        """The column, cut at its 60th character."""

    @property
    def name(self) -> str:
        """The value, cut likewise."""

    @property
    def rows(self) -> int:
        """How many there are."""

    @property
    def metric(self) -> str:
        """What is measured."""

    @property
    def value(self) -> float:
        """Its estimate."""

    @property
    def interval(self) -> Interval | None:
        """Where it lies, where that is known."""


@dataclass(frozen=True)
class Findings:
    """What gates judge.

    slices: parts of the rows, the worst first.
    unmeasured: why a metric has no value. champion: whether there is one to compare with; incomparable: why it
    cannot be compared, by metric, or for all under "".
    """

    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    champion: bool = False
    differences: Mapping[str, Difference] = field(default_factory=dict)
    incomparable: Mapping[str, str] = field(default_factory=dict)
    slices: Sequence[MeasuredSlice] = ()


def slice_in_words(part: MeasuredSlice) -> str:
    """Give the interval of a slice, or say that it has too few rows to be judged by."""
    return interval_in_words(part.interval) if part.rows >= LEAST_SLICE_ROWS else "too few rows"


def judge(found: Findings, gates: Sequence[TestGate]) -> list[Violation]:
    """The gates that do not hold. A metric that is missing or not finite never passes."""
    return [violation for gate in gates for violation in _judge(found, gate)]


def _judge(found: Findings, gate: TestGate) -> Iterator[Violation]:
    """Yield at most one violation."""
    if gate.slice is None:
        value, message = found.metrics.get(gate.metric), next(_broken(found, gate), None)
    else:
        value, message = _judge_slices(found, gate, gate.slice)
    if message is not None:
        shown = value if value is not None and math.isfinite(value) else None
        yield Violation(metric=gate.metric, value=shown, min=gate.min, max=gate.max, message=message)


def _judge_slices(found: Findings, gate: TestGate, asked: GatedSlices) -> tuple[float | None, str | None]:
    """Give the value of the worst slice that breaks a gate, and a sentence about it; neither where all hold it."""
    parts = _slices(found, gate, asked)
    if isinstance(parts, str):
        return None, parts
    broken = []
    for part in parts:
        intervals: dict[str, Interval] = {} if part.interval is None else {gate.metric: part.interval}
        of_part = Findings({gate.metric: part.value}, intervals)
        broken += [(part, message) for message in _broken(of_part, gate)]
    if not broken:
        return None, None
    worst, message = broken[0]
    if asked.value is not None:
        several = ""
    elif len(broken) == 1:
        several = f", alone of {len(parts)} such parts"
    else:
        several = f", the worst of {len(broken)} of {len(parts)} such parts"
    return worst.value, f"{message} where {_shown(worst.column)} is {_shown(worst.name)}{several}"


def _slices(found: Findings, gate: TestGate, asked: GatedSlices) -> list[MeasuredSlice] | str:
    """Give the slices that a gate is about, the worst first; or why there is none to judge it by."""
    there = [part for part in found.slices if part.column == asked.column and part.metric == gate.metric]
    column = _shown(asked.column)
    if not there:
        why = "spec.ci.testData.slices does not name it, or its rows have no such metric"
        return f"{gate.metric} was not measured by the values of {column}: {why}"
    chosen = [part for part in there if asked.value in (None, part.name)]
    if not chosen:
        some = ", ".join(_shown(part.name) for part in there[:_MOST_NAMED])
        return (
            f"{gate.metric}: no rows where {column} is {_shown(asked.value)} were measured; there are {some}"
        )
    enough = [part for part in chosen if part.rows >= LEAST_SLICE_ROWS]
    if not enough:
        needed = f"{LEAST_SLICE_ROWS} are needed to judge {gate.metric}"
        if asked.value is None:
            return f"no value of {column} has more than {max(part.rows for part in chosen)} rows; {needed}"
        return f"there are {chosen[0].rows} rows where {column} is {_shown(asked.value)}; {needed}"
    return enough


def _shown(text: str | None) -> str:
    return repr(text)


def _broken(found: Findings, gate: TestGate) -> Iterator[str]:
    """Yield at most one sentence."""
    name, value = gate.metric, found.metrics.get(gate.metric)
    if value is None:
        why = found.unmeasured.get(name)
        yield f"{name} was not measured" + (f": {why}"[:_LONGEST_REASON] if why else "")
    elif not math.isfinite(value):
        yield f"{name} is {value}, which is not a finite number"
    elif (message := _beyond(found, gate, value) or _behind(found, gate, value)) is not None:
        yield message


def _beyond(found: Findings, gate: TestGate, value: float) -> str | None:
    """Say that the value, or its bound, is beyond min or max."""
    low, high = value, value
    if gate.means == "Bound" and (gate.min is not None or gate.max is not None):
        interval = found.intervals.get(gate.metric)
        if interval is None or interval.low is None or interval.high is None:
            return f"{gate.metric} {value:.6g} has no interval here, so that no bound of it can be judged"
        low, high = interval.low, interval.high
    if gate.min is not None and low < gate.min:
        how = f"may be as low as {low:.6g} (95 %), which is" if low != value else "is"
        return f"{gate.metric} {value:.6g} {how} below the minimum {gate.min:.6g}"
    if gate.max is not None and high > gate.max:
        how = f"may be as high as {high:.6g} (95 %), which is" if high != value else "is"
        return f"{gate.metric} {value:.6g} {how} above the maximum {gate.max:.6g}"
    return None


def _behind(found: Findings, gate: TestGate, value: float) -> str | None:
    """Say that the value is further behind the champion's than it may be."""
    if gate.not_worse_than is None or not found.champion:
        return None
    difference = found.differences.get(gate.metric)
    if difference is None:
        why = found.incomparable.get(gate.metric) or found.incomparable.get("") or "it was not measured"
        return f"{gate.metric} cannot be compared with the champion's: {why}"[:_LONGEST_REASON]
    sign = 1.0 if gate.metric in BETTER_LOW else -1.0
    worse = sign * difference.value
    theirs = value - difference.value
    allowed = f"{gate.margin:.6g} is allowed"
    if gate.means == "Estimate":
        if worse <= gate.margin:
            return None
        return f"{gate.metric} {value:.6g} is {worse:.6g} worse than the champion's {theirs:.6g}; {allowed}"
    bound = difference.high if sign > 0 else difference.low
    if bound is None:
        return (
            f"{gate.metric} {value:.6g} has no interval beside the champion's, so that no bound can be judged"
        )
    if sign * bound <= gate.margin:
        return None
    far = f"may be {sign * bound:.6g} worse (95 %) than the champion's {theirs:.6g}"
    return f"{gate.metric} {value:.6g} {far}; {allowed}"
