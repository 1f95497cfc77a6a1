"""AnalysisTemplates before the real operator: what is looked up, what waits for it, what it says of itself."""

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.counters import Counters
from mooring_operator.reconcile.kinds import ANALYSIS_TEMPLATE, CLUSTER_ANALYSIS_TEMPLATE
from mooring_operator.runtime.workqueue import Key

from tests.operator.played_prometheus import PlayedPrometheus
from tests.operator.test_operator_analysis import COUNTING, STEPS, Traffic, go_on
from tests.operator.world import START, World

HOUSE = {"name": "house"}
KINDS = {"AnalysisTemplate": ANALYSIS_TEMPLATE, "ClusterAnalysisTemplate": CLUSTER_ANALYSIS_TEMPLATE}


def judged_by(*templates, steps=STEPS):
    return {"rollout": {"steps": steps, "analysis": {"templates": list(templates)}}}


def make(world, kind="AnalysisTemplate", points=2.0, **spec):
    """Write the template house."""
    ref = Ref(KINDS[kind], "ns" if kind == "AnalysisTemplate" else "", "house")
    spec = spec or {"metrics": [{"metric": "errorRate", "ratio": 0, "points": points}]}
    world.objects.apply(ref, {"metadata": {"name": "house"}, "spec": spec}, "admin")
    return ref


@pytest.fixture
async def played(world: World) -> PlayedPrometheus:
    made = PlayedPrometheus(now=START.timestamp())
    metrics = made.metrics(lambda: world.now)
    world.counters = lambda: Counters(metrics, COUNTING, patience=60, again=-1)
    await world.start()
    yield made
    await metrics.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_candidate_is_judged_by_the_template_that_it_names(world: World, played, kind):
    make(world, kind)
    how = judged_by({**HOUSE, "clusterScope": kind == "ClusterAnalysisTemplate"})
    await world.promote("v1", **how)
    world.deploy("v2", **how)
    await go_on(world, Traffic(world, played, {"s3://m/v2": 0.08}))
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    assert "limit 2%" in world.status["message"]
    wanted = "cluster/house@1" if kind == "ClusterAnalysisTemplate" else "house@1"
    assert world.status["analysis"]["templates"] == wanted


async def test_a_template_that_is_not_there_holds_the_rollout_until_it_is(world: World, played):
    how = judged_by(HOUSE)
    await world.promote("v1", **how)
    world.deploy("v2", **how)
    for _ in range(5):
        await world.step()
    assert (world.phase, world.status["reason"]) == ("Pending", "AnalysisTemplateNotFound")
    assert "AnalysisTemplate house does not exist in namespace 'ns'; make it" in world.status["message"]
    assert world.kserve.weights == []
    make(world)
    await go_on(world, Traffic(world, played))
    assert world.phase == "Promoted"


async def look(world, ref):
    await world.operator.reconcile(Key(ref.kind.kind, ref.namespace, ref.name))
    found = world.objects.get(ref)["status"]
    ready = next(condition for condition in found["conditions"] if condition["type"] == "Ready")
    return ready["status"], ready["reason"], ready["message"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_template_says_whether_it_can_be_gone_by(world: World, kind):
    ref = make(world, kind)
    assert await look(world, ref) == (
        "True",
        "TemplateAccepted",
        "deployments can be judged by it: errorRate",
    )
    make(world, kind, metrics=[{"metric": "latency", "fromArguments": {"slower": "much"}}])
    status, reason, message = await look(world, ref)
    assert (status, reason) == ("False", "InvalidTemplate")
    assert "spec.metrics[0].fromArguments.slower: 'much' is none of spec.arguments" in message
    make(world, kind, metrics=[{"metric": "charm"}])
    status, reason, message = await look(world, ref)
    assert (status, reason) == ("False", "InvalidTemplate")
    assert "spec.metrics[0].metric" in message


async def test_a_template_of_another_version_is_said_to_be_unreadable(world: World, played):
    make(world, moon=True)
    how = judged_by(HOUSE)
    await world.promote("v1", **how)
    world.deploy("v2", **how)
    for _ in range(5):
        await world.step()
    assert world.status["reason"] == "AnalysisTemplateNotFound"
    assert "AnalysisTemplate house cannot be read: spec.moon" in world.status["message"]


async def test_an_operator_that_may_not_read_templates_says_so(world: World, played):
    how = judged_by({**HOUSE, "clusterScope": True})
    await world.promote("v1", **how)
    world.emulator.fail(
        403,
        resource="clusteranalysistemplates",
        times=1000,
        message='clusteranalysistemplates.mooring.dev is forbidden: User "x" cannot get resource',
    )
    world.deploy("v2", **how)
    for _ in range(5):
        await world.step()
    assert world.status["reason"] == "AnalysisTemplateNotFound"
    assert "ClusterAnalysisTemplate house cannot be read" in world.status["message"]
    assert "forbidden" in world.status["message"]
