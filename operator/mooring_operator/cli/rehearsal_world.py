"""The world that a rehearsal plays in: pipelines, KServe and people, each doing as the script says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from mooring_operator.adapters.routers import ROUTERS, likely_router
from mooring_operator.api import (
    ClusterModelPolicySpec,
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    ModelPolicySpec,
    reasons,
)
from mooring_operator.api.checks import Outcome
from mooring_operator.api.demands import DemandsOnFiles
from mooring_operator.api.model_policy import PolicyRule
from mooring_operator.cli.rehearsal_copies import share_copied
from mooring_operator.cli.rehearsal_traffic import Traffic, expected
from mooring_operator.cli.rollout_chart import Share
from mooring_operator.planning.actions import TerminateRun
from mooring_operator.planning.analysis.counting import Answer, Counting
from mooring_operator.planning.checks import CheckState
from mooring_operator.planning.identity import workload_name
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.policies.evidence import as_if_met
from mooring_operator.planning.policies.rules import RuleAnswers
from mooring_operator.planning.rollout import analysis
from mooring_operator.planning.rollout.actions import (
    Action,
    DropCommand,
    LaunchRun,
    RemoveService,
    Route,
    RunForTest,
    StartCheck,
    StopAfterTest,
    StopCheck,
)
from mooring_operator.planning.rollout.situation import Observed, Resolved, Verdict
from mooring_operator.planning.routes import RouterChoice, Service, Traits, UnderTest, Variant
from mooring_operator.planning.routing import Arm, Routing
from mooring_operator.planning.runs.run import RunState

_COUNTING = Counting()
_OWNER_UID = "00000000-0000-4000-8000-000000000000"
_MET = ModelPolicySpec(rules=[PolicyRule(name="assumed", expression="true")])

START = datetime(2000, 1, 1, tzinfo=UTC)
"""When a rehearsal begins, where nobody says when."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""When pods were started that run when a rehearsal begins."""
# What a test, or a look at its files, would find of a model that nobody has.
_DIGEST = f"sha256:{'0' * 64}"

_NO_REQUESTS = "the rehearsal has no requests; say how many a second with --requests"
# What a phase's reason waits for, in words.
_AWAITED = {
    reasons.TESTING: "the CI run",
    reasons.DEPLOYING: "the revision to become ready",
    reasons.SETTING_WEIGHT: "the revision to become ready",
    reasons.PROMOTING: "the service to follow",
    reasons.SERVICE_NOT_READY: "the service to follow",
    reasons.PAUSING: "the pause to end",
    reasons.CHECKING: "the check to end",
    reasons.PAUSED_BY_CHECK: "mooring approve",
    reasons.ANALYSING: "evidence",
    reasons.PAUSED_BY_ANALYSIS: "mooring approve",
    reasons.PAUSED_BY_STEP: "mooring approve",
    reasons.AWAITING_APPROVAL: "mooring approve",
    reasons.POLICY_NOT_FOUND: "the ModelPolicy",
    reasons.SIGNER_UNKNOWN: "the key of a signer",
    reasons.FROZEN: "the freeze to end",
    reasons.NOT_BEFORE: "its time",
}


@dataclass(frozen=True)
class Script:
    """How the world behaves from `start` on; None for a time means never."""

    start: datetime = START

    ci: Literal["pass", "fail"] = "pass"
    ci_takes: timedelta | None = timedelta(minutes=2)
    ready_after: timedelta | None = timedelta(seconds=30)
    approve_after: timedelta | None = timedelta(minutes=5)
    checks: Outcome = "Pass"
    checks_take: timedelta | None = timedelta(minutes=1)
    metrics: Mapping[str, float] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    policies: Mapping[str, ModelPolicySpec] = field(default_factory=dict)
    cluster_policies: Mapping[str, ClusterModelPolicySpec] = field(default_factory=dict)

    @classmethod
    def smooth(cls) -> "Script":
        """Everything works at once."""
        at_once = timedelta()
        return cls(ci_takes=at_once, ready_after=at_once, approve_after=at_once, checks_take=at_once)


