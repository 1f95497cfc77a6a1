"""A rollout on a real API server, one pass at a time: the reconciler in this process, its surroundings scripted.

Nothing runs beside the test, so that "the third call fails" means the same call every time.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mooring_artifacts.run_documents import DriftReport, Verdict
from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref, Unavailable
from mooring_operator.adapters.documents import Documents
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.adapters.pipelines import Pipelines, PipelinesUnavailable
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.adapters.routers import Routers
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.rules.engine import LimitedRules
from mooring_operator.adapters.signed_urls import SignedUrls
from mooring_operator.api.names import COMMAND_PREFIX, asker_annotation
from mooring_operator.planning.rollout.situation import Resolved
from mooring_operator.planning.runs.run import RunRequest, RunState
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.ci_runs import CIRuns
from mooring_operator.reconcile.cluster_policies import ClusterPolicies
from mooring_operator.reconcile.gatherer import Gatherer
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT
from mooring_operator.reconcile.model_deployments import ModelDeployments

from cluster.serving.http_routes import belongs_to, http_routes, is_taken_up, taken_up
from cluster.serving.routing import standard_weights
from tests.put import put

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CI = {"testData": {"uri": "s3://m/test.parquet"}, "gates": [{"metric": "accuracy", "min": 0.9}]}
STEPS = [{"setWeight": 10}, {"pause": {"duration": "30s"}}, {"setWeight": 100}]
RESTING = ("Promoted", "RolledBack", "Failed", "AwaitingApproval", "Paused")


class Stopped(Exception):
    """The process ended here, as far as the test is concerned."""


class WatchedCluster:
    """The real adapter; counts calls, and fails or stops where the test says."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.calls: list[str] = []
        self.fail_at: dict[int, Exception] = {}
        self.stop_after: int | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cluster, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            number = len(self.calls)
            self.calls.append(name)
            if number in self.fail_at:
                raise self.fail_at[number]
            answer = await method(*args, **kwargs)
            if number == self.stop_after:
                raise Stopped(f"after call {number}, {name}")
            return answer

        return call

    async def pages(self, *args: Any, **kwargs: Any) -> AsyncIterator[list[Manifest]]:
        number = len(self.calls)
        self.calls.append("list")
        if number in self.fail_at:
            raise self.fail_at[number]
        async for page in self._cluster.pages(*args, **kwargs):
            yield page
        if number == self.stop_after:
            raise Stopped(f"after call {number}, list")

    @property
    def writes(self) -> list[str]:
        return [name for name in self.calls if name not in ("get", "list")]


@dataclass
class ScriptedPipelines:
    """Runs that end as soon as they are looked at."""

    good: Callable[[str], bool] = lambda uri: True
    away: bool = False
    runs: dict[str, RunRequest] = field(default_factory=dict)
    launches: list[str] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    running: bool = False

    async def launch(self, run: RunRequest) -> None:
        self._answer()
        if run.run_id not in self.runs:
            self.launches.append(run.run_id)
        self.runs[run.run_id] = run

    async def get(self, namespace: str, run_id: str) -> RunState | None:
        self._answer()
        if run_id not in self.runs:
            return None
        return RunState(run_id, "Running" if self.running else "Succeeded", "")

    async def terminate(self, namespace: str, run_id: str) -> None:
        self.terminated.append(run_id)

    narrow = False

    def url(self, namespace: str, run_id: str) -> str:
        return f"http://kfp/#/runs/details/{run_id}"

    async def verdict(self, uri: str) -> Verdict | None:
        run = next(run for run in self.runs.values() if run.parameters["verdict_uri"] == uri)
        good = self.good(str(run.parameters["model_uri"]))
        violation = {
            "metric": "accuracy",
            "value": 0.5,
            "min": 0.9,
            "max": None,
            "message": "accuracy 0.5 is below 0.9",
        }
        return Verdict.model_validate(
            {
                "schemaVersion": 1,
                "runId": run.run_id,
                "modelUri": run.parameters["model_uri"],
                "modelDigest": f"sha256:{digest(str(run.parameters['model_uri']))}",
                "passed": good,
                "metrics": {"accuracy": 0.95 if good else 0.5},
                "violations": [] if good else [violation],
            }
        )

    async def report(self, uri: str) -> DriftReport | None:
        raise AssertionError("no run here writes a drift report")

    def _answer(self) -> None:
        if self.away:
            raise PipelinesUnavailable("cannot reach KFP at http://kfp")


@dataclass
class ScriptedRegistry:
    """Every address exists, but those that the test takes away."""

    missing: set[str] = field(default_factory=set)
    away: bool = False

    async def resolve(self, model: Any, namespace: str) -> Resolved:
        if self.away:
            raise RegistryUnavailable("cannot reach MLflow at http://mlflow")
        if model.uri in self.missing:
            raise ModelNotFound("ModelNotFound", f"there is no {model.uri}")
        return Resolved(model.uri, f"sha256:{digest(model.uri)}")


