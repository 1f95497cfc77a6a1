"""What an evaluation costs beside one read of its rows and beside scipy.

    python -m tests.benchmarks.drift_speed [--features 10] [--rounds 3] [--program] [--json FILE]

CPU time of this process (nothing that is measured starts threads), the best of some rounds. Features take turns in
being normal, log-normal, integers and heavy-tailed, and all engines see the same ones. Every D has to be scipy's to
the last bit, or the benchmark fails. `--program` also writes both sides as Parquet and evaluates them as a run does,
in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from mooring_artifacts.window_states import count, prepare
from mooring_components.drift import statistics
from mooring_components.drift.cells import place_in_cells
from mooring_components.drift.comparison import Detectors, make_tests, measure
from mooring_components.drift.precision import Precision
from mooring_components.drift.prepared import PreparedBaseline, count_window, prepare_numbers
from mooring_components.drift.schema import Compared
from mooring_components.drift.states import measure_states
from scipy.stats import ks_2samp

SIZES = ((1_000_000, 100_000), (100_000, 10_000))
REPORTED = 50
"""Features of the evaluation that the figures are given for."""

NAMES = (
    "read",
    "KS",
    "all tests",
    "KS, baseline prepared",
    "all tests, baseline prepared",
    "counting a state",
    "all tests of a state",
    "scipy's KS",
)
NO_RANKS = np.zeros(0, np.int64)
Rows = npt.NDArray[np.float64]

_PROGRAM = """
import json, resource, sys, time
from mooring_components.drift.report import make_report
report = make_report(json.loads(sys.argv[1]), "run", 8 << 30)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([len(report.features), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def draw(rng: np.random.Generator, feature: int, rows: int) -> Rows:
    """Numbers of one of the kinds that features have."""
    match feature % 5:
        case 0:
            return rng.lognormal(0, 1, rows)
        case 1:
            return rng.integers(0, 400, rows).astype(np.float64)
        case 2:
            return rng.standard_t(3, rows)
        case _:
            return rng.standard_normal(rows)


def best(work: Callable[[], Any], rounds: int) -> float:
    """CPU seconds of the fastest of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def _engines(before: Rows, now: Rows) -> dict[str, Callable[[], Any]]:
    rows = pa.chunked_array([before]), pa.chunked_array([now])
    column, detectors = Compared("x", "number", Precision(pa.float64())), Detectors()
    prepared, kept = prepare_numbers("x", before), PreparedBaseline(pa.table({"x": before}))
    kept.measure(column, rows[1], 10)
    profile = prepare({"x": before})
    state = count(profile, {"x": now})

    def distance() -> float:
        return (place_in_cells(before, np.sort(now), NO_RANKS) or statistics.place(before, now)).distance

    def scipys() -> float:
        return float(ks_2samp(before, now, method="asymp").statistic)

    def everything() -> object:
        return make_tests(measure(column, *rows, 10), detectors)

    def counted() -> object:
        [measured] = measure_states([(profile.features[0], state.features[0])], len(before), state, 10)
        return make_tests(measured, detectors)

    engines = (
        now.sum,
        distance,
        everything,
        lambda: count_window(prepared, now)[0],
        lambda: make_tests(kept.measure(column, rows[1], 10), detectors),
        lambda: count(profile, {"x": now}),
        counted,
        scipys,
    )
    return dict(zip(NAMES, engines, strict=True))


def compare(baseline_rows: int, window_rows: int, features: int, rounds: int) -> dict[str, float]:
    """CPU milliseconds of REPORTED features, by what is done with them."""
    rng = np.random.default_rng(0)
    total = dict.fromkeys(NAMES, 0.0)
    for feature in range(features):
        before, now = draw(rng, feature, baseline_rows), draw(rng, feature, window_rows)
        work = _engines(before, now)
        for name, engine in work.items():
            total[name] += best(engine, rounds)
        theirs = work["scipy's KS"]()
        for ours in (work["KS"](), work["KS, baseline prepared"]()):
            if ours != theirs:
                raise SystemExit(f"feature {feature}: D is {ours!r}, and scipy's is {theirs!r}")
    return {name: seconds * 1000 * REPORTED / features for name, seconds in total.items()}


def program(baseline_rows: int, window_rows: int, features: int) -> dict[str, float]:
    """CPU seconds and MiB of a process that evaluates two Parquet files."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("baseline", baseline_rows), ("window", window_rows)):
            columns = {f"f{place:02}": draw(rng, place, rows) for place in range(features)}
            pq.write_table(pa.table(columns), f"{folder}/{name}.parquet")
        question = {
            "baseline": {"uri": f"file://{folder}/baseline.parquet"},
            "window": {"uri": f"file://{folder}/window.parquet"},
            "minRows": 100,
            "ks": {"alpha": 0.01},
            "psi": {"threshold": 0.2, "bins": 10},
        }
        command = [sys.executable, "-c", _PROGRAM, json.dumps(question)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, seconds, memory = json.loads(said)
    return {"features": count, "seconds": seconds, "memory": memory}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for sizes in SIZES:
        found = compare(*sizes, options.features, options.rounds)
        results.append({"baseline": sizes[0], "window": sizes[1], **found})
        print(f"| {REPORTED} features, {sizes[0]:,} rows against {sizes[1]:,} | ms | scipy's by it |")
        print("|---|---|---|")
        for name in NAMES:
            print(f"| {name} | {found[name]:,.1f} | {found[NAMES[-1]] / found[name]:,.1f} |")
        print(flush=True)
    if options.program:
        found = program(*SIZES[0], REPORTED)
        results.append({"program": found})
        print(f"\nprogram: {found['seconds']:.1f} s of CPU, {found['memory']:,.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
