"""Steps that start a check: one Job each, whatever the operator goes through, and what it found is told."""

import pytest
from mooring_operator.adapters.checks.owned_jobs import JOB
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.routers.inference_services.inquiry import POD

from tests.operator.world import DIGITS, Crash, World

SMOKE = {"job": {"image": "smoke:1", "timeout": "5m"}}
HOOK = {"webhook": {"url": "https://gates.example.com/go", "onFailure": "Pause"}}
LAST = "batch.kubernetes.io/job-name"


def steps(*checks):
    return {"rollout": {"steps": [{"setWeight": 10}, *checks, {"setWeight": 100}]}}


class Jobs:
    """Plays the Job controller: `outcome` says how Jobs end, None for one that goes on."""

    def __init__(self, world: World) -> None:
        self._objects = world.objects
        self.outcome = "Complete"
        self.says = ""
        self.made: list[str] = []

    def play(self) -> None:
        for job in self._objects.list(JOB):
            name = job["metadata"]["name"]
            if name not in self.made:
                self.made.append(name)
            if self.outcome is None or "status" in job:
                continue
            self._objects.create(POD, "ns", self._pod(job))
            message = f"Container check for pod ns/{name}-1 failed with exit code 10 matching FailJob rule at index 1"
            kind, reason = ("Complete", "CompletionsReached")
            if self.outcome != "Complete":
                kind, reason = "Failed", self.outcome
            condition = {"type": kind, "status": "True", "reason": reason, "message": message}
            self._objects.set_status(Ref(JOB, "ns", name), {"conditions": [condition]})

    def _pod(self, job):
        ended = {"exitCode": 10, "message": self.says, "finishedAt": "2026-03-01T12:00:00Z"}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "controller": True}
        return {
            "metadata": {
                "name": f"{job['metadata']['name']}-1",
                "labels": {LAST: job["metadata"]["name"]},
                "ownerReferences": [{**owner, "uid": job["metadata"]["uid"]}],
            },
            "status": {"containerStatuses": [{"name": "check", "state": {"terminated": ended}}]},
        }

    @property
    def running(self) -> list[str]:
        return [job["metadata"]["name"] for job in self._objects.list(JOB) if "status" not in job]


@pytest.fixture
def jobs(world: World):
    """They end as the world goes on."""
    played, play = Jobs(world), world.kserve.play

    def play_both():
        play()
        played.play()

    world.kserve.play = play_both
    return played


async def until(world: World, reason: str) -> None:
    for _ in range(40):
        await world.step()
        if world.status.get("reason") == reason:
            return
    raise AssertionError(world.status)


async def test_checks_that_pass_let_a_revision_through(world: World, jobs: Jobs):
    await world.promote("v1")
    jobs.says = "200 requests, p99 12 ms"
    world.deploy("v2", **steps(SMOKE, HOOK))
    status = await world.settle()
    assert status["phase"] == "Promoted"
    assert len(jobs.made) == 2
    assert world.events().count("CheckPassed") == 2
    # Kubernetes removes them, and their pods, a while later.
    assert all(job["spec"]["ttlSecondsAfterFinished"] for job in world.objects.list(JOB))


@pytest.mark.parametrize(
    ("check", "ends", "phase", "reason", "says"),
    [
        (SMOKE, "BackoffLimitExceeded", "RolledBack", "CheckFailed", "p99 is 900 ms (its pod failed;"),
        (SMOKE, "DeadlineExceeded", "RolledBack", "CheckInsufficient", "p99 is 900 ms (it ran for longer than 300 s"),
        (HOOK, "PodFailurePolicy", "Paused", "PausedByCheck", "https://gates.example.com/go failed: p99 is 900 ms"),
        (HOOK, "BackoffLimitExceeded", "Paused", "PausedByCheck", "found nothing out: p99 is 900 ms"),
    ],
)  # fmt: skip
async def test_a_check_that_does_not_pass(world: World, jobs: Jobs, check, ends, phase, reason, says):
    await world.promote("v1")
    jobs.outcome, jobs.says = ends, "warming up\np99 is 900 ms\n\n"
    world.deploy("v2", **steps(check))
    status = await world.settle()
    assert (status["phase"], status["reason"]) == (phase, reason)
    assert says in status["message"]
    assert world.events()[-1] == reason
    assert world.kserve.weights[0] == ("s3://m/v2", 10)
    if phase == "Paused":
        assert status["candidate"]["check"]["outcome"] in ("Fail", "Insufficient")
        world.command("approve", status["candidate"]["revision"])
        assert (await world.settle())["phase"] == "Promoted"


