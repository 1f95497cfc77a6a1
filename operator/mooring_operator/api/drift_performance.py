"""How good the predictions of what a ``DriftMonitor`` watches are, by labels that come later."""

from datetime import timedelta
from typing import Annotated, Literal

from mooring_artifacts import gates
from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.drift_actions import A_SET, Actions, one_stop
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.types import Duration, Message, Model, Note, StatusModel, Time

LONGEST = timedelta(days=31)
MOST_RULES = 16
MOST_METRICS = len(gates.COMPARABLE)

_NO_BOUND = "needs margin, limit or both"
_LONG = "span and grace together have 31 days (744h) at most"


class Labels(Model):
    """Labels in files."""

    uri: Annotated[
        str,
        forms.ADDRESS.field,
        Field(description="Parquet, CSV, Arrow or JSON lines, or a folder of them that grows."),
    ]
    id_column: Annotated[
        str, forms.COLUMN.field, Field(description="Column with the id of the request, as it was kept.")
    ] = "id"
    label_column: Annotated[str, forms.COLUMN.field, Field(description="Column with what was true.")] = (
        "label"
    )
    row_column: Annotated[
        str | None,
        forms.COLUMN.field,
        Field(
            description="Column with the number of the row in its request, from 0 on; the first when left out."
        ),
    ] = None


class PerformanceRule(Model):
    """What a metric must keep. Broken where the good end of the interval of 95 % breaks it, or, plain, the metric."""

    metric: Annotated[gates.ComparableMetric, Field(description="What is measured.")]
    margin: Annotated[
        float | None,
        Field(
            ge=0, le=1e12, description="How much worse than the baseline's figure it may be, in its own unit."
        ),
    ] = None
    limit: Annotated[
        float | None,
        Field(ge=-1e12, le=1e12, description="The worst that it may be, whatever the baseline has."),
    ] = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> "PerformanceRule":
        if self.margin is None and self.limit is None:
            raise ValueError(_NO_BOUND)
        return self


class LabelledRows(Model):
    """Rows with predictions, in columns named as capture names them, and their labels."""

    uri: Annotated[str, forms.ADDRESS.field, Field(description="Parquet file, or a folder of them.")]


class Performance(Model):
    """Which labels judge the requests that the target keeps, and what must hold."""

    labels: Annotated[
        Labels | None,
        Field(
            description="Where labels are; those that callers send to /v2/models/NAME/labels when left out."
        ),
    ] = None
    grace: Annotated[
        Duration,
        Field(
            description="How long labels may come: requests are judged once, so long after their time, and what comes "
            "later counts nowhere."
        ),
    ] = timedelta(hours=24)
    span: Annotated[
        Duration | None,
        Field(
            description="Requests of how long are judged together, at every evaluation; spec.interval when left out."
        ),
    ] = None
    min_labels: Annotated[
        int, Field(ge=20, le=10_000_000, description="Labels below which nothing is said.")
    ] = 100
    rules: Annotated[
        list[PerformanceRule],
        Field(
            description="What must hold. When left out, accuracy, where it is measured, with a margin of .05.",
            max_length=MOST_RULES,
        ),
    ] = []
    plain: Annotated[
        bool,
        Field(
            description="Judge what labels show as it is, and not by the good end of its interval: often wrong where "
            "labels are few."
        ),
    ] = False
    baseline: Annotated[
        LabelledRows | None,
        Field(
            description="What metrics were before, from rows with labels in the same column; what the test of the "
            "revision that serves measured when left out."
        ),
    ] = None
    estimate: Annotated[
        bool,
        Field(
            description="Estimate the accuracy of the window itself, before labels come, from how sure the model is, "
            "or of amounts MAE and RMSE, from the loss of rows like these: condition EstimatedDrop. Learned from the "
            "labelled rows of baseline, or of earlier requests."
        ),
    ] = False
    actions: Annotated[
        Actions,
        Field(
            description="What happens when PerformanceDropped becomes True, as in spec.actions; an estimate asks for "
            "nothing.",
            json_schema_extra=A_SET,
        ),
    ] = []
    output: Annotated[
        str | None,
        forms.FEATURE.field,
        Field(description="The model's output that is judged; as in the target's spec.ci when left out."),
    ] = None
    classes: Annotated[
        list[Annotated[str, forms.FEATURE.field]],
        Field(
            description="Labels that scores stand for, in order; as in the target's spec.ci when left out.",
            max_length=24,
        ),
    ] = []
    task: Annotated[
        Literal["Classification", "Regression"] | None,
        Field(
            description="What a label is; as in the target's spec.ci, or what the data says, when left out."
        ),
    ] = None

    @model_validator(mode="after")
    def _is_kept_so_long(self) -> "Performance":
        if self.grace + (self.span or timedelta()) > LONGEST:
            raise ValueError(_LONG)
        return self


