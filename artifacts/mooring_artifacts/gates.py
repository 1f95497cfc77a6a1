"""Gates: bounds that measured metrics must keep, as `spec.ci.gates` and a run's parameters write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mooring_artifacts.errors import InputError
from mooring_artifacts.text import nearest

Metric = Literal[
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
    "invalidPredictions",
]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""What a run measures."""

Number = Annotated[float, Field(allow_inf_nan=False)]
LONGEST_MESSAGE = 1000
METRIC_PATTERN = r"^[a-zA-Z][a-zA-Z0-9]*$"
MetricName = Annotated[str, Field(pattern=METRIC_PATTERN, max_length=63)]
"""The name of a metric in a document, which another version may have written."""


def unknown_metric(name: str) -> str | None:
    """Say that nothing is measured under a name, and which was probably meant; None where something is."""
    if name in METRICS:
        return None
    meant = nearest(name, METRICS)
    hint = f"did you mean {meant}? " if meant else ""
    return f"{name!r:.80} is not a metric; {hint}known are {', '.join(METRICS)}"


def _known(name: Any) -> Any:
    if isinstance(name, str) and (problem := unknown_metric(name)) is not None:
        raise ValueError(problem)
    return name


class Gate(BaseModel):
    """A limit that a measured metric must keep."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    metric: Annotated[
        Metric,
        BeforeValidator(_known),
        Field(description=f"What is measured: {', '.join(METRICS)}."),
    ]
    min: Annotated[Number | None, Field(description="Least allowed value.")] = None
    max: Annotated[Number | None, Field(description="Greatest allowed value.")] = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"the gate on {self.metric} needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"the gate on {self.metric} has min {self.min:g} above max {self.max:g}")
        return self


class Violation(BaseModel):
    """A gate that did not hold; `value` is None when there was nothing to compare."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    metric: MetricName
    value: Number | None
    min: Number | None
    max: Number | None
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)]


def parse_gates(gates: Sequence[Mapping[str, Any]]) -> list[Gate]:
    """Gates from their JSON form `{"metric": str, "min": number?, "max": number?}`.

    Raises:
        InputError: a gate of another form, without bounds, or with min above max.
    """
    return [_parse_gate(gate, f"gates[{i}]") for i, gate in enumerate(gates)]


def judge(metrics: Mapping[str, float], gates: Sequence[Gate]) -> list[Violation]:
    """The gates that do not hold. A metric that is missing or not finite never passes."""
    return [violation for gate in gates if (violation := _violation(metrics, gate)) is not None]


def _violation(metrics: Mapping[str, float], gate: Gate) -> Violation | None:
    def failed(value: float | None, message: str) -> Violation:
        return Violation(metric=gate.metric, value=value, min=gate.min, max=gate.max, message=message)

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
    try:
        return Gate.model_validate(gate)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([field, *map(str, first["loc"])])
        if first["type"] == "value_error":
            raise InputError(f"{where}: {first['ctx']['error']}") from error
        raise InputError(
            f"{where} {first['input']!r:.200} is not allowed ({first['msg']}): "
            'write {"metric": NAME, "min": NUMBER, "max": NUMBER}'
        ) from error
