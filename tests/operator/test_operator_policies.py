"""ModelPolicies before the real operator: rules are evaluated, and hostile ones slow nobody else."""

import time

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import CLUSTER_MODEL_POLICY, MODEL_DEPLOYMENT, MODEL_POLICY, NAMESPACE
from mooring_operator.runtime.workqueue import Key

from tests.operator.processes import operator, until
from tests.operator.world import ROLLOUT, World
from tests.unit.operator.hostile_rules import ENDLESS, HOSTILE


def policy(world, *expressions, name="house-rules", namespace="ns"):
    rules = [{"name": f"rule-{index}", "expression": text} for index, text in enumerate(expressions)]
    ref = Ref(MODEL_POLICY, namespace, name)
    world.objects.apply(ref, {"metadata": {"name": name}, "spec": {"rules": rules}}, "user")


def cluster_policy(world, name="prod", **spec):
    ref = Ref(CLUSTER_MODEL_POLICY, "", name)
    world.objects.apply(ref, {"metadata": {"name": name}, "spec": spec}, "admin")
    return ref


def label(world, namespace, **labels):
    world.objects.apply(
        Ref(NAMESPACE, "", namespace), {"metadata": {"name": namespace, "labels": labels}}, "admin"
    )


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


# --- what policies say of themselves ------------------------------------------------------------


def ready(world, ref):
    found = status(world, ref)
    conditions = {condition["type"]: condition for condition in found["conditions"]}
    assert ("Stalled" in conditions) == (conditions["Ready"]["status"] == "False")
    return conditions["Ready"]["status"], conditions["Ready"]["reason"], conditions["Ready"]["message"]


async def look(world, name, kind="ModelPolicy"):
    return await world.operator.reconcile(Key(kind, "ns" if kind == "ModelPolicy" else "", name))


HOUSE_RULES = Ref(MODEL_POLICY, "ns", "house-rules")


async def test_a_policy_says_whether_its_expressions_can_be_read(world: World):
    policy(world, "metrics.accuracy > 0.9", "metrics.f1 >", "metric.f1 > 0.5", "1 + 1")
    await look(world, "house-rules")
    found, reason, message = ready(world, HOUSE_RULES)
    assert (found, reason) == ("False", "InvalidExpression")
    assert message.count("is never met") == 3
    assert "spec.rules[1] rule-1 is never met: the expression cannot be read: line 1, column 13" in message
    assert status(world, HOUSE_RULES)["observedGeneration"] == 1
    policy(world, "metrics.accuracy > 0.9", "metrics.f1 > 0.5")
    assert await look(world, "house-rules") is None
    assert ready(world, HOUSE_RULES) == ("True", "PolicyAccepted", "every expression can be read (2)")
    version = world.objects.version
    await look(world, "house-rules")
    assert world.objects.version == version


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_policy_is_read_or_refused(world: World, name):
    policy(world, HOSTILE[name])
    await look(world, "house-rules")
    assert ready(world, HOUSE_RULES)[0] in ("True", "False")


async def test_a_cluster_policy_says_what_of_it_cannot_be_applied(world: World):
    ref = cluster_policy(
        world,
        allowedSources=["s3://team-a/", "s3://a/../b", "models:/team-"],
        rules=[{"name": "odd", "expression": "metrics >"}],
    )
    await look(world, "prod", "ClusterModelPolicy")
    found, reason, message = ready(world, ref)
    assert (found, reason) == ("False", "InvalidExpression")
    assert "spec.allowedSources[1] 's3://a/../b' can be read in more than one way" in message
    cluster_policy(world, allowedSources=["s3://a/../b"])
    await look(world, "prod", "ClusterModelPolicy")
    assert ready(world, ref)[1] == "InvalidSource"
    cluster_policy(world, requireCI=True)
    await look(world, "prod", "ClusterModelPolicy")
    assert ready(world, ref) == ("True", "PolicyAccepted", "there are no expressions to read")


async def test_a_policy_that_only_another_version_understands_says_so(world: World):
    ref = cluster_policy(world, requireMoon=True)
    await look(world, "prod", "ClusterModelPolicy")
    assert ready(world, ref)[1] == "InvalidSpec"


async def test_a_policy_that_is_gone_is_no_trouble(world: World):
    assert await look(world, "nowhere") is None


# --- policies that bind namespaces --------------------------------------------------------------


