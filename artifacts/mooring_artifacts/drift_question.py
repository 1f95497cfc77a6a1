"""What a drift evaluation is asked: the parameter `question` of the pipeline `drift-evaluation`.

    {"baseline": {"uri": URI}, "window": {"uri": URI}, "features": [NAME, ...] | null, "categories": [NAME, ...] | null,
     "settings": [{"match": "zip*", "type": "Category"}, ...], "minRows": 100,
     "slices": [{"name": "dach", "column": "country", "values": ["DE", "AT", "CH"]}, ...],
     "ks": {"alpha": 0.01} | null, "psi": {"threshold": 0.2, "bins": 10} | null}

Rows of requests that were kept are cut out by time, and some columns are none of what is compared:

    {"uri": URI, "since": "2026-03-01T12:00:00Z", "until": "2026-03-01T13:00:00Z", "without": ["label"],
     "counted": false, "rows": 5000}

How good predictions were is measured where labels are named, of other requests than those of the window, for labels
come later:

    "performance": {"requests": ROWS, "labels": {"uri": URI, "idColumn": "id", "labelColumn": "label"},
     "minLabels": 100, "rules": [{"metric": "accuracy", "margin": 0.05}], "figures": {"accuracy": 0.93},
     "figureRows": 2000}

A test without its parameters is not made. Numbers lose the difference between 100 and 100.0 on the way through
Kubeflow Pipelines, so both are taken.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from mooring_artifacts.drift_slices import MOST_SLICES, DriftSlice, refuse_twice
from mooring_artifacts.errors import InputError
from mooring_artifacts.feature_settings import MOST_SETTINGS, FeatureSetting, FeatureSettings
from mooring_artifacts.gates import ComparableMetric

LONGEST = timedelta(days=32)
"""Each hour is a folder that is listed."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Rows(_Part):
    """Where rows are: a Parquet file, or a folder of them.

    With `since` and `until`, a folder with folders of hours; rows from `since` on, before `until`. A baseline that is
    `counted` is the profile in whose slots the window was counted as it came (`window_states`): no row is read.
    A window with fewer than `rows` rows is not compared yet.
    """

    uri: str
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    without: Annotated[list[str], Field(max_length=100)] | None = None
    counted: bool = False
    rows: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _is_a_span(self) -> Rows:
        if (self.since is None) != (self.until is None):
            raise ValueError("since and until come together")
        if self.since is not None and self.until is not None and not self.since < self.until:
            raise ValueError("since must be before until")
        if self.since is not None and self.until is not None and self.until - self.since > LONGEST:
            raise ValueError(f"at most {LONGEST.days} days are looked at")
        return self


class KolmogorovSmirnov(_Part):
    """The share of wrong ones among what is named."""

    alpha: Annotated[Finite, Field(gt=0, lt=1)]


class PopulationStability(_Part):
    """From where on an index matters, and over how many bins it is taken."""

    threshold: Annotated[Finite, Field(gt=0)]
    bins: Annotated[int, Field(ge=2, le=100)]


class PerformanceRule(_Part):
    """What a metric of the predictions must keep: no worse than the baseline's by more than a margin, or than a limit.

    It is broken where even the good end of the interval breaks it.
    """

    metric: ComparableMetric
    margin: Annotated[Finite, Field(ge=0)] | None = None
    limit: Finite | None = None


class Labels(_Part):
    """Where labels are: files of rows, with the id of a request and what was true for it.

    Those that a runtime was sent are `kept`: in folders of hours, from `since` on, before `until`.
    """

    uri: str
    id_column: str = "id"
    label_column: str = "label"
    row_column: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    @property
    def kept(self) -> Rows | None:
        """Where they lie, of those that a runtime was sent; None of others."""
        return Rows(uri=self.uri, since=self.since, until=self.until) if self.since is not None else None


