"""What a decision is made from: a spec, the status so far, what was observed, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from mooring_artifacts.staging import is_proxied, staged_uri

from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.model_policy import ModelPolicySpec
from mooring_operator.api.rollout_status import BroughtFiles, ModelDeploymentStatus, Revision
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning import identity
from mooring_operator.planning.analysis.counting import Answer, Counting
from mooring_operator.planning.analysis.templates import Standards
from mooring_operator.planning.checks import CheckProblem, CheckState
from mooring_operator.planning.manifests.workloads import Images, Workload
from mooring_operator.planning.objects.owner import NameTaken, Owner
from mooring_operator.planning.policies.rules import RuleAnswers
from mooring_operator.planning.rollout.neighbours import Turn
from mooring_operator.planning.rollout.runtimes import NoRuntime, Sought, sought
from mooring_operator.planning.routes import Adoption, RouterChoice, Running, Service, Traits, UnderTest
from mooring_operator.planning.runs.run import RunState

_NOT_TOLD = RouterChoice("Auto", "")


@dataclass(frozen=True)
class Resolved:
    """What ``spec.model`` points to now."""

    storage_uri: str
    digest: str | None = None
    registered: str | None = None
    """The version in a registry that it is, as NAME/VERSION; None where it is none."""
    is_folder: bool = False
    """Whether a listing has shown that its address is of a folder."""

    @property
    def content(self) -> str:
        """What identifies the files: their digest, or else their address."""
        return self.digest or self.storage_uri


@dataclass(frozen=True)
class Unresolved:
    """Why ``spec.model`` points to nothing; `temporary` when waiting may help."""

    reason: str
    message: str
    temporary: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a run that succeeded wrote down."""

    run_id: str
    digest: str | None
    passed: bool
    metrics: Mapping[str, float]
    violations: tuple[str, ...] = ()
    registered: str | None = None
    """The version in a registry that the run made of it, as NAME/VERSION."""
    registration: str = ""
    """What became of registering it, in a line; empty where that was not asked for."""
    test_data_digest: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What policies had it look up, as a status keeps it."""
    brought: BroughtFiles | None = None
    """What a server is to have of the files that it tested."""


@dataclass(frozen=True)
class NoVerdict:
    """Why a run that has ended left no verdict; `outage`: because a store did not answer it."""

    message: str
    outage: bool = False


@dataclass(frozen=True)
class Unseen:
    """Why nothing is known of a run now, with the reason that status gives: what would tell is away, or refuses to."""

    run_id: str
    reason: str
    message: str


@dataclass(frozen=True)
class AliasSeen:
    """Where spec.model.promoteAlias points: to NAME/VERSION, or nowhere; or what is in the way.

    is_news: whether the problem has not been told yet.
    retry_in: seconds until it is tried again.
    """

    at: str | None = None
    problem: str = ""
    is_news: bool = False
    retry_in: float = 0.0


@dataclass(frozen=True)
class Observed:
    """All that was looked up for one decision."""

    owner: Owner
    model: Resolved | Unresolved
    router: Traits
    """What routes the traffic says of itself."""
    router_choice: RouterChoice = _NOT_TOLD
    """Which one it is, and why; without a reason it is not told."""
    service: Service | None = None
    serving: tuple[Running, ...] = ()
    """Which revisions get requests, the stable one first; looked at only where the status names none that is."""
    name_taken: NameTaken | None = None
    adoption: Adoption | None = None
    """What is to become the first revision as it runs; None where nothing is, or there is a stable one."""
    run: RunState | None = None
    """The candidate's CI run as the backend has it."""
    run_unseen: Unseen | None = None
    """Why it is not known how that is, or what it left."""
    verdict: Verdict | None = None
    verdict_error: str | None = None
    """Why the run left no verdict, in its own words or the reader's."""
    verdict_outage: bool = False
    """Whether that was a store that did not answer the run: it says nothing of the model."""
    under_test: UnderTest | None = None
    """What runs for a test, by the name in status; None where nothing does."""
    launch_error: str | None = None
    """Why it is not known whether the run was launched."""
    launch_refused: str | None = None
    """Why the backend does not take the run."""
    run_name_taken: bool = False
    """Whether that is because of an object of somebody else's."""
    check: CheckState | None = None
    """What is known of the candidate's check; None where nothing of it is there."""
    check_problem: CheckProblem | None = None
    """Why it could not be started."""
    abandoned: Mapping[str, RunState | None] = field(default_factory=dict)
    """The abandoned runs and checks that had not ended, as they are; one that could not be asked about is missing."""
    longest_run: timedelta = timedelta(hours=4)
    """How long the administrator lets any run take."""
    counting: Counting = field(default_factory=Counting)
    """How the counters of revisions can be looked at."""
    standards: Standards = field(default_factory=Standards)
    """The templates that the spec's analysis has its metrics from."""
    counted: Answer | None = None
    """What they counted since the last look."""
    policies: Mapping[str, ModelPolicySpec | None] = field(default_factory=dict)
    cluster_policies: Mapping[str, ClusterModelPolicySpec | None] = field(default_factory=dict)
    """The ClusterModelPolicies that bind the namespace; None for one that this version cannot read."""
    evidence: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Digest of what ModelDeployments of spec.rollout.requires have promoted, by namespace and name; of those that
    may be seen from here."""
    others: tuple[Turn, ...] = ()
    """ModelDeployments of the namespace that roll out, or wait for their turn."""
    cluster_policies_error: str = ""
    """Why it is not known which bind it."""
    answers: Mapping[str, RuleAnswers] = field(default_factory=dict)
    """What rules of policies say, by the key of the question."""
    file_addresses: bool = False
    """Whether file:// addresses are allowed: for development."""
    staging: str = ""
    """Below which address runs copy models that a registry alone can read; empty where that is not set."""
    commands: Mapping[str, str] = field(default_factory=dict)
    askers: Mapping[str, str] = field(default_factory=dict)
    """Who gave the commands, where that is noted."""
    requested_by: str = ""
    """Who asked for the revision that the spec asks for, where that is noted."""
    refused: str | None = None
    """Why the API server or a webhook refused what the last decision wanted."""
    unwritten: str = ""
    """Why what the last decision wanted could not be written: the API server, or a webhook that it asks, is away."""
    workloads: Mapping[Workload, Mapping[str, Any]] = field(default_factory=dict)
    refused_workloads: Mapping[Workload, str] = field(default_factory=dict)
    """Why the API server refused a workload."""
    taken_workloads: Mapping[Workload, NameTaken] = field(default_factory=dict)
    images: Images = field(default_factory=Images)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    """The serving runtime of a model's format, for specs that name none."""
    runtime: PinnedRuntime | NoRuntime | None = None
    """What the revision that the spec asks for runs on, as it is now; None where it has none of its own."""
    edited_runtime: PinnedRuntime | None = None
    """That runtime with an edit which the spec leaves to the next revision; None where there is none."""
    runtime_asked: bool = False
    """Whether somebody was asked for it."""
    alias: AliasSeen | None = None
    """Where spec.model.promoteAlias points; None where nothing is to be done about it."""
    narrow_runs: bool = False
    """Whether runs take no characters beyond U+FFFF."""
    run_pages: str = ""
    """Address of the runs' pages, to which a run's id is appended; empty where there is no UI."""


