"""Reconciles one DriftMonitor: look at the run that evaluates, plan, ask for a rollback, write the status, act.

The status stands between: a rollback is asked for before it is written, for a request that was lost in a crash must
be made again; made twice, it names a revision that has been left already, and is dropped. Runs come after it, for it
says which: launched twice, there is one.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from mooring_artifacts.uris import hide_queries
from pydantic import ValidationError

from mooring_operator.adapters.audit import AuditUnavailable
from mooring_operator.adapters.checks import CheckNotStarted
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.cluster import Cluster, InvalidName, Ref
from mooring_operator.adapters.documents import DocumentsUnavailable
from mooring_operator.adapters.notifier import Notifier
from mooring_operator.adapters.pipelines import PipelinesRefused, PipelinesUnavailable
from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.names import COMMAND_PREFIX, Command, asker_annotation
from mooring_operator.planning import audit
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.checks import CheckState
from mooring_operator.planning.drift.acting import RequestRollback, RequestStop
from mooring_operator.planning.drift.arrivals import last_look
from mooring_operator.planning.drift.evaluations import DriftObserved
from mooring_operator.planning.drift.notice_texts import body_of
from mooring_operator.planning.drift.notices import SendNotice, under_way
from mooring_operator.planning.drift.plan import (
    DriftAction,
    DriftDecision,
    LaunchEvaluation,
    invalid_monitor,
    notice,
    plan_drift,
    train,
    unavailable,
)
from mooring_operator.planning.drift.retraining import LaunchTraining, TrainingSeen
from mooring_operator.planning.drift.targets import Unwatchable
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.runs.abandoned_runs import unended
from mooring_operator.planning.runs.run import RunState
from mooring_operator.planning.status import spec_errors
from mooring_operator.reconcile.decisions import Decisions
from mooring_operator.reconcile.drift_runs import DriftRuns
from mooring_operator.reconcile.drift_targets import DriftTargets
from mooring_operator.reconcile.gatherer import owner_of
from mooring_operator.reconcile.installs import Installs
from mooring_operator.reconcile.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT
from mooring_operator.reconcile.training_runs import TrainingRuns
from mooring_operator.reconcile.wire import peek_status, status_of

logger = logging.getLogger(__name__)

_LABEL = "label"
_UNAVAILABLE = (PipelinesUnavailable, PipelinesRefused, DocumentsUnavailable)


class DriftMonitors:
    """The controller of DriftMonitors."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        runs: DriftRuns,
        trainings: TrainingRuns,
        notifier: Notifier,
        clock: Callable[[], datetime],
        receivers: NoticeJobs,
        file_addresses: bool = False,
        decisions: Decisions | None = None,
        installs: Installs | None = None,
    ) -> None:
        self._cluster = cluster
        self._decisions = decisions or Decisions(cluster)
        self._receivers = receivers
        self._runs = runs
        self._trainings = trainings
        self._notifier = notifier
        self._clock = clock
        self._file_addresses = file_addresses
        self._installs = installs or Installs(cluster, notifier, "")
        self._targets = DriftTargets(cluster)

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Bring one DriftMonitor up to date.

        Returns:
            Seconds until it wants to be looked at again; None: only after a change.

        Raises:
            ClusterError: the API server does not answer, or the object moved on; try again.
            PipelinesUnavailable, DocumentsUnavailable: a run that is waited for cannot be looked at; try again.
            AuditUnavailable: what was decided cannot be recorded; try again.
        """
        resource = await self._cluster.get(Ref(DRIFT_MONITOR, namespace, name))
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._installs.forget(DRIFT_MONITOR.kind, namespace, name)
            return None
        if (pause := await self._installs.leave(resource)) is not None:
            return pause
        status = self._installs.sign(await status_of(resource, DriftMonitorStatus, self._notifier))
        owner = owner_of(resource)
        try:
            spec = DriftMonitorSpec.model_validate(resource["spec"])
        except ValidationError as error:
            await self._refuse(resource, status, spec_errors.describe(error))
            return None
        try:
            observed = await self._observe(owner, spec, status)
        except InvalidName as error:
            await self._refuse(resource, status, f"spec.target: {error}")
            return None
        except _UNAVAILABLE as error:
            blind = DriftObserved(owner=owner, target=None)
            message = f"{error}; trying again"
            await self._carry_out(resource, unavailable(status, blind, message, self._clock()))
            raise
        seen = await self._trainings.look(owner, status)
        decision = plan_drift(spec, status, observed, self._clock(), seen)
        try:
            resource = await self._carry_out(resource, decision)
        except AuditUnavailable as error:
            message = f"{error}; trying again"
            told = unavailable(status, observed, message, self._clock(), reasons.AUDIT_UNAVAILABLE)
            await self._decisions.write(resource, told.status)
            raise
        try:
            await self._act_on_runs(owner, spec, decision)
        except _UNAVAILABLE as error:
            taken = isinstance(error, PipelinesRefused) and error.name_taken
            failed = hide_queries(str(error))
            observed = replace(observed, run=None, result=None, launch_failed=failed, name_taken=taken)
            decision = plan_drift(spec, decision.status, observed, self._clock())
            resource = await self._carry_out(resource, decision)
        resource, decision = await self._train(resource, owner, spec, observed, decision)
        await self._tell_receivers(resource, owner, spec, observed, decision)
        return decision.recheck_after

    async def deleted(self, resource: Manifest) -> None:
        """Stop the runs that would go on without their DriftMonitor."""
        if await self._installs.is_anothers(resource):
            return
        status = peek_status(resource, DriftMonitorStatus)
        waited_for = [status.run.run_id] if status.run is not None else []
        if status.retraining is not None and status.retraining.current:
            waited_for.append(status.retraining.current)
        for run_id in [*waited_for, *unended(status.abandoned_runs)]:
            await self._runs.terminate(owner_of(resource), run_id)

    async def _refuse(self, resource: Manifest, status: DriftMonitorStatus, message: str) -> None:
        """Say what is wrong with the spec; there is nothing to come back for until it changes."""
        generation = resource["metadata"].get("generation", 0)
        invalid = invalid_monitor(status, message, generation, self._clock())
        await self._decisions.write(resource, invalid)

    async def _observe(
        self, owner: Owner, spec: DriftMonitorSpec, status: DriftMonitorStatus
    ) -> DriftObserved:
        target = await self._targets.find(owner.namespace, spec)
        run = result = None
        if status.run is not None:
            run = await self._runs.get(owner, status.run.run_id)
            if run is not None and run.phase not in ("Pending", "Running"):
                result = await self._runs.result(owner, status.run.run_id)
        return DriftObserved(
            owner=owner,
            target=None if isinstance(target, Unwatchable) else target,
            unwatchable=target if isinstance(target, Unwatchable) else None,
            run=run,
            result=result,
            abandoned=await self._abandoned(owner, status),
            notices={each: await self._receivers.look(owner, each) for each in under_way(status.notices)},
            longest_run=self._runs.longest,
            run_pages=self._runs.pages,
            narrow_runs=self._runs.narrow,
            file_addresses=self._file_addresses,
        )

    async def _abandoned(self, owner: Owner, status: DriftMonitorStatus) -> dict[str, RunState | None]:
        """Look up the runs that were told to stop; one that cannot be asked about holds nothing up."""
        found = {}
        for run_id in unended(status.abandoned_runs):
            with suppress(PipelinesUnavailable, PipelinesRefused):
                found[run_id] = await self._runs.get(owner, run_id)
        return found

    async def _carry_out(self, resource: Manifest, decision: DriftDecision) -> Manifest:
        """Have it recorded, tell people and the ModelDeployment, then write the status."""
        notices = [action for action in decision.actions if isinstance(action, Notify)]
        entries = audit.of_notices(resource, notices, self._clock())
        # What a ModelDeployment is asked for waits for no store.
        waits = not any(isinstance(action, RequestRollback | RequestStop) for action in decision.actions)
        await self._decisions.record(resource, entries, waits=waits)
        for action in decision.actions:
            await self._tell(resource, action)
        return await self._decisions.write_recorded(resource, decision.status)

    async def _tell(self, resource: Manifest, action: DriftAction) -> None:
        match action:
            case RequestRollback(name, revision, note):
                await self._command(resource, name, "rollback", revision, note)
            case RequestStop(name, command, revision, note):
                await self._command(resource, name, command, revision, note)
            case Notify():
                await self._notifier.notify(resource, action)

    async def _command(
        self, resource: Manifest, name: str, command: Command, revision: str, note: str
    ) -> None:
        """Give a ModelDeployment a command about a revision, by the annotation that people give it by."""
        namespace, monitor = resource["metadata"]["namespace"], resource["metadata"]["name"]
        asked = {COMMAND_PREFIX + command: f"{revision} DriftMonitor {monitor}: {note}"}
        # The policies want to know who asks. Where there are none, it need not be known.
        if user := await self._cluster.user():
            asked[asker_annotation(command)] = user
        deployment = await self._cluster.get(Ref(MODEL_DEPLOYMENT, namespace, name))
        if deployment is not None:
            await self._cluster.set_annotations(deployment, asked)

    async def _tell_receivers(
        self,
        resource: Manifest,
        owner: Owner,
        spec: DriftMonitorSpec,
        observed: DriftObserved,
        decision: DriftDecision,
    ) -> None:
        """Have the receivers told that status says are; one that cannot be is said in status."""
        refused: dict[str, CheckState | None] = {}
        for action in decision.actions:
            if not isinstance(action, SendNotice):
                continue
            body = body_of(owner, spec.target, decision.status, action)
            try:
                await self._receivers.start(owner, action.notice_id, action.receiver, body)
            except CheckNotStarted as error:
                if error.problem.final:
                    refused[action.notice_id] = CheckState(
                        action.notice_id, "Insufficient", error.problem.message
                    )
                else:
                    logger.warning(
                        "notice %s could not be sent yet: %s", action.notice_id, error.problem.message
                    )
        if refused:
            observed = replace(observed, notices=refused)
            await self._carry_out(
                resource, notice(spec, DriftDecision(decision.status), observed, self._clock())
            )

    async def _train(
        self,
        resource: Manifest,
        owner: Owner,
        spec: DriftMonitorSpec,
        observed: DriftObserved,
        decision: DriftDecision,
    ) -> tuple[Manifest, DriftDecision]:
        """Launch the run of a training that status says is; say in status where it never will be."""
        for action in decision.actions:
            if not isinstance(action, LaunchTraining):
                continue
            why = await self._trainings.launch(owner, spec, decision.status, action.training)
            if why is not None:
                failed, settled = TrainingSeen(launch_failed=why), replace(decision, actions=())
                told = train(spec, settled, observed, failed, self._clock())
                return await self._carry_out(resource, told), replace(told, actions=decision.actions)
        return resource, decision

    async def _act_on_runs(self, owner: Owner, spec: DriftMonitorSpec, decision: DriftDecision) -> None:
        for action in decision.actions:
            match action:
                case TerminateRun(run_id):
                    await self._terminate(owner, run_id)
                case LaunchEvaluation(run):
                    status = decision.status
                    last = last_look(status, run.revision)
                    await self._runs.launch(owner, spec, run, status.past, last)

    async def _terminate(self, owner: Owner, run_id: str) -> None:
        try:
            await self._runs.terminate(owner, run_id)
        except (PipelinesUnavailable, PipelinesRefused) as error:
            # The status says that it has to end: it is asked again, and stops nothing else meanwhile.
            logger.warning("run %s could not be stopped yet: %s", run_id, error)
