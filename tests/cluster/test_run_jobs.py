"""Runs as Jobs on a real API server with the real controllers; only the pods are played."""

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Cluster, ClusterError, Ref
from mooring_operator.adapters.documents import Documents, StoredDocuments
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.pipelines import Pipelines, PipelinesRefused, PipelinesUnavailable
from mooring_operator.adapters.pipelines.apart import PipelinesApart
from mooring_operator.adapters.pipelines.jobs import JOB, JobPipelines
from mooring_operator.planning.manifests import run_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.runs.job_states import is_over
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from cluster.control_plane import ControlPlane
from cluster.programs import ProgramUnavailableError
from cluster.serving.http_routes import httproute_crd
from cluster.serving.inferenceservice_crd import LABELS, inferenceservice_crd
from tests.cluster.definitions import install_for_a_module
from tests.cluster.job_pods import JobPods
from tests.cluster.lab import CI, Lab, Stopped
from tests.unit.operator.planning.jobs import RUN

NAMES = (f"runs-{number}" for number in itertools.count())
SECONDS = 40
PAUSE = 0.2
TOGETHER = 5


class JobsLab(Lab):
    """A ModelDeployment whose tests are Jobs."""

    def __init__(self, cluster: Cluster, namespace: str, pods: JobPods, folder: Path) -> None:
        self.limits = RunPods()
        self.pods = pods
        super().__init__(cluster, namespace, f"file://{folder}")

    def _backend(self) -> tuple[Pipelines, Documents]:
        # A Job's times are the API server's.
        return JobPipelines(self.cluster, self.limits, lambda: datetime.now(UTC)), StoredDocuments()

    async def jobs(self) -> list[dict]:
        return await self.real.list(JOB, namespace=self.namespace)

    async def until(self, holds, seconds=SECONDS) -> dict:
        """Let the operator, the pods and KServe act until the status holds; give it."""
        seen = None
        async with asyncio.timeout(seconds):
            while True:
                try:
                    pause = await self.step()
                except (ClusterError, PipelinesUnavailable):
                    pause = 1.0
                self.now += timedelta(seconds=min(pause or 1.0, 1.0))
                await self.pods.play()
                if holds(status := await self.status()):
                    return status
                if status == seen:
                    # It is the controllers' turn, and they have these processors too.
                    await asyncio.sleep(PAUSE)
                seen = status

    async def until_phase(self, *phases: str) -> dict:
        return await self.until(lambda status: status.get("phase") in phases)


class ApartLab(JobsLab):
    """One whose Jobs run in another namespace."""

    def __init__(self, cluster: Cluster, namespace: str, pods: JobPods, folder: Path) -> None:
        super().__init__(cluster, namespace, pods, folder)
        self.pods.namespace = self.place

    @property
    def place(self) -> str:
        return f"{self.namespace}-runs"

    def _backend(self) -> tuple[Pipelines, Documents]:
        self.limits = RunPods(apart=True)
        jobs, documents = super()._backend()
        return PipelinesApart(jobs, "{namespace}-runs"), documents

    async def jobs(self) -> list[dict]:
        assert not await super().jobs()
        return await self.real.list(JOB, namespace=self.place)


@pytest.fixture(scope="module")
def controllers():
    """A control plane with Kubernetes' controllers, and the definitions that a rollout needs."""
    plane = ControlPlane(["controller-manager"])
    try:
        plane.start()
    except ProgramUnavailableError as error:
        pytest.skip(str(error))
    install_for_a_module(Path(plane.kubeconfig), [inferenceservice_crd(), httproute_crd(LABELS)])
    yield plane
    plane.stop()


@pytest.fixture
def requests():
    return Counter()


@pytest.fixture
async def connection(controllers, requests):
    connection = Connection(
        load_config(Path(controllers.kubeconfig)), lambda *request: requests.update([request])
    )
    yield connection
    await connection.close()


@pytest.fixture
def make_lab(connection, tmp_path):
    async def make(kind: type[JobsLab] = JobsLab, connection: Connection = connection) -> JobsLab:
        namespace = next(NAMES)
        await make_namespace(connection, namespace)
        pods = JobPods(connection, namespace)
        return kind(KubernetesCluster(connection), namespace, pods, tmp_path / namespace)

    return make


