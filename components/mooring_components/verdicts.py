"""Judge metrics by gates and write the verdict that the operator reads.

Imports only the standard library and obstore: the last step of a pipeline starts at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mooring_artifacts.errors import InputError

from mooring_components.storage import write

SCHEMA_VERSION = 1
METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "mae",
    "rmse",
    "latencyMeanMs",
    "latencyP50Ms",
    "latencyP95Ms",
    "latencyP99Ms",
    "modelSizeMB",
    "rows",
)


@dataclass(frozen=True)
class Gate:
    """A metric and the bounds, inclusive, that it has to keep."""

    metric: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Violation:
    """A gate that did not hold; `value` is None when there was nothing to compare."""

    metric: str
    value: float | None
    min: float | None
    max: float | None
    message: str


@dataclass(frozen=True)
class Verdict:
    """What a `model-ci` run found: the content of the JSON document at `verdict_uri`."""

    schemaVersion: int  # noqa: N815 - the names are those of the JSON document
    runId: str  # noqa: N815
    modelUri: str  # noqa: N815
    modelDigest: str  # noqa: N815
    passed: bool
    metrics: dict[str, float]
    violations: tuple[Violation, ...]


def parse_gates(gates: Sequence[Mapping[str, Any]]) -> list[Gate]:
    """Gates from their JSON form `{"metric": str, "min": number?, "max": number?}`.

    Raises:
        InputError: a gate of another form, without bounds, or with min above max.
    """
    return [_parse_gate(gate, f"gates[{i}]") for i, gate in enumerate(gates)]


def judge(metrics: Mapping[str, float], gates: Sequence[Gate]) -> list[Violation]:
    """The gates that do not hold. A metric that is unknown, missing or not finite never passes."""
    return [violation for gate in gates if (violation := _violation(metrics, gate)) is not None]


def make_verdict(
    run_id: str,
    model_uri: str,
    model_digest: str,
    metrics: Mapping[str, float],
    gates: Sequence[Mapping[str, Any]],
) -> Verdict:
    """Judge `metrics` by `gates`; metrics that are not finite are left out of the document.

    Raises:
        InputError: a malformed gate.
    """
    violations = judge(metrics, parse_gates(gates))
    # Parameters of a pipeline lose their order on the way.
    ordered = sorted(metrics, key=lambda name: METRICS.index(name) if name in METRICS else len(METRICS))
    finite = {name: float(metrics[name]) for name in ordered if math.isfinite(metrics[name])}
    return Verdict(SCHEMA_VERSION, run_id, model_uri, model_digest, not violations, finite, tuple(violations))


def write_verdict(verdict: Verdict, uri: str) -> None:
    """Create or overwrite the JSON document at `uri`.

    Raises:
        InputError: it cannot be written.
    """
    content = json.dumps(asdict(verdict), indent=2, allow_nan=False) + "\n"
    write(uri, content.encode(), "verdict_uri")


def _violation(metrics: Mapping[str, float], gate: Gate) -> Violation | None:
    def failed(value: float | None, message: str) -> Violation:
        return Violation(gate.metric, value, gate.min, gate.max, message)

    if gate.metric not in METRICS:
        return failed(None, f"{gate.metric} is not a known metric; known are {', '.join(METRICS)}")
    value = metrics.get(gate.metric)
    if value is None:
        return failed(None, f"{gate.metric} was not measured")
    if not math.isfinite(value):
        return failed(None, f"{gate.metric} is {value}, which is not a finite number")
    if gate.min is not None and value < gate.min:
        return failed(value, f"{gate.metric} {value:.6g} is below the minimum {gate.min:.6g}")
    if gate.max is not None and value > gate.max:
        return failed(value, f"{gate.metric} {value:.6g} is above the maximum {gate.max:.6g}")
    return None


def _parse_gate(gate: Mapping[str, Any], field: str) -> Gate:
    if not isinstance(gate, Mapping) or not isinstance(gate.get("metric"), str):
        raise InputError(
            f'{field} {gate!r} is not allowed: write {{"metric": NAME, "min": NUMBER, "max": NUMBER}}'
        )
    if extra := sorted(set(gate) - {"metric", "min", "max"}):
        raise InputError(f"{field} has the unknown key {extra[0]!r}; metric, min and max are allowed")
    low, high = (_bound(gate.get(name), f"{field}.{name}") for name in ("min", "max"))
    if low is None and high is None:
        raise InputError(f"{field} for {gate['metric']!r} has neither min nor max; give at least one")
    if low is not None and high is not None and low > high:
        raise InputError(f"{field}.min {low:g} is above {field}.max {high:g}")
    return Gate(gate["metric"], low, high)


def _bound(value: object, field: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{field} {value!r} is not allowed: write a finite number")
    return float(value)
