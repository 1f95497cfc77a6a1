"""One ModelDeployment, and the operator in this process: one pass at a time, at a time that the test sets."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.audit import Audit, NoAudit
from mooring_operator.adapters.checks.jobs import CheckJobs
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.cluster import Cluster, ClusterError, Manifest, Ref
from mooring_operator.adapters.documents import StoredDocuments
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.adapters.pipelines import Pipelines, PipelinesUnavailable
from mooring_operator.adapters.recent import RecentObjects
from mooring_operator.adapters.registry import Registry
from mooring_operator.adapters.routers import Routers
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.relief import Relief
from mooring_operator.adapters.rules.engine import LimitedRules, Rules
from mooring_operator.adapters.signed_urls import SignedUrls
from mooring_operator.adapters.signers_folder import SignersFolder
from mooring_operator.assembly import Reconcilers
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.reconcile.aliases import Aliases
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.checks import Checks
from mooring_operator.reconcile.ci_runs import CIRuns
from mooring_operator.reconcile.cluster_policies import ClusterPolicies
from mooring_operator.reconcile.counters import Counters
from mooring_operator.reconcile.decisions import Decisions
from mooring_operator.reconcile.drift_monitors import DriftMonitors
from mooring_operator.reconcile.drift_runs import DriftRuns
from mooring_operator.reconcile.failures import FailureReports
from mooring_operator.reconcile.gatherer import Gatherer
from mooring_operator.reconcile.installs import Installs
from mooring_operator.reconcile.judged import Judged
from mooring_operator.reconcile.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT
from mooring_operator.reconcile.model_deployments import ModelDeployments
from mooring_operator.reconcile.training_runs import TrainingRuns
from mooring_operator.runtime.workqueue import Key

from tests.operator.emulator import Emulator
from tests.operator.objects import EVENT, merge
from tests.operator.surroundings import CI, Evaluations, KServe, Models, Runs

LONGEST = timedelta(hours=4)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RESTING = ("Promoted", "RolledBack", "Failed", "AwaitingApproval", "Paused")
CI_SPEC = {"testData": {"uri": "s3://m/test.parquet"}, "gates": [{"metric": "accuracy", "min": 0.9}]}
STEPS = [{"setWeight": 10}, {"pause": {"duration": "30s"}}, {"setWeight": 100}]
ROLLOUT = {"ci": CI_SPEC, "rollout": {"steps": STEPS, "progressDeadline": "1m"}}
DIGITS = Ref(MODEL_DEPLOYMENT, "ns", "digits")
SERVICE = Ref(INFERENCE_SERVICE, "ns", "digits")
MONITOR = Ref(DRIFT_MONITOR, "ns", "traffic")


class Crash(BaseException):
    """The operator's process ends here."""


@dataclass
class Adapters:
    """What the controllers stand on besides the cluster."""

    pipelines: Pipelines
    registry: Registry
    artifact_root: str
    clock: Callable[[], datetime]
    rules: Rules
    fresh_for: float = 1.0
    counters: Counters | None = None
    aliases: Aliases = field(default_factory=Aliases)
    audit: Audit = field(default_factory=NoAudit)
    install: str = ""
    seconds: Callable[[], float] = time.monotonic
    signers: Callable[[], Mapping[str, Sequence[str]]] = dict