async def make_namespace(connection, name):
    await post(connection, "/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    await until(lambda: connection.send("get", "GET", account, resource=""))


async def post(connection, path, body):
    return await connection.send("create", "POST", path, resource="", body=body)


async def until(read):
    """Try until it does not fail."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await read()
            except ClusterError:
                await asyncio.sleep(0.05)


def made(requests):
    return requests["create", "jobs", 201]


async def test_a_model_is_tested_by_one_job_and_promoted(make_lab, requests):
    lab = await make_lab()
    await lab.apply("v1", ci=CI)
    status = await lab.until_phase("Promoted")
    assert (status["ci"]["verdict"], status["ci"]["metrics"]) == ("Passed", {"accuracy": 0.95})
    assert lab.pods.ran == [status["ci"]["runId"]]
    assert made(requests) == 1
    [job] = await lab.jobs()
    owner = await lab.deployment()
    assert job["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]


async def test_a_bad_model_is_refused_by_its_verdict(make_lab):
    lab = await make_lab()
    lab.pods.good = lambda uri: False
    await lab.apply("v1", ci=CI)
    status = await lab.until_phase("Failed")
    assert (status["reason"], "accuracy 0.5 is below" in status["message"]) == ("CIFailed", True)


# It takes a Job to its end after each of them.
@pytest.mark.timeout(600)
async def test_killed_between_any_two_requests_the_run_is_made_once(controllers, make_lab):
    async def is_killed_after(position: int) -> bool:
        requests = Counter()
        connection = Connection(
            load_config(Path(controllers.kubeconfig)), lambda *request: requests.update([request])
        )
        lab = await make_lab(connection=connection)
        await lab.apply("v1", ci=CI)
        lab.cluster.stop_after, killed = position, False
        try:
            status = await lab.until_phase("Promoted")
        except Stopped:
            killed = True
            lab.restart()
            status = await lab.until_phase("Promoted")
        assert lab.pods.ran == [status["ci"]["runId"]]
        assert made(requests) == 1
        await connection.close()
        return killed

    # Most of the time each waits for the controllers.
    positions, killed = 0, [True]
    while all(killed):
        killed = await asyncio.gather(*map(is_killed_after, range(positions, positions + TOGETHER)))
        positions += sum(killed)
    assert positions >= 8


@pytest.mark.parametrize(
    ("outcome", "reason", "said"),
    [
        ("oom", "CIRunFailed", "container run was killed, for it used more memory than its limit"),
        ("lost", "CIRunFailed", "its pod failed: write-verdict: no route to https://s3/v.json?..."),
        ("fail", "CIRunFailed", "kubectl logs -n runs-"),
        ("stuck", "CITimeout", "longer than 2 s"),
    ],
)
async def test_a_run_that_ends_badly_is_told_with_what_to_look_at(make_lab, outcome, reason, said):
    lab = await make_lab()
    lab.pods.outcome = lambda parameters: outcome
    await lab.apply("v1", ci={**CI, "timeout": "2s" if reason == "CITimeout" else "10m"})
    status = await lab.until_phase("Failed")
    assert (status["reason"], said in status["message"]) == (reason, True), status["message"]
    assert len(lab.pods.ran) == (outcome != "stuck")


async def test_a_run_that_takes_too_long_is_ended(make_lab, connection):
    lab = await make_lab()
    lab.pods.outcome = lambda parameters: "hold"
    await lab.apply("v1", ci=CI)
    await lab.until(lambda status: status.get("ci", {}).get("state") == "Running")
    await end_the_time_of(lab, connection)
    status = await lab.until_phase("Failed")
    assert (status["reason"], "longer than 1 s" in status["message"]) == ("CITimeout", True), status[
        "message"
    ]
    assert len(lab.pods.ran) == 1


async def test_what_a_pending_run_waits_for_is_said_and_said_again_when_its_time_is_over(
    make_lab, connection
):
    why = "its pod has not started: container run does not start: ImagePullBackOff: no such image"
    lab = await make_lab()
    lab.pods.outcome = lambda parameters: "stuck"
    await lab.apply("v1", ci=CI)
    await lab.until(lambda status: why in status.get("message", ""))
    await end_the_time_of(lab, connection)
    status = await lab.until_phase("Failed")
    assert (status["reason"], why in status["message"]) == ("CITimeout", True), status["message"]


async def test_a_quota_on_pods_keeps_a_run_pending_until_its_time_is_over(make_lab, connection):
    lab = await make_lab()
    await quota(connection, lab.namespace, "pods")
    await lab.apply("v1", ci=CI)
    await lab.until(lambda status: "whether a quota or a policy refuses it" in status.get("message", ""))
    await end_the_time_of(lab, connection)
    status = await lab.until_phase("Failed")
    assert (status["reason"], lab.pods.ran) == ("CITimeout", [])


async def end_the_time_of(lab, connection):
    """Let the run's time be over now: what comes before it has then been seen, however slow this machine is."""
    [job] = await lab.jobs()
    path = f"/apis/batch/v1/namespaces/{lab.namespace}/jobs/{job['metadata']['name']}"
    over = {"spec": {"activeDeadlineSeconds": 1}}
    merge = "application/merge-patch+json"
    await connection.send("patch", "PATCH", path, resource="", body=over, content_type=merge)


async def test_a_quota_on_jobs_is_no_fault_of_the_model(make_lab, connection):
    lab = await make_lab()
    await quota(connection, lab.namespace, "count/jobs.batch")
    await lab.apply("v1", ci=CI)
    status = await lab.until(lambda status: status.get("reason") == "PipelinesUnavailable")
    assert "exceeded quota" in status["message"]
    path = f"/api/v1/namespaces/{lab.namespace}/resourcequotas/none"
    await connection.send("delete", "DELETE", path, resource="")
    assert (await lab.until_phase("Promoted"))["ci"]["verdict"] == "Passed"


async def quota(connection, namespace, resource):
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    await post(connection, path, {"metadata": {"name": "none"}, "spec": {"hard": {resource: "0"}}})

    async def counted():
        found = await connection.send("get", "GET", f"{path}/none", resource="")
        if not found.get("status", {}).get("hard"):
            raise ClusterError("not counted yet")

    await until(counted)


async def test_a_namespace_that_goes_takes_the_run_with_it(make_lab, connection):
    lab = await make_lab()
    lab.pods.outcome = lambda parameters: "hold"
    await lab.apply("v1", ci=CI)
    await lab.until(lambda status: status.get("ci", {}).get("state") == "Running")
    path = f"/api/v1/namespaces/{lab.namespace}"
    await connection.send("delete", "DELETE", path, resource="")
    other = JobPipelines(lab.real, RunPods(), lambda: datetime.now(UTC))
    run = request(lab.namespace, "late")
    async with asyncio.timeout(SECONDS):
        while await lab.jobs():
            with pytest.raises(PipelinesUnavailable, match=r"being terminated|not found"):
                await other.launch(run)


async def test_a_job_that_somebody_deletes_is_another_attempt_and_no_verdict(make_lab, requests):
    lab = await make_lab()
    lab.pods.outcome = lambda parameters: "hold"
    await lab.apply("v1", ci=CI)
    first = (await lab.until(lambda status: status.get("ci", {}).get("seenAt")))["ci"]["runId"]
    [job] = await lab.jobs()
    await lab.real.delete(job)
    lab.pods.outcome = lambda parameters: "succeed"
    status = await lab.until_phase("Promoted")
    assert status["ci"]["runId"] != first
    assert [run["runId"] for run in status["abandonedRuns"]] == [first]
    assert made(requests) == 2


async def test_a_model_that_comes_back_during_its_test_is_tested_again(make_lab):
    """v1, v2, v1: the run of v1 was stopped by Mooring itself, which says nothing about v1."""
    lab = await make_lab()
    lab.pods.outcome = lambda parameters: "hold"
    ids = []
    for model in ("v1", "v2", "v1"):
        await lab.apply(model, ci=CI)
        seen = lambda status, ids=tuple(ids): (  # noqa: E731
            status.get("ci", {}).get("seenAt") and status["ci"]["runId"] not in ids
        )
        ids.append((await lab.until(seen))["ci"]["runId"])
    assert len(set(ids)) == 3
    lab.pods.outcome = lambda parameters: "succeed"
    status = await lab.until_phase("Promoted")
    assert status["stable"]["modelUri"] == "s3://m/v1"
    assert len(await lab.jobs()) == 1


async def test_the_job_goes_with_its_deployment(make_lab, connection):
    lab = await make_lab()
    lab.pods.outcome = lambda parameters: "hold"
    await lab.apply("v1", ci=CI)
    await lab.until(lambda status: status.get("ci", {}).get("state") == "Running")
    deployment = await lab.deployment()
    await lab.real.delete(deployment)
    await lab.reconciler.deleted(deployment)
    path = f"/api/v1/namespaces/{lab.namespace}/pods"

    async def gone():
        if await lab.jobs() or (await connection.send("list", "GET", path, resource=""))["items"]:
            raise ClusterError("something is left")

    await until(gone)


async def test_a_name_that_somebody_has_taken_is_refused_and_left_alone(make_lab, connection):
    lab = await make_lab()
    await lab.apply("v1", ci=CI)
    await lab.step()
    run_id = (await lab.status())["ci"]["runId"]
    [job] = await lab.jobs()
    await lab.real.delete(job)
    theirs = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"mooring-run-{run_id}", "namespace": lab.namespace},
        "spec": {"suspend": True, "template": job["spec"]["template"]},
    }
    for label in [
        name for name in theirs["spec"]["template"]["metadata"]["labels"] if "uid" in name or "job" in name
    ]:
        del theirs["spec"]["template"]["metadata"]["labels"][label]
    await post(connection, f"/apis/batch/v1/namespaces/{lab.namespace}/jobs", theirs)
    status = await lab.until_phase("Failed")
    assert status["reason"] == "NameTaken"
    assert "exists and is not of ModelDeployment digits" in status["message"]
    assert [found["spec"]["suspend"] for found in await lab.jobs()] == [True]


