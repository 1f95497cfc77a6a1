"""One whole run: starts the servers, goes round them, and gathers the results."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import onnxruntime

from tests.benchmarks.serving.bodies import PROTOCOLS
from tests.benchmarks.serving.environments import pinned_version
from tests.benchmarks.serving.measure import (
    check,
    count_lost,
    measure_cell,
    measure_health,
)
from tests.benchmarks.serving.own_programs import measure_capture, measure_generator, measure_limits
from tests.benchmarks.serving.results import Cell, Results
from tests.benchmarks.serving.servers import OURS, Running, Server, start, wait_until_ready

_BUSIEST = 64
_AT_SHUTDOWN = 16


@dataclass(frozen=True)
class Plan:
    """What is measured and for how long; seconds are those of one cell."""

    servers: Sequence[Server]
    models: Sequence[str]
    clients: Sequence[int]
    rounds: int
    seconds: float
    warm_up: float
    health_seconds: float
    starts: int
    shutdowns: int
    peer_shutdowns: int
    protocols: Sequence[str] = PROTOCOLS


@dataclass
class Campaign:
    """A plan under way.

    Attributes:
        folder: models, logs and the servers' own files.
        programs: each peer's folder of programs.
        server_core, client_core: the servers' core, and that of the load.
        say: shows what happens now.
    """

    plan: Plan
    folder: Path
    programs: dict[str, Path]
    server_core: int
    client_core: int
    say: Callable[[str], None]
    results: Results = field(default_factory=Results)

    def run(self) -> Results:
        """Measure everything in the plan."""
        os.sched_setaffinity(0, {self.client_core})
        self.results.machine = _describe_machine(self.plan.servers)
        self._measure_own_parts()
        self._measure_starts()
        for model in self.plan.models:
            with self._started(model) as servers:
                self._measure_model(model, servers)
        self._measure_shutdowns()
        return self.results

    def _measure_own_parts(self) -> None:
        self.say("the load generator against a server that only answers")
        self.results.generator = measure_generator(
            self.folder, clients=_BUSIEST, seconds=self.plan.seconds, core=self.server_core
        )
        for number in range(self.plan.rounds):
            self.say(f"capture {number + 1}/{self.plan.rounds}")
            folder = self.folder / f"captured-{number}"
            self.results.capture.append(measure_capture(folder, core=self.server_core))

    def _measure_starts(self) -> None:
        """Time to ready, and the memory of REST alone once it has been used."""
        for attempt in range(self.plan.starts):
            for server in self.plan.servers:
                self.say(f"cold start {attempt + 1}/{self.plan.starts}: {server.name}")
                running = self._start(server, "tab", with_grpc=False)
                try:
                    seconds = wait_until_ready(running)
                    self.results.memory[server.name, "idle"] = running.tree.memory_mb()
                    measure_cell(running, "JSON", "tab", _BUSIEST, seconds=0.3, warm_up=0.05)
                    self.results.memory[server.name, "used"] = running.tree.memory_mb()
                finally:
                    running.tree.stop()
                self.results.starts.setdefault(server.name, []).append(seconds)

    def _measure_model(self, model: str, servers: Sequence[Running]) -> None:
        offers = [
            (running, protocol)
            for protocol in self.plan.protocols
            for running in servers
            if self._is_offered(running, protocol, model)
        ]
        for number in range(self.plan.rounds):
            self._measure_limits(model)
            # Servers follow each other within one kind of cell, since machines drift; another begins each time.
            for protocol in self.plan.protocols:
                taking = [running for running, offered in offers if offered == protocol]
                shift = number % max(1, len(taking))
                for clients in self.plan.clients:
                    for running in taking[shift:] + taking[:shift]:
                        cell = Cell(model, running.server.name, protocol, clients)
                        self.say(f"round {number + 1}/{self.plan.rounds}: {_words(cell)}")
                        self._measure_cell(cell, running)
        for running in servers:
            self.results.memory[running.server.name, model] = running.tree.memory_mb()
        if model == "heavy":
            for running in servers:
                self.say(f"health probe under load: {running.server.name}")
                self.results.health[running.server.name] = measure_health(
                    running, model, _BUSIEST, seconds=self.plan.health_seconds
                )

    def _measure_cell(self, cell: Cell, running: Running) -> None:
        sample = measure_cell(
            running,
            cell.protocol,
            cell.model,
            cell.clients,
            seconds=self.plan.seconds,
            warm_up=self.plan.warm_up,
        )
        self.results.samples.setdefault(cell, []).append(sample)

    def _measure_limits(self, model: str) -> None:
        self.say(f"onnxruntime in process: {model}")
        limits = measure_limits(self._model(model), seconds=self.plan.seconds, core=self.server_core)
        for batch, rate in limits.items():
            self.results.limits.setdefault((model, batch), []).append(rate)

    def _measure_shutdowns(self) -> None:
        for server in self.plan.servers:
            tries = self.plan.shutdowns if server.name == OURS else self.plan.peer_shutdowns

            def begin(server: Server = server) -> Running:
                running = self._start(server, "mlp", with_grpc=False)
                wait_until_ready(running)
                return running

            def tell(index: int, server: Server = server, tries: int = tries) -> None:
                self.say(f"SIGTERM under load {index + 1}/{tries}: {server.name}")

            self.results.shutdowns[server.name] = count_lost(
                begin, "mlp", _AT_SHUTDOWN, tries=tries, say=tell
            )

    def _is_offered(self, running: Running, protocol: str, model: str) -> bool:
        self.say(f"checking answers: {running.server.name}, {protocol}, {model}")
        checked = check(running, protocol, model)
        if not checked.offered:
            self.results.absent[running.server.name, protocol] = checked.reason
        return checked.offered

    @contextlib.contextmanager
    def _started(self, model: str) -> Iterator[list[Running]]:
        servers: list[Running] = []
        try:
            for server in self.plan.servers:
                self.say(f"starting {server.name} with {model}")
                running = self._start(server, model, with_grpc=True)
                servers.append(running)
                wait_until_ready(running)
            yield servers
        finally:
            for running in servers:
                running.tree.stop()

    def _start(self, server: Server, model: str, *, with_grpc: bool) -> Running:
        return start(
            server,
            model=self._model(model),
            programs=self.programs.get(server.name, Path()),
            folder=self.folder / server.name,
            core=self.server_core,
            with_grpc=with_grpc,
        )

    def _model(self, name: str) -> Path:
        return self.folder / "models" / name / "model.onnx"


def _words(cell: Cell) -> str:
    return f"{cell.server}, {cell.model}, {cell.protocol}, {cell.clients} clients"


def _describe_machine(servers: Sequence[Server]) -> str:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    peers = ", ".join(f"{server.name} {pinned_version(server.peer)}" for server in servers if server.peer)
    return (
        f"{cpu}, one core for the server and one for its clients; {date.today():%-d %B %Y}; "
        f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}; {peers}."
    )