class PerformanceQuestion(_Part):
    """Which requests are judged by which labels; none where none is old enough.

    plain: whether what was measured is judged as it is, and not by the good end of its interval.
    figures: metrics of the served revision before traffic; figure_rows: of how many rows, 0 where that is not known.
    baseline: rows with predictions and labels to take these figures from instead.
    estimate: whether the accuracy of the window's requests is estimated, for which there are no labels yet.
    output, classes, task: how predictions are read, as in `spec.ci.testData`.
    """

    requests: Rows | None = None
    labels: Labels
    min_labels: Annotated[int, Field(ge=1)]
    rules: Annotated[list[PerformanceRule], Field(max_length=16)] = []
    plain: bool = False
    figures: Annotated[dict[str, Finite], Field(max_length=48)] = {}
    figure_rows: Annotated[int, Field(ge=0)] = 0
    baseline: Rows | None = None
    estimate: bool = False
    output: str = ""
    classes: Annotated[list[str], Field(max_length=10_000)] = []
    task: Literal["", "Classification", "Regression"] = ""


class PastWindow(_Part):
    """What came of an earlier window; `evidence` is what had gathered by then, where windows are weighed."""

    time: AwareDatetime
    tested: Annotated[int, Field(ge=0)]
    drifted: Annotated[int, Field(ge=0)]
    evidence: Annotated[Finite, Field(ge=0)] | None = None


class LastLook(_Part):
    """What the last evaluation of the same revision saw: rows before `until` that come later are in no window.

    newest: when the newest file was written, in seconds since 1970 by the clock of its store.
    """

    until: AwareDatetime
    newest: Finite


class DriftQuestion(_Part):
    """What is compared, and how; no `features` means all that both sides have, `categories` are columns of codes.

    settings: what is declared of features (`feature_settings`).
    slices: parts of the rows that are compared by themselves, too (`drift_slices`).
    plain: whether each feature is judged by itself, without a correction for their number and a size that matters.

    last: what was seen before, of windows of what is kept: what has come late since is counted.
    operation: whether it is measured how the requests of the window were answered.
    past, limit: earlier windows, the oldest first, and the evidence that alarms: for the page alone.
    """

    baseline: Rows
    window: Rows
    features: Annotated[list[str], Field(min_length=1, max_length=2000)] | None = None
    categories: Annotated[list[str], Field(min_length=1, max_length=2000)] | None = None
    settings: Annotated[list[FeatureSetting], Field(max_length=MOST_SETTINGS)] = []
    slices: Annotated[list[DriftSlice], Field(max_length=MOST_SLICES)] = []
    min_rows: Annotated[int, Field(ge=1)]
    ks: KolmogorovSmirnov | None = None
    psi: PopulationStability | None = None
    plain: bool = False
    performance: PerformanceQuestion | None = None
    operation: bool = False
    last: LastLook | None = None
    past: Annotated[list[PastWindow], Field(max_length=100)] = []
    limit: Annotated[Finite, Field(gt=0)] | None = None

    @property
    def declared(self) -> FeatureSettings:
        """What is declared of features."""
        return FeatureSettings(self.settings, self.categories or ())

    @model_validator(mode="after")
    def _is_of_a_time(self) -> DriftQuestion:
        if self.baseline.counted and self.window.since is None:
            raise ValueError("a counted baseline needs a window with since and until")
        return self

    @model_validator(mode="after")
    def _has_slices(self) -> DriftQuestion:
        if self.slices and self.baseline.counted:
            raise ValueError("slices need a baseline whose rows are read, and a counted one has none")
        try:
            refuse_twice(self.slices)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self


def parse_question(document: Any) -> DriftQuestion:
    """The question in a JSON document.

    Raises:
        InputError: it is none; the message names the first field that is wrong.
    """
    try:
        return DriftQuestion.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(["question", *map(str, first["loc"])])
        raise InputError(
            f"{field:.200} {first['input']!r:.200} is not allowed: {first['msg']:.200}"
        ) from error