async def test_a_finished_job_is_removed_after_its_time(make_lab):
    lab = await make_lab()
    lab.limits = RunPods(kept=timedelta(seconds=1))
    lab.restart()
    await lab.apply("v1", ci=CI)
    assert (await lab.until_phase("Promoted"))["ci"]["verdict"] == "Passed"

    async def gone():
        if await lab.jobs():
            raise ClusterError("it is still there")

    await until(gone)
    assert (await lab.status())["phase"] == "Promoted"


# --- turns --------------------------------------------------------------------------------------


def request(namespace, name, owner="9a1f2f6e-0000-4000-8000-000000000000"):
    parameters = {**RUN.parameters, "run_id": name}
    run = replace(RUN, run_id=name, namespace=namespace, parameters=parameters)
    return replace(run, owner=replace(run.owner, uid=owner))


async def test_runs_of_a_namespace_wait_for_their_turn_in_order(make_lab):
    lab = await make_lab()
    owner = (await applied(lab))["metadata"]["uid"]
    pipelines = JobPipelines(lab.real, RunPods(per_namespace=2), lambda: datetime.now(UTC))
    lab.pods.outcome = lambda parameters: lab.ends.get(parameters["run_id"], "hold")
    lab.ends = {}
    names = [f"run-{number}" for number in range(5)]
    for name in names:
        await pipelines.launch(request(lab.namespace, name, owner))
        await asyncio.sleep(0 if name == names[-1] else 1)  # creation times have whole seconds
    waiting = [name for name in names if (await pipelines.get(lab.namespace, name)).queued]
    assert waiting == names[2:]
    begun = names[:2]
    for ended, next_ in ((names[1], names[2]), (names[0], names[3]), (names[2], names[4])):
        lab.ends[ended] = "fail"
        begun.append(next_)
        # Another process, which remembers nothing, gives the same turns.
        pipelines = JobPipelines(lab.real, RunPods(per_namespace=2), lambda: datetime.now(UTC))
        async with asyncio.timeout(SECONDS):
            while next_ not in lab.pods.ran:
                await lab.pods.play()
                for name in names:
                    await pipelines.get(lab.namespace, name)
                await asyncio.sleep(PAUSE)
        assert sorted(lab.pods.ran) == sorted(begun)
    state = await pipelines.get(lab.namespace, names[4])
    assert datetime.now(UTC) - state.started_at < timedelta(seconds=SECONDS)


