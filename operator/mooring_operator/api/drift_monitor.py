"""``DriftMonitor``: what live traffic is compared with, how often, and what happens when it drifts."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.drift_actions import (
    A_SET,
    MOST_ACTIONS,
    MOST_CAUSES,
    Actions,
    ActionTaken,
    one_stop,
)
from mooring_operator.api.drift_arrivals import Arrivals
from mooring_operator.api.drift_notify import MOST_RECEIVERS, Notice, Receiver
from mooring_operator.api.drift_operation import Operation, OperationStatus
from mooring_operator.api.drift_performance import Performance, PerformanceStatus, SoughtPerformance
from mooring_operator.api.drift_rows import Baseline, Sought, Window
from mooring_operator.api.resources import Resources
from mooring_operator.api.retraining import Retrain, Retraining
from mooring_operator.api.runs import AbandonedRun, RunStateName
from mooring_operator.api.types import Condition, Duration, Message, Model, Note, StatusModel, Time

_COUNTED_WINDOW = "baseline.profile needs a window of what is captured: leave window.uri out"
_COUNTED_INTERVAL = (
    "baseline.profile needs an interval of whole minutes, like 10m: that is how requests are counted"
)
MOST_PAST = 48
_READ_REQUESTS = "operation needs rows of what is captured: leave window.uri and baseline.profile out"


class Target(Model):
    """The ModelDeployment that is watched."""

    name: Annotated[
        str, forms.DEPLOYMENT_NAME.field, Field(description="A ModelDeployment in this namespace.")
    ]


class KolmogorovSmirnov(Model):
    """Two-sample Kolmogorov-Smirnov test per numeric feature, corrected for the number of features."""

    alpha: Annotated[
        float,
        Field(
            gt=0, lt=1, description="False discovery rate over all features (Benjamini and Hochberg 1995)."
        ),
    ] = 0.01


class PopulationStability(Model):
    """Population stability index per feature."""

    threshold: Annotated[float, Field(gt=0, description="Index from which a feature counts as drifted.")] = (
        0.2
    )
    bins: Annotated[int, Field(ge=2, le=100, description="Quantile bins of the baseline.")] = 10


class Detectors(Model):
    """Tests that are made per feature; both when spec.detectors is left out."""

    ks: Annotated[KolmogorovSmirnov | None, Field(description="Kolmogorov-Smirnov test.")] = None
    psi: Annotated[PopulationStability | None, Field(description="Population stability index.")] = None


Detectors.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {"rule": "has(self.ks) || has(self.psi)", "message": "spec.detectors needs ks, psi or both"}
    ]
}


class DriftMonitorSpec(Model):
    """What the user wants watched."""

    target: Annotated[Target, Field(description="ModelDeployment that is watched.")]
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
    min_rows: Annotated[
        int, Field(ge=20, le=10_000_000, description="Rows below which a window says nothing.")
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
    interval: Annotated[Duration, Field(description="Time between evaluations.")] = timedelta(minutes=1)
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
        if self.interval % timedelta(minutes=1):
            raise ValueError(_COUNTED_INTERVAL)
        return self


_PROFILED = "has(self.baseline) && has(self.baseline.profile)"
DriftMonitorSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": f"!({_PROFILED}) || !has(self.window) || has(self.window.capture)",
            "message": f"spec.{_COUNTED_WINDOW}",
        },
        one_stop("spec"),
        {
            "rule": f"!has(self.operation) || (!({_PROFILED}) && (!has(self.window) || has(self.window.capture)))",
            "message": f"spec.{_READ_REQUESTS}",
        },
        {
            "rule": f"!({_PROFILED}) || duration(self.interval).getSeconds() % 60 == 0",
            "message": f"spec.{_COUNTED_INTERVAL}",
        },
    ]
}


class TestResult(StatusModel):
    """A statistic and how likely one so large is without drift."""

    statistic: Annotated[
        float,
        Field(
            description="Kolmogorov-Smirnov D, the total variation distance of categories, or the population stability "
            "index."
        ),
    ]
    p_value: Annotated[float, Field(description="Probability of one so large without drift.")]


class FeatureDrift(StatusModel):
    """What was found for one feature."""

    name: Annotated[Note, Field(description="Column.")]
    drifted: Annotated[bool, Field(description="Whether it counts as drifted.")]
    ks: Annotated[TestResult | None, Field(description="Kolmogorov-Smirnov test.")] = None
    psi: Annotated[TestResult | None, Field(description="Population stability index.")] = None
    variation: Annotated[
        TestResult | None,
        Field(description="Total variation distance of few integers, as if they were codes."),
    ] = None
    missing: Annotated[float, Field(description="Share of missing values in the window.")] = 0.0
    reason: Annotated[Note, Field(description="Why it counts as drifted.")] = ""
    hint: Annotated[Note, Field(description="What to know of these numbers, or to set.")] = ""
    e_value: Annotated[
        float | None,
        Field(description="How much this window says against no drift: at most 1 on average without drift."),
    ] = None


class SchemaChange(StatusModel):
    """A column that baseline and window do not share, or that cannot be compared."""

    name: Annotated[Note, Field(description="Column.")]
    change: Annotated[Literal["TypeChanged", "Vanished", "New"], Field(description="What happened to it.")]
    baseline: Annotated[Note, Field(description="Arrow type in the baseline; empty where it is missing.")] = (
        ""
    )
    window: Annotated[Note, Field(description="Arrow type in the window; empty where it is missing.")] = ""


class Evaluation(StatusModel):
    """The last evaluation."""

    time: Annotated[Time, Field(description="When it was made.")]
    revision: Annotated[str, Field(description="Revision that was stable then.")] = ""
    baseline_rows: Annotated[int, Field(description="Rows of the baseline.")] = 0
    window_rows: Annotated[int, Field(description="Rows of the window.")] = 0
    window_digest: Annotated[str, Field(description="Identity of the window's content.")] = ""
    report_url: Annotated[
        str,
        Field(
            description="The run's page in the KFP UI, with its report; where runs are Jobs, the address of the "
            "report in the operator's store. Empty where there is none."
        ),
    ] = ""
    window_since: Annotated[Time | None, Field(description="Begin of the window, of what is captured.")] = (
        None
    )
    window_until: Annotated[Time | None, Field(description="Its end.")] = None
    features_tested: Annotated[int, Field(description="Number of features compared.")] = 0
    features_drifted: Annotated[int, Field(description="Number of features that count as drifted.")] = 0
    features: Annotated[
        list[FeatureDrift],
        Field(description="The features that moved most, drifted ones first; 20 at most.", max_length=20),
    ] = []
    schema_changed: Annotated[
        int, Field(description="Number of columns that are missing on a side, or cannot be compared.")
    ] = 0
    schema_changes: Annotated[
        list[SchemaChange], Field(description="Some of these columns; 20 at most.", max_length=20)
    ] = []


class PastWindow(StatusModel):
    """What came of a window."""

    time: Annotated[Time, Field(description="Its end, or when it was evaluated.")]
    tested: Annotated[int, Field(description="Features compared.")] = 0
    drifted: Annotated[int, Field(description="Features that drifted.")] = 0
    evidence: Annotated[float | None, Field(description="Evidence by then, with spec.sensitivity.")] = None


class FeatureEvidence(StatusModel):
    """What all windows say about one feature."""

    name: Annotated[Note, Field(description="Column.")]
    value: Annotated[float, Field(description="Its evidence.")]


class Evidence(StatusModel):
    """What all windows say together."""

    value: Annotated[
        float, Field(description="Mean evidence over the features; ten times the limit at most.")
    ]
    limit: Annotated[float, Field(description="Evidence from which the traffic counts as drifted.")]
    windows: Annotated[int, Field(description="Windows that were weighed.")]
    since: Annotated[Time, Field(description="When the first of them was.")]
    window_digest: Annotated[str, Field(description="The last one; the same window is weighed once.")] = ""
    generation: Annotated[int, Field(description="Generation of the spec; another one begins anew.")]
    revision: Annotated[
        str,
        Field(description="Revision whose requests they are, of what is captured; another one begins anew."),
    ] = ""
    features: Annotated[
        list[FeatureEvidence],
        Field(description="The features with most evidence; 20 at most.", max_length=20),
    ] = []


class EvaluationRun(StatusModel):
    """The run that evaluates now."""

    run_id: Annotated[
        str,
        forms.RUN_ID.field,
        Field(description="Run: the KFP run, or Job mooring-run-RUNID in this namespace."),
    ]
    url: Annotated[str, Field(description="The run in the KFP UI.")] = ""
    generation: Annotated[int, Field(description="Generation of the spec that it evaluates.")]
    baseline: Annotated[Sought | None, Field(description="Its baseline, where the spec names none.")] = None
    window: Annotated[Sought | None, Field(description="Its window, where the spec names none.")] = None
    performance: Annotated[
        SoughtPerformance | None, Field(description="Requests that it judges by labels.")
    ] = None
    revision: Annotated[str, Field(description="Revision that was stable when it began.")] = ""
    state: Annotated[RunStateName, Field(description="State of the run.")] = "Pending"
    started_at: Annotated[Time, Field(description="When the run was asked for.")]
    seen_at: Annotated[Time | None, Field(description="When the run was first seen where it runs.")] = None
    ended_at: Annotated[Time | None, Field(description="When the run was first seen to have ended.")] = None


class DriftMonitorStatus(StatusModel):
    """What the operator has found; it has one writer."""

    observed_generation: Annotated[
        int, Field(description="Generation of the spec that this status is about; -1 before the first look.")
    ] = -1
    phase: Annotated[
        Literal["Pending", "Watching", "Drifted", "Suspended", "Failed"],
        Field(description="Where the monitor stands, in one word."),
    ] = "Pending"
    reason: Annotated[str, Field(description="Why, in one CamelCase word for programs.")] = ""
    message: Annotated[Message, Field(description="Why, in a sentence, and what to do.")] = ""
    operator: Annotated[
        str | None, forms.LEASE.field, Field(description="Lease of the operator that works on it.")
    ] = None
    evaluation: Annotated[Evaluation | None, Field(description="The last evaluation.")] = None
    arrivals: Annotated[Arrivals | None, Field(description="How rows come, of what the target keeps.")] = None
    past: Annotated[
        list[PastWindow],
        Field(description="The last windows, the oldest first, for the report.", max_length=MOST_PAST),
    ] = []
    operation: Annotated[
        OperationStatus | None, Field(description="How requests were answered, with spec.operation.")
    ] = None
    performance: Annotated[
        PerformanceStatus | None, Field(description="How good predictions are, with spec.performance.")
    ] = None
    evidence: Annotated[
        Evidence | None, Field(description="What all windows say together, with spec.sensitivity.")
    ] = None
    run: Annotated[EvaluationRun | None, Field(description="The run that evaluates now.")] = None
    abandoned_runs: Annotated[
        list[AbandonedRun], Field(description="Runs of which no answer is taken any more.", max_length=20)
    ] = []
    captured_until: Annotated[
        Time | None,
        Field(description="End of the last window of what is captured: no row before it is looked at."),
    ] = None
    captured_failures: Annotated[
        int,
        Field(
            description="How often the window after that could not be evaluated; after 3 times it is left."
        ),
    ] = 0
    next_evaluation: Annotated[Time | None, Field(description="When the next evaluation is due.")] = None
    acted_on: Annotated[
        str | None,
        Field(
            description="Revision for which a rollback was last asked; once for each. `dry-run REVISION`: it was not."
        ),
    ] = None
    retraining: Annotated[
        Retraining | None, Field(description="The last training that spec.retrain asked for.")
    ] = None
    actions: Annotated[
        list[ActionTaken],
        Field(
            description="What each action came to last, and why.",
            max_length=MOST_ACTIONS,
        ),
    ] = []
    notices: Annotated[
        list[Notice],
        Field(
            description="What the receivers of spec.notify were told last.",
            max_length=MOST_RECEIVERS * MOST_CAUSES,
        ),
    ] = []
    conditions: Annotated[
        list[Condition],
        Field(
            description="Ready (monitoring works), Drifted, SchemaChanged, DataFresh (rows of what is captured come), "
            "BaselineValid (it has enough rows), PerformanceDropped, EstimatedDrop, "
            "OperationDegraded, and Stalled when a person is needed.",
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
