"""The audit trail of rollouts: every decision once, whatever fails, with who asked and what it rests on."""

import re
import shutil
from datetime import timedelta

import pytest
from mooring_artifacts.audit.records import check_chain, parse_record
from mooring_artifacts.audit.trail import read_chain
from mooring_operator.adapters.audit import AuditUnavailable, StoredAudit
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import MODEL_POLICY
from mooring_operator.runtime.workqueue import Key

from tests.operator.faults import CLOSE, LOSE_ANSWER
from tests.operator.objects import merge
from tests.operator.world import DIGITS, ROLLOUT, STEPS, Crash, World

APPROVED = [*STEPS[:1], {"approve": {"message": "look"}}, *STEPS[2:]]


@pytest.fixture
async def root(world: World):
    (world.folder / "audit").mkdir()
    root = (world.folder / "audit").as_uri()
    world.audit = lambda: StoredAudit(root)
    await world.start()
    return root


def recorded(root, *fields):
    found = [parse_record(content) for _, content in read_chain(root, "ns")]
    assert check_chain(read_chain(root, "ns")) == []
    return [tuple(getattr(record, field) for field in fields) for record in found]


async def test_a_rollout_is_recorded_with_who_let_it_go_on_and_what_it_rests_on(world: World, root):
    await world.promote("v1", ci=ROLLOUT["ci"], rollout={"steps": APPROVED})
    world.deploy("v2", ci=ROLLOUT["ci"], rollout={"steps": APPROVED})
    await world.settle()
    world.command("approve", world.status["candidate"]["revision"] + "/1")
    await world.settle()
    told = [action for (action,) in recorded(root, "action")]
    # What people are told by Events is what is recorded.
    assert told == world.events()
    records = recorded(root, "action", "actor", "revision", "model", "verdict")
    assert [actor for action, actor, *_ in records if actor != "mooring"] == ["alice"]
    promoted = records[-1]
    assert promoted == (promoted[0], promoted[1], world.status["stable"]["revision"], "s3://m/v2", "Passed")
    ran = [run for (run,) in recorded(root, "run_id") if run]
    assert set(ran) == set(world.runs.ids)


@pytest.mark.parametrize(
    ("command", "told"),
    [("abort", "Aborted"), ("promote", "PromotionRequested"), ("pause", "PausedByCommand")],
)
async def test_whoever_gives_a_command_is_recorded_with_it(world: World, root, command, told):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.command(command, world.status["candidate"]["revision"])
    world.now += timedelta(minutes=1)
    for _ in range(3):
        await world.step()
    # What follows from it is the operator's own doing.
    assert {action for action, actor in recorded(root, "action", "actor") if actor == "alice"} == {told}


async def test_whoever_has_a_revision_tried_again_or_left_is_recorded(world: World, root):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.command("abort", world.status["candidate"]["revision"], by="bob")
    await world.settle()
    world.command("retry", world.status["failedRevision"])
    await world.settle()
    world.command("rollback", world.status["stable"]["revision"], by="carol")
    await world.settle()
    named = [each for each in recorded(root, "action", "actor") if each[1] != "mooring"]
    assert named == [
        ("Aborted", "bob"),
        ("RetryRequested", "alice"),
        ("RollingBack", "carol"),
        ("RollbackRequested", "carol"),
    ]


async def test_a_command_that_fits_nothing_is_not_taken_for_who_decided(world: World, root):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.command("approve", "0000000000")
    world.kserve.startable = lambda address: address != "s3://m/v2"
    await world.settle()
    assert world.phase == "RolledBack"
    assert {actor for (actor,) in recorded(root, "actor")} == {"mooring"}


