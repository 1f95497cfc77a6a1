"""The measurements on one running server: right answers, a cell, health under load, an end under load."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime

from tests.benchmarks.serving.bodies import address, decode_answer, make_exchange
from tests.benchmarks.serving.http1 import Http1Exchange, get
from tests.benchmarks.serving.http2 import ProtocolError
from tests.benchmarks.serving.load import Connection, LoadGenerator
from tests.benchmarks.serving.models import sample_rows
from tests.benchmarks.serving.results import Sample, Shutdowns, percentile
from tests.benchmarks.serving.servers import HOST, Running, is_ready

_ANSWER_SECONDS = 10.0
_DRAIN_SECONDS = 30.0
_ANSWERS_EACH = 6
_MILLION = 1_000_000


class WrongAnswerError(Exception):
    """A server answers with other numbers than onnxruntime."""


@dataclass(frozen=True)
class Checked:
    """Whether a server takes a protocol; `reason` says why not."""

    offered: bool
    reason: str = ""


def check(running: Running, protocol: str, model: str) -> Checked:
    """Ask for each row once and compare with onnxruntime.

    Raises:
        WrongAnswerError: it took a request and gave back other numbers.
    """
    session = onnxruntime.InferenceSession(str(running.place.model), providers=["CPUExecutionProvider"])
    for row in sample_rows(model):
        make = make_exchange(running, protocol, row)
        if make is None:
            return Checked(False, "it has no such protocol")
        try:
            answer = _ask(Connection(address(running, protocol), make()))
            found = decode_answer(running, protocol, answer)
        except (OSError, ProtocolError, ValueError, KeyError, TypeError, IndexError) as exc:
            return Checked(False, (str(exc).splitlines() or [type(exc).__name__])[0])
        (wanted,) = session.run(None, {"x": row[None]})
        if found.shape != wanted[0].shape or not np.allclose(found, wanted[0], rtol=1e-3, atol=1e-4):
            raise WrongAnswerError(f"{running.server.name}, {protocol}: {found} instead of {wanted[0]}")
    return Checked(True)


def _ask(connection: Connection) -> bytes:
    connection.socket.settimeout(_ANSWER_SECONDS)
    with connection.socket:
        connection.send()
        while (answer := connection.receive()) is None:
            pass
    if connection.exchange.failed:
        status = getattr(connection.exchange, "status", b"").decode()
        raise ValueError(f"it answers with HTTP {status}" if status else "it refuses the call")
    return answer


def measure_cell(
    running: Running, protocol: str, model: str, clients: int, *, seconds: float, warm_up: float
) -> Sample:
    """Load one server with `clients` for `seconds`, or longer where it needs that for its answers to count.

    Servers that answer in bursts would otherwise be judged by how many bursts fell within the time.
    """
    make = make_exchange(running, protocol, sample_rows(model)[0])
    with LoadGenerator(address(running, protocol), make, clients) as generator:
        generator.run(warm_up, at_least=clients)
        before = running.tree.cpu_seconds()
        load = generator.run(seconds, at_least=_ANSWERS_EACH * clients)
        cpu = running.tree.cpu_seconds() - before
        generator.finish(_ANSWER_SECONDS)
    answers = len(load.latencies)
    return Sample(
        rate=answers / load.seconds,
        p50=percentile(load.latencies, 0.5) / _MILLION,
        p99=percentile(load.latencies, 0.99) / _MILLION,
        cpu=cpu / answers * _MILLION if answers else float("nan"),
        failed=load.failed,
        client_busy=load.busy,
    )


def measure_health(running: Running, model: str, clients: int, *, seconds: float) -> float:
    """The p99, in ms, of the liveness probe while `clients` load the server."""
    make = make_exchange(running, "JSON", sample_rows(model)[0])
    probe = Http1Exchange(get(f"{HOST}:{running.place.http_port}", running.server.live))
    with LoadGenerator(running.http, make, clients) as generator:
        generator.run(0.3)
        latencies = generator.probe(running.http, probe, seconds)
        generator.finish(_ANSWER_SECONDS)
    return percentile(latencies, 0.99) / _MILLION


def count_lost(
    start: Callable[[], Running], model: str, clients: int, *, tries: int, say: Callable[[int], None]
) -> Shutdowns:
    """End a loaded server by SIGTERM again and again.

    The clients do what callers in a cluster do: they send on until readiness fails, asked every 50 ms, and
    await what is in flight then. A request is lost where it gets a refused or broken connection or an error.
    """
    lost = 0
    for index in range(tries):
        say(index)
        running = start()
        try:
            lost += _lost_on_sigterm(running, model, clients)
        finally:
            running.tree.stop()
    return Shutdowns(tries, lost)


def _lost_on_sigterm(running: Running, model: str, clients: int) -> int:
    make = make_exchange(running, "JSON", sample_rows(model)[0])
    unready = threading.Event()

    def poll_readiness() -> None:
        while not unready.is_set() and is_ready(running):
            unready.wait(0.05)
        unready.set()

    def is_over() -> bool:
        if not running.tree.alive:
            # A container ends with its first process, whatever other processes still do.
            running.tree.kill()
        return unready.is_set()

    with LoadGenerator(running.http, make, clients) as generator:
        generator.run(0.3)
        running.tree.terminate()
        poller = threading.Thread(target=poll_readiness)
        poller.start()
        generator.run(_DRAIN_SECONDS, until=is_over)
        unready.set()
        poller.join()
        return generator.finish(_ANSWER_SECONDS)
