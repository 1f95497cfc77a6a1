"""Reconciles one ModelDeployment: observe, plan, write the status, act.

The status goes first. It is the log: after a crash anywhere below, the next pass plans from it
and repeats the actions that follow, none of which does anything the second time.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mooring_artifacts.uris import hide_queries
from pydantic import ValidationError

from mooring_operator.adapters.audit import AuditUnavailable
from mooring_operator.adapters.checks import CheckNotStarted
from mooring_operator.adapters.cluster import Cluster, ClusterError, InvalidName, Ref, Refused, Unavailable
from mooring_operator.adapters.documents import DocumentsUnavailable
from mooring_operator.adapters.notifier import Notifier
from mooring_operator.adapters.pipelines import (
    LaunchUncertain,
    Pipelines,
    PipelinesRefused,
    PipelinesUnavailable,
)
from mooring_operator.adapters.routers import Routers
from mooring_operator.adapters.rules.child import RulesUnavailable
from mooring_operator.adapters.rules.engine import Rules
from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.names import COMMAND_PREFIX, asker_annotation
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning import audit
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.manifests.workloads import Workload
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.rollout import trouble
from mooring_operator.planning.rollout.actions import (
    Action,
    ApplyWorkload,
    AskForRuntime,
    DropCommand,
    ForgetRuntime,
    LaunchRun,
    MoveAlias,
    RemoveService,
    RemoveWorkload,
    Route,
    RunForTest,
    StartCheck,
    StopAfterTest,
    StopCheck,
)
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.measurements import runs_of_the_deleted
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.rollout.situation import Observed
from mooring_operator.planning.runs.abandoned_runs import unended
from mooring_operator.planning.status import spec_errors
from mooring_operator.planning.status.wording import because, one_line
from mooring_operator.reconcile.aliases import Aliases
from mooring_operator.reconcile.checks import Checks
from mooring_operator.reconcile.ci_runs import CIRuns
from mooring_operator.reconcile.decisions import Decisions
from mooring_operator.reconcile.failures import StatusUnreadable
from mooring_operator.reconcile.gatherer import Gatherer, owner_of
from mooring_operator.reconcile.installs import Installs
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT
from mooring_operator.reconcile.templates import Templates
from mooring_operator.reconcile.wire import peek_status, status_of

logger = logging.getLogger(__name__)

_SOON = 1.0
_AWAY: Mapping[str, Callable[[str], Exception]] = {
    reasons.PIPELINES_UNAVAILABLE: PipelinesUnavailable,
    reasons.VERDICTS_UNAVAILABLE: DocumentsUnavailable,
}


class ModelDeployments:
    """The controller of ModelDeployments."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        routers: Routers,
        pipelines: Pipelines,
        runs: CIRuns,
        gatherer: Gatherer,
        notifier: Notifier,
        rules: Rules,
        clock: Callable[[], datetime],
        checks: Checks | None = None,
        templates: Templates | None = None,
        aliases: Aliases | None = None,
        decisions: Decisions | None = None,
        installs: Installs | None = None,
    ) -> None:
        self._cluster = cluster
        self._decisions = decisions or Decisions(cluster)
        self._routers = routers
        self._pipelines = pipelines
        self._runs = runs
        self._gatherer = gatherer
        self._notifier = notifier
        self._rules = rules
        self._clock = clock
        self._checks = checks or Checks({})
        self._templates = templates or Templates(cluster)
        self._aliases = aliases or Aliases()
        self._installs = installs or Installs(cluster, notifier, "")
        self._unwritten: dict[tuple[str, str], str] = {}
        """Why what was decided about a deployment could not be written, for as long as it cannot."""

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Bring one ModelDeployment a step further.

        Returns:
            Seconds until it wants to be looked at again; None: only after a change.

        Raises:
            ClusterError: the API server does not answer, or the object moved on; try again.
            PipelinesUnavailable, DocumentsUnavailable, RulesUnavailable, AuditUnavailable: noted in status; try again.
        """
        resource = await self._cluster.get(Ref(MODEL_DEPLOYMENT, namespace, name), recent=True)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._gatherer.forget(namespace, name)
            self._unwritten.pop((namespace, name), None)
            self._installs.forget(MODEL_DEPLOYMENT.kind, namespace, name)
            return None
        if (pause := await self._installs.leave(resource)) is not None:
            return pause
        status = self._installs.sign(await status_of(resource, ModelDeploymentStatus, self._notifier))
        try:
            spec = ModelDeploymentSpec.model_validate(resource["spec"])
        except ValidationError as error:
            await self._refuse(resource, status, spec_errors.describe(error))
            return None
        try:
            spec, standards = await self._templates.apply(namespace, spec)
            observed = await self._gatherer.observe(resource, spec, status, standards)
            observed = replace(observed, unwritten=self._unwritten.get((namespace, name), ""))
            pause = await self._proceed(resource, spec, status, observed)
        except InvalidName as error:
            await self._refuse(resource, status, str(error))
            return None
        except PipelinesUnavailable as error:
            await self._report(namespace, name, reasons.PIPELINES_UNAVAILABLE, f"{error}; trying again")
            raise
        except DocumentsUnavailable as error:
            await self._report(namespace, name, reasons.VERDICTS_UNAVAILABLE, f"{error}; trying again")
            raise
        if (unseen := observed.run_unseen) is not None:
            # It is in status; the next look comes at the pace of what is away.
            raise _AWAY[unseen.reason](unseen.message)
        return pause

    async def deleted(self, resource: Manifest) -> None:
        """Stop what would go on without its ModelDeployment; the rest has an ownerReference."""
        if await self._installs.is_anothers(resource):
            return
        try:
            status = peek_status(resource, ModelDeploymentStatus)
        except StatusUnreadable:
            # What was served ends by itself, and whose runs these are is in other fields.
            others = {name: value for name, value in resource["status"].items() if name != "stable"}
            status = peek_status({"status": others}, ModelDeploymentStatus)
        waited_for = [status.ci.run_id] if status.ci is not None and status.ci.verdict is None else []
        measuring = await self._measuring(resource, status)
        for run_id in [*waited_for, *measuring, *unended(status.abandoned_runs)]:
            await self._pipelines.terminate(resource["metadata"]["namespace"], run_id)

    async def _measuring(self, resource: Manifest, status: ModelDeploymentStatus) -> list[str]:
        """Give the runs that measure for a deployment that is gone, by its templates as they are now."""
        if "spec" not in resource:
            # It was not being judged.
            return []
        try:
            spec = ModelDeploymentSpec.model_validate(resource["spec"])
            spec, _ = await self._templates.apply(resource["metadata"]["namespace"], spec)
        except (ValidationError, ClusterError):
            # They end by their time-out.
            return []
        return runs_of_the_deleted(owner_of(resource), spec, status, self._clock())

    async def _proceed(
        self, resource: Manifest, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed
    ) -> float | None:
        try:
            observed, decision = await self._decide(spec, status, observed)
            resource = await self._write(resource, status, decision)
        except AuditUnavailable as error:
            await self._stay(resource, spec, status, observed, reasons.AUDIT_UNAVAILABLE, error)
            raise
        except RulesUnavailable as error:
            await self._stay(resource, spec, status, observed, reasons.RULES_UNAVAILABLE, error)
            raise
        try:
            refused = await self._act(resource, spec, observed, decision)
        except (Refused, PipelinesRefused, LaunchUncertain, CheckNotStarted) as problem:
            # What was refused fails the candidate: no amount of repeating makes it welcome.
            seen = _with_problem(observed, problem)
            after = plan(spec, decision.status, seen, self._clock())
            resource = await self._write(resource, decision.status, after)
            refused = await self._act(resource, spec, observed, after)
            decision = after
        except Unavailable as error:
            await self._wait_for_writes(resource, spec, observed, decision, error)
            raise
        self._unwritten.pop((observed.owner.namespace, observed.owner.name), None)
        if refused:
            # A workload that is refused is said, and stops no rollout.
            seen = replace(observed, refused_workloads=refused)
            decision = plan(spec, decision.status, seen, self._clock())
            await self._tell(resource, decision)
        if decision.status == status:
            return decision.recheck_after
        # Our own write wakes nobody. What follows from the new status, if anything, is due soon.
        return min(decision.recheck_after or _SOON, _SOON)

    async def _stay(
        self,
        resource: Manifest,
        spec: ModelDeploymentSpec,
        status: ModelDeploymentStatus,
        observed: Observed,
        reason: str,
        error: Exception,
    ) -> None:
        """Say that nothing can be decided now; pods that are lost meanwhile take their share back all the same."""
        stays = trouble.undecided(spec, status, observed, reason, f"{error}; trying again", self._clock())
        resource = await self._decisions.write(resource, stays.status)
        await self._act(resource, spec, observed, stays)

    async def _write(self, resource: Manifest, before: ModelDeploymentStatus, decision: Decision) -> Manifest:
        """Have what was decided recorded, and then the status say it."""
        entries = audit.of_deployment(resource, before, decision, self._clock())
        waits = audit.may_wait(decision)
        return await self._decisions.write(resource, decision.status, entries, waits=waits)

    async def _wait_for_writes(
        self,
        resource: Manifest,
        spec: ModelDeploymentSpec,
        observed: Observed,
        decision: Decision,
        error: Unavailable,
    ) -> None:
        """Say that nothing can be written: it is no candidate's fault, and the next attempt may succeed."""
        # The first words stay: ports and times in them differ with every attempt.
        key = (observed.owner.namespace, observed.owner.name)
        why = self._unwritten.setdefault(
            key, f"what it needs cannot be written yet{because(one_line(str(error), 300))}"
        )
        if observed.unwritten == "":
            seen = replace(observed, unwritten=why)
            await self._tell(resource, plan(spec, decision.status, seen, self._clock()))

    async def _decide(
        self, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed
    ) -> tuple[Observed, Decision]:
        """Plan, and plan again with the answers to what the plan asks, as far as they come at once."""
        now, namespace = self._clock(), observed.owner.namespace
        decision = plan(spec, status, observed, now)
        if decision.questions:
            observed = replace(observed, answers=await self._rules.answer(namespace, decision.questions))
            decision = plan(spec, status, observed, now)
        if decision.questions:
            wait = self._rules.wait(namespace, decision.questions[0])
            decision = replace(decision, recheck_after=wait)
        return observed, decision

    async def _act(
        self, resource: Manifest, spec: ModelDeploymentSpec, seen: Observed, decision: Decision
    ) -> dict[Workload, str]:
        """Why workloads were refused. A run that cannot be launched now keeps nothing else from being done."""
        refused: dict[Workload, str] = {}
        late: PipelinesUnavailable | None = None
        for action in decision.actions:
            if isinstance(action, ApplyWorkload):
                try:
                    await self._apply(action.manifest, seen.workloads.get(action.workload))
                except Refused as refusal:
                    refused[action.workload] = str(refusal)
            else:
                try:
                    await self._do(resource, spec, seen, action)
                except PipelinesUnavailable as error:
                    late = error
        if late is not None:
            raise late
        return refused

    async def _apply(self, wanted: Manifest, seen: Mapping[str, Any] | None) -> None:
        if seen is None:
            await self._cluster.create(wanted)
        else:
            await self._cluster.apply(wanted, dict(seen))

    async def _do(
        self, resource: Manifest, spec: ModelDeploymentSpec, seen: Observed, action: Action
    ) -> None:
        owner, service = seen.owner, seen.service
        router = self._routers.of(owner, spec, seen.router_choice.name)
        match action:
            case LaunchRun(run_id, candidate, copy_to=place) if place:
                await self._runs.copy(owner, spec, run_id, candidate, place)
            case LaunchRun(run_id, candidate, champion, endpoint, demands):
                await self._runs.launch(owner, spec, run_id, candidate, champion, endpoint, demands)
            case RunForTest(name, revision):
                await self._routers.under_test.run(owner, name, revision)
            case StopAfterTest(name):
                await self._routers.under_test.stop(owner, name)
            case TerminateRun(run_id):
                await self._terminate(owner.namespace, run_id)
            case StartCheck(question):
                await self._checks.start(owner, question)
            case StopCheck(check_id):
                await self._stop_check(owner, check_id)
            case Route(routing):
                await router.route(owner, routing, service)
            case AskForRuntime(revision):
                await self._routers.runtimes.ask(owner, revision)
            case ForgetRuntime():
                await self._routers.runtimes.forget(owner)
            case MoveAlias():
                await self._aliases.move(owner.namespace, owner.name, action)
            case RemoveService():
                await router.remove(owner, service)
            case RemoveWorkload(workload):
                await self._cluster.delete(dict(seen.workloads[workload]))
            case DropCommand(name, value):
                await self._cluster.remove_annotation(
                    resource, COMMAND_PREFIX + name, value, along=[asker_annotation(name)]
                )
            case Notify():
                await self._notifier.notify(resource, action)

    async def _terminate(self, namespace: str, run_id: str) -> None:
        try:
            await self._pipelines.terminate(namespace, run_id)
        except (PipelinesUnavailable, PipelinesRefused) as error:
            # The status says that it has to end: it is asked again, and stops nothing else meanwhile.
            logger.warning("run %s could not be stopped yet: %s", run_id, error)

    async def _stop_check(self, owner: Owner, check_id: str) -> None:
        try:
            await self._checks.stop(owner, check_id)
        except ClusterError as error:
            # As above.
            logger.warning("check %s could not be stopped yet: %s", check_id, error)

    async def _refuse(self, resource: Manifest, status: ModelDeploymentStatus, message: str) -> None:
        """Say what is wrong with the spec; there is nothing to come back for until it changes."""
        await self._tell(resource, trouble.invalid_spec(status, message, owner_of(resource), self._clock()))

    async def _report(self, namespace: str, name: str, reason: str, message: str) -> None:
        """Say in status which dependency is unavailable; the rollout stays where it is."""
        resource = await self._cluster.get(Ref(MODEL_DEPLOYMENT, namespace, name))
        if resource is None or await self._installs.is_anothers(resource):
            return
        status = self._installs.sign(peek_status(resource, ModelDeploymentStatus))
        decision = trouble.dependency_unavailable(status, reason, message, owner_of(resource), self._clock())
        await self._tell(resource, decision)

    async def _tell(self, resource: Manifest, decision: Decision) -> None:
        """Write a decision's status and its notices, and do nothing else of it."""
        resource = await self._decisions.write(resource, decision.status)
        for action in decision.actions:
            if isinstance(action, Notify):
                await self._notifier.notify(resource, action)


def _with_problem(
    observed: Observed, problem: Refused | PipelinesRefused | LaunchUncertain | CheckNotStarted
) -> Observed:
    match problem:
        case CheckNotStarted():
            return replace(observed, check_problem=problem.problem)
        case LaunchUncertain():
            return replace(observed, launch_error=hide_queries(str(problem)))
        case PipelinesRefused():
            refusal = hide_queries(str(problem))
            return replace(observed, launch_refused=refusal, run_name_taken=problem.name_taken)
        case _:
            return replace(observed, refused=str(problem))
