"""Queries that runs of pipelines measure, before the operator: one run a measurement, and what its verdict decides."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from mooring_operator.adapters.documents import StoredDocuments
from mooring_operator.adapters.pipelines.kfp import KfpPipelines
from mooring_operator.adapters.signed_urls import SignedUrls
from mooring_operator.api.template_queries import Query
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.in_namespace import due
from mooring_operator.planning.analysis.measuring import UsedQuery
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.counters import Counters
from mooring_operator.reconcile.pipeline_queries import PipelineQueries
from mooring_operator.runtime.dispatch import Dispatch
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key

from tests.operator.surroundings import write_document
from tests.operator.test_kfp_adapter import adapter, own, server  # noqa: F401 - fixtures
from tests.operator.test_kfp_server import SECONDS
from tests.operator.test_operator_analysis import COUNTING
from tests.operator.test_operator_job_queries import begin, go_on
from tests.operator.test_operator_job_queries import demand as demand_job
from tests.operator.world import DIGITS, START, Crash, World

LONGEST = timedelta(hours=1)


def demand(world, **fields):
    fields = {"pipeline": {"name": "golden", "timeout": "10m"}, "count": 2, **fields}
    demand_job(world, job=None, **fields)


@pytest.fixture
async def runs(world: World):
    answers = Answers(StoredDocuments(), SignedUrls(), f"file://{world.folder}/artifacts")

    def counters():
        provider = PipelineQueries(world.runs, answers, LONGEST)
        return Counters(
            counting=COUNTING, patience=60, again=-1, rules=world.rules, providers={"pipeline": provider}
        )

    world.counters = counters
    await world.start()
    return world.runs


async def test_a_verdict_that_passes_lets_a_revision_through(world: World, runs):
    demand(world)
    await begin(world)
    await go_on(world)
    assert world.phase == "Promoted"
    assert "smoke: 0 of 2 failed, last done" in world.status["analysis"]["measured"]
    assert len(runs.ids) == len(set(runs.launches)) == 2
    told = runs.read(runs.launches[0])["parameters"]
    assert (told["model_uri"], told["run_id"], told["pool"]) == ("s3://m/v2", runs.launches[0], "a-1")
    assert told["verdict_uri"].endswith(f"/ns/digits/analysis/{runs.launches[0]}/verdict.json")


async def test_one_that_does_not_rolls_back_with_its_first_violation(world: World, runs):
    demand(world, failureLimit=1, count=3)
    world.ci.good = lambda uri: False
    await begin(world)
    await go_on(world)
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    assert (
        "2 of 2 measurements failed (limit 1); the last: the verdict: accuracy 0.5 is"
        in world.status["message"]
    )


@pytest.mark.parametrize(("least", "ends"), [(0.9, "Promoted"), (0.99, "RolledBack")])
async def test_conditions_see_the_verdicts_metrics(world: World, runs, least, ends):
    demand(world, successCondition=f"result.passed && result.metrics.accuracy >= {least}")
    await begin(world)
    await go_on(world)
    assert world.phase == ends


def fails(run):
    return "Failed"


def document(**fields):
    def write(run):
        write_document(run["parameters"]["verdict_uri"], {"schemaVersion": 1, **fields})
        return "Succeeded"

    return write


def failure(run):
    error = {"reason": "DataInvalid", "message": "rows.parquet has no column label"}
    document(runId=run["parameters"]["run_id"], error=error)(run)
    return "Failed"


NO_VERDICTS = {
    "a run that fails": (fails, "its run has failed: without a word"),
    "a run that writes nothing": (lambda run: "Succeeded", "its run has succeeded, and wrote no verdict"),
    "a run that says why": (failure, "rows.parquet has no column label"),
    "another run's": (document(runId="other", error={"reason": "A", "message": "b"}), "is of another run"),
    "no verdict": (document(runId="r"), "verdict"),
}


@pytest.mark.parametrize("case", NO_VERDICTS)
async def test_what_is_no_verdict_counts_against_nobody(world: World, runs, monkeypatch, case):
    ends, said = NO_VERDICTS[case]

    def play():
        for run_id in runs.ids:
            run = runs.read(run_id)
            if run["phase"] == "Running":
                runs.keep(run_id, {**run, "phase": ends(run)})

    monkeypatch.setattr(world.ci, "play", play)
    demand(world, consecutiveErrorLimit=1)
    await begin(world)
    await go_on(world)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    found = world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert found["message"].startswith("AnalysisTemplate house, query smoke: ")
    assert said in found["message"]


@pytest.mark.parametrize("writes", range(0, 14, 2))
async def test_a_crash_after_any_write_launches_no_second_run(world: World, runs, writes: int):
    demand(world)
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
    assert len(runs.ids) == 2


async def test_what_is_aborted_is_terminated(world: World, runs):
    demand(world)
    world.ci.held = True
    await begin(world)
    await go_on(world, until=lambda: bool(runs.ids))
    world.command("abort", world.status["candidate"]["revision"])
    await world.step()
    await world.step()
    assert world.phase == "RolledBack"
    assert [runs.read(run_id)["phase"] for run_id in runs.ids] == ["Canceled"]


async def test_the_run_of_a_deployment_that_is_deleted_is_terminated(world: World, runs):
    demand(world)
    world.ci.held = True
    await begin(world)
    await go_on(world, until=lambda: bool(runs.ids))
    # What is remembered of an object that is gone is not all of it.
    dispatch, key = Dispatch(world.operator, Telemetry()), Key("ModelDeployment", "ns", "digits")
    dispatch.note_deleted(key, world.objects.delete(DIGITS))
    await dispatch(key)
    assert [runs.read(run_id)["phase"] for run_id in runs.ids] == ["Canceled"]


async def test_pipelines_that_are_away_hold_nothing_up(world: World, runs):
    demand(world)
    await begin(world)
    await go_on(world, until=lambda: "analysis" in world.status)
    runs.away = True
    for _ in range(20):
        world.now += timedelta(seconds=10)
        await world.step()
    assert world.status["candidate"]["weight"] == 20
    runs.away = False
    await go_on(world)
    assert world.phase == "Promoted"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"name": "own-ci", "version": "v1"}, ""),
        ({"name": "own-ci"}, "parameter epochs is none that Mooring gives"),
        ({"name": "none"}, "none"),
    ],
)
async def test_a_run_of_a_real_pipeline_is_launched_once_and_read(server, own, tmp_path, named, said):  # noqa: F811
    pipelines: KfpPipelines = adapter(server.host)
    answers = Answers(StoredDocuments(), SignedUrls(), f"file://{tmp_path}")
    provider = PipelineQueries(pipelines, answers, LONGEST)
    query = Query.model_validate({"name": "golden", "pipeline": named, "successCondition": "result.passed"})
    used = UsedQuery(query, {"least": "0.5"} if said else {}, "house", "AnalysisTemplate")
    until = START + timedelta(minutes=1)
    request = Request("ns", "iris", "a", "b", (), (), START, timedelta(seconds=10), until, began=START,
                      owner=Owner("ns", "iris", "uid-1", 1), model=(f"file://{tmp_path}/m", ""))  # fmt: skip
    # The pipeline of this test makes no folders.
    (tmp_path / "ns" / "iris" / "analysis" / due(request, used).measurement_id).mkdir(parents=True)
    found = await provider.read(request, used)
    if said:
        assert said in found[0].problem
        assert found[0].settled == 60
        return
    async with asyncio.timeout(SECONDS):
        while not found:
            await asyncio.sleep(0.1)
            request = replace(request, until=request.until + timedelta(seconds=1))
            found = await provider.read(request, used)
    assert found[0].problem == ""
    assert found[0].result == {"passed": True, "metrics": {"accuracy": 0.25}, "violations": []}
