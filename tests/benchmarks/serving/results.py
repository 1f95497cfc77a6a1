"""What was measured, and the statistics over it; pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

_PLAIN = ("health", "starts", "capture", "generator", "machine")


@dataclass(frozen=True)
class Cell:
    """One combination that is measured once a round."""

    model: str
    server: str
    protocol: str
    clients: int


@dataclass(frozen=True)
class Sample:
    """One cell in one round: requests/s, latencies in ms, server CPU in us per request.

    `client_busy` is the part of its core that the load generator used, from 0 to 1.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    failed: int
    client_busy: float


@dataclass(frozen=True)
class Shutdowns:
    """Requests lost over several ends by SIGTERM under load."""

    tries: int
    lost: int


@dataclass
class Results:
    """Everything one run has found.

    Attributes:
        samples: by cell, one sample a round, in the order of the rounds.
        absent: why a server has no cells of a protocol, by (server, protocol).
        limits: rows/s of onnxruntime in process, one a round, by (model, batch).
        memory: MB of the process tree by (server, state); states are "idle" and "used" for REST
            alone, and each model's name for all protocols after its load.
        health: ms of the health probe's p99 under heavy load.
        shutdowns: by server.
        starts: seconds from start to ready, by server.
        capture: CPU us a row on the request's ``path`` and of the ``writer``, one a round.
        generator: the load generator's own limit, ``rate`` in requests/s and ``cpu`` in us each.
        machine: what to print above the tables.
    """

    samples: dict[Cell, list[Sample]] = field(default_factory=dict)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    limits: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    memory: dict[tuple[str, str], float] = field(default_factory=dict)
    health: dict[str, float] = field(default_factory=dict)
    shutdowns: dict[str, Shutdowns] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)
    capture: list[dict[str, float]] = field(default_factory=list)
    generator: dict[str, float] = field(default_factory=dict)
    machine: str = ""

    def median(self, cell: Cell) -> Sample | None:
        """Each figure's median over the rounds; failures are added up."""
        samples = self.samples.get(cell)
        if not samples:
            return None
        middle = {
            name: statistics.median(getattr(sample, name) for sample in samples)
            for name in ("rate", "p50", "p99", "cpu", "client_busy")
        }
        return Sample(failed=sum(sample.failed for sample in samples), **middle)

    def ratio(self, figure: str, over: Cell, under: Cell) -> float | None:
        """Median over the rounds of one cell's figure by another's of the same round."""
        pairs = list(zip(self.samples.get(over, ()), self.samples.get(under, ()), strict=False))
        return statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in pairs) if pairs else None

    def counts(self) -> list[int]:
        """The numbers of clients that were measured."""
        return sorted({cell.clients for cell in self.samples})

    def models(self) -> list[str]:
        """The models in the order in which they were measured."""
        return list(dict.fromkeys(cell.model for cell in self.samples))


def percentile(values: Sequence[int], share: float) -> float:
    """The value at or below which `share` of them lie (nearest rank); NaN for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))])


def to_json(results: Results) -> str:
    """A text from which `from_json` makes the same results."""
    return json.dumps(
        {
            "samples": [[asdict(cell), [asdict(s) for s in rows]] for cell, rows in results.samples.items()],
            "shutdowns": {name: asdict(value) for name, value in results.shutdowns.items()},
            **{name: _pairs(getattr(results, name)) for name in ("absent", "limits", "memory")},
            **{name: getattr(results, name) for name in _PLAIN},
        },
        indent=1,
    )


def from_json(text: str) -> Results:
    """The results that `to_json` wrote."""
    raw = json.loads(text)
    return Results(
        samples={Cell(**cell): [Sample(**sample) for sample in rows] for cell, rows in raw["samples"]},
        shutdowns={name: Shutdowns(**value) for name, value in raw["shutdowns"].items()},
        **{name: {tuple(key): value for key, value in raw[name]} for name in ("absent", "limits", "memory")},
        **{name: raw[name] for name in _PLAIN},
    )


def _pairs(table: dict[tuple[str, object], object]) -> Iterable[list[object]]:
    return [[list(key), value] for key, value in table.items()]