def _rules(rule: str, message: str) -> dict[str, JsonValue]:
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


PerformanceRule.model_config["json_schema_extra"] = _rules(
    "has(self.margin) || has(self.limit)", f"a rule of spec.performance.rules {_NO_BOUND}"
)
Performance.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "duration(self.grace) + (has(self.span) ? duration(self.span) : duration('0s')) "
            "<= duration('744h')",
            "message": f"spec.performance: {_LONG}",
        },
        one_stop("spec.performance"),
    ]
}


class SoughtPerformance(StatusModel):
    """Requests that a run judges, and what it compares with."""

    requests: Annotated[Sought | None, Field(description="The requests; none where none is old enough.")] = (
        None
    )
    labels: Annotated[Sought | None, Field(description="Labels that callers sent.")] = None
    figures: Annotated[
        dict[str, float],
        Field(description="Metrics of the test that the revision has passed.", max_length=48),
    ] = {}
    figure_rows: Annotated[int, Field(description="Rows of that test.")] = 0
    output: Annotated[str, Field(description="Output that is judged.")] = ""
    classes: Annotated[list[str], Field(description="Labels that scores stand for.", max_length=24)] = []
    task: Annotated[str, Field(description="What a label is.")] = ""


class MetricFound(StatusModel):
    """A metric of the requests with a label."""

    metric: Annotated[str, Field(description="What was measured.", max_length=63)]
    value: Annotated[float, Field(description="Its estimate.")]
    low: Annotated[float | None, Field(description="Lower end of its interval of 95 %.")] = None
    high: Annotated[float | None, Field(description="Upper end.")] = None
    baseline: Annotated[float | None, Field(description="What it was before.")] = None


class LabelCounts(StatusModel):
    """What became of requests and labels, in rows."""

    answered: Annotated[int, Field(description="Requests with a prediction.")] = 0
    labelled: Annotated[int, Field(description="Those of them with a label.")] = 0
    duplicates: Annotated[
        int, Field(description="Labels that came again for a request; the last one counts.")
    ] = 0
    conflicting: Annotated[int, Field(description="Requests whose labels differ.")] = 0
    unknown: Annotated[int, Field(description="Labels of other requests.")] = 0
    empty: Annotated[int, Field(description="Labels without an id or a value.")] = 0
    repeated: Annotated[int, Field(description="Requests with an id that was there before.")] = 0


class PerformanceEstimate(StatusModel):
    """How good predictions without labels probably are."""

    rows: Annotated[int, Field(description="Requests with a prediction.")] = 0
    reference: Annotated[int, Field(description="Labelled rows that it was learned from.")] = 0
    metric: Annotated[MetricFound | None, Field(description="The estimate.")] = None
    others: Annotated[
        list[MetricFound], Field(description="Estimates of other metrics.", max_length=MOST_METRICS)
    ] = []
    broken: Annotated[list[Note], Field(description="Rules that it breaks.", max_length=MOST_RULES)] = []
    message: Annotated[Note, Field(description="Why there is none, or what to know of it.")] = ""


class PerformanceStatus(StatusModel):
    """How good the predictions of the last requests that were judged are."""

    time: Annotated[Time | None, Field(description="When they were judged.")] = None
    revision: Annotated[str, Field(description="Revision that answered them.")] = ""
    since: Annotated[Time | None, Field(description="Time of the first requests.")] = None
    until: Annotated[Time | None, Field(description="Time before which the last ones are.")] = None
    labels: Annotated[
        LabelCounts, Field(description="How many have a label, and what was odd about labels.")
    ] = LabelCounts()
    metrics: Annotated[
        list[MetricFound], Field(description="What was measured.", max_length=MOST_METRICS)
    ] = []
    broken: Annotated[list[Note], Field(description="Rules that are broken.", max_length=MOST_RULES)] = []
    estimate: Annotated[
        PerformanceEstimate | None,
        Field(description="How good the predictions of the last window probably are."),
    ] = None
    reason: Annotated[
        str, Field(description="Why nothing was measured, in one word; empty where it was.")
    ] = ""
    message: Annotated[Message, Field(description="Why, or what to know of the numbers.")] = ""
