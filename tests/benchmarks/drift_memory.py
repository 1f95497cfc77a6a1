"""What counting takes of a server's memory, however much traffic there was.

    python -m tests.benchmarks.drift_memory [--gigabytes 5] [--features 50] [--rows 10000] [--json FILE]

Traffic is drawn minute by minute, counted and written as the thread does that keeps requests, on a clock of its own;
its size is that of the rows as float32. Then the last 24 hours are evaluated, as far as there are so many. Memory is
this process' resident set, the interpreter and its libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from mooring_artifacts.drift_question import DriftQuestion
from mooring_artifacts.window_states import prepare
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.counted import compare_counted
from mooring_inference.capture.columns import TIME_TYPE
from mooring_inference.capture.states import StateCounter, StateFiles

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOLDER = "deployment=d/revision=r"
BASELINE_ROWS = 100_000
LOOKS = 10
PAGE_MIB = resource.getpagesize() / (1 << 20)


class Stream:
    """What is counted."""

    folder = FOLDER

    def __init__(self, counter: StateCounter) -> None:
        self.counter: StateCounter | None = counter


def resident() -> float:
    """MiB that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MIB


def draw_minute(rng: np.random.Generator, names: list[str], minute: datetime, rows: int) -> pa.RecordBatch:
    """Rows of one minute, as a server keeps them."""
    values = rng.standard_normal((len(names), rows), np.float32)
    micros = np.full(rows, int(minute.timestamp() * 1e6))
    times = pa.Array.from_buffers(TIME_TYPE, rows, [None, pa.py_buffer(micros)])
    request = pa.StructArray.from_arrays([times], ["time"])
    return pa.RecordBatch.from_arrays([request, *map(pa.array, values)], ["request", *names])


def evaluate_day(folder: Path, until: datetime) -> tuple[float, int]:
    """CPU milliseconds of an evaluation of the 24 hours before a moment, and its rows."""
    uri = f"file://{folder}/{FOLDER}"
    times = {"since": until - timedelta(hours=24), "until": until}
    question = DriftQuestion.model_validate(
        {
            "baseline": {"uri": uri, "counted": True},
            "window": {
                "uri": uri,
                **{name: f"{moment:%Y-%m-%dT%H:%M:%SZ}" for name, moment in times.items()},
            },
            "minRows": 100,
        }
    )
    begun = time.process_time()
    compared = compare_counted(question, Detectors())
    return (time.process_time() - begun) * 1000, compared.rows[1]


def main() -> None:
    """Count, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--rows", type=int, default=10_000, help="of one minute")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    names = [f"f{place:03}" for place in range(options.features)]
    profile = prepare({name: rng.standard_normal(BASELINE_ROWS).astype(np.float32) for name in names})
    minutes = round(options.gigabytes * 1e9 / (4 * options.features * options.rows))
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        clock, sizes = [NOON.timestamp()], [0]
        files = StateFiles(folder, lambda path, size: sizes.append(sizes.pop() + size), lambda: clock[0])
        stream = Stream(StateCounter(profile))
        print("| traffic, GB | resident, MiB | files, MB |\n|---|---|---|")
        for minute in range(minutes):
            moment = NOON + timedelta(minutes=minute)
            files.add(stream, draw_minute(rng, names, moment, options.rows))
            clock[0] = (moment + timedelta(minutes=1)).timestamp()
            files.complete(all_of_them=False)
            if minute * LOOKS // minutes != (minute + 1) * LOOKS // minutes:
                traffic = (minute + 1) * 4e-9 * options.features * options.rows
                results.append({"traffic": traffic, "resident": resident(), "files": sizes[0] / 1e6})
                print("| {traffic:.1f} | {resident:.0f} | {files:.1f} |".format(**results[-1]), flush=True)
        assert stream.counter is not None
        files.complete(all_of_them=True)
        cpu, rows = evaluate_day(folder, NOON + timedelta(minutes=minutes // 60 * 60))
        print(
            f"\nan evaluation of the last 24 hours, {rows:,} rows: {cpu:.0f} ms CPU, then {resident():.0f} MiB resident"
        )
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
