"""``DriftMonitor``: what live traffic is compared with, how often, and what happens when it drifts."""

from datetime import timedelta
from typing import Annotated, Literal

from mooring_artifacts.feature_settings import MOST_SETTINGS
from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.drift_actions import A_SET, Actions, one_stop
from mooring_operator.api.drift_detectors import Detectors, KolmogorovSmirnov, PopulationStability
from mooring_operator.api.drift_features import FeatureSetting
from mooring_operator.api.drift_notify import MOST_RECEIVERS, Receiver
from mooring_operator.api.drift_operation import Operation
from mooring_operator.api.drift_performance import Performance
from mooring_operator.api.drift_rows import Baseline, Window
from mooring_operator.api.drift_slices import Slices
from mooring_operator.api.drift_target import (
    NEEDS_FILES,
    NEEDS_MODEL,
    NEEDS_REQUESTS,
    NEEDS_REVISIONS,
    RULES,
    Target,
)
from mooring_operator.api.resources import Resources
from mooring_operator.api.retraining import Retrain
from mooring_operator.api.types import Duration, Model, Schedule

_COUNTED_WINDOW = "baseline.profile needs a window of what is captured: leave window.uri out"
_COUNTED_INTERVAL = (
    "baseline.profile needs an interval of whole minutes, like 10m: that is how requests are counted"
)
_COUNTED_LENGTH = "baseline.profile needs a window.capture.length of whole minutes"
_SHORT_LENGTH = "window.capture.length is spec.interval at least: else requests were in no window"
_SHARED_ROWS = "sensitivity weighs windows that share no rows: leave window.capture.length out"
_PLAIN_EVIDENCE = "detectors.plain judges each window alone: leave sensitivity out"
_COUNTED_SLICES = "slices need rows, and baseline.profile has counts: name another baseline"
_EVERY = "schedule says times of day: write @every as spec.interval"
_READ_REQUESTS = "operation needs rows of what is captured: leave window.uri and baseline.profile out"


