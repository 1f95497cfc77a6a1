"""What a decision about a ModelDeployment asks for: every action may be repeated without harm."""

from dataclasses import dataclass

from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.manifests.workloads import Workload
from mooring_operator.planning.objects.owner import Manifest


@dataclass(frozen=True)
class LaunchRun:
    """Have the candidate tested; launching a run twice makes one run."""

    run_id: str
    candidate: Candidate


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
    """Remove what is left behind of workloads that are gone."""

    stable: Revision


@dataclass(frozen=True)
class RemoveService:
    """Stop serving."""


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
