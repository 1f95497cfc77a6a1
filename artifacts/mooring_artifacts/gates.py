"""Gates: bounds that measured metrics must keep, as `spec.ci.gates` and a run's parameters write them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mooring_artifacts.errors import InputError
from mooring_artifacts.text import nearest

Metric = Literal[
    "accuracy",
    "balancedAccuracy",
    "precision",
    "recall",
    "f1",
    "rocAuc",
    "prAuc",
    "logLoss",
    "calibrationError",
    "mae",
    "rmse",
    "r2",
    "mape",
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

COMPARABLE: tuple[Metric, ...] = (
    "accuracy",
    "balancedAccuracy",
    "precision",
    "recall",
    "f1",
    "rocAuc",
    "logLoss",
    "mae",
    "rmse",
    "r2",
    "mape",
)
"""What is measured of two models on the same rows."""
_BETTER_LOW = frozenset({"logLoss", "mae", "rmse", "mape"})

Number = Annotated[float, Field(allow_inf_nan=False)]
LONGEST_MESSAGE = 1000
_LONGEST_REASON = 900
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
        Field(description="What is measured."),
    ]
    min: Annotated[Number | None, Field(description="Least allowed value.")] = None
    max: Annotated[Number | None, Field(description="Greatest allowed value.")] = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.min is None and self.max is None and self._needs_bounds():
            raise ValueError(f"the gate on {self.metric} needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"the gate on {self.metric} has min {self.min:g} above max {self.max:g}")
        return self

    def _needs_bounds(self) -> bool:
        return True


class TestGate(Gate):
    """A limit that a measured metric must keep, or the champion's value that it must reach."""

    __test__ = False  # not a test case, whatever pytest makes of the name
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    not_worse_than: Annotated[
        Literal["champion"] | None,
        Field(
            alias="notWorseThan",
            description="champion: not worse than the model that serves now, on the same rows; holds where none "
            "serves.",
        ),
    ] = None
    margin: Annotated[
        Number, Field(ge=0, le=1e12, description="How much worse it may be, in the metric's unit.")
    ] = 0.0
    means: Annotated[
        Literal["Estimate", "Bound"],
        Field(
            description="What must hold it: the estimate, or the bound of its interval of 95 % on the bad side."
        ),
    ] = "Estimate"

    def _needs_bounds(self) -> bool:
        return self.not_worse_than is None

    @model_validator(mode="after")
    def _is_comparable(self) -> Self:
        if self.not_worse_than is not None and self.metric not in COMPARABLE:
            raise ValueError(
                f"the gate on {self.metric} has notWorseThan, which is for {', '.join(COMPARABLE)}"
            )
        return self


class Interval(BaseModel):
    """Where a value lies with a probability of 95 %; a bound that is not known is None."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: Number | None
    high: Number | None


class Difference(Interval):
    """A metric of the candidate less that of the champion, on the same rows."""

    value: Number


class Violation(BaseModel):
    """A gate that did not hold; `value` is None when there was nothing to compare."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    metric: MetricName
    value: Number | None
    min: Number | None
    max: Number | None
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)]


@dataclass(frozen=True)
class Findings:
    """What gates judge.

    unmeasured: why a metric has no value. champion: whether there is one to compare with; incomparable: why it
    cannot be compared, by metric, or for all under "".
    """

    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    champion: bool = False
    differences: Mapping[str, Difference] = field(default_factory=dict)
    incomparable: Mapping[str, str] = field(default_factory=dict)


def parse_gates(gates: Sequence[Mapping[str, Any]]) -> list[TestGate]:
    """Gates from their JSON form `{"metric": str, "min": number?, "max": number?, "notWorseThan": "champion"?, ...}`.

    Raises:
        InputError: a gate of another form, without bounds, or with min above max.
    """
    return [_parse_gate(gate, f"gates[{i}]") for i, gate in enumerate(gates)]


def wanted(gate: TestGate) -> str:
    """Say what a gate asks for."""
    parts = [
        *([] if gate.min is None else [f"at least {gate.min:.6g}"]),
        *([] if gate.max is None else [f"at most {gate.max:.6g}"]),
    ]
    if gate.not_worse_than is not None:
        parts.append(
            "not worse than the champion" + (f" by more than {gate.margin:.6g}" if gate.margin else "")
        )
    return ", ".join([*parts, *(["by the bound of the interval"] if gate.means == "Bound" else [])])


