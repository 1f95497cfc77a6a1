"""Whole rollouts: what is served, in which order, and what status says of it."""

from tests.operator.world import ROLLOUT, World


async def test_the_first_revision_is_tested_and_then_gets_all_traffic(world: World):
    world.deploy("v1", **ROLLOUT)
    status = await world.settle()
    assert world.phases == ["Testing", "Deploying", "Promoted"]
    assert status["stable"]["modelUri"] == "s3://m/v1"
    assert status["ci"]["verdict"] == "Passed"
    assert status["url"] == "http://digits.example"
    assert status["observedGeneration"] == 1
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"
    assert world.kserve.weights == []
    assert world.runs.tested == ["s3://m/v1"]


async def test_a_second_revision_walks_through_its_steps_and_takes_over(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    status = await world.settle()
    assert world.phases == ["Testing", "Canary", "Promoting", "Promoted"]
    assert world.kserve.weights == [("s3://m/v2", 10), ("s3://m/v2", 100)]
    assert world.kserve.stable == ["s3://m/v1", "s3://m/v2"]
    assert status["previous"]["modelUri"] == "s3://m/v1"
    assert "candidate" not in status
    assert "canary" not in world.service["spec"]
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted", "Promoted"]
