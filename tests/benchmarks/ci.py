"""What a test costs: validation of rows, beside pandera on pandas and Great Expectations, and all metrics of them.

    python tests/benchmarks/ci.py [--rows 1000000] [--peers PYTHON] [--json FILE]
    python tests/benchmarks/ci.py --metrics [--rows 1000000] [--labels 10]

PYTHON is of an environment with ci_peers/requirements.txt; left out, only Mooring is measured. Rows have 50 columns:
20 of integers, 20 of floats, 10 of texts; some have nulls, values out of range, or texts that are not allowed. Each
engine is a process that reads the same Parquet file; CPU seconds are without what it imports, memory is all of the
process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PEERS = Path(__file__).parent / "ci_peers" / "validate.py"
AT_FAULT = 5
BATCH = 250_000
SCHEMA = {
    "columns": [
        *({"name": f"i{i}", "type": "integer", "min": 0, "max": 1000} for i in range(20)),
        *({"name": f"f{i}", "type": "number", "min": -10, "max": 10} for i in range(20)),
        *({"name": f"s{i}", "type": "string", "values": ["a", "b", "c"]} for i in range(10)),
    ]
}


def write_rows(path: Path, rows: int) -> None:
    """Write the file, a batch at a time."""
    random = np.random.default_rng(7)
    writer = None
    for first in range(0, rows, BATCH):
        count = min(BATCH, rows - first)
        columns: dict[str, Any] = {f"i{i}": random.integers(0, 1001, count) for i in range(20)}
        columns |= {f"f{i}": random.normal(size=count).clip(-10, 10) for i in range(20)}
        columns |= {f"s{i}": np.array(["a", "b", "c"])[random.integers(0, 3, count)] for i in range(10)}
        wrong = random.random(count) < 0.001
        columns["i0"] = np.where(wrong, -1, columns["i0"])
        columns["f0"] = np.where(wrong, 99.0, columns["f0"])
        columns["s0"] = np.where(wrong, "z", columns["s0"])
        columns["i1"] = pa.array(columns["i1"], mask=wrong)
        columns["s1"] = pa.array(columns["s1"], mask=wrong)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def validate_here(path: str) -> None:
    """Measure Mooring's own validation, in a process of its own."""
    from mooring_artifacts.data_schema import parse_schema
    from mooring_components.validation.report import validate

    schema, now = parse_schema(SCHEMA), datetime.now(UTC)
    began = time.process_time()
    found = validate([Path(path)], schema, now)
    seconds = time.process_time() - began
    columns = {violation.column for violation in found.violations}
    print(json.dumps({"cpuSeconds": seconds, "columnsAtFault": len(columns)}))


def measure_metrics(rows: int, labels: int) -> None:
    """Time all metrics of a classifier with their intervals, beside a champion, on parts of the rows and on groups."""
    from mooring_components import quality
    from mooring_components.datasets import TestData
    from mooring_components.fairness import measure_fairness
    from mooring_components.options import Fairness
    from mooring_components.outcomes import Classified
    from mooring_components.slices import measure_slices

    random = np.random.default_rng(7)
    actual = random.integers(0, labels, rows)

    def classified() -> Classified:
        scores = np.exp(random.normal(size=(rows, labels)) + 2.0 * np.eye(labels)[actual])
        scores /= scores.sum(axis=1, keepdims=True)
        return Classified(range(labels), actual, scores.argmax(axis=1), scores, range(labels))

    outcome, champion = classified(), classified()
    data = TestData({"group": pa.array(random.integers(0, 5, rows))}, actual, "rows")
    found = quality.measure(outcome)
    parts: dict[str, Callable[[], object]] = {
        "metrics and their intervals": lambda: quality.measure(outcome),
        "beside the champion": lambda: quality._beside(found, outcome, champion),
        "parts of the rows": lambda: measure_slices(outcome, data, ["group"]),
        "groups": lambda: measure_fairness(outcome, data, Fairness(column="group", positive="1")),
    }
    print(f"{rows} rows, {labels} labels")
    for name, part in parts.items():
        began = time.process_time()
        part()
        print(f"{name:28} {time.process_time() - began:8.2f} CPU s")


def measure(command: list[str]) -> dict[str, float]:
    """Run an engine; its CPU seconds, the most memory that it had, and what it found."""
    # Progress bars may fill a pipe.
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        errors.seek(0)
        if status:
            raise SystemExit(f"{command[1]} failed: {errors.read()[-2000:]}")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return {**found, "memoryMB": usage.ru_maxrss / 1024}


def main() -> None:
    """Measure all engines one after the other, and say how many times as much the others take."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peers", help="a Python with ci_peers/requirements.txt")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    parser.add_argument("--metrics", action="store_true", help="time all metrics instead")
    parser.add_argument("--labels", type=int, default=10, help="of the classifier whose metrics are timed")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        validate_here(arguments.here)
        return
    if arguments.metrics:
        measure_metrics(arguments.rows, arguments.labels)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "rows.parquet"))
        write_rows(Path(path), arguments.rows)
        engines = {"mooring": [sys.executable, __file__, "--here", path]}
        if arguments.peers:
            for name in ("pandera", "great_expectations"):
                engines[name] = [arguments.peers, str(PEERS), name, path]
        figures = {name: measure(command) for name, command in engines.items()}
    own = figures["mooring"]
    print(f"{arguments.rows} rows of 50 columns")
    print(f"{'engine':20} {'CPU s':>8} {'times':>6} {'MB':>7} {'columns at fault':>17}")
    for name, found in figures.items():
        seconds, columns = found["cpuSeconds"], found["columnsAtFault"]
        times = seconds / own["cpuSeconds"]
        print(f"{name:20} {seconds:8.2f} {times:6.1f} {found['memoryMB']:7.0f} {columns:17.0f}")
    if wrong := [name for name, found in figures.items() if found["columnsAtFault"] != AT_FAULT]:
        raise SystemExit(f"{', '.join(wrong)} found other columns at fault than the {AT_FAULT} that are")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
