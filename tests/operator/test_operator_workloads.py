"""spec.batch and spec.stream: their objects, as the operator makes, changes and removes them."""

from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import WORKLOADS

from tests.operator.world import DIGITS, World

JOB = Ref(WORKLOADS["batch"], "ns", "digits-batch")
CONSUMERS = Ref(WORKLOADS["stream"], "ns", "digits-stream")
BUDGET = Ref(WORKLOADS["disruption_budget"], "ns", "digits-disruption-budget")
BATCH = {"schedule": "0 3 * * *", "input": "s3://d/rows", "output": "s3://d/scores"}
STREAM = {"source": "redis://r/in", "sink": "redis://r/out"}
STEPS = {"rollout": {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}}
ASKED = {"batch": BATCH, "stream": STREAM, **STEPS}


def model_of(manifest):
    spec = manifest["spec"]
    template = (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]
    return template["spec"]["initContainers"][0]["args"][0]


async def test_they_follow_the_stable_revision(world: World):
    world.deploy("v1", **ASKED)
    await world.settle()
    assert [model_of(world.objects.get(ref)) for ref in (JOB, CONSUMERS)] == ["s3://m/v1"] * 2
    before = world.objects.get(JOB)["metadata"]["resourceVersion"]
    world.deploy("v2", **ASKED)
    await world.settle()
    assert world.phase == "AwaitingApproval"
    assert world.objects.get(JOB)["metadata"]["resourceVersion"] == before
    world.command("approve", world.status["candidate"]["revision"])
    await world.settle()
    assert world.phase == "Promoted"
    assert [model_of(world.objects.get(ref)) for ref in (JOB, CONSUMERS)] == ["s3://m/v2"] * 2
    assert world.status["batch"] == {"name": "digits-batch", "revision": world.status["stable"]["revision"]}


async def test_they_go_with_their_fields(world: World):
    world.deploy("v1", **ASKED)
    await world.settle()
    world.objects.change(
        DIGITS,
        lambda before: {
            **before,
            "spec": {
                name: value for name, value in before["spec"].items() if name not in ("batch", "stream")
            },
        },
    )
    await world.settle()
    assert world.objects.find(JOB) is None
    assert world.objects.find(CONSUMERS) is None
    assert "batch" not in world.status
    assert "stream" not in world.status


async def test_a_disruption_budget_changes_in_place(world: World):
    """It is no part of a revision: nothing is rolled out for it."""
    world.deploy("v1", serving={"podDisruptionBudget": {"maxUnavailable": "25%"}})
    await world.settle()
    before = world.status["stable"]["revision"]
    spec = world.objects.get(BUDGET)["spec"]
    assert spec["maxUnavailable"] == "25%"
    assert spec["selector"]["matchLabels"] == {
        "mooring.dev/model-deployment": "digits",
        "component": "predictor",
    }
    world.deploy("v1", serving={"podDisruptionBudget": {"minAvailable": 1}})
    await world.settle()
    assert world.objects.get(BUDGET)["spec"]["minAvailable"] == 1
    assert (world.phase, world.status["stable"]["revision"]) == ("Promoted", before)
    assert len(world.status["history"]) == 1
    world.deploy("v1")
    await world.settle()
    assert world.objects.find(BUDGET) is None
    assert "disruptionBudget" not in world.status


async def test_somebody_else_s_object_of_that_name_is_left_alone(world: World):
    world.objects.apply(
        JOB, {"metadata": {"name": "digits-batch"}, "spec": {"schedule": "1 1 1 1 1"}}, "somebody"
    )
    world.deploy("v1", batch=BATCH)
    await world.settle()
    assert world.phase == "Promoted"
    assert world.objects.get(JOB)["spec"] == {"schedule": "1 1 1 1 1"}
    condition = world.condition("BatchApplied")
    assert condition["reason"] == "NameTaken"
    assert condition["message"].startswith("CronJob digits-batch exists and was not made for this resource")
