"""What `mooring-inference score` costs beside its model: CPU time a row, Parquet in, Parquet out.

    python -m tests.benchmarks.score [--rounds N] [--rows N] [--json FILE]

`in memory` is onnxruntime alone, `by hand` the shortest loop that reads, predicts and writes. CPU time of all threads
of this process, less that of the same way with hardly any rows, so that loading does not count; rounds interleaved,
medians. Rows a second go by the clock: reading runs beside the model where a core is free.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from mooring_inference.score.command import main as score

from tests.benchmarks.serving.models import MODELS, write_models

BATCH, BLOCK = 1024, 4096
FEW = 2 * BATCH


def session(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def in_memory(model: Path, source: Path, rows: int) -> None:
    loaded = session(model)
    width = loaded.get_inputs()[0].shape[1]
    block = np.random.default_rng(1).standard_normal((BATCH, width), dtype=np.float32)
    for _ in range(rows // BATCH):
        loaded.run(None, {"x": block})


def by_hand(model: Path, source: Path, rows: int) -> None:
    pa.set_cpu_count(1)
    loaded = session(model)
    with tempfile.TemporaryDirectory() as folder:
        schema = pa.schema([("y", pa.list_(pa.float32()))])
        with pq.ParquetWriter(Path(folder) / "out.parquet", schema, compression="zstd") as out:
            for block in pq.ParquetFile(source).iter_batches(BLOCK):
                x = block.column(0).flatten().to_numpy().reshape(len(block), -1)
                parts = [loaded.run(None, {"x": x[at : at + BATCH]})[0] for at in range(0, len(x), BATCH)]
                y = np.concatenate(parts)
                offsets = np.arange(len(y) + 1, dtype=np.int32) * y.shape[1]
                out.write_table(pa.table([pa.ListArray.from_arrays(offsets, y.reshape(-1))], schema=schema))


def by_mooring(model: Path, source: Path, rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        flags = [f"--model_dir={model}", f"--input={source}", f"--output={folder}/out"]
        assert score([*flags, "--workers=1", "--threads=1"]) == 0


WAYS: dict[str, Callable[[Path, Path, int], None]] = {
    "in memory": in_memory,
    "by hand": by_hand,
    "mooring": by_mooring,
}


def write_rows(path: Path, values: np.ndarray) -> None:
    flat = pa.array(values.reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, values.shape[1]).cast(pa.list_(pa.float32()))
    pq.write_table(pa.table({"x": column}), path, compression="zstd", row_group_size=1 << 15)


def inputs(width: int, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (rows, width), dtype=np.uint8)
    pixels[rng.random(pixels.shape, dtype=np.float32) < 0.8] = 0
    return {
        "pixels": pixels.astype(np.float32) / np.float32(255),
        "noise": rng.standard_normal((rows, width), dtype=np.float32),
    }


def seconds(way: str, model: Path, source: Path, rows: int) -> np.ndarray:
    """(CPU time of this process, all of its threads; time by the clock)."""
    started = np.array((time.process_time(), time.perf_counter()))
    WAYS[way](model, source, rows)
    return np.array((time.process_time(), time.perf_counter())) - started


def measure(model: Path, source: Path, few: Path, rows: int, rounds: int) -> dict[str, tuple[float, float]]:
    """(microseconds of CPU, microseconds by the clock) a row, by way."""
    seen: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, found in seen.items():
            start = seconds(way, model, few, FEW)
            found.append((seconds(way, model, source, rows) - start) / (rows - FEW) * 1e6)
    return {way: tuple(np.median(found, axis=0).tolist()) for way, found in seen.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100 * BATCH)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = report(Path(folder), args.rows, args.rounds)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


def report(folder: Path, rows: int, rounds: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Print the table, and give (microseconds of CPU, by the clock) a row, by model and kind and by way."""
    found = {}
    print(
        "| model, rows | in memory (us) | by hand (us) | mooring (us) | in memory / mooring | by hand / mooring "
        "| rows/s in memory | rows/s of mooring | part |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    write_models(folder, ["tab", "mlp"])
    for name in ("mlp", "tab"):
        # A small model needs more rows to be seen beside its start.
        count = rows * (10 if name == "tab" else 1)
        for kind, values in inputs(MODELS[name][0], count).items():
            source, few = folder / "rows.parquet", folder / "few.parquet"
            write_rows(source, values)
            write_rows(few, values[:FEW])
            cost = measure(folder / name / "model.onnx", source, few, count, rounds)
            found[f"{name}, {kind}"] = cost
            (memory, fastest), (hand, _), (ours, took) = cost["in memory"], cost["by hand"], cost["mooring"]
            figures = f"{memory:.2f} | {hand:.2f} | {ours:.2f} | {memory / ours:.0%} | {hand / ours:.0%}"
            figures += f" | {1e6 / fastest:,.0f} | {1e6 / took:,.0f} | {fastest / took:.0%}"
            print(f"| {name}, {kind} | {figures} |", flush=True)
    return found


if __name__ == "__main__":
    main()
