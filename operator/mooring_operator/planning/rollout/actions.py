"""What a decision about a ModelDeployment asks for: every action may be repeated without harm."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.checks import Question
from mooring_operator.planning.manifests.workloads import Workload
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.routing import Routing
from mooring_operator.planning.runs.run import JsonValue


@dataclass(frozen=True)
class LaunchRun:
    """Have the candidate tested, beside the revision that serves now; launching a run twice makes one run."""

    run_id: str
    candidate: Candidate
    champion: Revision | None = None
    endpoint: str = ""
    """Where the candidate answers; empty: its files are tested."""
    demands: Mapping[str, JsonValue] = field(default_factory=dict)
    """What policies have it look up; empty: nothing."""
    copy_to: str = ""
    """Below which address its files are copied; empty: it is tested."""


@dataclass(frozen=True)
class RunForTest:
    """Have a revision run under this name, as it will be served, where no request reaches it."""

    name: str
    revision: Revision


@dataclass(frozen=True)
class StopAfterTest:
    """End what runs for a test under this name, if it runs."""

    name: str


@dataclass(frozen=True)
class StartCheck:
    """Have a step's check run; one that exists already is left alone."""

    question: Question


@dataclass(frozen=True)
class StopCheck:
    """End what runs a check, if it runs."""

    check_id: str


@dataclass(frozen=True)
class Route:
    """Have revisions run and get the traffic that the routing says."""

    routing: Routing


@dataclass(frozen=True)
class AskForRuntime:
    """Have it found out which runtime would be chosen for a revision; asking twice is one question."""

    revision: Revision


@dataclass(frozen=True)
class ForgetRuntime:
    """Remove what was made to find that out."""


@dataclass(frozen=True)
class MoveAlias:
    """Have an alias of a registered model point to a version."""

    name: str
    alias: str
    version: str


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
    | RunForTest
    | StopAfterTest
    | StartCheck
    | StopCheck
    | Route
    | AskForRuntime
    | ForgetRuntime
    | MoveAlias
    | RemoveService
    | ApplyWorkload
    | RemoveWorkload
    | DropCommand
    | Notify
)
