"""Puts the operator together: which adapter stands behind which port."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from mooring_operator.adapters.audit import Audit, AuditUnavailable, NoAudit, StoredAudit
from mooring_operator.adapters.checks.jobs import CheckJobs
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.documents import DocumentsUnavailable, StoredDocuments
from mooring_operator.adapters.grants_file import GrantsFile
from mooring_operator.adapters.metrics.measuring_jobs import MeasuringJobs
from mooring_operator.adapters.metrics.pods import PodCounters
from mooring_operator.adapters.metrics.port import MetricsUnavailableError, Provider
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.adapters.metrics.webhooks import Webhooks
from mooring_operator.adapters.mlflow import MlflowAliases, MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.adapters.outages import Outages
from mooring_operator.adapters.pipelines import Pipelines, PipelinesUnavailable
from mooring_operator.adapters.pipelines.apart import PipelinesApart
from mooring_operator.adapters.pipelines.jobs import JobPipelines
from mooring_operator.adapters.pipelines.kfp import KfpPipelines
from mooring_operator.adapters.pipelines.kfp_client import KfpSettings
from mooring_operator.adapters.pipelines.none import NoPipelines
from mooring_operator.adapters.pools import Pool, Room
from mooring_operator.adapters.registry import RegistryUnavailable
from mooring_operator.adapters.routers import DefaultGateway, Routers
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.relief import Relief
from mooring_operator.adapters.rules.child import Limits
from mooring_operator.adapters.rules.engine import LimitedRules, Rules
from mooring_operator.adapters.signed_urls import SignedUrls
from mooring_operator.adapters.signers_folder import SignersFolder
from mooring_operator.api.template_queries import ProviderName
from mooring_operator.planning.analysis.counting import Counting
from mooring_operator.planning.analysis.measuring_jobs import MEASURED_BY_PODS
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.manifests.workloads import Images
from mooring_operator.planning.runs.run import TENANT
from mooring_operator.reconcile.aliases import Aliases
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.checks import Checks
from mooring_operator.reconcile.ci_runs import COPY_PIPELINE, PIPELINE, CIRuns
from mooring_operator.reconcile.cluster_policies import ClusterPolicies
from mooring_operator.reconcile.counters import Counters
from mooring_operator.reconcile.decisions import Decisions
from mooring_operator.reconcile.drift_monitors import DriftMonitors
from mooring_operator.reconcile.drift_runs import EVALUATION_PIPELINE, DriftRuns
from mooring_operator.reconcile.failures import FailureReports, ReconcileFailed
from mooring_operator.reconcile.gatherer import Gatherer
from mooring_operator.reconcile.installs import Installs
from mooring_operator.reconcile.judged import Judged
from mooring_operator.reconcile.kinds import (
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
    CLUSTER_MODEL_POLICY,
    DRIFT_MONITOR,
    MODEL_DEPLOYMENT,
    MODEL_POLICY,
)
from mooring_operator.reconcile.model_deployments import ModelDeployments
from mooring_operator.reconcile.pipeline_queries import PipelineQueries
from mooring_operator.reconcile.templates import Templates
from mooring_operator.reconcile.training_runs import REGISTERING_PIPELINE, TRAINING_PIPELINE, TrainingRuns
from mooring_operator.runtime.workqueue import Key
from mooring_operator.settings import Settings

# A launch is several requests to KFP, each of which has 35 s.
_LAUNCH_S = 45.0

_PIPELINES = (PIPELINE, COPY_PIPELINE, EVALUATION_PIPELINE, TRAINING_PIPELINE, REGISTERING_PIPELINE)
_JUDGED = (MODEL_POLICY, CLUSTER_MODEL_POLICY, ANALYSIS_TEMPLATE, CLUSTER_ANALYSIS_TEMPLATE)
KINDS = {kind.kind: kind for kind in (MODEL_DEPLOYMENT, DRIFT_MONITOR, *_JUDGED)}


class Reconcilers:
    """The controllers of all kinds, behind one door."""

    def __init__(
        self,
        deployments: ModelDeployments,
        monitors: DriftMonitors,
        judged: Judged,
        cluster_policies: ClusterPolicies,
        reports: FailureReports,
        relief: Relief,
        pools: Sequence[Pool] = (),
        installs: Installs | None = None,
    ) -> None:
        self._deployments = deployments
        self._monitors = monitors
        self._judged = judged
        self._cluster_policies = cluster_policies
        self._reports = reports
        self._relief = relief
        self.pools = pools
        self._installs = installs

    @property
    def left(self) -> int:
        """Number of objects that another operator of the cluster works on."""
        return self._installs.left if self._installs is not None else 0

    async def reconcile(self, key: Key) -> float | None:
        """Bring one object a step further; see `ModelDeployments.reconcile`."""
        if key.kind == "ModelDeployment":
            return await self._deployments.reconcile(key.namespace, key.name)
        if key.kind == "DriftMonitor":
            return await self._monitors.reconcile(key.namespace, key.name)
        if key.kind in (kind.kind for kind in _JUDGED):
            return await self._judged.reconcile(KINDS[key.kind], key.namespace, key.name)
        if key.kind == HTTP_ROUTE.kind:
            await self._relief.relieve(key.namespace, key.name)
            return None
        raise ValueError(f"no controller for kind {key.kind!r}")

    async def deleted(self, kind: str, body: dict[str, Any]) -> None:
        """Do what is left to do for an object that is gone."""
        if kind == "ModelDeployment":
            await self._deployments.deleted(body)
        if kind == "DriftMonitor":
            await self._monitors.deleted(body)

    async def failed(self, key: Key, failure: ReconcileFailed) -> None:
        """Say on the object that reconciling it failed."""
        if key.kind in KINDS:
            await self._reports.report(KINDS[key.kind], key.namespace, key.name, failure)

    def bindings_changed(self) -> None:
        """Look up anew which ClusterModelPolicies bind which namespaces."""
        self._cluster_policies.changed()


def build(settings: Settings, cluster: Cluster, outages: Outages) -> Reconcilers:
    """Give the controllers as `settings` wants them; `outages` are the API server's."""
    pools = _pools(settings)
    limits = Limits(seconds=settings.rule_seconds, memory=settings.rule_memory << 20)
    notifier = KubernetesEvents(cluster)
    installs = Installs(cluster, notifier, _lease(settings))
    shared = _Shared(
        pools=pools,
        pipelines=_pipelines(settings, cluster, pools.pipelines),
        answers=Answers(
            StoredDocuments(pools.documents), SignedUrls(pools.documents), settings.artifact_root or ""
        ),
        longest_run=timedelta(seconds=settings.run_longest),
        notifier=notifier,
        installs=installs,
        rules=LimitedRules(limits, children=settings.rule_processes),
        cluster_policies=ClusterPolicies(cluster, enabled=settings.cluster_policies),
        decisions=Decisions(cluster, _audit(settings, pools.audit)),
        signers=SignersFolder(settings.signers_folder),
    )
    monitors = DriftMonitors(
        cluster=cluster,
        runs=DriftRuns(shared.pipelines, shared.answers, shared.longest_run),
        trainings=TrainingRuns(
            shared.pipelines, shared.answers, shared.longest_run, settings.mlflow_tracking_uri or ""
        ),
        receivers=NoticeJobs(cluster, _run_pods(settings)),
        notifier=notifier,
        clock=_now,
        file_addresses=settings.file_addresses,
        decisions=shared.decisions,
        installs=installs,
    )
    return Reconcilers(
        _deployments(settings, cluster, outages, shared),
        monitors,
        Judged(
            cluster=cluster,
            rules=shared.rules,
            clock=_now,
            decisions=shared.decisions,
            signers=shared.signers,
        ),
        shared.cluster_policies,
        FailureReports(cluster, notifier, _now, installs),
        Relief(cluster, partial(installs.leaves, MODEL_DEPLOYMENT.kind)),
        pools,
        installs,
    )