@pytest.mark.parametrize("outcome", ["promoted", "tests fail"])
async def test_every_decision_is_recorded_once_wherever_the_process_ends(world: World, root, outcome):
    await world.promote("v1")
    saved, runs, trail = world.objects.save(), world.runs.ids, world.folder / "audit"
    shutil.copytree(trail, world.folder / "trail of v1")
    world.ci.good = lambda address: outcome == "promoted"
    expected, position = None, None
    while True:
        world.objects.restore(saved)
        for run in set(world.runs.ids) - set(runs):
            (world.folder / "runs" / f"{run}.json").unlink()
        shutil.rmtree(trail)
        shutil.copytree(world.folder / "trail of v1", trail)
        await world.start(crash_after=position)
        world.deploy("v2", **ROLLOUT)
        try:
            await world.settle()
        except Crash:
            await world.start()
            await world.settle()
        else:
            if expected is not None:
                break
        found = recorded(root, "action", "message", "revision")
        assert len(found) == len(set(found)), found
        # While it was away more may have happened that it tells of.
        told, expected = [action for action, *_ in found], expected or [action for action, *_ in found]
        assert [action for action in told if action in expected] == expected
        position = 0 if position is None else position + 1
    assert position >= 4
    assert expected[-1] == ("Promoted" if outcome == "promoted" else "CIFailed")


@pytest.mark.parametrize("how", [409, 500, CLOSE, LOSE_ANSWER], ids=str)
async def test_every_decision_is_recorded_once_whichever_call_fails(world: World, root, how):
    await world.promote("v1")
    before = len(recorded(root, "action"))
    for position in range(0, 30, 3):
        world.emulator.fail(how, after=position)
        world.deploy(f"v{position + 2}", **ROLLOUT)
        await world.settle()
        world.emulator.faults.clear()
        told = recorded(root, "action", "message")[before:]
        assert len(told) == len(set(told)), told
        assert told[-1][0] == "Promoted"
        before += len(told)


async def test_nothing_goes_forward_while_it_cannot_be_recorded(world: World, root):
    await world.promote("v1")
    trail = world.folder / "audit"
    trail.rename(world.folder / "away")
    trail.write_text("no folder")
    world.deploy("v2", **ROLLOUT)
    with pytest.raises(AuditUnavailable):
        await world.settle()
    status = world.status
    assert (status["reason"], status["phase"], "candidate" in status) == (
        "AuditUnavailable",
        "Promoted",
        False,
    )
    assert world.runs.tested == ["s3://m/v1"]
    assert world.events()[-1] == "AuditUnavailable"
    trail.unlink()
    (world.folder / "away").rename(trail)
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"


async def test_going_back_waits_for_no_store(world: World, root):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    trail = world.folder / "audit"
    trail.rename(world.folder / "away")
    trail.write_text("no folder")
    world.command("abort", world.status["candidate"]["revision"])
    await world.settle_in("RolledBack")
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"
    trail.unlink()
    (world.folder / "away").rename(trail)
    world.objects.change(DIGITS, lambda before: merge(before, {"spec": {"model": {"uri": "s3://m/v3"}}}))
    await world.settle()
    told = recorded(root, "action", "actor")
    assert [actor for _, actor in told if actor != "mooring"] == ["alice"]
    assert told.index(next(each for each in told if each[1] == "alice")) < len(told) - 1


async def test_what_a_monitor_found_is_recorded(world: World, root):
    await world.promote("v1")
    world.monitor()
    await world.check_drift()
    assert (world.drift["reason"],) in recorded(root, "action")


async def test_what_a_monitor_finds_once_more_is_recorded_once_more(world: World, root):
    await world.promote("v1")
    for suspend in (True, False, True):
        world.monitor(suspend=suspend)
        await world.look_at_drift()
        world.now += timedelta(hours=2)
        await world.check_drift()
    assert [action for (action,) in recorded(root, "action")].count("Suspended") == 2
    assert [reason for reason in world.events("traffic") if reason == "Suspended"] == ["Suspended"] * 2


async def test_a_policy_is_recorded_when_it_is_set_and_when_it_is_changed(world: World, root):
    policy = Ref(MODEL_POLICY, "ns", "strict")
    for least in (0.9, 0.9, 0.95):
        rules = [{"name": "accurate", "expression": f"metrics.accuracy >= {least}", "message": "too low"}]
        world.objects.apply(policy, {"metadata": {"name": "strict"}, "spec": {"rules": rules}}, "user")
        while await world.operator.reconcile(Key("ModelPolicy", "ns", "strict")):
            pass
    first, second = recorded(root, "action", "message")
    assert first[0] == second[0] == "RulesSet"
    assert first[1] != second[1]
    assert re.search(r"its spec is sha256:[0-9a-f]{64}$", first[1])
