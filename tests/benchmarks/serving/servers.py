"""The servers that are compared: how each is started, and which bodies it takes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.processes import free_ports
from tests.benchmarks.serving.environments import PEER_PROGRAMS
from tests.benchmarks.serving.http1 import Http1Exchange, get
from tests.benchmarks.serving.load import Connection
from tests.benchmarks.serving.process_tree import ProcessTree

HOST = "127.0.0.1"
OURS = "mooring-inference"
_READY_SECONDS = 60.0


class NotReadyError(Exception):
    """A server ended, or was not ready in time; the message ends with the tail of its log."""


@dataclass(frozen=True)
class Place:
    """Where one server runs: its model's file, its own folder, its ports and its environment's programs.

    ``with_grpc`` is False where REST is to be served alone, by servers that can be told so.
    """

    model: Path
    folder: Path
    http_port: int
    grpc_port: int
    programs: Path
    with_grpc: bool


@dataclass(frozen=True)
class Server:
    """One kind of server.

    Attributes:
        name: what tables call it.
        peer: its environment; None for this project's own.
        body: which JSON it takes: ``v2``, or the row under ``x`` with (``rows``) or without (``row``) a batch.
        path: where inference requests go.
        ready, live: paths of its probes.
        command: the program and its flags.
        environment: variables that it needs besides.
    """

    name: str
    peer: str | None
    body: str
    path: str
    ready: str
    live: str
    command: Callable[[Place], list[str]]
    environment: Callable[[Place], Mapping[str, str]] = field(default=lambda place: {})


def _ours(place: Place) -> list[str]:
    return [
        sys.executable, "-m", "mooring_inference", "--model_name=m", f"--model_dir={place.model}",
        f"--host={HOST}", f"--http_port={place.http_port}", "--threads=1", "--revision=v1",
        "--drain_seconds=0.5", *([f"--grpc_port={place.grpc_port}"] if place.with_grpc else []),
    ]  # fmt: skip


def _kserve(place: Place) -> list[str]:
    return [
        str(place.programs / "python"), str(PEER_PROGRAMS / "kserve_server.py"), str(place.model),
        f"--http_port={place.http_port}", f"--grpc_port={place.grpc_port}",
        f"--enable_grpc={str(place.with_grpc).lower()}",
    ]  # fmt: skip


def _mlserver(place: Place) -> list[str]:
    model = {
        "name": "m",
        "implementation": "mlserver_runtime.OnnxRuntime",
        "parameters": {"uri": str(place.model)},
        "max_batch_size": 64,
        "max_batch_time": 0.002,
    }
    # No worker process: it costs CPU and memory on one core, and with uvloop 0.22 and later it does not start.
    settings = {
        "host": HOST,
        "http_port": place.http_port,
        "grpc_port": place.grpc_port,
        "metrics_port": free_ports(1)[0],
        "parallel_workers": 0,
    }
    (place.folder / "model-settings.json").write_text(json.dumps(model))
    (place.folder / "settings.json").write_text(json.dumps(settings))
    return [str(place.programs / "mlserver"), "start", str(place.folder)]


def _bentoml(place: Place) -> list[str]:
    return [
        str(place.programs / "bentoml"), "serve", "bentoml_service:OnnxService",
        f"--working-dir={PEER_PROGRAMS}", f"--host={HOST}", f"--port={place.http_port}",
    ]  # fmt: skip


def _litserve(place: Place) -> list[str]:
    program = PEER_PROGRAMS / "litserve_server.py"
    return [str(place.programs / "python"), str(program), str(place.model), str(place.http_port)]


_V2 = {"body": "v2", "path": "/v2/models/m/infer", "ready": "/v2/models/m/ready", "live": "/v2/health/live"}

SERVERS = (
    Server(OURS, None, **_V2, command=_ours),
    Server("kserve", "kserve", **_V2, command=_kserve),
    Server(
        "mlserver", "mlserver", **_V2, command=_mlserver,
        environment=lambda place: {"PYTHONPATH": str(PEER_PROGRAMS), "PYTHONDONTWRITEBYTECODE": "1"},
    ),
    Server(
        "bentoml", "bentoml", body="rows", path="/predict", ready="/readyz", live="/livez", command=_bentoml,
        environment=lambda place: {
            "MODEL": str(place.model),
            "BENTOML_HOME": str(place.folder),
            "BENTOML_DO_NOT_TRACK": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    ),
    Server(
        "litserve", "litserve", body="row", path="/predict", ready="/health", live="/health",
        command=_litserve,
    ),
)  # fmt: skip


@dataclass
class Running:
    """A server that was started."""

    server: Server
    place: Place
    tree: ProcessTree

    @property
    def http(self) -> tuple[str, int]:
        return HOST, self.place.http_port

    @property
    def grpc(self) -> tuple[str, int]:
        return HOST, self.place.grpc_port


def start(
    server: Server, *, model: Path, programs: Path, folder: Path, core: int | str, with_grpc: bool
) -> Running:
    """Start it, on a core or on a list of them as taskset takes it, and return at once."""
    folder.mkdir(parents=True, exist_ok=True)
    http_port, grpc_port = free_ports(2)
    place = Place(model, folder, http_port, grpc_port, programs, with_grpc)
    tree = ProcessTree(
        server.command(place),
        core=core,
        log=folder / "log",
        folder=folder,
        environment=server.environment(place),
    )
    return Running(server, place, tree)


def wait_until_ready(running: Running) -> float:
    """Seconds from the start until it said that it is ready, asked every 5 ms.

    Raises:
        NotReadyError: it ended, or a minute has passed.
    """
    while time.perf_counter() < running.tree.started + _READY_SECONDS:
        if is_ready(running):
            return time.perf_counter() - running.tree.started
        if not running.tree.alive:
            break
        time.sleep(0.005)
    raise NotReadyError(f"{running.server.name} did not become ready:\n{running.tree.tail()}")


def is_ready(running: Running, seconds: float = 1.0) -> bool:
    """What a readiness probe finds: a new connection, one GET, an answer of 200 within `seconds`."""
    request = get(f"{HOST}:{running.place.http_port}", running.server.ready)
    connection = None
    try:
        connection = Connection(running.http, Http1Exchange(request))
        connection.socket.settimeout(seconds)
        connection.send()
        while connection.receive() is None:
            pass
        return not connection.exchange.failed
    except OSError:
        return False
    finally:
        if connection is not None:
            connection.socket.close()
