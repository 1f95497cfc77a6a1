"""What is measured without a server of the comparison: limits of onnxruntime and of the load, capture's cost."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from cluster.processes import free_ports
from tests.benchmarks.serving.environments import ROOT
from tests.benchmarks.serving.http1 import Http1Exchange, post
from tests.benchmarks.serving.load import LoadGenerator
from tests.benchmarks.serving.process_tree import ProcessTree
from tests.benchmarks.serving.servers import HOST

_LIMIT_BATCHES = (1, 32)
_CAPTURED_ROWS = 200_000
# As long as the JSON of one mlp row.
_REQUEST_BODY = b"x" * 16_000
_HERE = Path(__file__).parent


def measure_limits(model: Path, *, seconds: float, core: int) -> dict[int, float]:
    """Rows/s of onnxruntime in a process of its own on the servers' core, by batch."""
    rates = _run("in_process.py", str(model), str(seconds), *map(str, _LIMIT_BATCHES), core=core)
    return {int(batch): rate for batch, rate in rates.items()}


def measure_capture(folder: Path, *, core: int) -> dict[str, float]:
    """CPU us a row: ``path`` for the request, ``writer`` for the thread that writes Parquet."""
    return _run("capture_cost.py", str(folder), str(_CAPTURED_ROWS), core=core)


def measure_generator(folder: Path, *, clients: int, seconds: float, core: int) -> dict[str, float]:
    """What the load generator can do at most: ``rate`` against a server that only answers, ``cpu`` us each."""
    (port,) = free_ports(1)
    request = post(f"{HOST}:{port}", "/", _REQUEST_BODY, {})
    command = [sys.executable, str(_HERE / "trivial_server.py"), str(port), str(len(request))]
    tree = ProcessTree(command, core=core, log=folder / "log", folder=folder, environment={})
    try:
        _wait_for_port(port)
        with LoadGenerator((HOST, port), lambda: Http1Exchange(request), clients) as generator:
            load = generator.run(seconds)
            generator.finish(5.0)
    finally:
        tree.stop()
    answers = len(load.latencies)
    return {"rate": answers / load.seconds, "cpu": load.busy * load.seconds / answers * 1e6}


def _run(program: str, *arguments: str, core: int) -> dict[str, float]:
    command = ["taskset", "--cpu-list", str(core), sys.executable, str(_HERE / program), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(result.stdout)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((HOST, port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
