"""Whatever a person asks for, an Event says who it was, and that once."""

from collections import Counter
from dataclasses import replace

import pytest
from mooring_operator.api.names import COMMANDS
from mooring_operator.planning.actions import Notify

from tests.unit.operator.planning.fleet import EACH, Fleet
from tests.unit.operator.planning.rollout.test_variants import b_and_c, begin, kept, of
from tests.unit.operator.planning.world import World, spec_of

WHO, WHY = "system:serviceaccount:team-a:dana", "it is late"
ELSE = {"approve": {"by": "SomeoneElse"}}


def rolling(*steps, strategy="Canary", by="alice", **rollout):
    """A fleet whose v2 has come as far as it comes by itself."""
    router = replace(EACH, mirrors=True, matches=True, previews=True, splits_many=True)
    asked = {"strategy": strategy, "steps": list(steps), **rollout}
    fleet = Fleet(spec_of("v1"), router=router)
    fleet.settle()
    fleet.requested_by = by
    fleet.apply(spec_of("v2", rollout=asked))
    fleet.settle()
    return fleet


def promoted():
    fleet = rolling({"setWeight": 100})
    assert fleet.status.phase == "Promoted"
    return fleet


def rejected():
    fleet = rolling({"setWeight": 50}, {"approve": {}}, {"setWeight": 100})
    fleet.command("abort", by="alice")
    fleet.settle()
    return fleet


def first():
    world = World(spec_of("v1"))
    world.settle()
    return world


def trial():
    fleet = kept()
    begin(fleet, b_and_c(fleet))
    return fleet


APPROVAL = ({"setWeight": 50}, {"approve": {}}, {"setWeight": 100})
ACTS = {
    "approve a step": (lambda: rolling(*APPROVAL), "Approved"),
    "approve a pause": (lambda: rolling({"setWeight": 50}, {"pause": {}}, {"setWeight": 100}), "Approved"),
    "approve a preview": (lambda: rolling({"setWeight": 100}, strategy="BlueGreen"), "Approved"),
    "approve a trial": (trial, "Approved"),
    "approve what someone else has to": (
        lambda: rolling({"setWeight": 50}, ELSE, {"setWeight": 100}, by=WHO), "ApprovalRefused",
    ),
    "approve what nobody has asked for": (
        lambda: rolling({"setWeight": 50}, ELSE, {"setWeight": 100}, by=""), "ApprovalRefused",
    ),
    "promote at a step": (lambda: rolling(*APPROVAL), "PromotionRequested"),
    "promote past a preview": (
        lambda: rolling({"setWeight": 100}, strategy="BlueGreen"), "PromotionRequested",
    ),
    "promote past copies": (
        lambda: rolling({"setWeight": 100}, strategy="Shadow", shadow={"percent": 10}), "PromotionRequested",
    ),
    "promote in a trial": (trial, "PromotionRequested"),
    "promote what someone else has to approve": (
        lambda: rolling({"setWeight": 50}, ELSE, {"setWeight": 100}, by=WHO), "ApprovalRefused",
    ),
    "abort at a step": (lambda: rolling(*APPROVAL), "Aborted"),
    "abort a preview": (lambda: rolling({"setWeight": 100}, strategy="BlueGreen"), "Aborted"),
    "retry": (rejected, "RetryRequested"),
    "rollback": (promoted, "RollbackRequested"),
    "rollback with nothing before": (first, "NothingToRollBackTo"),
    "pause": (lambda: rolling(*APPROVAL), "PausedByCommand"),
}  # fmt: skip


GOES_FORWARD = ("Approved", "PromotionRequested", "RetryRequested", "PausedByCommand")


def told(world):
    """The Events that name the person, by reason."""
    return [a for a in world.actions if isinstance(a, Notify) and WHO in a.message]


def test_every_command_is_among_these():
    assert {act.partition(" ")[0] for act in ACTS} == set(COMMANDS)