@dataclass
class World:
    """What exists besides the ModelDeployment's own status; `older` plays the revision before."""

    spec: ModelDeploymentSpec
    script: Script
    name: str = "model"
    older: bool = False
    runs: dict[str, datetime] = field(default_factory=dict)
    tested: dict[str, datetime] = field(default_factory=dict)
    """What runs for a test alone, since when."""
    routing: Routing | None = None
    started: dict[str, list[datetime]] = field(default_factory=dict)
    """When the pods of each revision were started, the oldest first."""
    before: frozenset[str] = frozenset()
    """Revisions that ran before the rehearsal began."""
    commands: dict[str, str] = field(default_factory=dict)
    checks: dict[str, datetime] = field(default_factory=dict)
    """When the checks that go on, or have ended, were started."""
    awaiting_since: tuple[str, datetime] | None = None
    answers: dict[str, RuleAnswers] = field(default_factory=dict)

    # --- what the planner sees ------------------------------------------------------------------

    def observe(self, now: datetime, status: ModelDeploymentStatus) -> Observed:
        """Give all that can be looked up at this time."""
        run = self._run(now, status)
        router = likely_router(self.spec)
        return Observed(
            owner=Owner(namespace="default", name=self.name, uid=_OWNER_UID, generation=1),
            model=self._model(),
            router=ROUTERS[router].traits,
            router_choice=RouterChoice(router, ""),
            service=self._service(now),
            run=run,
            under_test=self._under_test(now, status),
            check=self._check(now, status),
            verdict=self._verdict(run) if run is not None and run.phase == "Succeeded" else None,
            policies=self._named(),
            file_addresses=True,
            cluster_policies=self.script.cluster_policies,
            commands=dict(self.commands),
            answers=self.answers,
            askers=dict.fromkeys(self.commands, "the rehearsal"),
            requested_by="the author",
            counting=_COUNTING,
            counted=self._counted(now, status),
            evidence=self._evidence(status),
        )

    def _evidence(self, status: ModelDeploymentStatus) -> dict[tuple[str, str], str]:
        """Others have promoted the model that is to be promoted here."""
        tested = status.candidate.content_digest if status.candidate is not None else None
        digest = self._model().digest or tested
        required = self.spec.rollout.requires
        return {(one.namespace or "default", one.name): digest for one in required} if digest else {}

    def _counted(self, now: datetime, status: ModelDeploymentStatus) -> Answer | None:
        """Give what both revisions are expected to have counted since the last look."""
        owner = Owner(namespace="default", name=self.name, uid=_OWNER_UID, generation=1)
        request = analysis.due(self.spec, status, owner, _COUNTING, now)
        if request is None:
            return None
        if not self.script.traffic.is_any:
            return Answer(request, unavailable=_NO_REQUESTS)
        candidate = status.candidate
        share = 1.0 if candidate is None else (candidate.weight or candidate.mirror) / 100
        return self.script.traffic.answer(request, share, expected, share_copied(self.spec.rollout))

    def _service(self, now: datetime) -> Service | None:
        if self.routing is None:
            return None
        variants, gets = {}, self._weights(now)
        for arm in self.routing.arms:
            revision = arm.revision.revision
            workload, pods = arm.revision.workload or workload_name(revision), self._ready(revision, now)
            # Routers of one service for both revisions tell no numbers.
            told = pods if self._traits.serves_each else None
            variants[revision] = Variant(pods > 0, gets[revision], workload, pods=told)
        shared = any(arm.weight for arm in self.routing.arms[1:])
        return Service(f"http://{self.name}.example.com", variants, shared)

    def _under_test(self, now: datetime, status: ModelDeploymentStatus) -> UnderTest | None:
        begun = self.tested.get(status.test_instance or "")
        after = self.script.ready_after
        if begun is None:
            return None
        return UnderTest(
            after is not None and now >= begun + after, address="http://tested", model_name=self.name
        )

    def _model(self) -> Resolved:
        uri, digest = self.spec.model.uri, self.spec.model.digest
        if self.older:
            return Resolved(f"{uri}#before", None)
        return Resolved(uri, digest or (_DIGEST if uri.startswith("file://") else None))

    def _run(self, now: datetime, status: ModelDeploymentStatus) -> RunState | None:
        begun = self.runs.get(status.ci.run_id) if status.ci is not None else None
        if status.ci is None or begun is None:
            return None
        takes = self.script.ci_takes
        ended = takes is not None and now >= begun + takes
        return RunState(status.ci.run_id, "Succeeded" if ended else "Running")

    def _check(self, now: datetime, status: ModelDeploymentStatus) -> CheckState | None:
        known = status.candidate.check if status.candidate is not None else None
        begun = self.checks.get(known.id) if known is not None else None
        if known is None or begun is None:
            return None
        takes, outcome = self.script.checks_take, self.script.checks
        if takes is None or now < begun + takes:
            return CheckState(known.id)
        why = "" if outcome == "Pass" else "the rehearsal was asked for that"
        return CheckState(known.id, outcome, why)

    def _verdict(self, run: RunState) -> Verdict:
        gates = self.spec.ci.gates if self.spec.ci else []
        passing: dict[str, float] = {
            gate.metric: gate.min if gate.min is not None else gate.max or 0.0
            for gate in gates
            if gate.slice is None
        }
        passed = self.script.ci == "pass"
        violations = () if passed else ("the rehearsal was asked for a run that fails",)
        digest = _DIGEST if self.spec.rollout.requires and self.spec.model.digest is None else None
        metrics, facts = {**passing, **self.script.metrics}, as_if_met(self._policies())
        return Verdict(run.run_id, digest, passed, metrics, violations, facts=facts)

    def _policies(self) -> list[DemandsOnFiles]:
        return [*self.script.cluster_policies.values(), *self._named().values()]

    def _named(self) -> dict[str, ModelPolicySpec]:
        return {name: self.script.policies.get(name, _MET) for name in self.spec.policies}

    # --- what the planner does ------------------------------------------------------------------

    def apply(self, actions: Iterable[Action], now: datetime) -> bool:
        """Do what was decided; give whether that changed anything."""
        before = self._done()
        for action in actions:
            self._apply(action, now)
        return before != self._done()

    def _done(self) -> tuple[object, ...]:
        return (
            dict(self.runs),
            dict(self.tested),
            dict(self.checks),
            _shares(self.routing),
            dict(self.commands),
        )

    def _apply(self, action: Action, now: datetime) -> None:
        if isinstance(action, LaunchRun):
            self.runs.setdefault(action.run_id, now)
        elif isinstance(action, TerminateRun):
            self.runs.pop(action.run_id, None)
        elif isinstance(action, RunForTest):
            self.tested.setdefault(action.name, now)
        elif isinstance(action, StopAfterTest):
            self.tested.pop(action.name, None)
        elif isinstance(action, StartCheck):
            self.checks.setdefault(action.question.check_id, now)
        elif isinstance(action, StopCheck):
            self.checks.pop(action.check_id, None)
        elif isinstance(action, Route):
            self._route(action.routing, now)
        elif isinstance(action, RemoveService):
            self.routing, self.started = None, {}
        elif isinstance(action, DropCommand):
            self.commands.pop(action.name, None)

    def _route(self, routing: Routing, now: datetime) -> None:
        """What runs goes on, what is new has to start, and what is asked for no more ends, the newest first."""
        self.routing, started = routing, {}
        for arm in routing.arms:
            running, wanted = self.started.get(arm.revision.revision, []), _pods(arm, routing.arms[0])
            started[arm.revision.revision] = [*running[:wanted], *[now] * (wanted - len(running))]
        self.started = started

    def _ready(self, revision: str, now: datetime) -> int:
        """Give how many of its pods are ready."""
        after, started = self.script.ready_after, self.started.get(revision, [])
        return sum(begun == LONG_AGO or (after is not None and now >= begun + after) for begun in started)

    @property
    def _traits(self) -> Traits:
        return ROUTERS[likely_router(self.spec)].traits

    def _weights(self, now: datetime) -> dict[str, int]:
        """Give the percent that each revision gets: of what was asked, or where pods decide, of all that take part."""
        arms = self.routing.arms if self.routing is not None else ()
        ready = {arm.revision.revision: self._ready(arm.revision.revision, now) for arm in arms}
        if not self._traits.weighs_by_pods:
            return {arm.revision.revision: arm.weight if ready[arm.revision.revision] else 0 for arm in arms}
        taking = {arm.revision.revision: ready[arm.revision.revision] if arm.weight else 0 for arm in arms}
        return {name: 100 * pods // max(sum(taking.values()), 1) for name, pods in taking.items()}

    def shares(self, now: datetime) -> dict[str, Share]:
        """Give what the stable, the new revision and variants have at this time; traffic goes to what is ready."""
        test = self.spec.rollout.ab_test if self.before else None
        variants = {variant.revision: variant.name for variant in test.variants} if test is not None else {}
        shares = {
            arm: Share(0, 0) for arm in (*(("stable",) if self.before else ()), "new", *variants.values())
        }
        gets = self._weights(now)
        for arm in self.routing.arms if self.routing is not None else ():
            revision, pods = arm.revision.revision, self._ready(arm.revision.revision, now)
            if pods:
                role = "stable" if revision in self.before else variants.get(revision, "new")
                shares[role] = Share(gets[revision], pods)
        lost = 100 - sum(share.weight for share in shares.values())
        if "stable" in shares and shares["stable"].pods:
            shares["stable"] = replace(shares["stable"], weight=shares["stable"].weight + lost)
        return shares

    # --- what happens by itself -----------------------------------------------------------------

    def react(self, status: ModelDeploymentStatus, now: datetime) -> None:
        """Let people approve what has waited for long enough."""
        place = _awaiting(status)
        if place is None:
            self.awaiting_since = None
            return
        if self.awaiting_since is None or self.awaiting_since[0] != place:
            self.awaiting_since = (place, now)
        after = self.script.approve_after
        if after is not None and now >= self.awaiting_since[1] + after:
            self.commands["approve"] = place

    def next_event(self, now: datetime, status: ModelDeploymentStatus) -> datetime | None:
        """Give the time of the next thing that happens by itself."""
        takes, after, approve = self.script.ci_takes, self.script.ready_after, self.script.approve_after
        events = [begun + takes for begun in self.runs.values() if takes is not None]
        if (checks_take := self.script.checks_take) is not None:
            events += [begun + checks_take for begun in self.checks.values()]
        if after is not None:
            events += [begun + after for pods in self.started.values() for begun in pods]
            events += [begun + after for begun in self.tested.values()]
        if self.awaiting_since is not None and approve is not None:
            events.append(self.awaiting_since[1] + approve)
        found = status.analysis
        if found is not None and (found.evidence or found.since == found.until):
            # What has been counted is expected, and so is when the next look is over.
            events.append(_COUNTING.due(found.until))
        return min((event for event in events if event > now), default=None)

    def awaited(self, status: ModelDeploymentStatus) -> str:
        """Say what a status waits for."""
        return _AWAITED.get(status.reason, "")


def _awaiting(status: ModelDeploymentStatus) -> str | None:
    """Give the REVISION/STEP that waits for a person."""
    if status.reason not in reasons.AWAIT_A_PERSON or status.candidate is None:
        return None
    return f"{status.candidate.revision}/{status.candidate.step}"


def _pods(arm: Arm, stable: Arm) -> int:
    """Give how many pods an arm has at least: where nobody says, KServe gives a candidate its share of stable's."""
    if arm.pods is not None:
        return arm.pods
    if arm is stable or arm.weight == 100:
        return arm.revision.serving_spec.min_replicas
    return -(-stable.revision.serving_spec.min_replicas * arm.weight // 100)


def _shares(routing: Routing | None) -> list[tuple[str, int, int | None]]:
    arms = routing.arms if routing is not None else ()
    return [(arm.revision.revision, arm.weight, arm.pods) for arm in arms]