@dataclass(frozen=True)
class Situation:
    """All that is known when a decision is made; `before` is the status that the last one left."""

    spec: ModelDeploymentSpec
    before: ModelDeploymentStatus
    observed: Observed
    now: datetime

    @cached_property
    def resolved(self) -> Resolved:
        """What the model points to; only for rules behind the one that waits for it."""
        assert isinstance(self.observed.model, Resolved)
        return self.observed.model

    @cached_property
    def content(self) -> str:
        """What the spec asks for but for the runtime: the name of a revision that has none of its own."""
        return _content(self.spec, self.resolved, self.observed.router)

    @cached_property
    def like(self) -> list[Revision]:
        """The revisions of the status that are what the spec asks for, whatever their runtimes."""
        return _like_the_wanted(self.spec, self.before, self.resolved, self.observed.router)

    @cached_property
    def target(self) -> str:
        """The revision that the spec asks for."""
        status, runtime = self.before, self.observed.runtime
        if status.failed_revision is not None and (
            self._failed_whatever_its_runtime() or self._failed_on_a_runtime()
        ):
            return status.failed_revision
        return identity.known_as(
            self.spec.model,
            self.resolved.content,
            self.spec.serving,
            self.like,
            status.failed_revision,
            runtime=runtime if isinstance(runtime, PinnedRuntime) else None,
            scales_in_place=self.observed.router.scales_in_place,
        )

    def _failed_whatever_its_runtime(self) -> bool:
        """Whether the model, or how it is served, was rejected: an edit of the runtime alone is no reason to retry."""
        served = self.before.stable is not None
        return served and not self.is_like_stable and self.before.failed_content == self.content

    def _failed_on_a_runtime(self) -> bool:
        """Whether this was rejected, and nobody has said since what it would run on now: no news to retry by."""
        known = self.before.failed_content == self.content
        return known and self.observed.router.serves_each and isinstance(self.observed.runtime, NoRuntime)

    @property
    def is_like_stable(self) -> bool:
        """Whether the spec asks for what is promoted, but perhaps on another runtime."""
        stable = self.before.stable
        return stable is not None and any(known.revision == stable.revision for known in self.like)

    def elapsed(self, since: datetime) -> timedelta:
        """Time since then, by the clock that was passed in."""
        return self.now - since


def revision_named(name: str, spec: ModelDeploymentSpec, resolved: Resolved) -> Revision:
    """Give what a spec asks for as a revision of this name, but for its runtime."""
    return Revision(
        revision=name,
        model_uri=spec.model.uri,
        storage_uri=resolved.storage_uri,
        digest=resolved.digest,
        registered=resolved.registered,
        format=spec.model.format,
        format_version=spec.model.format_version,
        serving=identity.serving_snapshot(spec.serving),
    )


def runtime_sought(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed
) -> Sought | PinnedRuntime | None:
    """Say what to look up before it can be decided what the revision that the spec asks for runs on."""
    model = observed.model
    if not observed.router.serves_each or isinstance(model, Unresolved) or observed.name_taken is not None:
        return None

    def wanted() -> Revision:
        name = _content(spec, model, observed.router)
        # Where there will be a copy, whoever is asked has to take an address for one.
        copied = is_proxied(model.storage_uri) and observed.staging
        seen = replace(model, storage_uri=staged_uri(observed.staging, name)) if copied else model
        return revision_named(name, spec, seen)

    like = _like_the_wanted(spec, status, model, observed.router)
    return sought(spec, wanted, like, status.candidate, observed.runtimes)


def _content(spec: ModelDeploymentSpec, resolved: Resolved, router: Traits) -> str:
    return identity.revision_of(
        spec.model, resolved.content, spec.serving, scales_in_place=router.scales_in_place
    )


def _like_the_wanted(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, resolved: Resolved, router: Traits
) -> list[Revision]:
    """Give the revisions of a status that are what the spec asks for, whatever their runtimes: the stable one first."""
    kept = (status.stable, status.candidate, status.previous, *status.retained)
    known = [revision for revision in kept if revision is not None]
    return identity.revisions_like(
        spec.model, resolved.content, spec.serving, known, scales_in_place=router.scales_in_place
    )
