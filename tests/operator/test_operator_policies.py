"""ModelPolicies before the real operator: rules are evaluated, and hostile ones slow nobody else."""

import time

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT, MODEL_POLICY

from tests.operator.processes import operator, until
from tests.operator.world import ROLLOUT, World
from tests.unit.operator.hostile_rules import ENDLESS, HOSTILE


def policy(world, *expressions, name="house-rules", namespace="ns"):
    rules = [{"name": f"rule-{index}", "expression": text} for index, text in enumerate(expressions)]
    ref = Ref(MODEL_POLICY, namespace, name)
    world.objects.apply(ref, {"metadata": {"name": name}, "spec": {"rules": rules}}, "user")


def deploy(world, namespace, name, **spec):
    ref = Ref(MODEL_DEPLOYMENT, namespace, name)
    wanted = {"model": {"uri": f"s3://m/{name}", "format": "onnx"}, **spec}
    world.objects.apply(ref, {"metadata": {"name": name}, "spec": wanted}, "user")
    return ref


def status(world, ref):
    return world.objects.get(ref).get("status", {})


async def test_rules_see_what_the_run_measured(world: World):
    policy(world, "metrics.accuracy >= 0.9", "serving.minReplicas > 0.5 || true", "!has(model.secret)")
    world.deploy("v1", policies=["house-rules"], **ROLLOUT)
    assert (await world.settle())["phase"] == "Promoted"
    assert world.condition("PoliciesMet")["status"] == "True"


async def test_a_rule_that_is_not_met_refuses_the_revision(world: World):
    await world.promote("v1")
    policy(world, "metrics.accuracy >= 0.99")
    world.deploy("v2", policies=["house-rules"], **ROLLOUT)
    refused = await world.settle()
    assert (refused["phase"], refused["reason"]) == ("Failed", "PolicyViolated")
    assert "rule-0: metrics.accuracy >= 0.99 is not true" in refused["message"]
    assert (refused["stable"]["modelUri"], world.kserve.weights) == ("s3://m/v1", [])
    assert "PolicyViolated" in world.events()


async def test_the_same_rules_and_facts_are_evaluated_once(world: World):
    policy(world, "metrics.accuracy >= 0.9")
    world.deploy("v1", policies=["house-rules"], **ROLLOUT)
    await world.settle_in("Deploying")
    world.rules.close()
    assert (await world.settle())["phase"] == "Promoted"


async def test_rules_that_cannot_be_evaluated_now_are_said_and_tried_again(world: World, monkeypatch):
    policy(world, "metrics.accuracy >= 0.9")
    world.deploy("v1", policies=["house-rules"])
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Exception, match="rules cannot be evaluated: the process does not start"):
        await world.step()
    assert world.status["reason"] == "RulesUnavailable"
    assert world.service is None
    monkeypatch.undo()
    world.deploy("v1", policies=["house-rules"], **ROLLOUT)
    assert (await world.settle())["phase"] == "Promoted"


@pytest.mark.usefixtures("surroundings_act")
async def test_hostile_rules_slow_no_other_tenant(world: World):
    """Forty deployments whose rules need a second each, in a namespace beside one that rolls out."""
    hostile = [text for text in HOSTILE.values() if "\ud800" not in text]
    async with operator(world):
        policy(world, "deployment.name.startsWith('quiet')", namespace="quiet")
        for number in range(40):
            # No two have the same facts, so that each has to be evaluated.
            policy(
                world, "true", ENDLESS, hostile[number % len(hostile)], name=f"p{number}", namespace="hostile"
            )
            deploy(world, "hostile", f"d{number}", policies=[f"p{number}"])
        await until(lambda: refused(world), "the first hostile policy has been found too expensive")
        took = []
        for number in range(10):
            started = time.monotonic()
            ref = deploy(world, "quiet", f"quiet{number}", policies=["house-rules"] if number % 2 else [])
            await until(
                lambda ref=ref: status(world, ref).get("phase") == "Promoted", f"{ref.name} is promoted"
            )
            took.append(time.monotonic() - started)
        # Most of them still wait, whatever the machine's speed: the quiet tenant has not waited for them.
        assert refused(world) < 30, took
    ended = [
        entry["status"] for entry in world.objects.list(MODEL_DEPLOYMENT, "hostile") if "status" in entry
    ]
    assert {found["reason"] for found in ended} <= {"EvaluatingPolicies", "PolicyTooExpensive"}, ended


def refused(world):
    found = world.objects.list(MODEL_DEPLOYMENT, "hostile")
    return sum(entry.get("status", {}).get("reason") == "PolicyTooExpensive" for entry in found)
