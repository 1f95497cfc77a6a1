"""Puts the operator together: which adapter stands behind which port."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.drift import ChildProcessEvaluations
from mooring_operator.adapters.grants_file import GrantsFile
from mooring_operator.adapters.kserve import KServeTraffic
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.adapters.pipelines import Pipelines
from mooring_operator.adapters.pipelines.kfp import KfpPipelines
from mooring_operator.adapters.pipelines.kfp_client import KfpSettings
from mooring_operator.adapters.pipelines.none import NoPipelines
from mooring_operator.adapters.rules.child import Limits
from mooring_operator.adapters.rules.engine import LimitedRules
from mooring_operator.adapters.verdicts import ObjectStoreVerdicts
from mooring_operator.planning.situation import Images
from mooring_operator.reconcile.ci_runs import PIPELINE, CIRuns
from mooring_operator.reconcile.drift_monitors import DriftMonitors
from mooring_operator.reconcile.gatherer import Gatherer
from mooring_operator.reconcile.model_deployments import ModelDeployments
from mooring_operator.runtime.workqueue import Key
from mooring_operator.settings import Settings


class Reconcilers:
    """The controllers of all kinds, behind one door."""

    def __init__(self, deployments: ModelDeployments, monitors: DriftMonitors) -> None:
        self._deployments = deployments
        self._monitors = monitors

    async def reconcile(self, key: Key) -> float | None:
        """Bring one object a step further; see `ModelDeployments.reconcile`."""
        if key.kind == "ModelDeployment":
            return await self._deployments.reconcile(key.namespace, key.name)
        if key.kind == "DriftMonitor":
            return await self._monitors.reconcile(key.namespace, key.name)
        raise ValueError(f"no controller for kind {key.kind!r}")

    async def deleted(self, kind: str, body: dict[str, Any]) -> None:
        """Do what is left to do for an object that is gone."""
        if kind == "ModelDeployment":
            await self._deployments.deleted(body)


def build(settings: Settings, cluster: Cluster) -> Reconcilers:
    """Give the controllers as `settings` wants them."""
    pipelines = _pipelines(settings)
    traffic = KServeTraffic(cluster)
    notifier = KubernetesEvents(cluster)
    runs = CIRuns(pipelines, ObjectStoreVerdicts(), settings.artifact_root or "")
    grants = GrantsFile(settings.grants_file, files=settings.file_addresses)
    registry = ModelSources(settings.mlflow_tracking_uri, grants, settings.mlflow_token_file)
    limits = Limits(seconds=settings.rule_seconds, memory=settings.rule_memory << 20)
    deployments = ModelDeployments(
        cluster=cluster,
        traffic=traffic,
        pipelines=pipelines,
        runs=runs,
        gatherer=Gatherer(
            cluster=cluster,
            traffic=traffic,
            runs=runs,
            registry=registry,
            grants=grants,
            images=Images(settings.inference_image, settings.storage_initializer_image),
            runtimes=settings.default_runtimes,
        ),
        notifier=notifier,
        rules=LimitedRules(limits, children=settings.rule_processes),
        clock=_now,
    )
    monitors = DriftMonitors(
        cluster=cluster, evaluations=ChildProcessEvaluations(), notifier=notifier, clock=_now
    )
    return Reconcilers(deployments, monitors)


def _pipelines(settings: Settings) -> Pipelines:
    if settings.kfp_endpoint is None or settings.artifact_root is None:
        return NoPipelines()
    compiled = Path(str(files("mooring_pipelines") / "compiled" / f"{PIPELINE}.yaml"))
    return KfpPipelines(KfpSettings(settings.kfp_endpoint, settings.kfp_ui_url or ""), {PIPELINE: compiled})


def _now() -> datetime:
    # Status carries whole seconds; what is planned with must be what is read back.
    return datetime.now(UTC).replace(microsecond=0)
