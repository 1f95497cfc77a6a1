"""Whether estimates of MAE and RMSE without labels hold, by simulation, and beside NannyML's on the same rows.

    python -m tests.benchmarks.loss_estimation [--runs 200] [--peer PYTHON] [--json FILE]

Of each kind of error a reference is drawn, and a window of 1000 rows that has moved. `--peer` is a Python with
`tests/benchmarks/drift_peers/requirements.txt`: its DLE and ours learn NannyML's synthetic car prices, 60,000 rows, and
estimate the 10 windows of 6000 rows after them, of which the labels are known.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from mooring_components.intervals import Estimate
from mooring_components.performance.losses import estimate_loss, learn
from mooring_components.performance.terms import PREDICTION, Column
from mooring_components.performance.unlabelled_amounts import MOST_LEARNED

KINDS = ("alike", "multiplied", "added", "curve", "product of two")
CHUNK = 6000
_PEER = Path(__file__).parent / "drift_peers" / "estimate_loss.py"
_NO_FEATURES = ("id", "timestamp", "y_true", "y_pred", "__index_level_0__")

Floats = npt.NDArray[np.float64]


def draw(
    random: np.random.Generator, count: int, kind: str, features: int, shift: float
) -> tuple[dict[str, Column], Floats]:
    """Features with predictions, and the error of each; the window's first features are moved by `shift` sigma."""
    x = random.normal(size=(count, features))
    x[:, 0] += shift
    x[:, 1] += shift / 2
    bias: Any = 0.0
    deviation: Any = 1.0
    if kind == "multiplied":
        deviation = np.exp(0.5 * x[:, 0] + 0.3 * x[:, 1])
    elif kind == "added":
        deviation = 0.5 + np.abs(x[:, 0]) + 0.5 * np.abs(x[:, 1])
    elif kind == "curve":
        bias, deviation = 0.4 * (x[:, 0] ** 2 - 1), 0.5
    elif kind == "product of two":
        deviation = np.exp(0.4 * x[:, 0] * x[:, 1])
    columns = {f"x{place}": x[:, place] for place in range(features)}
    return {PREDICTION: 2 * x[:, 0] - x[:, 2], **columns}, bias + deviation * random.normal(size=count)


def simulate(kind: str, rows: int, features: int, shift: float, runs: int) -> dict[str, Any]:
    """Estimate both metrics in some runs; the share of intervals that hold, and how far off estimates are."""
    random, found = np.random.default_rng(1), {"mae": [], "rmse": []}  # type: ignore[var-annotated]
    for _ in range(runs):
        known, error = draw(random, rows, kind, features, shift=0.0)
        window, truth = draw(random, 1000, kind, features, shift)
        for name, power in (("mae", 1), ("rmse", 2)):
            estimate = estimate_loss(learn(known, np.abs(error) ** power).expect(window))
            found[name].append(
                [*_ends(estimate, power), float(np.mean(np.abs(truth) ** power)) ** (1 / power)]
            )
    row: dict[str, Any] = {"kind": kind, "rows": rows, "features": features, "shift": shift}
    for name, each in found.items():
        value, low, high, right = np.array(each).T
        row[f"{name} held"] = float(((low <= right) & (right <= high)).mean())
        row[f"{name} bias"] = float((value / right - 1).mean())
    return row


def _ends(estimate: Estimate, power: int) -> Iterator[float]:
    for end in (estimate.value, estimate.low, estimate.high):
        assert end is not None
        yield end if power == 1 else math.sqrt(end)


def beside_peer(python: str) -> dict[str, dict[str, float]]:
    """Estimate the same windows by both: the mean distance from what labels say, intervals that hold, CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([python, str(_PEER), folder], check=True, capture_output=True, text=True)
        theirs = json.loads(done.stdout.splitlines()[-1])
        return {"nannyml": _score(theirs["windows"], theirs["cpu"]), "mooring": _ours(Path(folder))}


def _ours(folder: Path) -> dict[str, float]:
    reference, after = (pq.read_table(folder / f"{name}.parquet") for name in ("reference", "analysis"))
    began = time.process_time()
    reference = reference.take(np.linspace(0, reference.num_rows - 1, MOST_LEARNED).astype(np.int64))
    error = _numbers(reference, "y_true") - _numbers(reference, "y_pred")
    rows, windows = _columns(reference), []
    learned = {name: learn(rows, np.abs(error) ** power) for name, power in (("mae", 1), ("rmse", 2))}
    for start in range(0, after.num_rows, CHUNK):
        chunk = after.slice(start, CHUNK)
        wrong, window = np.abs(_numbers(chunk, "y_true") - _numbers(chunk, "y_pred")), _columns(chunk)
        windows.append(
            {
                name: [*_ends(estimate_loss(learned[name].expect(window)), power), _mean(wrong, power)]
                for name, power in (("mae", 1), ("rmse", 2))
            }
        )
    return _score(windows, time.process_time() - began)


def _mean(wrong: Floats, power: int) -> float:
    return float(np.mean(wrong**power)) ** (1 / power)


def _score(windows: Sequence[dict[str, list[float]]], cpu: float) -> dict[str, float]:
    found = {"cpu seconds": cpu}
    for name in ("mae", "rmse"):
        value, low, high, right = np.array([window[name] for window in windows]).T
        found[f"{name} off by"] = float(np.abs(value - right).mean())
        found[f"{name} half width"] = float((high - low).mean() / 2)
        found[f"{name} held"] = float(((low <= right) & (right <= high)).sum())
    return found


def _columns(table: Any) -> dict[str, Column]:
    names = [name for name in table.column_names if name not in _NO_FEATURES]
    found = {name: table[name].to_numpy() for name in names}
    return {**found, PREDICTION: _numbers(table, "y_pred")}


def _numbers(table: Any, name: str) -> Floats:
    found: Floats = table[name].to_numpy().astype(np.float64)
    return found


def main() -> None:
    """Print a table in Markdown, and the comparison where there is a peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--peer")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [
        simulate(kind, count, features, shift, options.runs)
        for kind in KINDS
        for count, features in ((1000, 4), (1000, 30), (4000, 30))
        for shift in (0.0, 1.0)
    ]
    print("| error | labelled rows | features | moved by | " + " | ".join([*rows[0]][4:]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        numbers = [f"{value:.2f}" for value in [*row.values()][4:]]
        print(
            f"| {row['kind']} | {row['rows']} | {row['features']} | {row['shift']:g} | {' | '.join(numbers)} |"
        )
    beside = beside_peer(options.peer) if options.peer else {}
    for name, found in beside.items():
        print(name, ", ".join(f"{key} {value:.2f}" for key, value in found.items()))
    if options.json:
        options.json.write_text(json.dumps({"simulated": rows, "beside": beside}))


if __name__ == "__main__":
    main()
