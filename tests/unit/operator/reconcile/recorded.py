"""The real reconcilers over an API server that records what is asked of it, and specs that nobody has checked."""

import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Union, get_args, get_origin

import httpx2
from lightkube import SingleConfig
from lightkube.config.models import Cluster, Context, User
from mooring_artifacts.grants import Grant, Grants
from mooring_operator.adapters.api_http import Answer
from mooring_operator.adapters.api_server import Connection
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.mlflow import MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.adapters.routers import Routers
from mooring_operator.adapters.rules.engine import LimitedRules
from mooring_operator.api.types import parse_duration
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.ci_runs import CIRuns
from mooring_operator.reconcile.drift_monitors import DriftMonitors
from mooring_operator.reconcile.drift_runs import DriftRuns
from mooring_operator.reconcile.gatherer import Gatherer
from mooring_operator.reconcile.model_deployments import ModelDeployments
from mooring_operator.reconcile.training_runs import TrainingRuns
from pydantic import BaseModel

NAMESPACE, NAME = "team-a", "fraud"
PLURALS = {
    "ModelDeployment": "modeldeployments",
    "DriftMonitor": "driftmonitors",
    "InferenceService": "inferenceservices",
    "CronJob": "cronjobs",
    "Deployment": "deployments",
}


def unchecked(model: type[BaseModel], data: Mapping[str, Any]) -> Any:
    """Give a model with `data` as it is: no pattern, no limit, as if an older CRD had let it in."""
    fields = {}
    for name, info in model.model_fields.items():
        value = data.get(info.alias or name, data.get(name))
        if value is not None:
            fields[name] = _unchecked(info.annotation, value)
    return model.model_construct(**fields)


def _unchecked(annotation: Any, value: Any) -> Any:
    options = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return _unchecked(next(kind for kind in options if kind is not type(None)), value)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return unchecked(annotation, value)
    if annotation is timedelta:
        return parse_duration(value)
    if get_origin(annotation) is list:
        return [_unchecked(options[0], item) for item in value]
    return value


@dataclass
class ApiServer:
    """Has one object, makes what it is asked to make, and remembers every request."""

    resource: dict[str, Any]
    plural: str
    others: Mapping[str, Any] = field(default_factory=dict)
    requests: list[httpx2.Request] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """Path and query of every request, as they went over the wire."""
        return [request.url.raw_path.decode() for request in self.requests]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        path = request.url.path
        if request.method == "GET":
            return self._read(path)
        body = json.loads(request.content)
        if path.endswith("/status"):
            self.resource = body
        if isinstance(body, list):
            return self._read(path)
        return httpx2.Response(
            200, json={**body, "metadata": {"uid": "u-1", "resourceVersion": "1", **body.get("metadata", {})}}
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str],
    ) -> Answer:
        """Implements `Http`."""
        asked = httpx2.Request(method, f"http://api{path}", content=content, params=params, headers=headers)
        answer = self.answer(asked)
        return Answer(answer.status_code, answer.headers, answer.content)

    async def close(self) -> None:
        """Implements `Http`."""

    def _read(self, path: str) -> httpx2.Response:
        if path.endswith(f"/namespaces/{NAMESPACE}/{self.plural}/{NAME}"):
            return httpx2.Response(200, json=self.resource)
        if (other := self.others.get(path.rsplit(f"/namespaces/{NAMESPACE}/", 1)[-1])) is not None:
            return httpx2.Response(200, json=other)
        if path.endswith(("/horizontalpodautoscalers", "/clustermodelpolicies")):
            return httpx2.Response(200, json={"items": [], "metadata": {}})
        if "/namespaces/" not in path:
            found = [{"name": plural, "kind": kind} for kind, plural in PLURALS.items()]
            return httpx2.Response(200, json={"resources": found})
        return httpx2.Response(404, json={"kind": "Status", "message": "not found"})


@dataclass
class Recorded:
    """Everything that a reconcile asked for, by system."""

    server: ApiServer
    registry: list[str] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)

    @property
    def status(self) -> dict[str, Any]:
        return self.server.resource.get("status") or {}

    async def launch(self, run: Any) -> None:
        self.runs.append(run)

    async def get(self, namespace: str, run_id: str) -> None:
        self.runs.append((namespace, run_id))

    async def terminate(self, namespace: str, run_id: str) -> None:
        self.runs.append((namespace, run_id))

    narrow = False

    def url(self, namespace: str, run_id: str) -> str:
        return ""

    async def verdict(self, uri: str) -> None:
        self.documents.append(uri)

    async def report(self, uri: str) -> None:
        self.documents.append(uri)

    async def put_url(self, uri: str, lasts: timedelta) -> str:
        self.documents.append(uri)
        return uri

    def _answer_for_mlflow(self, request: httpx2.Request) -> httpx2.Response:
        self.registry.append(request.url.raw_path.decode())
        if request.url.path.endswith("alias"):
            return httpx2.Response(200, json={"model_version": {"version": "7"}})
        return httpx2.Response(200, json={"artifact_uri": "hf://models/fraud"})

    def cluster(self) -> KubernetesCluster:
        config = SingleConfig(
            context_name="c",
            context=Context(cluster="c", user="u"),
            cluster=Cluster(server="http://api"),
            user=User(),
        )
        return KubernetesCluster(Connection(config, http=self.server))

    def _answers(self) -> Answers:
        return Answers(self, self, "s3://runs/mooring")

    def _runs(self) -> CIRuns:
        return CIRuns(self, self._answers(), timedelta(hours=4))

    def deployments(self) -> ModelDeployments:
        cluster = self.cluster()
        routers, runs = Routers(cluster), self._runs()
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer_for_mlflow))
        grants = Grants((Grant(("*",), ("models:/",)),))
        registry = ModelSources(MlflowRest("http://mlflow", client=client), lambda: grants)
        return ModelDeployments(
            cluster=cluster,
            routers=routers,
            pipelines=self,
            runs=runs,
            gatherer=Gatherer(cluster=cluster, routers=routers, runs=runs, registry=registry, clock=_now),
            notifier=KubernetesEvents(cluster),
            rules=LimitedRules(),
            clock=_now,
        )

    def monitors(self) -> DriftMonitors:
        cluster = self.cluster()
        return DriftMonitors(
            cluster=cluster,
            runs=DriftRuns(self, self._answers(), timedelta(hours=4)),
            trainings=TrainingRuns(self, self._answers(), timedelta(hours=4)),
            receivers=NoticeJobs(cluster, RunPods()),
            notifier=KubernetesEvents(cluster),
            clock=_now,
        )


def _now() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


def resource(kind: str, spec: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    """Give an object as the API server would, whatever its spec holds."""
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": "00000000-0000-4000-8000-000000000001",
            "generation": 1,
            "resourceVersion": "1",
            **metadata,
        },
        "spec": dict(spec),
    }