async def test_many_at_once_are_never_too_many(make_lab):
    lab = await make_lab()
    owner = (await applied(lab))["metadata"]["uid"]
    pipelines = JobPipelines(lab.real, RunPods(per_namespace=3), lambda: datetime.now(UTC))
    await asyncio.gather(*(pipelines.launch(request(lab.namespace, f"r{n % 8}", owner)) for n in range(16)))
    jobs = await lab.jobs()
    assert len(jobs) == 8
    assert sum(not job["spec"].get("suspend", False) for job in jobs) == 3


async def test_runs_that_succeeded_are_not_listed_again_and_again(make_lab):
    """Evaluations come every minute, and stay a while once they have finished."""
    lab = await make_lab()
    owner = (await applied(lab))["metadata"]["uid"]
    pipelines = JobPipelines(lab.real, RunPods(per_namespace=9), lambda: datetime.now(UTC))
    for name in ("a", "b", "c"):
        await pipelines.launch(request(lab.namespace, name, owner))
    lab.pods.outcome = lambda parameters: {"a": "succeed", "b": "fail"}.get(parameters["run_id"], "hold")
    async with asyncio.timeout(SECONDS):
        while (await pipelines.get(lab.namespace, "a")).phase != "Succeeded":
            await lab.pods.play()
            await asyncio.sleep(PAUSE)
    listed = await lab.real.list(JOB, namespace=lab.namespace, fields={"status.successful": "0"})
    assert {job["metadata"]["name"] for job in listed} == {"mooring-run-b", "mooring-run-c"}