@pytest.mark.parametrize("writes", range(14))
async def test_a_crash_after_any_write_starts_no_second_job(world: World, jobs: Jobs, writes):
    await world.promote("v1")
    world.deploy("v2", **steps(SMOKE))
    await world.start(crash_after=writes)
    try:
        for _ in range(12):
            await world.step()
    except Crash:
        await world.start()
    await world.start()
    assert (await world.settle())["phase"] == "Promoted"
    assert len(jobs.made) == 1


async def begin_a_check(world: World, jobs: Jobs) -> None:
    """Have v2 come to a Job that does not end."""
    await world.promote("v1")
    jobs.outcome = None
    world.deploy("v2", **steps(SMOKE))
    await until(world, "Checking")
    await world.step()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_check_is_stopped_when_its_revision_is_aborted(world: World, jobs: Jobs, crash):
    await begin_a_check(world, jobs)
    assert len(jobs.running) == 1
    world.command("abort", world.status["candidate"]["revision"])
    if crash:
        # The status is written, and nothing else.
        await world.start(crash_after=0)
        with pytest.raises(Crash):
            await world.step()
        assert len(jobs.running) == 1
        await world.start()
    status = await world.settle()
    assert status["phase"] == "RolledBack"
    assert jobs.running == []


async def test_a_check_that_cannot_be_stopped_stops_nothing_else(world: World, jobs: Jobs):
    await begin_a_check(world, jobs)
    world.command("abort", world.status["candidate"]["revision"])
    world.emulator.fail(403, verb="delete", resource="jobs")
    await world.step()
    assert world.status["phase"] == "RolledBack"
    assert "canary" not in world.service["spec"]
    await world.settle()
    assert jobs.running == []


async def test_a_job_of_somebody_else_is_neither_believed_nor_touched(world: World, jobs: Jobs):
    await begin_a_check(world, jobs)
    [name] = jobs.running
    ref = Ref(JOB, "ns", name)
    job = world.objects.get(ref)
    world.objects.delete(ref)
    job["metadata"] = {"name": name, "labels": job["metadata"]["labels"]}
    world.objects.create(JOB, "ns", job)
    done = [{"type": "Complete", "status": "True"}]
    world.objects.set_status(ref, {"conditions": done})
    await world.step()
    assert world.status["candidate"]["check"]["id"] not in name  # lost, and asked anew
    assert world.status["candidate"]["weight"] == 10
    world.command("abort", world.status["candidate"]["revision"])
    await world.settle()
    assert world.objects.get(ref)["status"]["conditions"] == done


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [(403, "exceeded quota: count/jobs.batch", "Checking"), (422, "spec.template: Invalid value", "CheckInsufficient")],
)  # fmt: skip
async def test_a_job_that_is_not_taken(world: World, jobs: Jobs, code, message, reason):
    await world.promote("v1")
    world.emulator.fail(code, verb="create", resource="jobs", message=message)
    world.deploy("v2", **steps(SMOKE))
    await until(world, reason)
    await world.step()
    if reason == "CheckInsufficient":
        assert message in world.status["message"]
        return
    assert (await world.settle())["phase"] == "Promoted"
    assert len(jobs.made) == 1


async def test_a_deployment_that_is_deleted_takes_its_check_along(world: World, jobs: Jobs):
    await begin_a_check(world, jobs)
    [job] = world.objects.list(JOB)
    [owner] = job["metadata"]["ownerReferences"]
    assert owner["uid"] == world.objects.get(DIGITS)["metadata"]["uid"]
