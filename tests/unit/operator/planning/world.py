"""A small world in which plans come true: CI runs end, KServe follows, time passes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mooring_operator.adapters.rules.child import Child
from mooring_operator.api import ClusterModelPolicySpec, ModelDeploymentSpec, ModelDeploymentStatus
from mooring_operator.api.checks import Outcome
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.actions import TerminateRun
from mooring_operator.planning.checks import CheckState, Question
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.policies.rules import RuleAnswers
from mooring_operator.planning.rollout.actions import (
    Action,
    DropCommand,
    LaunchRun,
    MoveAlias,
    RemoveService,
    Route,
    RunForTest,
    StartCheck,
    StopAfterTest,
    StopCheck,
)
from mooring_operator.planning.rollout.aliases import sought
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.neighbours import Turn
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.rollout.situation import AliasSeen, Observed, Resolved, Unresolved, Verdict
from mooring_operator.planning.routes import Service, Traits, UnderTest, Variant
from mooring_operator.planning.routing import Routing
from mooring_operator.planning.runs.run import RunState
from mooring_operator.planning.status import reading
from mooring_operator.reconcile.wire import to_wire

ROUTER = Traits("KServe", 40, renames_for_files_only=True)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def digest(model: str) -> str:
    return "sha256:" + model.encode().hex().ljust(64, "0")[:64]


def spec_of(model: str = "v1", **fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate(
        {"model": {"uri": f"s3://m/{model}", "format": "onnx"}, **fields}
    )


CI = {"testData": {"uri": "s3://m/test.parquet"}, "gates": [{"metric": "accuracy", "min": 0.9}]}


@dataclass
class World:
    """Everything outside the planner. `good` models pass CI, `startable` ones become ready."""

    spec: ModelDeploymentSpec
    router: Traits = ROUTER
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    now: datetime = START
    generation: int = 1
    good: Mapping[str, bool] = field(default_factory=dict)
    startable: Mapping[str, bool] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    askers: dict[str, str] = field(default_factory=dict)
    requested_by: str = ""
    model: Resolved | Unresolved | None = None
    routed: bool = True
    runs: dict[str, str] = field(default_factory=dict)
    launched: list[str] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    finds: Outcome | None = "Pass"
    """What checks find; None for those that go on."""
    checks: dict[str, Question] = field(default_factory=dict)
    """The checks that run or have ended."""
    found: dict[str, Outcome] = field(default_factory=dict)
    """What those that have ended found."""
    checked: list[str] = field(default_factory=list)
    """The checks that were started: one that is here twice was started twice."""
    stopped: list[str] = field(default_factory=list)
    instances: dict[str, Revision] = field(default_factory=dict)
    """What runs for tests alone."""
    tested_at: list[tuple[str, str]] = field(default_factory=list)
    """Revisions and where they were tested; nowhere for their files."""
    staging: str = ""
    """Below which address models of a registry alone are copied."""
    copied: list[str] = field(default_factory=list)
    """The runs that copied one."""
    served: tuple[Revision, Revision | None, int] | None = None
    weights_seen: list[tuple[str, int]] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    evidence: dict[tuple[str, str], str] = field(default_factory=dict)
    others: tuple[Turn, ...] = ()
    cluster_policies: dict[str, ClusterModelPolicySpec] = field(default_factory=dict)
    rules: Child | None = None
    answers: dict[str, RuleAnswers] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """The versions in a registry that models are, by address."""
    alias: str | None = None
    """Where the alias of the spec points, as NAME/VERSION."""
    alias_problem: str = ""
    moves: list[str] = field(default_factory=list)
    """Where it was moved."""
    observed: Observed | None = None
    """What the last decision was made from."""

    def apply(self, spec: ModelDeploymentSpec) -> None:
        self.spec, self.generation = spec, self.generation + 1

    def observe(self) -> Observed:
        uri = self.spec.model.uri
        resolved = self.model or Resolved(uri, digest(uri), self.versions.get(uri))
        observed = Observed(
            Owner("ns", "digits", "uid-1", self.generation),
            resolved,
            self.router,
            service=self._service(),
            commands=dict(self.commands),
            askers=dict(self.askers),
            requested_by=self.requested_by,
            run_pages="http://kfp/#/runs/details/",
            under_test=self._under_test(),
            answers=dict(self.answers),
            check=self._check(),
            abandoned={
                run.run_id: RunState(run.run_id, "Running") if run.run_id in self.running_checks else None
                for run in self.status.abandoned_runs
                if run.check and not run.ended
            },
            staging=self.staging,
            evidence=dict(self.evidence),
            others=self.others,
            cluster_policies=dict(self.cluster_policies),
            alias=AliasSeen(self.alias, self.alias_problem)
            if sought(self.spec, self.status) is not None
            else None,
        )
        ci = self.status.ci
        if ci is None or ci.verdict is not None or ci.run_id not in self.runs:
            return observed
        uri = self.runs[ci.run_id]
        if ci.run_id in self.copied:
            copied = Verdict(ci.run_id, digest(uri), True, {})
            return replace(observed, run=RunState(ci.run_id, "Succeeded"), verdict=copied)
        good = self.good.get(uri, True)
        violations = () if good else ("accuracy 0.5 is below the minimum 0.9",)
        verdict = Verdict(
            ci.run_id, self._content(uri), good, {"accuracy": 0.95 if good else 0.5}, violations
        )
        return replace(observed, run=RunState(ci.run_id, "Succeeded"), verdict=verdict)

    def _content(self, uri: str) -> str:
        copy = bool(self.staging) and uri.startswith(self.staging)
        return "sha256:" + uri.rpartition("/")[2] if copy else digest(uri)

    def step(self, *, crash_after: int | None = None) -> Decision:
        """Reconcile once; a crash leaves the actions behind `crash_after` undone."""
        self.observed = self.observe()
        decision = plan(self.spec, self.status, self.observed, self.now)
        if decision.questions and self.rules is not None:
            self.answers |= {question.key: self.rules.ask(question) for question in decision.questions}
            self.observed = self.observe()
            decision = plan(self.spec, self.status, self.observed, self.now)
        self.status = decision.status
        if not self.phases or self.phases[-1] != decision.phase:
            self.phases.append(decision.phase)
        for action in decision.actions[:crash_after]:
            self._do(action)
        if crash_after is not None:
            # Whoever comes next knows what was written, and nothing else.
            self.status = reading.read_status(ModelDeploymentStatus, to_wire(self.status)).status
        return decision

    def settle(self, limit: int = 60) -> Decision:
        """Reconcile, letting time pass as the planner asks, until it only waits for a change."""
        for _ in range(limit):
            before = self.status
            decision = self.step()
            if decision.status == before and (decision.recheck_after is None or decision.phase in _RESTING):
                return decision
            self.now += timedelta(seconds=decision.recheck_after or 1)
        raise AssertionError(
            f"does not settle: {self.status.phase} {self.status.reason} {self.status.message}"
        )

    def command(self, name: str, note: str = "", by: str = "") -> None:
        status = self.status
        revision = {
            "retry": status.failed_revision,
            "rollback": status.stable and status.stable.revision,
        }.get(name, status.candidate and status.candidate.revision)
        self.commands[name] = f"{revision} {note}".strip()
        self.askers[name] = by

    @property
    def running_checks(self) -> set[str]:
        """The checks that were started and have not ended."""
        return self.checks.keys() - self.found.keys()

    def _check(self) -> CheckState | None:
        known = self.status.candidate.check if self.status.candidate is not None else None
        if known is None or known.outcome is not None or known.id not in self.checks:
            return None
        if self.finds is not None:
            self.found.setdefault(known.id, self.finds)
        outcome = self.found.get(known.id)
        return CheckState(known.id, outcome, f"it says {outcome}" if outcome else "")

    def _under_test(self) -> UnderTest | None:
        revision = self.instances.get(self.status.test_instance or "")
        if revision is None:
            return None
        ready = self.startable.get(revision.storage_uri, True)
        message = "" if ready else "CrashLoopBackOff"
        return UnderTest(ready, message, address=f"http://{self.status.test_instance}", model_name="digits")

    def _service(self) -> Service | None:
        if self.served is None:
            return None
        stable, candidate, weight = self.served
        problem = "" if self.routed else "nothing splits traffic"
        variants = {stable.revision: self._variant(stable, 100 - weight if candidate else 100)}
        if candidate is None or (self.router.holds_rejected and self.status.candidate is None):
            return Service("http://digits.ns", variants, problem=problem)
        variant = self._variant(candidate, weight)
        variants[candidate.revision] = variant if self.routed else replace(variant, weight=None)
        return Service("http://digits.ns", variants, shared=True, problem=problem)

    def _variant(self, revision: Revision, weight: int) -> Variant:
        ready = self.startable.get(revision.storage_uri, True)
        workload = revision.workload if self.router.names_workloads else f"assigned-{revision.revision}"
        return Variant(ready, weight if ready else 0, workload, "" if ready else "CrashLoopBackOff")

    def _do(self, action: Action) -> None:
        self.actions.append(action)
        match action:
            case LaunchRun(run_id, candidate):
                if run_id not in self.runs and action.copy_to:
                    self.copied.append(run_id)
                elif run_id not in self.runs:
                    self.launched.append(run_id)
                    self.tested_at.append((candidate.revision, action.endpoint))
                self.runs[run_id] = candidate.storage_uri
            case TerminateRun(run_id):
                self.terminated.append(run_id)
            case RunForTest(name, revision):
                self.instances.setdefault(name, revision)
            case StopAfterTest(name):
                self.instances.pop(name, None)
            case StartCheck(question):
                if question.check_id not in self.checks:
                    self.checked.append(question.check_id)
                self.checks[question.check_id] = question
            case StopCheck(check_id):
                self.checks.pop(check_id, None)
                self.stopped.append(check_id)
            case Route(Routing(arms=(stable, arm))):
                self._serve(stable.revision, arm.revision, arm.weight)
            case Route(routing):
                self._serve(routing.stable, routing.rejected, 0)
            case MoveAlias(name, _, version):
                self.moves.append(f"{name}/{version}")
                if not self.alias_problem:
                    self.alias = self.moves[-1]
            case RemoveService():
                self.served = None
            case DropCommand(name, value):
                if self.commands.get(name) == value:
                    del self.commands[name]
            case _:
                pass

    def _serve(self, stable: Revision, candidate: Revision | None, weight: int) -> None:
        self.served = (stable, candidate, weight)
        if candidate is not None:
            entry = (candidate.revision, weight)
            if not self.weights_seen or self.weights_seen[-1] != entry:
                self.weights_seen.append(entry)


_RESTING = ("Promoted", "RolledBack", "Failed", "Paused", "AwaitingApproval")