def controllers(cluster: Cluster, played: Adapters) -> Reconcilers:
    """Give the operator's controllers with its real adapters for the cluster, KServe, Events and verdicts."""
    routers, notifier = Routers(cluster), KubernetesEvents(cluster)
    answers = Answers(StoredDocuments(), SignedUrls(), played.artifact_root)
    runs = CIRuns(played.pipelines, answers, LONGEST)
    cluster_policies = ClusterPolicies(cluster, fresh_for=played.fresh_for)
    jobs = CheckJobs(cluster, RunPods())
    checks = Checks({"webhook": jobs, "job": jobs})
    decisions = Decisions(cluster, played.audit)
    installs = Installs(cluster, notifier, played.install, clock=played.seconds)
    deployments = ModelDeployments(
        cluster=cluster,
        routers=routers,
        pipelines=played.pipelines,
        runs=runs,
        gatherer=Gatherer(
            cluster=cluster,
            routers=routers,
            runs=runs,
            registry=played.registry,
            cluster_policies=cluster_policies,
            counters=played.counters,
            clock=played.clock,
            checks=checks,
            aliases=played.aliases,
            signers=played.signers,
        ),
        notifier=notifier,
        rules=played.rules,
        clock=played.clock,
        checks=checks,
        aliases=played.aliases,
        decisions=decisions,
        installs=installs,
    )
    monitors = DriftMonitors(
        cluster=cluster,
        runs=DriftRuns(played.pipelines, answers, LONGEST),
        trainings=TrainingRuns(played.pipelines, answers, LONGEST),
        receivers=NoticeJobs(cluster, RunPods()),
        notifier=notifier,
        clock=played.clock,
        decisions=decisions,
        installs=installs,
    )
    judged = Judged(
        cluster=cluster,
        rules=played.rules,
        clock=played.clock,
        decisions=decisions,
        signers=played.signers,
    )
    reports = FailureReports(cluster, notifier, played.clock, installs)
    relief = Relief(cluster, partial(installs.leaves, MODEL_DEPLOYMENT.kind))
    return Reconcilers(deployments, monitors, judged, cluster_policies, reports, relief, installs=installs)


