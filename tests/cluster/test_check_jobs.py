"""Checks of steps on a real API server with the real Job controller; only the pods are played."""

import asyncio
import itertools
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from mooring_artifacts.webhooks import INSUFFICIENT, NO
from mooring_operator.adapters.checks.jobs import CheckJobs
from mooring_operator.adapters.checks.owned_jobs import JOB, POD
from mooring_operator.adapters.cluster import Conflict, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.api.checks import Job, Webhook
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning import identity
from mooring_operator.planning.checks import Question
from mooring_operator.planning.manifests.check_jobs import name_of
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.reconcile.gatherer import owner_of
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from tests.cluster.test_run_jobs import connection, controllers, post, requests, until  # noqa: F401 - fixtures
from tests.put import put

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = (f"checks-{number}" for number in itertools.count())
FILES = {"model_uri": "s3://m/v2", "storage_uri": "s3://m/v2", "format": "onnx"}
SMOKE = Job(
    image="registry.example.com/team/smoke@sha256:" + "0" * 64,
    command=["sh", "-c", "curl $MOORING_URL $(TOKEN)"],
    args=["a" * 900],
    service_account_name="default",
    credentials_secret="keys",
    cpu="0.5",
    memory="1e9",
)
HOOK = Webhook(url="https://gates.example.com/go?key=1", headers_secret="gates")


class Place:
    """A namespace in which Pod Security lets restricted pods alone be, and a ModelDeployment in it."""

    def __init__(self, api):
        self.connection, self.cluster = api, KubernetesCluster(api)
        self.checks = CheckJobs(self.cluster, RunPods())
        self.name = next(NAMES)

    async def make(self):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        named = {"metadata": {"name": self.name, "labels": labels}}
        await post(self.connection, "/api/v1/namespaces", named)
        account = f"/api/v1/namespaces/{self.name}/serviceaccounts/default"
        await until(lambda: self.connection.send("get", "GET", account, resource=""))
        spec = {"model": {"uri": "s3://m/v2", "format": "onnx"}}
        spec["rollout"] = {"steps": [{"job": wire(SMOKE)}, {"webhook": wire(HOOK)}, {"setWeight": 100}]}
        body = {"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": "ModelDeployment", "spec": spec}
        body["metadata"] = {"name": "digits", "namespace": self.name}
        self.owner = owner_of(await put(self.cluster, body, MODEL_DEPLOYMENT))
        return self

    def question(self, check, step=0):
        candidate = Candidate(
            revision="aaaaaaaaaa", weight=10, step=step, started_at=NOW, step_started_at=NOW, **FILES
        )
        check_id = identity.check_id_of(self.owner.uid, candidate, check)
        stable = Revision(revision="bbbbbbbbbb", **FILES)
        return Question(check_id, check, candidate, stable, NOW, "http://digits-aaaaaaaaaa-predictor.svc")

    async def pods(self):
        return await self.cluster.list(POD, namespace=self.name)

    async def until_pods(self, most=1):
        async with asyncio.timeout(30):
            while True:
                found = [pod for pod in await self.pods() if pod["status"].get("phase") == "Pending"]
                if len(found) >= most:
                    return found
                await asyncio.sleep(0.1)

    async def end(self, code, says=""):
        """Every pod ends as the kubelet would say it."""
        for pod in await self.until_pods():
            at = "2026-03-01T12:00:00Z"
            ended = {"exitCode": code, "reason": "Error", "message": says, "startedAt": at, "finishedAt": at}
            container = {"name": "check", "image": "a", "imageID": "", "ready": False, "restartCount": 0}
            status = {
                "phase": "Failed" if code else "Succeeded",
                "startTime": at,
                "containerStatuses": [{**container, "state": {"terminated": ended}}],
            }
            path = f"/api/v1/namespaces/{self.name}/pods/{pod['metadata']['name']}/status"
            with suppress(Conflict):
                await self.connection.send(
                    "patch", "PATCH", path, resource="", body={"status": status},
                    content_type="application/merge-patch+json",
                )  # fmt: skip

    async def outcome(self, question):
        async with asyncio.timeout(30):
            while True:
                state = await self.checks.look(self.owner, question)
                if state is not None and state.outcome is not None:
                    return state
                await asyncio.sleep(0.1)


