"""What a row costs by each execution provider that this ONNX Runtime has, on one thread, beside its own CPU provider.

    python -m tests.benchmarks.serving.providers [--rounds 5] [--seconds 1] [--json FILE]

Models are loaded as the server loads them. Run it where the ONNX Runtime in question is installed, such as
`onnxruntime-openvino` with `openvino`, or `onnxruntime-gpu`. CPU time of the process, rounds interleaved, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.onnx.backend import OnnxBackend, load_onnx
from mooring_inference.backends.onnx.providers import CPU, CUDA, OPENVINO, TENSORRT
from mooring_inference.errors import ModelLoadError

from tests.benchmarks.serving.models import MODELS, write_models

_BATCHES = (1, 32)
_NAMES = {CPU: "cpu", OPENVINO: "openvino", CUDA: "cuda", TENSORRT: "tensorrt"}


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    arguments = parser.parse_args()
    names = sorted(_NAMES[one] for one in onnxruntime.get_available_providers() if one in _NAMES)
    figures = []
    print(
        "| model | rows at once | provider | CPU us a row | rows/s | CPU us, by cpu's |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder), MODELS)
        for model, widths in MODELS.items():
            backends = _load(Path(folder) / model / "model.onnx", names)
            for batch in _BATCHES:
                rows = np.random.default_rng(1).standard_normal((batch, widths[0]), dtype=np.float32)
                found: dict[str, list[tuple[float, float]]] = {name: [] for name in backends}
                for _ in range(arguments.rounds):
                    for name, backend in backends.items():
                        found[name].append(_measure(backend, rows, arguments.seconds))
                base = statistics.median(cpu for cpu, _ in found["cpu"])
                for name, runs in found.items():
                    cpu, rate = (statistics.median(run[place] for run in runs) for place in (0, 1))
                    print(
                        f"| {model} | {batch} | {name} | {cpu:.2f} | {rate:,.0f} | {cpu / base:.2f}x |",
                        flush=True,
                    )
                    figures.append(
                        {"model": model, "rows": batch, "provider": name, "cpu_us": cpu, "rate": rate}
                    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _load(path: Path, names: list[str]) -> dict[str, OnnxBackend]:
    backends = {}
    for name in names:
        try:
            backends[name] = load_onnx(path, LoadOptions(providers=(name,), threads=1))
        except ModelLoadError as error:
            print(f"no {name}: {error}")
    return backends


def _measure(backend: OnnxBackend, rows: np.ndarray, seconds: float) -> tuple[float, float]:
    """(CPU microseconds a row, rows a second)."""
    for _ in range(3):
        backend.predict({"x": rows}, ["y"])
    cpu, started, runs = time.process_time(), time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        backend.predict({"x": rows}, ["y"])
        runs += 1
    return (time.process_time() - cpu) / runs / len(rows) * 1e6, runs * len(rows) / elapsed


if __name__ == "__main__":
    main()
