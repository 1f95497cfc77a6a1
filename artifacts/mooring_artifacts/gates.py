"""Gates: bounds that measured metrics must keep, as `spec.ci.gates` and a run's parameters write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mooring_artifacts.errors import InputError
from mooring_artifacts.text import UNSEEN, nearest

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
    "batchLatencyP95Ms",
    "rowsPerSecond",
    "memoryGrowthMB",
    "peakMemoryMB",
    "gpuMemoryMB",
    "modelSizeMB",
    "rows",
    "invalidPredictions",
    "repeatDifference",
    "batchDifference",
    "formatDifference",
    "oddInputsFailed",
    "parameters",
    "parametersWithoutGradient",
    "worstSliceAccuracy",
    "worstSliceMae",
    "demographicParityDifference",
    "demographicParityRatio",
    "equalizedOddsDifference",
    "equalizedOddsRatio",
    "noiseStability",
    "adversarialAccuracy",
    "exactMatch",
    "fuzzyMatch",
    "refusalRate",
    "firstTokenP50Ms",
    "firstTokenP95Ms",
    "tokensPerSecond",
    "joulesPer1000Predictions",
]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""What a run measures."""

ComparableMetric = Literal[
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
]
COMPARABLE: tuple[ComparableMetric, ...] = get_args(ComparableMetric)
"""What is measured of two models on the same rows."""
SLICED: tuple[Metric, ...] = ("accuracy", "mae")
"""What is measured of slices: accuracy of classes, mae of amounts."""
LEAST_SLICE_ROWS = 20
"""An interval of fewer rows says next to nothing."""
LONGEST_SLICE_NAME = 60

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


SLICE_PATTERN = f"^[^{UNSEEN}]+$"
SliceName = Annotated[str, Field(pattern=SLICE_PATTERN, max_length=LONGEST_SLICE_NAME)]


class GatedSlices(BaseModel):
    """The rows that a gate is about: those with one value in a column, or with each of its values."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    column: Annotated[
        SliceName, Field(description="A column of testData.slices; of longer names the first 60 characters.")
    ]
    value: Annotated[
        SliceName | None,
        Field(
            description="A slice by the name that verdicts have; every one of at least 20 rows when left out."
        ),
    ] = None


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
    slice: Annotated[
        GatedSlices | None,
        Field(description="Hold it for parts of the rows: accuracy or mae, without notWorseThan."),
    ] = None

    def _needs_bounds(self) -> bool:
        return self.not_worse_than is None

    @model_validator(mode="after")
    def _is_sliced(self) -> Self:
        if self.slice is not None and (self.metric not in SLICED or self.not_worse_than is not None):
            raise ValueError(
                f"the gate on {self.metric} has slice, which is for {' and '.join(SLICED)} without notWorseThan"
            )
        return self

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
    parts += ["by the bound of the interval"] if gate.means == "Bound" else []
    return ", ".join([*parts, *([] if gate.slice is None else [f"for {_called(gate.slice)}"])])


def _called(part: GatedSlices) -> str:
    """Name the rows that a gate is about."""
    return f"every {part.column}" if part.value is None else f"{part.column} = {part.value}"


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
