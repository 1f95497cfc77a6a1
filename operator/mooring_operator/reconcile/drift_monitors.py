"""Reconciles one DriftMonitor: evaluate when due, plan, act, write the status.

Here the status goes last: it says that a rollback was asked for, and a request that was lost in a
crash must be made again. Made twice, it names a revision that has been left already, and is dropped.
"""

from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from mooring_operator.adapters.cluster import Cluster, InvalidName, Ref
from mooring_operator.adapters.drift import (
    DriftEvaluation,
    DriftEvaluations,
    DriftRequest,
    EvaluationFailed,
    EvaluationUnavailable,
    FeatureResult,
)
from mooring_operator.adapters.notifier import Notifier
from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec, DriftMonitorStatus, FeatureDrift, TestResult
from mooring_operator.api.names import COMMAND_PREFIX, asker_annotation
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning import trouble
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift import (
    DriftObserved,
    Findings,
    NoFindings,
    RequestRollback,
    Target,
    due,
    plan_drift,
)
from mooring_operator.planning.situation import Manifest
from mooring_operator.reconcile.failures import StatusUnreadable
from mooring_operator.reconcile.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT
from mooring_operator.reconcile.wire import peek_status, status_of, write_status


class DriftMonitors:
    """The controller of DriftMonitors."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        evaluations: DriftEvaluations,
        notifier: Notifier,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._evaluations = evaluations
        self._notifier = notifier
        self._clock = clock

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Bring one DriftMonitor up to date.

        Returns:
            Seconds until it wants to be looked at again; None: only after a change.
        """
        resource = await self._cluster.get(Ref(DRIFT_MONITOR, namespace, name))
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return None
        status = await status_of(resource, DriftMonitorStatus, self._notifier)
        generation = resource["metadata"].get("generation", 0)
        try:
            spec = DriftMonitorSpec.model_validate(resource["spec"])
        except ValidationError as error:
            await self._refuse(resource, status, trouble.describe(error))
            return None
        try:
            target = await self._target(namespace, spec)
        except InvalidName as error:
            await self._refuse(resource, status, f"spec.target: {error}")
            return None
        result = None
        if target is not None and due(spec, status, generation, self._clock()):
            result = await self._evaluate(spec)
        decision = plan_drift(spec, status, DriftObserved(generation, target, result), self._clock())
        for action in decision.actions:
            await self._do(resource, action)
        await write_status(self._cluster, resource, decision.status)
        return decision.recheck_after

    async def _refuse(self, resource: Manifest, status: DriftMonitorStatus, message: str) -> None:
        """Say what is wrong with the spec; there is nothing to come back for until it changes."""
        generation = resource["metadata"].get("generation", 0)
        invalid = trouble.invalid_monitor(status, message, generation, self._clock())
        await write_status(self._cluster, resource, invalid)

    async def _target(self, namespace: str, spec: DriftMonitorSpec) -> Target | None:
        resource = await self._cluster.get(Ref(MODEL_DEPLOYMENT, namespace, spec.target.name))
        if resource is None:
            return None
        try:
            status = peek_status(resource, ModelDeploymentStatus)
        except StatusUnreadable:
            # Its own status says so; until that is mended nobody knows which revision drifts.
            return Target(spec.target.name, None, None)
        return Target(
            spec.target.name,
            status.stable.revision if status.stable else None,
            status.previous.revision if status.previous else None,
        )

    async def _evaluate(self, spec: DriftMonitorSpec) -> Findings | NoFindings:
        ks, psi = spec.detectors.ks, spec.detectors.psi
        request = DriftRequest(
            baseline_uri=spec.baseline.uri,
            window_uri=spec.window.uri,
            features=tuple(spec.features),
            min_rows=spec.min_rows,
            ks_alpha=ks.alpha if ks else None,
            psi_threshold=psi.threshold if psi else None,
            psi_bins=psi.bins if psi else 10,
        )
        try:
            return _findings(await self._evaluations.evaluate(request))
        except EvaluationFailed as error:
            return NoFindings(error.reason, error.message, quiet=error.reason == reasons.INSUFFICIENT_DATA)
        except EvaluationUnavailable as error:
            return NoFindings(reasons.EVALUATION_UNAVAILABLE, f"{error}; trying again after spec.interval")

    async def _do(self, resource: Manifest, action: RequestRollback | Notify) -> None:
        match action:
            case RequestRollback(name, revision, note):
                ref = Ref(MODEL_DEPLOYMENT, resource["metadata"]["namespace"], name)
                asked = {COMMAND_PREFIX + "rollback": f"{revision} {note}"}
                # The policies want to know who asks. Where there are none, it need not be known.
                if user := await self._cluster.user():
                    asked[asker_annotation("rollback")] = user
                if (deployment := await self._cluster.get(ref)) is not None:
                    await self._cluster.set_annotations(deployment, asked)
            case Notify():
                await self._notifier.notify(resource, action)


def _findings(found: DriftEvaluation) -> Findings:
    features = sorted((_feature(result) for result in found.features), key=_by_movement)
    return Findings(found.baseline_rows, found.window_rows, found.window_digest, tuple(features))


def _feature(result: FeatureResult) -> FeatureDrift:
    def test(pair: tuple[float, float] | None) -> TestResult | None:
        return TestResult(statistic=round(pair[0], 6), p_value=pair[1]) if pair else None

    return FeatureDrift(
        name=result.name,
        drifted=result.drifted,
        ks=test(result.ks),
        psi=test(result.psi),
        missing=round(result.missing, 6),
        reason=result.reason,
    )


def _by_movement(feature: FeatureDrift) -> tuple[bool, float, str]:
    moved = max([test.statistic for test in (feature.ks, feature.psi) if test is not None], default=0.0)
    return (not feature.drifted, -moved, feature.name)