class World:
    """ModelDeployment ns/digits, DriftMonitor ns/traffic, and all that they need. `folder` holds runs and verdicts."""

    def __init__(self, emulator: Emulator, folder: Path, *, install: str = "", who: str = "operator") -> None:
        self.emulator, self.objects = emulator, emulator.objects
        self.install = install
        """The operator's Lease; nobody holds it but for the test."""
        self.folder = folder
        (folder / "runs").mkdir()
        self.runs, self.models = Runs(folder / "runs"), Models()
        self.evaluations = Evaluations(self.runs)
        self.ci, self.kserve = CI(self.runs), KServe(self.objects)
        self.rules = LimitedRules()
        self.counters: Callable[[], Counters] = Counters
        self.aliases: Callable[[], Aliases] = Aliases
        self.audit: Callable[[], Audit] = NoAudit
        self.signers: Path | None = None
        """Where public keys of signers are mounted."""
        self.now = START
        self.phases: list[str] = []
        """Every phase that a pass ended with, without repetitions."""
        self.recent: RecentObjects | None = None
        """What a watch tells the operator; every read is sent where there is none."""
        self._kubeconfig = emulator.kubeconfig(folder / "kubeconfig", who)
        self._connection: Connection | None = None

    async def start(self, *, crash_after: int | None = None) -> None:
        """Begin with fresh objects, as a new process does; it may crash when so many writes are answered."""
        await self.stop()
        # The clock here is the test's, so that a pass waits for the answers.
        self.rules = LimitedRules(patience=60)
        self._writes_left = crash_after
        self._connection = Connection(load_config(self._kubeconfig), self._count)
        artifacts = f"file://{self.folder}/artifacts"
        adapters = Adapters(
            self.runs,
            self.models,
            artifacts,
            lambda: self.now,
            self.rules,
            -1.0,
            self.counters(),
            self.aliases(),
            self.audit(),
            self.install,
            self._seconds,
            SignersFolder(self.signers),
        )
        self.operator = controllers(KubernetesCluster(self._connection, recent=self.recent), adapters)

    async def stop(self) -> None:
        self.rules.close()
        if self._connection is not None:
            await self._connection.close()

    def _seconds(self) -> float:
        return self.now.timestamp()

    def _count(self, verb: str, resource: str, code: int) -> None:
        if self._writes_left is not None and verb not in ("get", "list"):
            self._writes_left -= 1
            if self._writes_left < 0:
                raise Crash(f"after {verb} {resource}")

    # --- the user -------------------------------------------------------------------------------

    def deploy(self, model: str, **spec: Any) -> None:
        """Apply the ModelDeployment with a model."""
        wanted = {"model": {"uri": f"s3://m/{model}", "format": "onnx"}, **spec}
        self.objects.apply(DIGITS, {"metadata": {"name": "digits"}, "spec": wanted}, "user")

    def monitor(self, **spec: Any) -> None:
        """Apply the DriftMonitor of the ModelDeployment."""
        rows = {"baseline": {"uri": "s3://d/baseline"}, "window": {"uri": "s3://d/window"}}
        said = {"target": {"name": "digits"}, **rows, **spec}
        wanted = {field: value for field, value in said.items() if value is not None}
        self.objects.apply(MONITOR, {"metadata": {"name": "traffic"}, "spec": wanted}, "user")

    def command(self, name: str, value: str, by: str = "alice") -> None:
        annotation = {
            "metadata": {"annotations": {f"mooring.dev/{name}": value, f"mooring.dev/{name}-by": by}}
        }
        self.objects.change(DIGITS, lambda before: merge(before, annotation))

    # --- what there is --------------------------------------------------------------------------

    @property
    def status(self) -> Manifest:
        return self.objects.get(DIGITS).get("status", {})

    @property
    def phase(self) -> str:
        return self.status.get("phase", "")

    @property
    def drift(self) -> Manifest:
        return self.objects.get(MONITOR).get("status", {})

    @property
    def annotations(self) -> Manifest:
        return self.objects.get(DIGITS)["metadata"].get("annotations", {})

    @property
    def service(self) -> Manifest | None:
        return self.objects.find(SERVICE)

    def events(self, name: str = "digits") -> list[str]:
        """The reasons of the Events about an object, the oldest first."""
        found = sorted(self.objects.list(EVENT), key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["reason"] for event in found if event["regarding"]["name"] == name]

    def condition(self, kind: str, ref: Ref = DIGITS) -> Manifest:
        found = self.objects.get(ref)["status"]["conditions"]
        return {c["type"]: c for c in found}.get(kind, {})

    # --- time -----------------------------------------------------------------------------------

    async def step(self, kind: str = "ModelDeployment", name: str = "digits") -> float | None:
        """One pass of the operator, then one of all that surrounds it."""
        try:
            return await self.operator.reconcile(Key(kind, "ns", name))
        finally:
            if self.phases[-1:] != [self.phase]:
                self.phases.append(self.phase)
            self.ci.play()
            self.kserve.play()

    async def look_at_drift(self) -> float | None:
        """One pass over the DriftMonitor."""
        return await self.operator.reconcile(Key("DriftMonitor", "ns", "traffic"))

    async def check_drift(self, limit: int = 10) -> float | None:
        """Passes over the DriftMonitor until nothing of it runs; time goes on while a run is waited for."""
        for _ in range(limit):
            pause = await self.look_at_drift()
            if self.drift.get("run") is None:
                return pause
            self.evaluations.play()
            if self.drift["run"].get("endedAt"):
                self.now += timedelta(seconds=pause or 1)
        raise AssertionError(f"does not settle: {self.drift}")

    async def settle(self, limit: int = 100) -> Manifest:
        """Go on until only people can move it, let time pass, try again after errors; give the status."""
        for _ in range(limit):
            before = self.objects.version
            try:
                pause = await self.step()
            except (ClusterError, PipelinesUnavailable):
                self.now += timedelta(seconds=1)
                continue
            if self.objects.version == before and self.phase in RESTING:
                return self.status
            self.now += timedelta(seconds=pause or 1)
        raise AssertionError(f"does not settle: {self.status}")

    async def settle_in(self, phase: str, limit: int = 30) -> None:
        """Go on until a pass ends with this phase; time stands still."""
        for _ in range(limit):
            await self.step()
            if self.phase == phase:
                return
        raise AssertionError(f"does not come to {phase}: {self.status}")

    async def promote(self, model: str = "v1", **spec: Any) -> None:
        """Have a model promoted, and forget how it came there."""
        self.deploy(model, **(spec or ROLLOUT))
        status = await self.settle()
        assert status["phase"] == "Promoted"
        self.emulator.calls.clear()
        self.kserve.weights.clear()
        self.phases.clear()