class DriftMonitorSpec(Model):
    """What the user wants watched."""

    target: Annotated[
        Target | None,
        Field(
            description="What is watched: a ModelDeployment, or an InferenceService. When left out, two data sets are "
            "compared."
        ),
    ] = None
    baseline: Annotated[
        Baseline | None,
        Field(
            description="What traffic should look like: rows of training, or of a good time. When left out, the rows "
            "that the revision which serves was tested on, or, without a test, its first 24 hours."
        ),
    ] = None
    window: Annotated[
        Window | None,
        Field(
            description="What traffic looks like now: what the target keeps of its requests when left out."
        ),
    ] = None
    features: Annotated[
        list[Annotated[str, forms.COLUMN.field]],
        Field(description="Columns to compare; all that both sides share when left out.", max_length=2000),
    ] = []
    categories: Annotated[
        list[Annotated[str, forms.COLUMN.field]],
        Field(
            description="Columns whose numbers are codes of categories, such as postal codes. Text and dictionaries "
            "are categories anyway.",
            max_length=2000,
        ),
    ] = []
    feature_settings: Annotated[
        list[FeatureSetting],
        Field(
            description="What is declared of features; of each setting the first counts whose pattern fits.",
            max_length=MOST_SETTINGS,
        ),
    ] = []
    slices: Slices = []
    min_rows: Annotated[
        int, Field(ge=20, le=10_000_000, description="Rows below which a window, or a slice, says nothing.")
    ] = 100
    detectors: Annotated[Detectors, Field(description="Tests that are made per feature.")] = Detectors(
        ks=KolmogorovSmirnov(), psi=PopulationStability()
    )
    drifted_features: Annotated[
        int,
        Field(
            ge=1,
            le=2000,
            description="Number of drifted features from which a window counts as drifted, without spec.sensitivity.",
        ),
    ] = 1
    sensitivity: Annotated[
        Literal["low", "normal", "high"] | None,
        Field(
            description="When set, evidence over all windows decides, and no window by itself: quiet traffic counts as "
            "drifted once in 10000 (low), 1000 (normal) or 100 (high) windows at most. Windows must not share rows. "
            "When left out, spec.driftedFeatures decides about each window."
        ),
    ] = None
    performance: Annotated[
        Performance | None,
        Field(
            description="When set, labels that come later say how good the predictions were: condition "
            "PerformanceDropped."
        ),
    ] = None
    operation: Annotated[
        Operation | None,
        Field(
            description="When set, latency, errors and traffic of what the target keeps are judged: condition "
            "OperationDegraded."
        ),
    ] = None
    interval: Annotated[
        Duration,
        Field(
            description="Time between evaluations; with spec.schedule, until one that failed is tried again."
        ),
    ] = timedelta(minutes=1)
    schedule: Annotated[
        Schedule | None,
        Field(description="When evaluations are made, or windows end, in cron's five fields; UTC."),
    ] = None
    jitter: Annotated[
        Duration | None,
        Field(
            description="How much later at most an evaluation begins, each monitor's by its own time, so that they do "
            "not all begin at once. A tenth of spec.interval, a minute at most, when left out."
        ),
    ] = None
    actions: Annotated[
        Actions,
        Field(
            description="What happens when drift begins, besides an Event and the condition Drifted. Rollback: the "
            "ModelDeployment goes back to the revision that was stable before. Pause, Abort: the rollout that is under "
            "way then waits, or is rolled back.",
            json_schema_extra=A_SET,
        ),
    ] = []
    action_cooldown: Annotated[
        Duration,
        Field(description="How long after a pause, or an abort, was asked for none is asked for again."),
    ] = timedelta(hours=1)
    notify: Annotated[
        list[Receiver],
        Field(
            description="Who is told when drift, or what notify.on names, begins and ends, besides the Event.",
            max_length=MOST_RECEIVERS,
        ),
    ] = []
    retrain: Annotated[
        Retrain | None, Field(description="What is trained anew when drift begins, or performance drops.")
    ] = None
    dry_run: Annotated[
        bool,
        Field(description="Say what actions, spec.notify and spec.retrain would do, and do nothing of it."),
    ] = False
    suspend: Annotated[bool, Field(description="Stop evaluating; the status stays as it is.")] = False
    timeout: Annotated[
        Duration,
        Field(
            description="How long an evaluation may take; at most as long as the administrator lets any run."
        ),
    ] = timedelta(minutes=10)
    service_account_name: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="ServiceAccount of the evaluation's pod, with access to baseline and window."),
    ] = None
    credentials_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(
            description="Secret whose keys become environment variables of the evaluation's pod, such as "
            "AWS_ACCESS_KEY_ID; on multi-user Kubeflow Pipelines those that are known."
        ),
    ] = None
    resources: Annotated[
        Resources | None,
        Field(
            description="CPU and memory of the evaluation's pod; the administrator's defaults when left out."
        ),
    ] = None

    @property
    def deployment(self) -> str | None:
        """Name of the ModelDeployment that is watched; None where something else is."""
        return self.target.name if self.target is not None and self.target.kind == "ModelDeployment" else None

    @model_validator(mode="after")
    def _asks_nothing_of_others(self) -> "DriftMonitorSpec":
        if self.deployment is not None:
            return self
        parts = (self.performance, self.operation)
        if self.actions or any(part is not None and part.actions for part in parts):
            raise ValueError(NEEDS_REVISIONS)
        if any(part is None or part.uri is None for part in (self.window, self.baseline)):
            raise ValueError(NEEDS_FILES)
        if self.performance is not None:
            raise ValueError(NEEDS_REQUESTS)
        if self.retrain is not None:
            raise ValueError(NEEDS_MODEL)
        return self

    @model_validator(mode="after")
    def _reads_requests(self) -> "DriftMonitorSpec":
        of_files = self.window is not None and self.window.uri is not None
        counted = self.baseline is not None and self.baseline.profile is not None
        if self.operation is not None and (of_files or counted):
            raise ValueError(_READ_REQUESTS)
        return self

    @model_validator(mode="after")
    def _is_counted_by_the_minute(self) -> "DriftMonitorSpec":
        if self.baseline is None or self.baseline.profile is None:
            return self
        if self.window is not None and self.window.uri is not None:
            raise ValueError(_COUNTED_WINDOW)
        if self.slices:
            raise ValueError(_COUNTED_SLICES)
        if self.interval % timedelta(minutes=1):
            raise ValueError(_COUNTED_INTERVAL)
        if self._length is not None and self._length % timedelta(minutes=1):
            raise ValueError(_COUNTED_LENGTH)
        return self

    @model_validator(mode="after")
    def _slides_in_order(self) -> "DriftMonitorSpec":
        if self._length is None:
            return self
        if self._length < self.interval:
            raise ValueError(_SHORT_LENGTH)
        shared = self.schedule is not None or self._length > self.interval
        if shared and self.sensitivity is not None:
            raise ValueError(_SHARED_ROWS)
        return self

    @model_validator(mode="after")
    def _weighs_or_judges_plainly(self) -> "DriftMonitorSpec":
        if self.sensitivity is not None and self.detectors.plain is not None:
            raise ValueError(_PLAIN_EVIDENCE)
        return self

    @model_validator(mode="after")
    def _is_at_times_of_day(self) -> "DriftMonitorSpec":
        if self.schedule is not None and self.schedule.startswith("@every"):
            raise ValueError(_EVERY)
        return self

    @property
    def _length(self) -> timedelta | None:
        captured = self.window.capture if self.window is not None else None
        return captured.length if captured is not None else None


_LENGTH = "self.window.capture.length"
_SLIDES = f"has(self.window) && has(self.window.capture) && has({_LENGTH})"
_PROFILED = "has(self.baseline) && has(self.baseline.profile)"
DriftMonitorSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": f"!({_PROFILED}) || !has(self.window) || has(self.window.capture)",
            "message": f"spec.{_COUNTED_WINDOW}",
        },
        *RULES,
        one_stop("spec"),
        {
            "rule": f"!has(self.operation) || (!({_PROFILED}) && (!has(self.window) || has(self.window.capture)))",
            "message": f"spec.{_READ_REQUESTS}",
        },
        {
            "rule": f"!({_PROFILED}) || !has(self.slices) || self.slices.size() == 0",
            "message": f"spec.{_COUNTED_SLICES}",
        },
        {
            "rule": f"!({_PROFILED}) || duration(self.interval).getSeconds() % 60 == 0",
            "message": f"spec.{_COUNTED_INTERVAL}",
        },
        {
            "rule": f"!({_PROFILED}) || !({_SLIDES}) || duration({_LENGTH}).getSeconds() % 60 == 0",
            "message": f"spec.{_COUNTED_LENGTH}",
        },
        {
            "rule": f"!({_SLIDES}) || duration({_LENGTH}) >= duration(self.interval)",
            "message": f"spec.{_SHORT_LENGTH}",
        },
        {
            "rule": f"!({_SLIDES}) || !has(self.sensitivity) || "
            f"(!has(self.schedule) && duration({_LENGTH}) == duration(self.interval))",
            "message": f"spec.{_SHARED_ROWS}",
        },
        {
            "rule": "!has(self.sensitivity) || !has(self.detectors) || !has(self.detectors.plain)",
            "message": f"spec.{_PLAIN_EVIDENCE}",
        },
        {"rule": "!has(self.schedule) || !self.schedule.startsWith('@every')", "message": f"spec.{_EVERY}"},
    ]
}