def interval_in_words(found: Interval | None) -> str:
    """Give both bounds; nothing where one is not known."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f"{found.low:.4g} to {found.high:.4g}"


def difference_in_words(found: Difference | None) -> str:
    """Give it with its sign, and its interval where that is known."""
    if found is None:
        return ""
    around = interval_in_words(found)
    return f"{found.value:+.4g}" + (f" ({around})" if around else "")


def judge(found: Findings, gates: Sequence[TestGate]) -> list[Violation]:
    """The gates that do not hold. A metric that is missing or not finite never passes."""
    messages = ((gate, message) for gate in gates for message in _broken(found, gate))
    return [
        Violation(metric=gate.metric, value=_finite(found, gate), min=gate.min, max=gate.max, message=message)
        for gate, message in messages
    ]


def _finite(found: Findings, gate: TestGate) -> float | None:
    value = found.metrics.get(gate.metric)
    return value if value is not None and math.isfinite(value) else None


def _broken(found: Findings, gate: TestGate) -> Iterator[str]:
    """Yield at most one sentence."""
    name, value = gate.metric, found.metrics.get(gate.metric)
    if value is None:
        why = found.unmeasured.get(name)
        yield f"{name} was not measured" + (f": {why}"[:_LONGEST_REASON] if why else "")
    elif not math.isfinite(value):
        yield f"{name} is {value}, which is not a finite number"
    elif (message := _beyond(found, gate, value) or _behind(found, gate, value)) is not None:
        yield message


def _beyond(found: Findings, gate: TestGate, value: float) -> str | None:
    """Say that the value, or its bound, is beyond min or max."""
    low, high = value, value
    if gate.means == "Bound" and (gate.min is not None or gate.max is not None):
        interval = found.intervals.get(gate.metric)
        if interval is None or interval.low is None or interval.high is None:
            return f"{gate.metric} {value:.6g} has no interval here, so that no bound of it can be judged"
        low, high = interval.low, interval.high
    if gate.min is not None and low < gate.min:
        how = f"may be as low as {low:.6g} (95 %), which is" if low != value else "is"
        return f"{gate.metric} {value:.6g} {how} below the minimum {gate.min:.6g}"
    if gate.max is not None and high > gate.max:
        how = f"may be as high as {high:.6g} (95 %), which is" if high != value else "is"
        return f"{gate.metric} {value:.6g} {how} above the maximum {gate.max:.6g}"
    return None


def _behind(found: Findings, gate: TestGate, value: float) -> str | None:
    """Say that the value is further behind the champion's than it may be."""
    if gate.not_worse_than is None or not found.champion:
        return None
    difference = found.differences.get(gate.metric)
    if difference is None:
        why = found.incomparable.get(gate.metric) or found.incomparable.get("") or "it was not measured"
        return f"{gate.metric} cannot be compared with the champion's: {why}"[:_LONGEST_REASON]
    sign = 1.0 if gate.metric in _BETTER_LOW else -1.0
    worse = sign * difference.value
    theirs = value - difference.value
    allowed = f"{gate.margin:.6g} is allowed"
    if gate.means == "Estimate":
        if worse <= gate.margin:
            return None
        return f"{gate.metric} {value:.6g} is {worse:.6g} worse than the champion's {theirs:.6g}; {allowed}"
    bound = difference.high if sign > 0 else difference.low
    if bound is None:
        return (
            f"{gate.metric} {value:.6g} has no interval beside the champion's, so that no bound can be judged"
        )
    if sign * bound <= gate.margin:
        return None
    far = f"may be {sign * bound:.6g} worse (95 %) than the champion's {theirs:.6g}"
    return f"{gate.metric} {value:.6g} {far}; {allowed}"


def _parse_gate(gate: Mapping[str, Any], field: str) -> TestGate:
    try:
        return TestGate.model_validate(gate)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([field, *map(str, first["loc"])])
        if first["type"] == "value_error":
            raise InputError(f"{where}: {first['ctx']['error']}") from error
        raise InputError(
            f"{where} {first['input']!r:.200} is not allowed ({first['msg']}): "
            'write {"metric": NAME, "min": NUMBER, "max": NUMBER}'
        ) from error
