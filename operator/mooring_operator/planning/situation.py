"""What a decision is made from, and what it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mooring_operator.api.model_policy import ModelPolicySpec
from mooring_operator.api.rollout_status import Candidate, ModelDeploymentStatus, Revision

Manifest = dict[str, Any]

# --- observed -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Owner:
    """The ModelDeployment that everything is made for."""

    namespace: str
    name: str
    uid: str
    generation: int
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """What ``spec.model`` points to now."""

    storage_uri: str
    digest: str | None = None


@dataclass(frozen=True)
class Unresolved:
    """Why ``spec.model`` points to nothing; `temporary` when waiting may help."""

    reason: str
    message: str
    temporary: bool = False


@dataclass(frozen=True)
class Run:
    """The candidate's CI run as the backend has it."""

    run_id: str
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Canceled"]
    message: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a run that succeeded wrote down."""

    run_id: str
    digest: str | None
    passed: bool
    metrics: Mapping[str, float]
    violations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """One side of the traffic split as the serving layer reports it.

    `weight` is the percent that it really gets; None where the layer does not say.
    `blocked` says why waiting will not help.
    """

    ready: bool
    weight: int | None = None
    workload: str | None = None
    message: str = ""
    blocked: str | None = None


@dataclass(frozen=True)
class Service:
    """The InferenceService in words that hold for every mode."""

    url: str
    stable: Variant
    candidate: Variant | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


Workload = Literal["batch", "stream"]
"""What runs of the stable revision besides its service: the field in spec, and in status."""


@dataclass(frozen=True)
class Images:
    """Images of the pods that the operator makes itself."""

    inference: str = "mooring/inference:0.1.0"
    storage_initializer: str = "kserve/storage-initializer:v0.21.0"


@dataclass(frozen=True)
class Observed:
    """All that was looked up for one decision."""

    owner: Owner
    model: Resolved | Unresolved
    service: Service | None = None
    run: Run | None = None
    verdict: Verdict | None = None
    verdict_error: str | None = None
    policies: Mapping[str, ModelPolicySpec | None] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    refused: str | None = None
    """Why the API server or a webhook refused what the last decision wanted."""
    workloads: Mapping[Workload, Mapping[str, Any]] = field(default_factory=dict)
    refused_workloads: Mapping[Workload, str] = field(default_factory=dict)
    """Why the API server refused a workload, or why there can be none of its name."""
    images: Images = Images()
    run_pages: str = ""
    """Address of the runs' pages, to which a run's id is appended; empty where there is no UI."""


# --- decided ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LaunchRun:
    """Have the candidate tested; launching a run twice makes one run."""

    run_id: str
    candidate: Candidate


@dataclass(frozen=True)
class TerminateRun:
    """Stop a run that nobody waits for any more."""

    run_id: str


@dataclass(frozen=True)
class Serve:
    """Give all traffic to one revision."""

    stable: Revision


@dataclass(frozen=True)
class Split:
    """Give the candidate its weight and the stable revision the rest."""

    stable: Revision
    candidate: Candidate


@dataclass(frozen=True)
class Reject:
    """Give the stable revision all traffic, and stop what ran of the rejected one."""

    stable: Revision
    rejected: Revision


@dataclass(frozen=True)
class CleanUp:
    """Remove what KServe leaves behind of workloads that are gone."""

    stable: Revision


@dataclass(frozen=True)
class RemoveService:
    """Take the InferenceService away."""


@dataclass(frozen=True)
class ApplyWorkload:
    """Have the stable revision score files, or answer messages."""

    workload: Workload
    manifest: Manifest


@dataclass(frozen=True)
class RemoveWorkload:
    """Take the workload away: the spec does not ask for it any more."""

    workload: Workload


@dataclass(frozen=True)
class DropCommand:
    """Remove a command's annotation: it is done, or it fits nothing."""

    name: str
    value: str


@dataclass(frozen=True)
class Notify:
    """Tell people about a transition: a Kubernetes Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Action = (
    LaunchRun
    | TerminateRun
    | Serve
    | Split
    | Reject
    | CleanUp
    | RemoveService
    | ApplyWorkload
    | RemoveWorkload
    | DropCommand
    | Notify
)


@dataclass(frozen=True)
class Decision:
    """The next status, and what follows from it.

    The status is written first: it is the log that a restart resumes from. The actions may be
    repeated without harm. `recheck_after` is in seconds; None waits for a change.
    """

    status: ModelDeploymentStatus
    actions: tuple[Action, ...] = ()
    recheck_after: float | None = None

    @property
    def phase(self) -> str:
        """Where the deployment stands."""
        return self.status.phase

    @property
    def reason(self) -> str:
        """Why, in one word."""
        return self.status.reason

    @property
    def message(self) -> str:
        """Why, in a sentence."""
        return self.status.message