def wire(check):
    return check.model_dump(mode="json", by_alias=True, exclude_defaults=True)


@pytest.fixture
async def place(connection):  # noqa: F811
    return await Place(connection).make()


@pytest.mark.parametrize(
    ("check", "code", "outcome"),
    [
        (SMOKE, 0, "Pass"),
        (SMOKE, 1, "Fail"),
        (SMOKE, INSUFFICIENT, "Insufficient"),
        (HOOK, 0, "Pass"),
        (HOOK, NO, "Fail"),
        (HOOK, INSUFFICIENT, "Insufficient"),
    ],
)
async def test_a_check_is_found_out_by_what_kubernetes_says(place, check, code, outcome):
    question = place.question(check)
    await place.checks.start(place.owner, question)
    await place.checks.start(place.owner, question)
    [pod] = await place.until_pods()
    assert pod["metadata"]["ownerReferences"][0]["name"] == name_of(question.check_id)
    state = await place.checks.look(place.owner, question)
    assert (state.outcome, state.check_id) == (None, question.check_id)
    await place.end(code, "first\nlast words https://a/?token=secret\n")
    state = await place.outcome(question)
    assert state.outcome == outcome
    assert "last words" in state.message
    assert "secret" not in state.message
    assert len(await place.pods()) == 1


async def test_a_job_is_tried_again_as_often_as_the_step_says(place):
    question = place.question(SMOKE.model_copy(update={"backoff_limit": 1}))
    await place.checks.start(place.owner, question)
    await place.end(1, "once")
    await place.end(1, "twice")
    state = await place.outcome(question)
    assert state.outcome == "Fail"
    assert len(await place.pods()) == 2


async def test_a_check_that_is_stopped_is_gone_with_its_pod_and_another_deployments_stays(place):
    stopped, other = place.question(SMOKE, step=0), place.question(HOOK, step=1)
    for question in (stopped, other):
        await place.checks.start(place.owner, question)
    await place.until_pods(2)
    assert await place.checks.is_there(place.owner, stopped.check_id)
    for _ in range(2):
        await place.checks.stop(place.owner, stopped.check_id)
    async with asyncio.timeout(30):
        while len(await place.pods()) > 1:
            await asyncio.sleep(0.1)
    assert not await place.checks.is_there(place.owner, stopped.check_id)
    assert await place.checks.is_there(place.owner, other.check_id)
    assert await place.checks.look(place.owner, stopped) is None


class Moving(KubernetesCluster):
    """An API server on which somebody writes to an object just after it was read, `times` times."""

    def __init__(self, api, times):
        super().__init__(api)
        self.api, self.times = api, times

    async def get(self, ref):
        seen = await super().get(ref)
        if ref.kind == JOB and self.times:
            self.times -= 1
            path = f"/apis/batch/v1/namespaces/{ref.namespace}/jobs/{ref.name}"
            body = {"metadata": {"annotations": {"moved": str(self.times)}}}
            merge = "application/merge-patch+json"
            await self.api.send("patch", "PATCH", path, resource="jobs", body=body, content_type=merge)
        return seen


async def test_a_job_that_changes_while_it_is_stopped_is_stopped_all_the_same(place):
    question = place.question(SMOKE)
    await place.checks.start(place.owner, question)
    moving = Moving(place.connection, times=3)
    await CheckJobs(moving, RunPods()).stop(place.owner, question.check_id)
    assert moving.times == 0
    assert await place.checks.look(place.owner, question) is None


async def test_a_job_that_changes_as_fast_as_it_is_read_is_told(place):
    question = place.question(SMOKE)
    await place.checks.start(place.owner, question)
    with pytest.raises(Conflict):
        await CheckJobs(Moving(place.connection, times=100), RunPods()).stop(place.owner, question.check_id)


async def test_a_check_goes_with_its_deployment(place):
    question = place.question(SMOKE)
    await place.checks.start(place.owner, question)
    seen = await place.cluster.get(Ref(MODEL_DEPLOYMENT, place.name, "digits"))
    await place.cluster.delete(seen)
    async with asyncio.timeout(30):
        while await place.cluster.get(Ref(JOB, place.name, name_of(question.check_id))) is not None:
            await asyncio.sleep(0.1)
