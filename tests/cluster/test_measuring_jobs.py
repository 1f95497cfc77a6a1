"""Queries that Jobs measure, on a real API server with the real Job controller; only the pods are played."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mooring_artifacts.webhooks import INSUFFICIENT
from mooring_operator.adapters.checks.owned_jobs import JOB
from mooring_operator.adapters.metrics.measuring_jobs import MeasuringJobs
from mooring_operator.api.template_queries import Query
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.in_namespace import due
from mooring_operator.planning.analysis.measuring import UsedQuery
from mooring_operator.planning.analysis.measuring_jobs import MEASURED_BY_PODS
from mooring_operator.planning.manifests.check_jobs import name_of
from mooring_operator.planning.manifests.run_jobs import RunPods

from tests.cluster.test_check_jobs import Place
from tests.cluster.test_run_jobs import connection, controllers, post, requests  # noqa: F401 - fixtures

JOB_OF_MINE = {
    "image": "registry.example.com/team/golden:1",
    "args": ["--token=$(TOKEN)"],
    "credentialsSecret": "keys",
    "serviceAccountName": "default",
}


class Measured(Place):
    """A namespace with a ModelDeployment, and a query of a template that a Job measures there."""

    async def make(self):
        await super().make()
        self.provider = MeasuringJobs(self.cluster, RunPods(), MEASURED_BY_PODS["job"])
        query = Query.model_validate(
            {"name": "golden", "job": JOB_OF_MINE, "successCondition": "result > 0.9"}
        )
        self.query = UsedQuery(query, {"pool": "a"}, "house", "AnalysisTemplate")
        # Jobs are made by the API server's clock.
        until = datetime.now(UTC).replace(microsecond=0)
        began = until - timedelta(minutes=1)
        self.request = Request("ns", "digits", "aaaaaaaaaa", "bbbbbbbbbb", (), (), began, timedelta(seconds=10),
                               until, began=began, owner=self.owner)  # fmt: skip
        return self

    @property
    def job(self):
        return name_of(due(self.request, self.query).measurement_id)

    async def read(self):
        return await self.provider.read(self.request, self.query)

    async def reading(self):
        async with asyncio.timeout(30):
            while not (found := await self.read()):
                await asyncio.sleep(0.1)
            return found[0]


@pytest.fixture
async def place(connection):  # noqa: F811
    return await Measured(connection).make()


@pytest.mark.parametrize(
    ("code", "says", "result", "problem", "failed"),
    [
        (0, '{\n "accuracy": 0.97,\n "rows": 400\n}\n', {"accuracy": 0.97, "rows": 400.0}, "", ""),
        (0, "", None, "it has ended and wrote no result", ""),
        (0, "fine", None, "its result is no JSON", ""),
        (1, "loading\n3 answers are wrong, see https://a/?token=secret\n", None, "", "3 answers are wrong"),
        (INSUFFICIENT, "no questions today", None, "no questions today", ""),
    ],
)
async def test_a_measurement_is_read_from_what_kubernetes_says(place, code, says, result, problem, failed):
    assert await place.read() == []
    assert await place.read() == []
    [pod] = await place.until_pods()
    assert pod["metadata"]["ownerReferences"][0]["name"] == place.job
    await place.end(code, says)
    found = await place.reading()
    assert found.result == result
    assert (problem in found.problem, bool(problem)) == (True, bool(found.problem))
    assert (failed in found.failed, bool(failed)) == (True, bool(found.failed))
    assert "secret" not in found.failed
    assert (found.settled, found.at) == (60, place.request.until)
    assert len(await place.cluster.list(JOB, namespace=place.name)) == 1


async def test_the_next_one_is_a_job_of_its_own(place):
    await place.read()
    await place.end(0, "0.97")
    found = await place.reading()
    first = place.job
    place.request = replace(place.request, settled={"golden": found.settled})
    assert await place.read() == []
    place.request = replace(place.request, until=place.request.until + timedelta(minutes=1))
    assert await place.read() == []
    jobs = {job["metadata"]["name"] for job in await place.cluster.list(JOB, namespace=place.name)}
    assert jobs == {first, place.job}
    assert first != place.job


async def test_a_job_that_may_not_be_made_is_said(place):
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    await post(place.connection, f"/api/v1/namespaces/{place.name}/resourcequotas", quota)
    path = f"/api/v1/namespaces/{place.name}/resourcequotas/none"
    async with asyncio.timeout(30):
        while "hard" not in (await place.connection.send("get", "GET", path, resource=""))["status"]:
            await asyncio.sleep(0.1)
    [found] = await place.read()
    assert "its Job was refused" in found.problem
    assert "exceeded quota" in found.problem
    assert found.settled == 60


async def test_a_namesake_is_not_read(place):
    job = {
        "metadata": {"name": place.job},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "securityContext": {"runAsNonRoot": True},
                 "containers": [{"name": "check", "image": "a"}]}}},
    }  # fmt: skip
    await post(place.connection, f"/apis/batch/v1/namespaces/{place.name}/jobs", json.loads(json.dumps(job)))
    [found] = await place.read()
    assert found.problem == f"Job {place.job} is in the way"
