"""What holds a rollout up, until when, and what it never holds up: the way back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mooring_operator.api import ClusterModelPolicySpec
from mooring_operator.api.types import format_time
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.neighbours import Turn, turn_of
from mooring_operator.planning.rollout.situation import Resolved

from tests.unit.operator.planning import fleet as fleets
from tests.unit.operator.planning.world import CI, World, digest, spec_of

# World begins on Sunday 2026-03-01 12:00 UTC.
WEEKEND = {"start": "Fri 18:00", "end": "Mon 08:00", "timeZone": "Europe/Berlin"}
MONDAY = datetime(2026, 3, 2, 7, tzinfo=UTC)
STEPS = [{"setWeight": 10}, {"pause": {"duration": "1m"}}, {"setWeight": 100}]
STEPPED = {"rollout": {"steps": STEPS}}
FROZEN = {"rollout": {"steps": STEPS, "freeze": [WEEKEND]}}


def promoted(**fields: Any) -> World:
    world = World(spec_of("v1", **fields))
    world.settle()
    assert world.status.phase == "Promoted"
    return world


def shifting(**fields: Any) -> World:
    """v2 at 10% over v1, outside of any freeze."""
    world = promoted(**STEPPED)
    world.apply(spec_of("v2", **STEPPED))
    for _ in range(5):
        world.step()
    assert world.status.candidate is not None
    assert world.status.candidate.weight == 10
    return world


def freeze(world: World, *windows: dict[str, str]) -> None:
    """Edit the spec: from here on these windows hold."""
    rollout = {**world.spec.model_dump(mode="json", by_alias=True, exclude_none=True)["rollout"]}
    model = world.spec.model.uri.removeprefix("s3://m/")
    world.apply(spec_of(model, rollout={**rollout, "freeze": list(windows or [WEEKEND])}))


def rest(world: World) -> Decision:
    """Reconcile, a second at a time, until nothing changes any more."""
    for _ in range(100):
        before = world.status
        decision = world.step()
        if decision.status == before:
            return decision
        world.now += timedelta(seconds=1)
    raise AssertionError(world.status.message)


def conditions(world: World) -> dict[str, str]:
    return {one.type: one.status for one in world.status.conditions}


def told(world: World) -> list[str]:
    return [action.reason for action in world.actions if isinstance(action, Notify)]


# --- freezes ------------------------------------------------------------------------------------


def test_nothing_begins_in_a_freeze_and_it_goes_on_when_that_is_over():
    world = promoted()
    world.actions.clear()
    world.apply(spec_of("v2", **FROZEN, ci=CI))
    decision = rest(world)
    candidate = world.status.candidate
    assert (decision.phase, decision.reason) == ("Paused", "Frozen")
    assert candidate is not None
    assert (candidate.weight, candidate.runs) == (0, False)
    assert world.status.ci is not None
    assert world.status.ci.verdict == "Passed"  # a test changes nothing
    assert "frozen until Mon 2026-03-02 08:00 Europe/Berlin (spec.rollout.freeze[0])" in decision.message
    assert "keeps serving" in decision.message
    assert decision.recheck_after == (MONDAY - world.now).total_seconds()
    assert conditions(world)["Reconciling"] == "True"
    for _ in range(3):
        world.step()
    assert told(world).count("Frozen") == 1
    world.now = MONDAY - timedelta(seconds=1)
    assert world.step().recheck_after == 1
    assert world.status.candidate is not None
    assert not world.status.candidate.runs
    world.now = MONDAY
    world.settle(limit=200)
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v2"


def test_what_is_under_way_keeps_its_traffic_and_takes_no_further_step():
    world = shifting()
    freeze(world)
    for _ in range(30):
        decision = world.step()
        world.now += timedelta(minutes=10)
    assert (decision.phase, decision.reason) == ("Paused", "Frozen")
    assert world.status.candidate is not None
    assert world.status.candidate.weight == 10
    assert "stays at 10% of traffic: frozen until" in decision.message


def test_promoting_by_hand_waits_for_the_thaw():
    world = shifting()
    freeze(world)
    world.command("promote")
    decision = rest(world)
    assert decision.reason == "Frozen"
    assert "promote" in world.commands
    assert world.status.candidate is not None
    assert world.status.candidate.weight == 10
    world.now = MONDAY
    world.settle(limit=200)
    assert world.status.phase == "Promoted"


def test_a_revision_with_all_traffic_is_not_promoted_in_a_freeze():
    world = shifting()
    world.now += timedelta(minutes=2)
    while world.status.candidate is not None and world.status.candidate.step < 2:
        world.step()
    freeze(world)
    decision = rest(world)
    assert decision.reason == "Frozen"
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v1"


def test_approvals_are_taken_and_the_step_behind_them_waits():
    steps = [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]
    world = promoted()
    world.apply(spec_of("v2", rollout={"steps": steps}))
    rest(world)
    freeze(world)
    assert rest(world).reason == "AwaitingApproval"
    world.command("approve", by="bob")
    rest(world)
    for _ in range(3):
        world.now += timedelta(seconds=2)
        decision = world.step()
    assert decision.reason == "Frozen"
    assert world.status.candidate is not None
    assert world.status.candidate.approved_by == ["bob"]


@pytest.mark.parametrize("begun", [True, False])
def test_an_abort_is_carried_out_in_a_freeze(begun):
    world = shifting() if begun else promoted()
    if not begun:
        world.apply(spec_of("v2", **STEPPED))
    freeze(world)
    world.step()
    world.step()
    world.command("abort")
    decision = rest(world)
    assert decision.reason == "Aborted"
    assert world.status.candidate is None


def test_a_candidate_that_breaks_is_rolled_back_in_a_freeze():
    world = shifting()
    freeze(world)
    rest(world)
    world.startable = {"s3://m/v2": False}
    assert world.step().recheck_after is not None
    for _ in range(4):
        world.now += timedelta(minutes=4)
        world.step()
    assert world.status.reason == "ProgressDeadlineExceeded"
    assert world.status.phase == "RolledBack"


def test_a_rollback_is_carried_out_in_a_freeze():
    world = promoted()
    world.apply(spec_of("v2"))
    rest(world)
    freeze(world)
    world.command("rollback")
    rest(world)
    assert world.status.reason == "RollbackRequested"
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v1"


@pytest.mark.parametrize("kept", [True, False])
def test_a_spec_that_goes_back_is_a_rollback_too(kept):
    """By Git nobody gives a command."""
    fields: dict[str, Any] = {"revision_history_limit": 2 if kept else 0}
    world: World = fleets.promoted("v1", **fields) if kept else promoted(**fields)
    world.apply(spec_of("v2", **fields))
    world.settle(limit=200)
    requires = [{"name": "digits-staging"}]
    rollout = {
        "freeze": [WEEKEND],
        "notBefore": "2030-01-01T00:00:00Z",
        "requires": requires,
        "maxConcurrent": 1,
    }
    world.apply(spec_of("v1", rollout=rollout, **fields))
    world.settle(limit=200)
    assert world.status.stable is not None
    assert (world.status.stable.model_uri, world.status.phase) == ("s3://m/v1", "Promoted")


def test_a_first_revision_is_served_in_a_freeze():
    """A cluster that is built anew from Git has no service to protect."""
    world = World(spec_of("v1", **FROZEN))
    rest(world)
    assert world.status.phase == "Promoted"


def test_a_clusters_freeze_holds_whatever_the_spec_says():
    world = promoted()
    world.cluster_policies = {"year-end": ClusterModelPolicySpec.model_validate({"freeze": [WEEKEND]})}
    world.apply(spec_of("v2"))
    decision = rest(world)
    assert decision.reason == "Frozen"
    assert "(ClusterModelPolicy year-end, spec.freeze[0])" in decision.message
    world.cluster_policies = {}
    world.settle(limit=200)
    assert world.status.phase == "Promoted"


def test_windows_of_spec_and_policy_that_follow_each_other_are_one():
    world = promoted()
    monday = ClusterModelPolicySpec.model_validate({"freeze": [{"start": "2026-03-02", "end": "2026-03-03"}]})
    world.cluster_policies = {"audit": monday}
    world.apply(spec_of("v2", **FROZEN))
    assert "frozen until Wed 2026-03-04 00:00 UTC (ClusterModelPolicy audit" in rest(world).message


@pytest.mark.parametrize(
    ("windows", "says"),
    [
        ([{"start": "18:00", "end": "20:00", "timeZone": "Mars/Base"}], "spec.rollout.freeze[0].timeZone 'Mars/Base'"),
        ([{"start": "20:00", "end": "08:00"}, {"start": "08:00", "end": "20:00"}], "leave no time between them"),
    ],
)  # fmt: skip
def test_a_freeze_that_cannot_end_is_told_and_the_way_back_stays_open(windows, says):
    world = shifting()
    freeze(world, *windows)
    world.now += timedelta(minutes=2)
    decision = rest(world)
    assert (decision.phase, decision.reason) == ("Paused", "FreezeInvalid")
    assert says in decision.message
    assert conditions(world)["Stalled"] == "True"
    assert told(world).count("FreezeInvalid") == 1
    world.command("abort")
    rest(world)
    assert world.status.phase == "RolledBack"


@pytest.mark.parametrize("first", [True, False])
def test_windows_that_leave_no_time_are_told_before_anything_waits_for_them(first):
    windows = [{"start": "20:00", "end": "08:00"}, {"start": "08:00", "end": "20:00"}]
    world = World(spec_of("v1", rollout={"freeze": windows} if first else {}))
    world.settle()
    if not first:
        freeze(world, *windows)
        rest(world)
    assert (world.status.phase, conditions(world)["FreezesEnd"]) == ("Promoted", "False")
    [told_of] = [a for a in world.actions if isinstance(a, Notify) and a.reason == "FreezeInvalid"]
    assert told_of.type == "Warning"
    assert told_of.message.startswith("spec.rollout.freeze[1]: it and the other windows leave no time")
    freeze(world, windows[0])
    rest(world)
    assert "FreezesEnd" not in conditions(world)


def test_a_trial_ends_in_a_freeze_as_its_spec_says():
    for then, phase in (("RollBack", "RolledBack"), ("Promote", "Paused")):
        test = {"weight": 30, "duration": "1h", "then": then}
        fleet = fleets.promoted()
        rollout = {"strategy": "ABTest", "abTest": test}
        fleet.apply(spec_of("v2", rollout=rollout))
        fleet.router = replace(fleet.router, matches=True, sticks=True)
        while fleet.status.reason != "SideBySide":
            fleet.step()
            fleet.now += timedelta(seconds=1)
        freeze(fleet)
        fleet.now += timedelta(hours=2)
        rest(fleet)
        assert fleet.status.phase == phase, then


# --- notBefore ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_a_rollout_begins_at_its_time_to_the_second(first):
    world = World(spec_of("v1")) if first else promoted()
    model = "v1" if first else "v2"
    world.apply(spec_of(model, ci=CI, rollout={"notBefore": "2026-03-05T09:00:00+01:00"}))
    decision = rest(world)
    begins = datetime(2026, 3, 5, 8, tzinfo=UTC)
    assert (decision.phase, decision.reason) == ("Paused", "NotBefore")
    assert "begins at Thu 2026-03-05 08:00 UTC" in decision.message
    assert decision.recheck_after == (begins - world.now).total_seconds()
    assert world.launched  # tested before
    world.now = begins - timedelta(seconds=1)
    assert world.step().reason == "NotBefore"
    world.now = begins
    world.settle(limit=200)
    assert world.status.phase == "Promoted"


def test_a_time_that_is_set_under_way_stops_nothing():
    world = shifting()
    steps = world.spec.rollout.model_dump(mode="json", by_alias=True, exclude_none=True)["steps"]
    world.apply(spec_of("v2", rollout={"steps": steps, "notBefore": "2030-01-01T00:00:00Z"}))
    world.settle(limit=200)
    assert world.status.phase == "Promoted"


# --- requires -----------------------------------------------------------------------------------

STAGING = {"rollout": {"requires": [{"name": "digits", "namespace": "staging"}]}}


def test_a_model_is_promoted_where_it_was_promoted_elsewhere():
    world = promoted()
    world.apply(spec_of("v2", **STAGING))
    world.evidence = {("staging", "digits"): digest("s3://m/v1")}
    decision = rest(world)
    assert (decision.phase, decision.reason) == ("Pending", "RequirementUnmet")
    assert f"ModelDeployment staging/digits has not promoted {digest('s3://m/v2')}" in decision.message
    # An operator of some namespaces is not told when that changes.
    assert decision.recheck_after == 60
    assert conditions(world)["Reconciling"] == "True"
    world.evidence = {("staging", "digits"): digest("s3://m/v2")}
    world.settle(limit=200)
    assert world.status.phase == "Promoted"


def test_who_does_not_agree_might_as_well_not_exist():
    """Neither a name, nor a digest, can be found out by asking for it."""
    world = promoted()
    world.apply(spec_of("v2", **STAGING))
    message = rest(world).message
    assert (
        "staging/digits does not exist, or its annotation mooring.dev/evidence-for does not name namespace ns, "
        "or the operator may not read there" in message
    )


def test_evidence_that_can_never_come_is_told_at_once():
    for required, model, says in (
        ({"name": "digits"}, {}, "ns/digits is this one; name another"),
        ({"name": "other"}, None, "write spec.model.digest, or have spec.ci test it"),
    ):
        world = promoted()
        world.apply(spec_of("v2", rollout={"requires": [required]}))
        if model is None:
            world.model = Resolved("s3://m/v2", "etag-of-it")
        decision = rest(world)
        assert decision.reason == "RequirementUnmet"
        assert says in decision.message
        assert conditions(world)["Stalled"] == "True"


def test_what_has_begun_needs_no_evidence_any_more():
    world = shifting()
    world.apply(spec_of("v2", rollout={"steps": STEPS, **STAGING["rollout"]}))
    world.settle(limit=200)
    assert world.status.phase == "Promoted"


# --- maxConcurrent ------------------------------------------------------------------------------

ONE = {"rollout": {"maxConcurrent": 1}}


def test_it_waits_for_its_turn_and_says_behind_whom():
    world = promoted()
    world.apply(spec_of("v2", **ONE))
    world.others = (Turn("a", rolls=True), Turn("b", rolls=False, queued="2026-01-01T00:00:00Z"))
    world.step()
    world.now += timedelta(seconds=2)
    decision = world.step()
    assert (decision.phase, decision.reason) == ("Pending", "Queued")
    assert "behind a, b: spec.rollout.maxConcurrent is 1" in decision.message
    assert decision.recheck_after is None
    world.others = (Turn("b", rolls=False, queued="2027-01-01T00:00:00Z"),)
    world.settle(limit=200)
    assert world.status.phase == "Promoted"


def test_whoever_joins_the_queue_looks_around_before_it_begins():
    """Two that join at the same time see each other, and one of them goes first."""
    worlds = [promoted(), promoted()]
    for world in worlds:
        world.apply(spec_of("v2", **ONE))
        assert world.step().reason == "Queued"
    assert worlds[0].status.candidate is not None
    name, since = "digits", format_time(worlds[0].status.candidate.started_at)
    turns = Turn("a", rolls=False, queued=since), Turn(name, rolls=False, queued=since)
    assert turns[0].is_before(since, name)
    assert not turns[1].is_before(since, "a")
    worlds[0].others, worlds[1].others = (turns[0],), (Turn("z", rolls=False, queued=since),)
    for world in worlds:
        assert world.step().recheck_after == 2
        world.now += timedelta(seconds=2)
    assert [world.step().reason == "Queued" for world in worlds] == [True, False]


def test_a_pause_before_the_first_pod_costs_no_turn():
    """Only pods take one: it is asked for when they are about to start."""
    world = promoted()
    steps = [{"pause": {"duration": "1m"}}, {"setWeight": 100}]
    world.apply(spec_of("v2", rollout={"steps": steps, "maxConcurrent": 1}))
    for _ in range(4):
        assert world.step().reason == "Pausing"
    world.now += timedelta(minutes=1)
    assert world.step().reason == "Queued"
    world.now += timedelta(seconds=2)
    world.step()
    assert world.status.candidate is not None
    assert world.status.candidate.weight == 100


def test_one_that_stops_what_serves_first_begins_when_its_turn_has_come():
    """That it will is said a moment before it begins: it has its turn then, and others see so."""
    fleet = fleets.promoted()
    fleet.apply(spec_of("v2", rollout={"strategy": "Recreate", "maxConcurrent": 1}))
    assert fleet.step().reason == "Queued"
    fleet.now += timedelta(seconds=2)
    assert fleet.step().reason == "Recreating"
    status = fleet.status.model_dump(mode="json", by_alias=True)
    assert turn_of({"metadata": {"name": "digits"}, "status": status}) == Turn("digits", rolls=True)
    fleet.now += timedelta(seconds=1)
    fleet.step()
    assert fleet.status.candidate is not None
    assert fleet.status.candidate.runs
    assert fleet.settle(limit=200).phase == "Promoted"


def test_a_share_that_pods_cannot_make_waits_for_no_turn():
    fleet = fleets.promoted(serving={"minReplicas": 2})
    fleet.router = replace(fleet.router, weighs_by_pods=True)
    steps = [{"setWeight": 30}, {"setWeight": 100}]
    fleet.apply(spec_of("v2", serving={"minReplicas": 2}, rollout={"steps": steps, "maxConcurrent": 1}))
    for _ in range(5):
        decision = fleet.step()
        assert decision.reason == "UnsupportedByRouter"
        fleet.now += timedelta(seconds=3)
    assert decision.recheck_after is None


def test_another_strategy_that_is_written_in_a_freeze_moves_no_traffic():
    fleet = fleets.promoted()
    fleet.apply(spec_of("v2", rollout={"steps": [{"setReplicas": 1}, {"approve": {}}, {"setWeight": 100}]}))
    fleet.settle()
    assert fleet.running() == {"v1": 1, "v2": 1}
    fleet.apply(spec_of("v2", rollout={"strategy": "Recreate", "freeze": [WEEKEND]}))
    for _ in range(3):
        assert fleet.step().reason == "Frozen"
        assert fleet.weights() == {"v1": 100}
        assert fleet.running() == {"v1": 1, "v2": 1}


def test_no_check_is_begun_in_a_freeze_and_one_that_has_begun_is_finished():
    steps = [{"setWeight": 10}, {"job": {"image": "load"}}, {"setWeight": 100}]
    for begun in (True, False):
        fleet = fleets.promoted()
        fleet.finds = None
        fleet.apply(spec_of("v2", rollout={"steps": steps}))
        while fleet.status.candidate is None or fleet.status.candidate.weight < 10:
            fleet.step()
        if not begun:
            freeze(fleet)
        for _ in range(10):
            fleet.step()
            fleet.now += timedelta(seconds=1)
        assert fleet.status.candidate is not None
        assert (fleet.status.candidate.check is not None) == begun
        assert (fleet.status.reason == "Frozen") == (not begun)
        freeze(fleet)
        fleet.finds = "Fail"
        for _ in range(10):
            fleet.step()
            fleet.now += timedelta(seconds=1)
        assert (fleet.status.phase == "RolledBack") == begun
