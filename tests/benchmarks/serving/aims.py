"""What the runtime is meant to reach, and by how much it does; pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.serving.results import Cell, Results
from tests.benchmarks.serving.servers import OURS

Figure = tuple[float | None, str]

# With fewer the server's core idles between requests, and waking up costs more than the answer.
_FEW_CLIENTS = 16


@dataclass(frozen=True)
class Aim:
    """One aim: what it says, the figure wanted, whether more is better, and how the figure is found.

    `find` answers with the figure, None where nothing was measured, and with what it is made of.
    """

    text: str
    wanted: float
    more_is_better: bool
    unit: str
    find: Callable[[Results], Figure]


@dataclass(frozen=True)
class Outcome:
    """An aim beside what was measured."""

    aim: Aim
    value: float | None
    detail: str

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        if self.value is None:
            return None
        return self.value >= self.aim.wanted if self.aim.more_is_better else self.value <= self.aim.wanted

    @property
    def verdict(self) -> str:
        """In words."""
        if self.value is None:
            return "not measured"
        if self.met:
            return "met"
        if self.aim.wanted == 0:
            return f"missed by {self.value:g}"
        return f"missed by {abs(self.value / self.aim.wanted - 1):.0%}"


def evaluate(results: Results, aims: Sequence[Aim] | None = None) -> list[Outcome]:
    """Each aim with its figure."""
    return [Outcome(aim, *aim.find(results)) for aim in (AIMS if aims is None else aims)]


def _cpu_ratio(model: str, protocol: str, peer: str) -> Callable[[Results], Figure]:
    """Requests per CPU second by the peer's; the lowest over the numbers of clients that keep a core busy."""

    def find(results: Results) -> Figure:
        found = {
            clients: results.ratio(
                "cpu", Cell(model, peer, protocol, clients), Cell(model, OURS, protocol, clients)
            )
            for clients in results.counts()
        }
        known = {clients: value for clients, value in found.items() if value is not None}
        busy = [value for clients, value in known.items() if clients >= _FEW_CLIENTS]
        detail = ", ".join(f"{value:.1f}" for value in known.values())
        return (min(busy), f"{detail} at {', '.join(map(str, known))} clients") if busy else (None, "")

    return find


def _rate_ratio(model: str, peer: str, clients: int) -> Callable[[Results], Figure]:
    def find(results: Results) -> Figure:
        ours, theirs = (Cell(model, server, "JSON", clients) for server in (OURS, peer))
        return results.ratio("rate", ours, theirs), ""

    return find


def _part_of_limit(model: str, clients: int, batch: int) -> Callable[[Results], Figure]:
    def find(results: Results) -> Figure:
        samples = results.samples.get(Cell(model, OURS, "JSON", clients), [])
        pairs = list(zip(samples, results.limits.get((model, batch), ()), strict=False))
        if not pairs:
            return None, ""
        part = statistics.median(sample.rate / limit for sample, limit in pairs)
        limit = statistics.median(limit for _, limit in pairs)
        return 100 * part, f"onnxruntime: {limit:,.0f} rows/s"

    return find


def _tail_part(peer: str, clients: int) -> Callable[[Results], Figure]:
    """Our p99 by the peer's in percent; the highest over the models."""

    def find(results: Results) -> Figure:
        found = {
            model: results.ratio(
                "p99", Cell(model, OURS, "JSON", clients), Cell(model, peer, "JSON", clients)
            )
            for model in results.models()
        }
        known = {model: 100 * part for model, part in found.items() if part is not None}
        detail = ", ".join(f"{model} {part:.0f}" for model, part in known.items())
        return (max(known.values()), detail) if known else (None, "")

    return find


def _health(results: Results) -> Figure:
    others = ", ".join(f"{name} {value:.0f}" for name, value in results.health.items() if name != OURS)
    return results.health.get(OURS), others


def _lost(results: Results) -> Figure:
    ours = results.shutdowns.get(OURS)
    others = [f"{n} {s.lost} in {s.tries}" for n, s in results.shutdowns.items() if n != OURS]
    return (None, "") if ours is None else (ours.lost, f"{ours.tries} tries; {', '.join(others)}")


def _memory(results: Results) -> Figure:
    """REST alone, after use."""
    detail = ", ".join(
        f"{state} {mb:.0f}" for (server, state), mb in results.memory.items() if server == OURS
    )
    return results.memory.get((OURS, "used")), detail


def _capture(results: Results) -> Figure:
    if not results.capture:
        return None, ""
    path, writer = (statistics.median(run[part] for run in results.capture) for part in ("path", "writer"))
    return path, f"and {writer:.2g} us of the thread that writes Parquet"


def _cold_start(results: Results) -> Figure:
    medians = {name: statistics.median(values) for name, values in results.starts.items() if values}
    others = ", ".join(f"{name} {value:.1f}" for name, value in medians.items() if name != OURS)
    return medians.get(OURS), others


def _aim(text: str, wanted: float, unit: str, find: Callable[[Results], Figure], more: bool = True) -> Aim:
    return Aim(text, wanted, more, unit, find)


_PER_CPU = "requests per CPU second"

AIMS = (
    _aim(f"mlp, JSON: {_PER_CPU}, by kserve's", 7, "x", _cpu_ratio("mlp", "JSON", "kserve")),
    _aim(f"mlp, JSON: {_PER_CPU}, by MLServer's", 5, "x", _cpu_ratio("mlp", "JSON", "mlserver")),
    _aim(f"tab, JSON: {_PER_CPU}, by kserve's", 8, "x", _cpu_ratio("tab", "JSON", "kserve")),
    _aim(f"tab, JSON: {_PER_CPU}, by MLServer's", 7, "x", _cpu_ratio("tab", "JSON", "mlserver")),
    _aim(f"mlp, binary: {_PER_CPU}, by kserve's", 10, "x", _cpu_ratio("mlp", "binary", "kserve")),
    _aim(f"tab, binary: {_PER_CPU}, by kserve's", 10, "x", _cpu_ratio("tab", "binary", "kserve")),
    _aim(f"mlp, gRPC: {_PER_CPU}, by kserve's", 2, "x", _cpu_ratio("mlp", "gRPC", "kserve")),
    _aim(f"tab, gRPC: {_PER_CPU}, by kserve's", 2, "x", _cpu_ratio("tab", "gRPC", "kserve")),
    _aim("heavy, 64 clients: requests/s, by kserve's", 8, "x", _rate_ratio("heavy", "kserve", 64)),
    _aim("heavy, 64 clients: requests/s, by MLServer's", 2.5, "x", _rate_ratio("heavy", "mlserver", 64)),
    _aim("heavy, 64 clients: part of onnxruntime's rate at batch 32", 90, "%", _part_of_limit("heavy", 64, 32)),
    _aim("16 clients, JSON: p99, part of kserve's", 100 / 3, "%", _tail_part("kserve", 16), more=False),
    _aim("health probe's p99 under heavy load", 20, "ms", _health, more=False),
    _aim("requests lost on SIGTERM under load", 0, "", _lost, more=False),
    _aim("memory with a small model, REST, after use", 80, "MB", _memory, more=False),
    _aim("capture's cost on the request's path", 2, "us a row", _capture, more=False),
    _aim("cold start to ready, small model", 1.5, "s", _cold_start, more=False),
)  # fmt: skip