class Lab:
    """One ModelDeployment named digits in a namespace of its own."""

    def __init__(self, cluster: Cluster, namespace: str, artifact_root: str = "file:///artifacts") -> None:
        self.real = cluster
        self.namespace = namespace
        self.artifact_root = artifact_root
        self.pipelines = ScriptedPipelines()
        self.registry = ScriptedRegistry()
        self.tracking_uri, self.staging_root = "", ""
        self.startable: Callable[[str], bool] = lambda uri: True
        self.now = START
        self.weights: list[int] = []
        self.restart()

    def restart(self) -> None:
        """Begin with fresh objects, as a new process would."""
        self.cluster = WatchedCluster(self.real)
        routers, (pipelines, documents) = Routers(self.cluster), self._backend()
        answers = Answers(documents, SignedUrls(), self.artifact_root)
        runs = CIRuns(pipelines, answers, timedelta(hours=4), self.tracking_uri, self.staging_root)
        self.reconciler = ModelDeployments(
            cluster=self.cluster,
            routers=routers,
            pipelines=pipelines,
            runs=runs,
            gatherer=Gatherer(
                cluster=self.cluster,
                routers=routers,
                runs=runs,
                registry=self.registry,
                cluster_policies=ClusterPolicies(self.cluster, fresh_for=-1),
                clock=lambda: self.now,
            ),
            notifier=KubernetesEvents(self.cluster),
            rules=LimitedRules(patience=60),
            clock=lambda: self.now,
        )

    def _backend(self) -> tuple[Pipelines, Documents]:
        return self.pipelines, self.pipelines

    async def apply(self, model: str, **spec: Any) -> None:
        await put(
            self.real,
            {
                "apiVersion": "mooring.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": "digits", "namespace": self.namespace},
                "spec": {"model": {"uri": f"s3://m/{model}", "format": "onnx"}, **spec},
            },
            MODEL_DEPLOYMENT,
        )

    async def step(self) -> float | None:
        """One pass of the operator, then one of what plays KServe."""
        try:
            return await self.reconciler.reconcile(self.namespace, "digits")
        finally:
            await self._play_kserve()

    async def settle(self, limit: int = 60) -> Manifest:
        """Go on until nothing is left to do but wait for people; errors are tried again, as the queue would."""
        for _ in range(limit):
            before = await self.status()
            try:
                pause = await self.step()
            except (Unavailable, PipelinesUnavailable):
                pause = 1.0
            after = await self.status()
            if after == before and after.get("phase") in RESTING and pause != 1.0:
                return after
            self.now += timedelta(seconds=pause or 1)
        raise AssertionError(f"does not settle: {await self.status()}")

    async def deployment(self) -> Manifest:
        found = await self.real.get(Ref(MODEL_DEPLOYMENT, self.namespace, "digits"))
        assert found is not None
        return found

    async def status(self) -> Manifest:
        return (await self.deployment()).get("status", {})

    async def service(self) -> Manifest | None:
        return await self.real.get(Ref(INFERENCE_SERVICE, self.namespace, "digits"))

    async def events(self) -> list[str]:
        kind = Kind("events.k8s.io/v1", "Event", "events")
        return [event["reason"] for event in await self.real.list(kind, namespace=self.namespace)]

    async def command(self, name: str, value: str) -> None:
        given = {COMMAND_PREFIX + name: value, asker_annotation(name): await self.real.user()}
        await self.real.set_annotations(await self.deployment(), given)

    async def _play_kserve(self) -> None:
        """Write the status that KServe would write for the spec as it is."""
        service = await self.service()
        if service is None:
            return
        spec = service["spec"]
        canaries = []
        for entry in spec.get("canary", []):
            ready = self.startable(entry["predictor"]["model"]["storageUri"])
            percent = entry["trafficPercent"]
            canaries.append({"name": entry["predictor"]["name"], "ready": ready, "trafficPercent": percent})
            if not self.weights or self.weights[-1] != percent:
                self.weights.append(percent)
        ready = self.startable(spec["predictor"]["model"]["storageUri"])
        conditions = [{"type": "Ready", "status": str(ready), "message": "" if ready else "CrashLoopBackOff"}]
        status = {"url": "http://digits.example", "conditions": conditions, "canaryStatuses": canaries}
        await self._route(service, canaries)
        if service.get("status") != status:
            await self.real.write_status(service, status)

    async def _route(self, service: Manifest, canaries: list[Manifest]) -> None:
        """Write the routes that KServe would write, and have their gateway take them up."""
        weights = standard_weights(
            _backend(service["spec"]["predictor"]["name"]),
            [(_backend(canary["name"]), canary["trafficPercent"], canary["ready"]) for canary in canaries],
        )
        for route in http_routes(service, weights):
            ref = Ref(HTTP_ROUTE, self.namespace, route["metadata"]["name"])
            left = await self.real.get(ref)
            if left is not None and not belongs_to(left, service):
                # Nobody collects garbage here.
                await self.real.delete(left)
            made = await put(self.real, route, HTTP_ROUTE)
            if not is_taken_up(made):
                await self.real.write_status(made, taken_up(made, "2026-03-01T12:00:00Z"))


def _backend(predictor: str) -> str:
    return f"digits-{predictor}-predictor"


def digest(uri: str) -> str:
    return uri.encode().hex().ljust(64, "0")[:64]