async def test_a_cluster_policy_binds_the_namespaces_that_it_selects(world: World):
    label(world, "ns", stage="production")
    cluster_policy(world, namespaceSelector={"matchLabels": {"stage": "production"}}, requireCI=True)
    cluster_policy(
        world, "other", namespaceSelector={"matchLabels": {"stage": "test"}}, allowedFormats=["none"]
    )
    world.deploy("v1")
    refused = await world.settle()
    assert (refused["phase"], refused["reason"]) == ("Failed", "ClusterPolicyViolated")
    assert "ClusterModelPolicy prod forbids revision" in refused["message"]
    assert "spec.ci is missing" in refused["message"]
    assert (world.service, world.runs.ids) == (None, [])
    assert world.condition("PoliciesMet")["status"] == "False"
    assert world.events().count("ClusterPolicyViolated") == 1
    label(world, "ns", stage="development")
    assert (await world.settle())["phase"] == "Promoted"


async def test_what_is_promoted_keeps_its_traffic_when_a_policy_comes(world: World):
    await world.promote("v1")
    service = world.service["spec"]
    cluster_policy(world, allowedFormats=["pytorch"])
    kept = await world.settle()
    assert (kept["phase"], world.service["spec"]) == ("Promoted", service)
    condition = world.condition("PoliciesMet")
    assert (condition["status"], condition["reason"]) == ("False", "ClusterPolicyViolated")
    assert world.events().count("ClusterPolicyViolated") == 1
    world.deploy("v2", **ROLLOUT)
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v1"
    assert world.status["phase"] == "Failed"


async def test_without_the_right_to_read_them_nothing_new_is_served(world: World):
    await world.promote("v1")
    denied = world.emulator.fail(
        403,
        resource="clustermodelpolicies",
        times=1000,
        message='clustermodelpolicies.mooring.dev is forbidden: User "x" cannot list resource',
    )
    world.deploy("v2", **ROLLOUT)
    await world.step()
    assert (world.status["phase"], world.status["reason"]) == ("Pending", "ClusterPoliciesUnreadable")
    assert "MOORING_CLUSTER_POLICIES=false" in world.status["message"]
    assert world.status["stable"]["modelUri"] == "s3://m/v1"
    assert world.runs.tested == ["s3://m/v1"]
    world.emulator.faults.remove(denied)
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"


# --- other tenants ------------------------------------------------------------------------------


@pytest.mark.usefixtures("surroundings_act")
async def test_the_operator_looks_again_when_policies_and_namespaces_change(world: World):
    label(world, "ns", stage="production")
    async with operator(world):
        world.deploy("v1")
        await until(lambda: world.phase == "Promoted", "v1 is promoted")
        ref = cluster_policy(
            world, namespaceSelector={"matchLabels": {"stage": "production"}}, requireCI=True
        )
        await until(lambda: world.condition("PoliciesMet").get("status") == "False", "the policy is noticed")
        await until(lambda: status(world, ref).get("observedGeneration") == 1, "the policy has a status")
        label(world, "ns", stage="development")
        await until(lambda: world.condition("PoliciesMet") == {}, "the namespace is free")
        label(world, "ns", stage="production")
        await until(lambda: world.condition("PoliciesMet").get("status") == "False", "it is bound again")
        world.objects.delete(ref)
        await until(lambda: world.condition("PoliciesMet") == {}, "the policy is gone")


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
        reacted = []
        for number in range(10):
            started = time.monotonic()
            ref = deploy(world, "quiet", f"quiet{number}", policies=["house-rules"] if number % 2 else [])
            await until(lambda ref=ref: "reason" in status(world, ref), f"{ref.name} is looked at")
            reacted.append(time.monotonic() - started)
            await until(
                lambda ref=ref: status(world, ref).get("phase") == "Promoted", f"{ref.name} is promoted"
            )
        # Most of them still wait, whatever the machine's speed: the quiet tenant has not waited for them. Nothing is
        # added to what a look takes (10 to 30 ms on two cores that have nothing else to do).
        assert refused(world) < 30, reacted
        assert sorted(reacted)[5] < 1, reacted
    ended = [
        entry["status"] for entry in world.objects.list(MODEL_DEPLOYMENT, "hostile") if "status" in entry
    ]
    assert {found["reason"] for found in ended} <= {"EvaluatingPolicies", "PolicyTooExpensive"}, ended


def refused(world):
    found = world.objects.list(MODEL_DEPLOYMENT, "hostile")
    return sum(entry.get("status", {}).get("reason") == "PolicyTooExpensive" for entry in found)
