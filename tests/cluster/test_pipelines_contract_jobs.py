"""Jobs as a backend of the port, on a real API server with the real controllers."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.pipelines.jobs import JOB, JobPipelines
from mooring_operator.planning.manifests.run_jobs import RUN_LABEL, RunPods
from mooring_operator.planning.runs.run import RunRequest

from tests.cluster.job_pods import JobPods, environment_of
from tests.cluster.test_run_jobs import controllers, post, request, until  # noqa: F401 - fixtures
from tests.pipelines_contract import PipelinesContract

NAMES = (f"contract-{number}" for number in itertools.count())


def now() -> datetime:
    return datetime.now(UTC)


class Jobs:
    def __init__(self, connection: Connection, away: Connection, namespace: str) -> None:
        self._connection, self._namespace = connection, namespace
        self._ends: dict[str, str] = {}
        self._pods = JobPods(
            connection, namespace, lambda parameters: self._ends.get(parameters["run_id"], "hold")
        )
        self._cluster = KubernetesCluster(connection)
        self.pipelines, self.other = (JobPipelines(self._cluster, RunPods(), now) for _ in range(2))
        self.away = JobPipelines(KubernetesCluster(away), RunPods(), now)

    def request(self, run_id: str) -> RunRequest:
        run = request(self._namespace, run_id)
        return replace(run, parameters={**run.parameters, "text": 'an é, "quotes" and $(HOME) $$(HOME) $'})

    def end(self, run_id: str, how: str) -> None:
        self._ends[run_id] = how

    async def act(self) -> None:
        await self._pods.play()

    async def received(self, run_id: str) -> dict:
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        params = {"labelSelector": f"{RUN_LABEL}={run_id}"}
        [pod] = (await self._connection.send("list", "GET", path, resource="", params=params))["items"]
        return json.loads(environment_of(pod)["MOORING_RUN_PARAMETERS"])

    async def runs(self) -> list[str]:
        jobs = await self._cluster.list(JOB, namespace=self._namespace)
        return [job["metadata"]["labels"][RUN_LABEL] for job in jobs]


class TestJobs(PipelinesContract):
    @pytest.fixture
    async def backend(self, controllers, tmp_path):  # noqa: F811
        connection = Connection(load_config(Path(controllers.kubeconfig)))
        nowhere = tmp_path / "kubeconfig"
        nowhere.write_text(
            'clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]\n'
            "contexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n"
        )
        away = Connection(load_config(nowhere))
        namespace = next(NAMES)
        await post(connection, "/api/v1/namespaces", {"metadata": {"name": namespace}})
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        await until(lambda: connection.send("get", "GET", account, resource=""))
        yield Jobs(connection, away, namespace)
        await connection.close()
        await away.close()

    def impossible(self, run: RunRequest) -> RunRequest:
        return replace(run, parameters={**run.parameters, "features": ["x" * 250] * 600})