async def test_runs_that_never_end_hold_up_no_other_namespace(make_lab):
    greedy, quiet = await make_lab(), await make_lab()
    greedy.pods.outcome = lambda parameters: "hold"
    owner = (await applied(greedy))["metadata"]["uid"]
    pipelines = JobPipelines(greedy.real, RunPods(per_namespace=2), lambda: datetime.now(UTC))
    for number in range(6):
        await pipelines.launch(request(greedy.namespace, f"endless-{number}", owner))
    await greedy.pods.play()
    await quiet.apply("v1", ci=CI)
    assert (await quiet.until_phase("Promoted"))["ci"]["verdict"] == "Passed"


async def applied(lab):
    await lab.apply("v1")
    return await lab.real.get(Ref(MODEL_DEPLOYMENT, lab.namespace, "digits"))


# --- beside the tenant's namespace --------------------------------------------------------------


async def test_a_run_apart_waits_for_its_namespace_and_leaves_nothing_in_the_tenants(make_lab, connection):
    lab = await make_lab(ApartLab)
    await lab.apply("v1", ci=CI)
    status = await lab.until(lambda status: "not found" in status.get("message", ""))
    assert f'namespaces "{lab.place}" not found' in status["message"]
    await make_namespace(connection, lab.place)
    revision = (await lab.until_phase("Promoted"))["stable"]["revision"]
    [job] = await lab.jobs()
    assert "ownerReferences" not in job["metadata"]
    annotation = job["metadata"]["annotations"][run_jobs.OWNER_ANNOTATION]
    assert annotation == f"{lab.namespace}/digits {revision}"
    # The verdict is at the resource's own place.
    assert f"/{lab.namespace}/digits/ci/" in str(job["spec"]["template"]["spec"]["containers"][0]["env"])


async def test_a_run_apart_is_stopped_where_another_takes_its_place_or_its_deployment_goes(
    make_lab, connection
):
    lab = await make_lab(ApartLab)
    await make_namespace(connection, lab.place)
    lab.pods.outcome = lambda parameters: "hold"
    await lab.apply("v1", ci=CI)
    first = (await lab.until(lambda status: status.get("ci", {}).get("state") == "Running"))["ci"]["runId"]
    await lab.apply("v2", ci=CI)
    later = await lab.until(
        lambda status: status["ci"]["runId"] != first and status["ci"]["state"] == "Running"
    )
    [job] = [job for job in await lab.jobs() if not is_over(job)]
    assert job["metadata"]["name"] == run_jobs.name_of(later["ci"]["runId"])
    body = await lab.real.get(Ref(MODEL_DEPLOYMENT, lab.namespace, "digits"))
    await lab.reconciler.deleted(body)
    async with asyncio.timeout(SECONDS):
        while await lab.jobs():
            await asyncio.sleep(0.05)


async def test_a_run_apart_takes_no_job_for_its_own_that_it_did_not_make(make_lab, connection):
    lab = await make_lab(ApartLab)
    await make_namespace(connection, lab.place)
    run = request(lab.place, "taken")
    job = run_jobs.job_of(run, RunPods())
    await lab.real.create({**job, "metadata": {**job["metadata"], "ownerReferences": []}})
    apart = JobPipelines(lab.real, RunPods(apart=True), lambda: datetime.now(UTC))
    assert await apart.get(lab.place, run.run_id) is None
    with pytest.raises(PipelinesRefused, match="exists and is not of"):
        await apart.launch(run)


async def test_a_namespace_whose_runs_would_have_too_long_a_name_is_told(make_lab):
    lab = await make_lab(ApartLab)
    with pytest.raises(PipelinesRefused, match="allows namespaces of 58"):
        await PipelinesApart(lab.pipelines, "{namespace}-runs").launch(request("n" * 59, "long"))
