"""What the operator has found of a ``DriftMonitor``, and what it waits for."""

from typing import Annotated, Literal

from pydantic import Field

from mooring_operator.api import forms
from mooring_operator.api.drift_actions import MOST_ACTIONS, MOST_CAUSES, ActionTaken
from mooring_operator.api.drift_arrivals import Arrivals, Gathering
from mooring_operator.api.drift_findings import MOST_PAST, Evaluation, Evidence, PastWindow
from mooring_operator.api.drift_notify import MOST_RECEIVERS, Notice
from mooring_operator.api.drift_operation import OperationStatus
from mooring_operator.api.drift_performance import PerformanceStatus, SoughtPerformance
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.drift_suggestions import MOST_SUGGESTIONS, Suggestion
from mooring_operator.api.retraining import Retraining
from mooring_operator.api.runs import AbandonedRun, RunStateName
from mooring_operator.api.types import Condition, Message, StatusModel, Time


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
    suggestions: Annotated[
        list[Suggestion],
        Field(
            description="What the evidence supports; nothing of it is done that the spec does not list.",
            max_length=MOST_SUGGESTIONS,
        ),
    ] = []
    run: Annotated[EvaluationRun | None, Field(description="The run that evaluates now.")] = None
    abandoned_runs: Annotated[
        list[AbandonedRun], Field(description="Runs of which no answer is taken any more.", max_length=20)
    ] = []
    captured_until: Annotated[
        Time | None,
        Field(description="End of the last window of what is captured: no row before it is looked at."),
    ] = None
    gathering: Annotated[
        Gathering | None, Field(description="The window after that, where it has too few rows yet.")
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
