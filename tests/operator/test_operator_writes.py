"""What the operator writes, and that it writes nothing where nothing has changed."""

from collections import Counter

import pytest

from tests.operator.objects import merge
from tests.operator.world import DIGITS, ROLLOUT, SERVICE, World

STATUS = "modeldeployments/status"


@pytest.mark.parametrize("model", ["v1", "v2"])
async def test_every_status_write_of_a_rollout_says_something_new(world: World, model):
    if model == "v2":
        await world.promote("v1")
    begin = world.objects.version
    world.deploy(model, **ROLLOUT)
    await world.settle()
    written = [
        change.after["status"]
        for change in world.objects.changes
        if change.ref == DIGITS and change.version > begin and change.before and "status" in change.after
        if change.before.get("status") != change.after["status"]
    ]
    said = [(status["phase"], status["reason"], status["message"], status.get("ci")) for status in written]
    assert len(said) == len({repr(each) for each in said})
    assert len(written) == len(world.emulator.writes(STATUS))


async def test_a_rollout_writes_as_often_as_it_has_transitions(world: World):
    # With the first apply the creation counts as applied, which is a write more.
    await world.promote("v0")
    await world.promote("v1")
    world.emulator.calls.clear()
    world.deploy("v2", **ROLLOUT)
    await world.settle()
    writes = Counter(call.resource for call in world.emulator.writes())
    reasons = ["Testing", "SettingWeight", "Pausing", "SettingWeight", "Promoting", "Promoted"]
    assert world.events()[-len(reasons) :] == reasons
    assert writes == {STATUS: len(reasons), "inferenceservices": 3, "events": len(reasons)}


@pytest.mark.parametrize(
    "phase", ["Testing", "Deploying", "Canary", "AwaitingApproval", "Promoted", "Failed"]
)
async def test_a_second_look_at_the_same_state_writes_nothing(world: World, phase):
    if phase in ("Canary", "AwaitingApproval"):
        await world.promote("v1")
    world.ci.held = phase == "Testing"
    world.ci.good = lambda address: phase != "Failed"
    world.kserve.startable = lambda address: phase != "Deploying"
    approve = {"rollout": {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}}
    world.deploy("v2", **merge(ROLLOUT, approve if phase == "AwaitingApproval" else {}))
    await world.settle_in(phase)
    for _ in range(3):
        await world.step()
    world.emulator.calls.clear()
    before = world.objects.version
    assert world.phase == phase
    for _ in range(3):
        await world.step()
    assert world.emulator.writes() == []
    assert world.objects.version == before
    # One of them asks what administrators demand; while there is a candidate, one reads what is routed.
    assert len(world.emulator.calls) <= 3 * (6 if "candidate" in world.status else 5)


async def test_a_status_that_is_written_by_us_is_the_status_that_is_read(world: World):
    await world.promote("v1")
    await world.start()
    await world.step()
    assert world.emulator.writes() == []


async def test_a_change_by_somebody_else_is_put_right_with_one_call(world: World):
    await world.promote("v0")
    await world.promote("v1")
    world.objects.change(SERVICE, lambda before: merge(before, {"spec": {"predictor": {"minReplicas": 7}}}))
    await world.step()
    assert [(call.verb, call.resource) for call in world.emulator.writes()] == [
        ("patch", "inferenceservices")
    ]
    assert world.service["spec"]["predictor"]["minReplicas"] == 1


async def test_what_others_add_is_left_alone(world: World):
    await world.promote("v1")
    added = {"metadata": {"labels": {"team": "vision"}}, "spec": {"predictor": {"timeout": 60}}}
    world.objects.change(SERVICE, lambda before: merge(before, added))
    await world.step()
    assert world.emulator.writes() == []
    await world.promote("v2")
    assert world.service["spec"]["predictor"]["timeout"] == 60
    assert world.service["metadata"]["labels"]["team"] == "vision"