@pytest.mark.parametrize(("start", "reason"), ACTS.values(), ids=ACTS)
def test_an_act_is_told_once_with_who_asked_for_it(request, start, reason):
    world = start()
    world.actions.clear()
    world.command(request.node.callspec.id.partition(" ")[0], WHY, by=WHO)
    # It is looked at many times, some of them from what was written.
    for _ in range(3):
        world.settle(limit=200)
    reasons = Counter(notice.reason for notice in told(world))
    # That it goes back is told when it begins as well as when it is done.
    assert reasons - Counter(["RollingBack"]) == Counter([reason])
    [notice] = [notice for notice in told(world) if notice.reason == reason]
    assert (WHY in notice.message) == (reason not in ("ApprovalRefused", "NothingToRollBackTo"))
    assert (notice.type == "Normal") == (reason in GOES_FORWARD)


@pytest.mark.parametrize(
    ("decision", "reason"), [("v3", "Aborted"), ("v1", "RollbackRequested")], ids=["stable", "a variant"]
)
def test_who_has_another_arm_win_is_told(decision, reason):
    fleet = trial()
    fleet.actions.clear()
    fleet.commands["promote"], fleet.askers["promote"] = f"{of(fleet, decision)} {WHY}", WHO
    fleet.settle(limit=200)
    assert Counter(n.reason for n in told(fleet)) - Counter(["RollingBack"]) == Counter([reason])
    assert all(WHY in notice.message for notice in told(fleet))


def test_nobody_is_named_where_nobody_is_known():
    fleet = rolling({"setWeight": 100}, strategy="BlueGreen")
    fleet.actions.clear()
    fleet.command("promote")
    fleet.settle()
    [notice] = [a for a in fleet.actions if isinstance(a, Notify) and a.reason == "PromotionRequested"]
    assert notice.message == (
        f"revision {fleet.status.stable.revision} takes over without the steps that are left: asked for"
    )


def test_a_spec_that_goes_back_is_nobodys_promotion():
    fleet = promoted()
    fleet.actions.clear()
    fleet.apply(spec_of("v1", rollout={"steps": list(APPROVAL)}))
    fleet.settle()
    assert fleet.status.phase == "Promoted"
    assert [a for a in fleet.actions if isinstance(a, Notify) and a.reason == "PromotionRequested"] == []


def test_who_pauses_what_another_has_paused_is_told_too():
    fleet = rolling(*APPROVAL)
    fleet.command("pause", by="erin")
    fleet.settle()
    fleet.actions.clear()
    fleet.command("pause", by=WHO)
    fleet.settle()
    fleet.settle()
    assert [notice.reason for notice in told(fleet)] == ["PausedByCommand"]


def test_who_approves_what_another_has_just_approved_is_told_too():
    fleet = rolling({"setWeight": 50}, {"approve": {}}, {"approve": {}}, {"setWeight": 100})
    fleet.actions.clear()
    fleet.command("approve", by="erin")
    fleet.step()
    fleet.command("approve", "as well", by=WHO)
    fleet.settle()
    approvals = [a for a in fleet.actions if isinstance(a, Notify) and a.reason == "Approved"]
    assert [WHO in notice.message for notice in approvals] == [False, True]


def test_a_promotion_that_a_freeze_holds_is_told_when_it_is_carried_out():
    fleet = rolling(*APPROVAL)
    fleet.actions.clear()
    window = {"start": "2026-03-01T00:00", "end": "2026-03-02T00:00"}
    fleet.apply(spec_of("v2", rollout={"steps": list(APPROVAL), "freeze": [window]}))
    fleet.command("promote", by=WHO)
    for _ in range(3):
        fleet.step()
    assert (fleet.status.reason, told(fleet)) == ("Frozen", [])
    fleet.apply(spec_of("v2", rollout={"steps": list(APPROVAL)}))
    fleet.settle()
    assert [notice.reason for notice in told(fleet)] == ["PromotionRequested"]
