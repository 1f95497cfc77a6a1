"""Queries that Jobs measure, before the operator: one Job a measurement, what it decides, and what is left of it."""

import json
from datetime import timedelta

import pytest
from mooring_operator.adapters.checks.owned_jobs import JOB
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.metrics.measuring_jobs import MeasuringJobs
from mooring_operator.planning.analysis.measuring_jobs import MEASURED_BY_PODS, MEASUREMENT_LABEL
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.reconcile.counters import Counters
from mooring_operator.reconcile.kinds import ANALYSIS_TEMPLATE

from tests.operator.test_operator_analysis import COUNTING
from tests.operator.test_operator_checks import Jobs
from tests.operator.test_operator_templates import judged_by, look
from tests.operator.world import Crash, World

HOUSE = Ref(ANALYSIS_TEMPLATE, "ns", "house")
STEPS = [{"setWeight": 20}, {"analyse": {"duration": "20m"}}, {"setWeight": 100}]
HOW = judged_by({"name": "house", "arguments": {"pool": "a-1"}}, steps=STEPS)
RESTING = ("Promoted", "RolledBack", "Failed", "Paused")


class Measured(Jobs):
    """Plays the Job controller for measurements that end `lasts` after they were made."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.lasts = timedelta()
        self._world, self._since = world, {}

    def play(self) -> None:
        for job in self._objects.list(JOB):
            self._since.setdefault(job["metadata"]["name"], self._world.now)
        if all(self._world.now - since >= self.lasts for since in self._since.values()):
            super().play()


@pytest.fixture
async def jobs(world: World) -> Measured:
    return await measuring(world, Measured(world))


async def measuring(world: World, played: Measured) -> Measured:
    """Start an operator that measures by Jobs, whose controller is played beside KServe."""
    play = world.kserve.play

    def play_both():
        play()
        played.play()

    world.kserve.play = play_both
    world.counters = lambda: Counters(
        counting=COUNTING, patience=60, again=-1, rules=world.rules, providers=by_jobs(world)
    )
    await world.start()
    return played


def by_jobs(world: World) -> dict:
    cluster = KubernetesCluster(world._connection)
    return {name: MeasuringJobs(cluster, RunPods(), how) for name, how in MEASURED_BY_PODS.items()}


def demand(world, **fields) -> None:
    """Write the template house: a Job measures every twenty seconds, and nothing is counted beside it."""
    query = {"name": "smoke", "job": {"image": "smoke:1", "timeout": "5m"}, "interval": "20s", **fields}
    query = {name: value for name, value in query.items() if value is not None}
    spec = {"arguments": [{"name": "pool"}], "queries": [query]}
    world.objects.apply(HOUSE, {"metadata": {"name": "house"}, "spec": spec}, "admin")


async def begin(world: World) -> None:
    await world.promote("v1", **HOW)
    world.deploy("v2", **HOW)


async def go_on(world: World, until=lambda: False, limit=400) -> None:
    for _ in range(limit):
        pause = await world.step()
        if until() or (world.phase in RESTING and world.status.get("observedGeneration", 0) > 1):
            return
        world.now += timedelta(seconds=max(pause or 1, 1))
    raise AssertionError(f"does not end: {world.status.get('message')}")


async def test_jobs_that_succeed_pass_a_step_without_any_prometheus(world: World, jobs: Measured):
    demand(world, count=3)
    await begin(world)
    await go_on(world)
    assert world.phase == "Promoted"
    assert "smoke: 0 of 3 failed, last done" in world.status["analysis"]["measured"]
    assert len(jobs.made) == 3
    # What is there is read: nothing is asked about what is over.
    [job] = [job for job in world.objects.list(JOB) if job["metadata"]["name"] == jobs.made[0]]
    assert job["metadata"]["labels"][MEASUREMENT_LABEL]
    assert job["metadata"]["ownerReferences"][0]["kind"] == "ModelDeployment"


async def test_a_job_that_fails_rolls_back_with_its_last_words(world: World, jobs: Measured):
    demand(world, failureLimit=1, count=3)
    jobs.outcome, jobs.says = "BackoffLimitExceeded", "warming up\n3 of 200 answers are wrong\n"
    await begin(world)
    await go_on(world)
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    message = world.status["message"]
    assert "smoke: 2 of 2 measurements failed (limit 1); the last: 3 of 200 answers are wrong" in message
    assert world.status["stable"]["storageUri"] == "s3://m/v1"
    assert len(jobs.made) == 2


@pytest.mark.parametrize(
    ("said", "ends", "measured"),
    [
        ({"accuracy": 0.97, "rows": 400}, "Promoted", "last accuracy 0.97 rows 400"),
        ({"accuracy": 0.5, "rows": 400}, "RolledBack", "last accuracy 0.5 rows 400"),
    ],
)
async def test_what_a_job_writes_is_judged_by_conditions(world: World, jobs: Measured, said, ends, measured):
    demand(world, successCondition="result.accuracy >= 0.9 && result.rows > 100")
    jobs.says = json.dumps(said, indent=1)
    await begin(world)
    await go_on(world)
    assert world.phase == ends
    assert measured in world.status["analysis"]["measured"]


NO_RESULTS = {
    "nothing": ("Complete", "", "it has ended and wrote no result: write JSON"),
    "a text": ("Complete", "all is well", "its result is no JSON"),
    "NaN": ("Complete", '{"accuracy": NaN}', "its result has NaN, which is no number"),
    "without the field": ("Complete", '{"rows": 4}', "and a condition that tells nothing"),
    "time": ("DeadlineExceeded", "", "it ran for longer than 300 s"),
}


@pytest.mark.parametrize("case", NO_RESULTS)
async def test_what_is_no_result_counts_against_nobody(world: World, jobs: Measured, case: str):
    jobs.outcome, jobs.says, said = NO_RESULTS[case]
    demand(world, successCondition="result.accuracy >= 0.9", consecutiveErrorLimit=1)
    await begin(world)
    await go_on(world)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    assert world.status["candidate"]["weight"] == 20
    found = world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert found["message"].startswith("AnalysisTemplate house, query smoke: ")
    assert said in found["message"]


async def test_one_that_takes_long_is_waited_for_and_measured_once(world: World, jobs: Measured):
    demand(world, count=2)
    jobs.lasts = timedelta(minutes=3)
    await begin(world)
    running = []

    def one_at_a_time() -> bool:
        running.append(len(jobs.running))
        return False

    await go_on(world, until=one_at_a_time)
    assert world.phase == "Promoted"
    assert len(jobs.made) == 2
    assert max(running) == 1


@pytest.mark.parametrize("writes", range(14))
async def test_a_crash_after_any_write_makes_no_second_job(world: World, jobs: Measured, writes: int):
    demand(world, count=2)
    await begin(world)
    await world.start(crash_after=writes)
    try:
        for _ in range(12):
            await world.step()
            world.now += timedelta(seconds=5)
    except Crash:
        await world.start()
    await world.start()
    await go_on(world)
    assert world.phase == "Promoted"
    assert "smoke: 0 of 2 failed" in world.status["analysis"]["measured"]
    assert len(jobs.made) == 2


async def test_a_measurement_before_the_step_passes_no_step(world: World, jobs: Measured):
    """It was begun when the revision had less traffic than the step is about."""
    how = judged_by(
        {"name": "house", "arguments": {"pool": "a-1"}},
        steps=[{"setWeight": 5}, {"pause": {"duration": "40s"}}, {"setWeight": 50},
               {"analyse": {"duration": "20m"}}, {"setWeight": 100}],
    )  # fmt: skip
    demand(world, interval="30s")
    jobs.lasts = timedelta(minutes=2)
    await world.promote("v1", **how)
    world.deploy("v2", **how)
    await go_on(world)
    assert world.phase == "Promoted"
    assert len(jobs.made) == 2


async def test_what_is_aborted_leaves_no_job(world: World, jobs: Measured):
    demand(world)
    jobs.outcome = None
    await begin(world)
    await go_on(world, until=lambda: bool(jobs.running))
    world.command("abort", world.status["candidate"]["revision"])
    await world.step()
    await world.step()
    assert world.phase == "RolledBack"
    assert (len(jobs.made), jobs.running) == (1, [])


async def test_what_a_template_lacks_is_said(world: World, jobs: Measured):
    for fields, said in (
        ({"query": "up"}, "a query has one of query, webhook, job, datadog, cloudWatch, pipeline"),
        ({"job": None}, "a query has one of query, webhook, job, datadog, cloudWatch, pipeline"),
        ({"job": None, "query": "up", "successCondition": "result < 5.0"},
         "query and webhook stand in ClusterAnalysisTemplates alone"),
        ({"job": {"image": "smoke:1", "args": ["a" * 1000, "b" * 100]}}, "at most 1024 characters together"),
    ):  # fmt: skip
        demand(world, **fields)
        status, reason, message = await look(world, HOUSE)
        assert (status, reason) == ("False", "InvalidTemplate")
        assert said in message
