"""Queries of templates before the operator: what decides, what is told, and what counts against nobody."""

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.counters import Counters
from mooring_operator.reconcile.kinds import CLUSTER_ANALYSIS_TEMPLATE

from tests.operator.played_prometheus import PlayedPrometheus
from tests.operator.test_operator_analysis import COUNTING, Traffic, go_on
from tests.operator.test_operator_templates import look
from tests.operator.world import START, World

SLO = Ref(CLUSTER_ANALYSIS_TEMPLATE, "", "slo")
MEMORY = 'max(memory{namespace="{{namespace}}",pool="{{arguments.pool}}",revision="{{candidate}}"})'
STEPS = [{"setWeight": 20}, {"analyse": {"duration": "20m"}}, {"setWeight": 100}]
JUDGED = {
    "rollout": {
        "steps": STEPS,
        "analysis": {"templates": [{"name": "slo", "clusterScope": True, "arguments": {"pool": "a-1"}}]},
    }
}


@pytest.fixture
async def played(world: World) -> PlayedPrometheus:
    made = PlayedPrometheus(now=START.timestamp())
    metrics = made.metrics(lambda: world.now)
    world.counters = lambda: Counters(metrics, COUNTING, patience=60, again=-1, rules=world.rules)
    await world.start()
    yield made
    await metrics.close()


def demand(world, metrics=(), **fields):
    """Write the template slo: a revision uses less than 5 GB."""
    query = {
        "name": "memory",
        "query": MEMORY,
        "successCondition": "result < 5.0",
        "count": 3,
        "interval": "20s",
        **fields,
    }
    spec = {"arguments": [{"name": "pool"}], "queries": [query], **({"metrics": metrics} if metrics else {})}
    world.objects.apply(SLO, {"metadata": {"name": "slo"}, "spec": spec}, "admin")


async def begin(world, played, *numbers, how=JUDGED):
    """v1 serves, v2 is asked for, and the query gives these."""
    await world.promote("v1", **how)
    world.deploy("v2", **how)
    await world.step()
    revision = world.status["candidate"]["revision"]
    played.gives[f'max(memory{{namespace="ns",pool="a-1",revision="{revision}"}})'] = list(numbers)
    return Traffic(world, played)


async def test_a_number_that_is_not_as_it_should_be_rolls_back(world: World, played):
    demand(world, failureLimit=1)
    await go_on(world, await begin(world, played, "7.25"))
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    assert "memory: 2 of 2 measurements failed (limit 1); the last: 7.25" in world.status["message"]
    assert world.status["stable"]["storageUri"] == "s3://m/v1"


async def test_one_that_is_as_it_should_be_goes_on_after_so_many(world: World, played):
    demand(world)
    await go_on(world, await begin(world, played, "3"))
    assert world.phase == "Promoted"
    found = world.status["analysis"]
    assert found["verdict"] == "PASS"
    assert "memory: 0 of 3 failed, last 3" in found["measured"]


async def test_a_dry_run_is_told_and_decides_nothing(world: World, played):
    demand(world, metrics=[{"metric": "errorRate"}], dryRun=True)
    await go_on(world, await begin(world, played, "7"))
    assert world.phase == "Promoted"
    assert "failed, last 7 (dry run)" in world.status["analysis"]["measured"]


async def test_metrics_and_queries_are_judged_together(world: World, played):
    demand(world, metrics=[{"metric": "errorRate"}])
    traffic = await begin(world, played, "3")
    traffic.bad = {"s3://m/v2": 0.2}
    await go_on(world, traffic)
    assert world.status["reason"] == "AnalysisFailed"
    assert "errorRate: candidate 20.00%" in world.status["message"]


NOTHING = {
    "no series": ([], "it gives no series: are its labels right?"),
    "two series": (["1", "2"], "it gives 2 series: make one of them, as by sum()"),
    "NaN": (["NaN"], "it gives nan: what it divides by is 0"),
    "infinity": (["+Inf"], "it gives inf"),
    "no condition": (["3"], "3, and a condition that tells nothing"),
}


@pytest.mark.parametrize("nothing", NOTHING)
async def test_what_is_no_number_counts_against_nobody(world: World, played, nothing):
    numbers, said = NOTHING[nothing]
    fields = {"successCondition": "result < arguments.pool"} if nothing == "no condition" else {}
    demand(world, consecutiveErrorLimit=2, **fields)
    traffic = await begin(world, played, *numbers)
    await go_on(world, traffic)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    found = world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert found["message"].startswith("ClusterAnalysisTemplate slo, query memory: ")
    assert said in found["message"]
    assert "last none" in world.status["analysis"]["measured"]
    assert world.status["candidate"]["weight"] == 20
    if not fields:
        # It is mended, and goes on by itself.
        played.gives = {query: ["3"] for query in played.gives}
        await go_on(world, traffic, until=lambda: world.phase == "Promoted")


@pytest.mark.parametrize("then", ["Pass", "Fail"])
async def test_what_is_no_number_decides_no_step_however_few_there_were(world: World, played, then):
    """Two are fewer than `consecutiveErrorLimit` bears: the step ends before the condition says so."""
    demand(world, interval="8m", count=1)
    steps = [STEPS[0], {"analyse": {"duration": "20m", "onInsufficient": then}}, STEPS[2]]
    how = {"rollout": {**JUDGED["rollout"], "steps": steps}}
    await go_on(world, await begin(world, played, how=how))
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    assert world.status["candidate"]["weight"] == 20
    said = "ClusterAnalysisTemplate slo, query memory: its last 2 measurements came to no number"
    assert said in world.status["message"]


async def test_a_prometheus_that_refuses_the_query_is_quoted(world: World, played):
    demand(world, consecutiveErrorLimit=0)
    traffic = await begin(world, played, "3")
    played.status, played.body = 400, {"status": "error", "error": 'invalid expression type "string"'}
    await go_on(world, traffic)
    assert world.status["reason"] == "PausedByAnalysis"
    assert 'invalid expression type "string"' in world.condition("Analysed")["message"]


async def test_an_outage_loses_no_measurement(world: World, played):
    demand(world, count=30)
    traffic = await begin(world, played, "3")
    played.away = True
    started = world.now
    await go_on(world, traffic, until=lambda: (world.now - started).total_seconds() > 300)
    assert "does not answer" in world.condition("Analysed")["message"]
    played.away = False
    await go_on(world, traffic)
    assert world.phase == "Promoted"
    asked = [query for query in played.asked if query in played.gives]
    assert asked
    assert "memory: 0 of 30 failed" in world.status["analysis"]["measured"]


async def test_the_template_says_what_of_it_tells_nothing(world: World):
    demand(world)
    status, _, message = await look(world, SLO)
    assert (status, message) == ("True", "deployments can be judged by it: memory")
    for fields, field, said in (
        ({"successCondition": "result <"}, "successCondition", "the expression cannot be read"),
        ({"successCondition": "result + 1.0"}, "successCondition", "no condition"),
        ({"failureCondition": "result[0] > 1.0"}, "failureCondition", "result is one number"),
        ({"query": "{{arguments.pool}}"}, "query", "must stand in the value of a label's matcher"),
        ({"query": 'up{a="{{arguments.pol}}"}'}, "query", "is none of namespace, name, candidate, stable"),
    ):
        demand(world, **fields)
        status, reason, message = await look(world, SLO)
        assert (status, reason) == ("False", "InvalidTemplate")
        assert f"spec.queries[0].{field}: " in message
        assert said in message
