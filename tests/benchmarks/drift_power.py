"""How often windows alarm that should not, and how often those are found that should be.

    python -m tests.benchmarks.drift_power [--windows 60] [--baseline 100000] [--json FILE] [--streams]
        [--slices]

Each row of the table draws windows of 50 features and evaluates them as a DriftMonitor does by default. A case says how
the rows are made: independent, AR(1) (each value depends on the one before it), GARCH (quiet and loud times), a Markov
chain of categories, bursts of missing values; and what moves. A share of w windows has a standard error of at most
.5/sqrt(w). With --streams windows follow each other, and evidence over all of them decides
(`spec.sensitivity: normal`). With --slices rows are of five groups, each of which is a slice, as are five pairs of
groups; what moves, moves in one group.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.drift_slices import DriftSlice
from mooring_artifacts.feature_settings import NOTHING_DECLARED
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.prepared import PreparedBaseline
from mooring_components.drift.slices import cut, pair, prepare
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import FeatureDrift
from mooring_operator.planning.drift.evidence import weigh
from scipy.signal import lfilter

FEATURES = 50
GROUPS = ["a", "b", "c", "d", "e"]
MOVED = 3
_WARM_UP = 300
_NOW = datetime(2026, 11, 26, tzinfo=UTC)

Generator = np.random.Generator
Rows = npt.NDArray[np.float64]
Draw = Callable[[Generator, int, bool], pa.Table]


@dataclass(frozen=True)
class Case:
    """How windows are drawn: `draw(rng, rows, moved)`; the figure wanted is a largest or a least share."""

    name: str
    rows: int
    moved: bool
    wanted: str
    draw: Draw


@dataclass(frozen=True)
class Result:
    """Shares of the windows that alarm, and that name a feature which has not moved."""

    name: str
    rows: int
    windows: int
    alarms: float
    wrong: float
    wanted: str


def autoregressive(rng: Generator, rows: int, correlation: float) -> Rows:
    """(rows, FEATURES) normal numbers, each of which depends on the one before it."""
    noise = rng.standard_normal((rows + _WARM_UP, FEATURES)) * np.sqrt(1 - correlation**2)
    found: Rows = lfilter([1.0], [1.0, -correlation], noise, axis=0)[_WARM_UP:]
    return found


def volatile(rng: Generator, rows: int) -> Rows:
    """(rows, FEATURES) numbers that do not depend on each other, but whose sizes do: GARCH(1, 1)."""
    noise = rng.standard_normal((rows + _WARM_UP, FEATURES))
    variance, found = np.ones(FEATURES), np.empty_like(noise)
    for place, row in enumerate(noise):
        found[place] = row * np.sqrt(variance)
        variance = 0.05 + 0.25 * found[place] ** 2 + 0.70 * variance
    return found[_WARM_UP:]


def chain(rng: Generator, rows: int, stay: float, codes: int = 5) -> npt.NDArray[np.int64]:
    """(rows, FEATURES) categories, each of which stays what it was with a probability."""
    found = rng.integers(0, codes, (rows, FEATURES))
    stays = rng.random((rows, FEATURES)) < stay
    for place in range(1, rows):
        found[place] = np.where(stays[place], found[place - 1], found[place])
    return found


def _table(columns: npt.NDArray[np.generic]) -> pa.Table:
    return pa.table({f"f{place:02}": np.ascontiguousarray(columns[:, place]) for place in range(FEATURES)})


def _numbers(correlation: float, shift: float = 0.2, scale: float = 1.0) -> Draw:
    def draw(rng: Generator, rows: int, moved: bool) -> pa.Table:
        values = autoregressive(rng, rows, correlation)
        if moved:
            values[:, :MOVED] = values[:, :MOVED] * scale + shift
        return _table(values)

    return draw


def _volatile(rng: Generator, rows: int, moved: bool) -> pa.Table:
    return _table(volatile(rng, rows))


def _codes(stay: float) -> Draw:
    def draw(rng: Generator, rows: int, moved: bool) -> pa.Table:
        names = np.array([f"code {number}" for number in range(5)])
        return _table(names[chain(rng, rows, stay)])

    return draw


def _gaps(rng: Generator, rows: int, moved: bool) -> pa.Table:
    values = autoregressive(rng, rows, 0.0)
    values[chain(rng, rows, 0.9) == 0] = np.nan
    return _table(values)


def _nominal(rng: Generator, rows: int, moved: bool) -> pa.Table:
    """Fifty codes as integers; where they move, every other one is drawn less often."""
    values = rng.integers(0, 50, (rows, FEATURES))
    if moved:
        rarer = (values[:, :MOVED] % 2 == 1) & (rng.random((rows, MOVED)) < 0.5)
        values[:, :MOVED] -= rarer
    return _table(values)


CASES = [
    Case("independent", 500, False, "< .01", _numbers(0.0)),
    Case("independent", 1000, False, "< .01", _numbers(0.0)),
    Case("independent, 3 of 50 by .2 sigma", 500, True, ">= .97", _numbers(0.0)),
    Case("independent, 3 of 50 by .2 sigma", 1000, True, "1", _numbers(0.0)),
    Case("independent, 3 of 50 wider by 30 %", 1000, True, "", _numbers(0.0, 0.0, 1.3)),
    Case("AR(1) .3", 1000, False, "<= .05", _numbers(0.3)),
    Case("AR(1) .7", 500, False, "<= .05", _numbers(0.7)),
    Case("AR(1) .7", 1000, False, "<= .05", _numbers(0.7)),
    Case("AR(1) .9", 1000, False, "<= .05", _numbers(0.9)),
    Case("AR(1) .7, 3 of 50 by .5 sigma", 1000, True, "", _numbers(0.7, 0.5)),
    Case("GARCH(1, 1)", 1000, False, "<= .05", _volatile),
    Case("categories that stay with .7", 1000, False, "<= .05", _codes(0.7)),
    Case("missing in bursts", 1000, False, "<= .05", _gaps),
    Case("50 codes as integers", 1000, False, "< .01", _nominal),
    Case("50 codes as integers, 3 of 50 by a variation of .25", 1000, True, ">= .97", _nominal),
]


def measure(case: Case, windows: int, baseline_rows: int, baselines: int = 3) -> Result:
    """Draw and evaluate windows, in turn against several baselines."""
    rng = np.random.default_rng(20261126)
    alarms = wrong = 0
    befores = [case.draw(rng, baseline_rows, False) for _ in range(baselines)]
    for number in range(windows):
        found = evaluate(
            befores[number % baselines], case.draw(rng, case.rows, case.moved), None, 100, Detectors()
        )
        drifted = [place for place, feature in enumerate(found.features) if feature.drifted]
        alarms += bool(drifted)
        wrong += any(place >= MOVED or not case.moved for place in drifted)
    return Result(case.name, case.rows, windows, alarms / windows, wrong / windows, case.wanted)


@dataclass(frozen=True)
class Stream:
    """Windows in a row against one baseline, of which the features move from `onset` on."""

    name: str
    rows: int
    baseline_rows: int
    draw: Draw
    wanted: str


STREAMS = [
    Stream("independent", 500, 50_000, _numbers(0.0), "<= 1"),
    Stream("independent", 1000, 50_000, _numbers(0.0), "<= 1"),
    Stream("independent, a small baseline", 1000, 1000, _numbers(0.0), "<= 1"),
    Stream("AR(1) .7", 1000, 50_000, _numbers(0.7), "<= 1"),
    Stream("50 codes as integers", 1000, 50_000, _nominal, "<= 1"),
]


def alarms(stream: Stream, windows: int, moved: bool, rng: Generator, before: pa.Table) -> int | None:
    """The number of the window that alarms at `sensitivity: normal`, from 1 on; None where none does."""
    spec = DriftMonitorSpec.model_validate(
        {
            "target": {"name": "m"},
            "baseline": {"uri": "s3://b/b"},
            "window": {"uri": "s3://b/w"},
            "sensitivity": "normal",
        }
    )
    status, prepared = DriftMonitorStatus(), PreparedBaseline(before)
    for number in range(1, windows + 1):
        found = evaluate(prepared, stream.draw(rng, stream.rows, moved), None, 100, Detectors()).features
        features = [FeatureDrift(name=f.name, drifted=f.drifted, e_value=f.e_value) for f in found]
        evidence = weigh(spec, status, features, str(number), 1, _NOW)
        status = status.model_copy(update={"evidence": evidence})
        if evidence is not None and evidence.value >= evidence.limit:
            return number
    return None


def follow(stream: Stream, windows: int, runs: int) -> Iterator[str]:
    """Watch quiet windows, then moved ones, and write a row of the table."""
    rng = np.random.default_rng(20261126)
    before = stream.draw(rng, stream.baseline_rows, False)
    quiet, left = 0, windows
    while left > 0:
        first = alarms(stream, left, False, rng, before)
        quiet += first is not None
        left -= first or left
    delays = [alarms(stream, 8, True, rng, before) for _ in range(runs)]
    seen = [delay for delay in delays if delay is not None]
    within = sum(delay <= 3 for delay in seen) / runs
    mean = f"{np.mean(seen):.1f}" if seen else "-"
    yield (
        f"| {stream.name} | {stream.rows} / {stream.baseline_rows} | {1000 * quiet / windows:.1f} | {stream.wanted} "
        f"| {within:.2f} | {mean} |"
    )


def measure_slices(windows: int, baseline_rows: int, rows: int = 2000) -> Iterator[str]:
    """Draw and evaluate windows with 10 slices and with none, quiet ones and moved ones, and write the table."""
    rng = np.random.default_rng(20261129)
    slices = [DriftSlice(name=name, column="group", values=[name]) for name in GROUPS]
    slices += [
        DriftSlice(name=first + second, column="group", values=[first, second])
        for first, second in zip(GROUPS, GROUPS[1:] + GROUPS[:1], strict=True)
    ]

    def draw(count: int, moved: float) -> pa.Table:
        values = rng.standard_normal((count, FEATURES))
        group = rng.choice(GROUPS, count)
        values[group == GROUPS[0], :MOVED] += moved
        return _table(values).append_column("group", pa.array(group))

    before = draw(baseline_rows, 0.0)
    described = {number: cut(before, slices[:number], NOTHING_DECLARED) for number in (0, len(slices))}
    prepared = {number: prepare(each) for number, each in described.items()}
    for moved in (0.0, 0.3, 0.5):
        alarms = dict.fromkeys(described, 0)
        for _ in range(windows):
            now = draw(rows, moved)
            for number, first in prepared.items():
                second = cut(now, slices[:number], NOTHING_DECLARED, described[number])
                parts = pair(slices[:number], first, second, 100)
                found = evaluate(first.whole, second.whole, None, 100, Detectors(), NOTHING_DECLARED, parts)
                alarms[number] += any(each.drifted for each in found.features)
        shares = " | ".join(f"{count / windows:.3f}" for count in alarms.values())
        yield f"| {moved} sigma in {MOVED} of {FEATURES} features of a fifth | {rows} | {windows} | {shares} |"


def table(results: list[Result]) -> Iterator[str]:
    """Write the results as Markdown."""
    yield "| rows of a window | their number | windows | alarm | wanted | name a feature wrongly |"
    yield "|---|---|---|---|---|---|"
    for each in results:
        yield f"| {each.name} | {each.rows} | {each.windows} | {each.alarms:.3f} | {each.wanted} | {each.wrong:.3f} |"


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument("--baseline", type=int, default=100_000)
    parser.add_argument("--streams", action="store_true", help="evidence over windows instead")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--slices", action="store_true", help="parts of the rows beside the whole instead")
    options = parser.parse_args()
    began = time.monotonic()
    if options.slices:
        print("| what moves | rows | windows | alarm without slices | with 10 |")
        print("|---|---|---|---|---|")
        for line in measure_slices(options.windows, options.baseline):
            print(line, flush=True)
        return
    if options.streams:
        print("| windows | rows / baseline | alarms per 1000 quiet | wanted | seen within 3 | mean delay |")
        print("|---|---|---|---|---|---|")
        for stream in STREAMS:
            for line in follow(stream, options.windows, max(options.windows // 10, 1)):
                print(line, flush=True)
        return
    results = [
        measure(case, options.windows, options.baseline) for case in CASES if options.only in case.name
    ]
    print("\n".join(table(results)))
    print(f"\n{time.monotonic() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