def _deployments(
    settings: Settings, cluster: Cluster, outages: Outages, shared: "_Shared"
) -> ModelDeployments:
    routers = Routers(cluster, _gateway(settings), outages=outages, collector_image=settings.inference_image)
    runs = CIRuns(
        shared.pipelines,
        shared.answers,
        shared.longest_run,
        settings.mlflow_tracking_uri or "",
        settings.staging_root or "",
    )
    grants = GrantsFile(settings.grants_file, files=settings.file_addresses)
    models = shared.pools.models
    mlflow = MlflowRest(
        settings.mlflow_tracking_uri, settings.mlflow_token_file, settings.mlflow_user, pool=models
    )
    aliases = Aliases(MlflowAliases(mlflow), grants)
    jobs = CheckJobs(cluster, _run_pods(settings))
    checks = Checks({"webhook": jobs, "job": jobs})
    gatherer = Gatherer(
        cluster=cluster,
        routers=routers,
        runs=runs,
        registry=ModelSources(mlflow, grants, pool=models),
        grants=grants,
        signers=shared.signers,
        images=Images(settings.inference_image, settings.storage_initializer_image),
        runtimes=settings.default_runtimes,
        cluster_policies=shared.cluster_policies,
        counters=_counters(settings, cluster, shared),
        clock=_now,
        checks=checks,
        aliases=aliases,
    )
    return ModelDeployments(
        cluster=cluster,
        routers=routers,
        pipelines=shared.pipelines,
        runs=runs,
        gatherer=gatherer,
        notifier=shared.notifier,
        rules=shared.rules,
        clock=_now,
        checks=checks,
        templates=Templates(cluster, of_the_cluster=settings.cluster_policies),
        aliases=aliases,
        decisions=shared.decisions,
        installs=shared.installs,
    )


class _Shared(NamedTuple):
    """What several controllers stand on."""

    pools: "_Pools"
    pipelines: Pipelines
    answers: Answers
    longest_run: timedelta
    notifier: KubernetesEvents
    installs: Installs
    rules: Rules
    cluster_policies: ClusterPolicies
    decisions: Decisions
    signers: SignersFolder


class _Pools(NamedTuple):
    """A pool for each outside system."""

    pipelines: Pool
    models: Pool
    documents: Pool
    metrics: Pool
    audit: Pool


def _pools(settings: Settings) -> _Pools:
    # Whoever waits for a system that stalls holds a worker: some are left for what needs none of the systems.
    size, room = max(2, settings.workers // 2), Room(max(1, settings.workers * 3 // 4))
    return _Pools(
        pipelines=Pool("pipelines", PipelinesUnavailable, size=size, deadline=_LAUNCH_S, room=room),
        models=Pool("models", RegistryUnavailable, size=size, room=room),
        documents=Pool("documents", DocumentsUnavailable, size=size, room=room),
        audit=Pool("audit trail", AuditUnavailable, size=size, room=room),
        # No worker waits for these.
        metrics=Pool(
            "metrics",
            MetricsUnavailableError,
            deadline=settings.prometheus_timeout * (settings.prometheus_retries + 1) + _LAUNCH_S,
            patience=settings.prometheus_timeout,
        ),
    )


def _counters(settings: Settings, cluster: Cluster, shared: "_Shared") -> Counters:
    every, lag = timedelta(seconds=settings.prometheus_interval), timedelta(seconds=settings.prometheus_lag)
    providers, pool, rules = _providers(settings, cluster, shared), shared.pools.metrics, shared.rules
    match settings.counted_by:
        case "Prometheus":
            access = Access(
                settings.prometheus_url or "",
                settings.prometheus_token_file,
                settings.prometheus_ca_file,
                settings.prometheus_timeout,
                settings.prometheus_retries,
            )
            return Counters(
                Prometheus(access), Counting(every, lag), pool=pool, rules=rules, providers=providers
            )
        case "Pods":
            # What is read is what is counted until then: it has not to be waited for.
            counting = Counting(every, timedelta(), by_pods=True)
            return Counters(PodCounters(cluster), counting, pool=pool, rules=rules, providers=providers)
        case "None":
            return Counters(counting=Counting(every, lag), pool=pool, rules=rules, providers=providers)


def _providers(settings: Settings, cluster: Cluster, shared: "_Shared") -> dict[ProviderName, Provider]:
    """Give who measures the queries of templates, beside what keeps the counters."""
    pods = _run_pods(settings)
    by_pods = {name: MeasuringJobs(cluster, pods, how) for name, how in MEASURED_BY_PODS.items()}
    by_runs = PipelineQueries(shared.pipelines, shared.answers, shared.longest_run)
    return {"webhook": Webhooks(), "pipeline": by_runs, **by_pods}


def _pipelines(settings: Settings, cluster: Cluster, pool: Pool) -> Pipelines:
    backend = _backend(settings, cluster, pool)
    if settings.run_namespaces == TENANT:
        return backend
    return PipelinesApart(backend, settings.run_namespaces)


def _backend(settings: Settings, cluster: Cluster, pool: Pool) -> Pipelines:
    match settings.backend:
        case "Jobs":
            return JobPipelines(cluster, _run_pods(settings), _now)
        case "KFP":
            folder = Path(str(files("mooring_pipelines") / "compiled"))
            compiled = {name: folder / f"{name}.yaml" for name in _PIPELINES}
            kfp = KfpSettings(
                host=settings.kfp_endpoint or "",
                ui=settings.kfp_ui_url or "",
                image=settings.components_image,
                multi_user=settings.kfp_multi_user,
            )
            return KfpPipelines(kfp, compiled, pool=pool)
        case "None":
            return NoPipelines()


def _audit(settings: Settings, pool: Pool) -> Audit:
    return StoredAudit(settings.audit_root, pool) if settings.audit_root else NoAudit()


def _lease(settings: Settings) -> str:
    return f"{settings.lease_namespace}/{settings.lease_name}" if settings.leader_election else ""


def _gateway(settings: Settings) -> DefaultGateway:
    namespace, _, name = (settings.gateway or "").partition("/")
    front_namespace, _, front = (settings.gateway_service or "").partition("/")
    service = f"{front}.{front_namespace}.svc.cluster.local" if front else ""
    return DefaultGateway(name, namespace, service)


def _run_pods(settings: Settings) -> RunPods:
    return RunPods(
        image=settings.components_image,
        longest=timedelta(seconds=settings.run_longest),
        kept=timedelta(seconds=settings.run_retention),
        per_namespace=settings.runs_per_namespace,
        apart=settings.run_namespaces != TENANT,
        cpu=settings.run_cpu,
        memory=settings.run_memory,
        scratch=settings.run_scratch,
    )


def _now() -> datetime:
    # Status carries whole seconds; what is planned with must be what is read back.
    return datetime.now(UTC).replace(microsecond=0)
