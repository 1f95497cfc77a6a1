"""Revisions that were promoted once stay without pods, to go back to."""

from dataclasses import replace
from datetime import timedelta

import pytest
from mooring_operator.planning.rollout.actions import LaunchRun

from tests.unit.operator.planning.fleet import Fleet, promoted
from tests.unit.operator.planning.world import CI, spec_of

HALF = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
SLOW = [{"setWeight": 10}, {"pause": {"duration": "1h"}}, {"setWeight": 100}]


NEWEST = {**CI, "testData": {"uri": "s3://data/iris@latest"}}


def history(limit: int, *, steps: list[object] | None = None, ci: dict[str, object] | None = None) -> Fleet:
    """A fleet that has promoted v1, v2, v3 and v4, and waited."""
    fields = {"revisionHistoryLimit": limit, **({"ci": ci} if ci else {})}
    fleet = promoted("v1", **fields)
    for model in ("v2", "v3", "v4"):
        fleet.apply(spec_of(model, **fields))
        fleet.settle(limit=400)
    fleet.now += timedelta(minutes=5)
    fleet.step()
    fleet.apply(spec_of("v4", **fields, rollout={"steps": steps or SLOW}))
    fleet.settle()
    fleet.actions.clear()
    fleet.carried_out.clear()
    return fleet


@pytest.mark.parametrize(
    ("limit", "kept"), [(0, []), (1, ["v3"]), (2, ["v3", "v2"]), (10, ["v3", "v2", "v1"])]
)
def test_as_many_are_kept_as_the_spec_says_the_last_ones_and_without_pods(limit, kept):
    fleet = history(limit)
    assert [fleet.model_of(known.revision) for known in fleet.status.retained] == kept
    assert fleet.running() == {"v4": 1, **dict.fromkeys(kept, 0)}


@pytest.mark.parametrize("ci", [CI, NEWEST])
def test_a_spec_that_goes_back_to_a_kept_revision_skips_its_steps_and_its_test(ci):
    fleet = history(2, ci=ci)
    fleet.apply(spec_of("v2", ci=ci, rollout={"steps": SLOW}))
    for _ in range(5):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v2": 100})
    assert not [action for action in fleet.actions if isinstance(action, LaunchRun)]
    assert [fleet.model_of(known.revision) for known in fleet.status.retained] == ["v4", "v3"]


def test_it_is_tested_again_where_the_gates_have_changed():
    fleet = history(2, ci=CI)
    stricter = {**CI, "gates": [{"metric": "accuracy", "min": 0.99}]}
    fleet.good = {"s3://m/v2": False}
    fleet.apply(spec_of("v2", ci=stricter, rollout={"steps": SLOW}))
    fleet.settle()
    assert (fleet.status.reason, fleet.weights()) == ("CIFailed", {"v4": 100})


def test_an_approval_by_someone_else_is_not_skipped():
    steps = [{"setWeight": 10}, {"approve": {"by": "SomeoneElse"}}, {"setWeight": 100}]
    fleet = history(2, steps=steps)
    fleet.requested_by = "ann"
    fleet.apply(spec_of("v2", rollout={"steps": steps}))
    fleet.settle()
    assert fleet.status.phase == "AwaitingApproval"


def test_a_revision_that_no_history_keeps_goes_through_its_steps():
    fleet = history(1)
    fleet.apply(spec_of("v2", rollout={"steps": SLOW}))
    for _ in range(20):
        fleet.step()
    assert (fleet.status.reason, fleet.status.candidate.weight) == ("Pausing", 10)


def test_the_way_back_finds_the_pods_that_are_kept_for_the_delay():
    fleet = promoted(serving={"minReplicas": 3})
    fleet.apply(spec_of("v2", rollout={"scaleDownDelay": "10m"}, serving={"minReplicas": 3}))
    while fleet.status.stable.storage_uri != "s3://m/v2":
        fleet.step()
        fleet.now += timedelta(seconds=1)
    fleet.step()
    fleet.command("rollback")
    fleet.step()
    fleet.step()
    assert (fleet.weights(), fleet.running()["v1"]) == ({"v1": 100}, 3)


def test_going_back_by_command_brings_pods_first():
    fleet = promoted(serving={"minReplicas": 3})
    fleet.apply(spec_of("v2", serving={"minReplicas": 3}))
    fleet.settle()
    fleet.now += timedelta(minutes=5)
    fleet.step()
    assert fleet.running() == {"v1": 0, "v2": 3}
    fleet.carried_out.clear()
    fleet.command("rollback")
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("RolledBack", {"v1": 100})
    for routing, pods in fleet.carried_out:
        for arm in routing.arms:
            assert 100 * pods.get(arm.revision.revision, 0) >= arm.weight * 3


def test_a_rejected_revision_has_no_place_in_the_history():
    fleet = promoted()
    fleet.startable = {"s3://m/v2": False}
    fleet.apply(spec_of("v2", rollout={"progressDeadline": "1m"}))
    fleet.settle(limit=200)
    fleet.now += timedelta(minutes=5)
    fleet.step()
    assert fleet.status.phase == "RolledBack"
    assert fleet.status.retained == []
    assert fleet.running() == {"v1": 1}


def test_a_revision_that_is_superseded_leaves_through_nothing():
    fleet = promoted()
    steps = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
    fleet.apply(spec_of("v2", rollout={"steps": steps}))
    fleet.settle()
    fleet.apply(spec_of("v3", rollout={"steps": steps}))
    fleet.step()
    routing, _ = fleet.carried_out[-1]
    arms = [(fleet.model_of(arm.revision.revision), arm.weight) for arm in routing.arms]
    assert arms == [("v1", 100), ("v3", 0), ("v2", 0)]


def test_revisions_that_status_has_no_room_for_are_not_kept():
    wide = {"env": [{"name": f"V{i}", "value": "x" * 1000} for i in range(11)], "nodeSelector": {}}
    fields = {"revisionHistoryLimit": 10, "serving": wide}
    fleet = promoted("v0", **fields)
    for number in range(1, 20):
        fleet.apply(spec_of(f"v{number}", **fields))
        fleet.settle(limit=400)
    assert 5 < len(fleet.status.retained) <= 11
    assert len(fleet.status.model_dump_json()) < 300_000


@pytest.mark.parametrize("by_pods", [False, True])
def test_one_that_was_left_keeps_its_pods_until_the_router_sends_it_nothing(by_pods):
    fleet = promoted("v1", serving={"minReplicas": 2})
    fleet.router = replace(fleet.router, weighs_by_pods=by_pods)
    fleet.apply(spec_of("v2", serving={"minReplicas": 2}, rollout={"steps": HALF}))
    fleet.settle()
    assert fleet.weights() == {"v1": 50, "v2": 50}
    fleet.takes_up = False
    fleet.apply(spec_of("v1", serving={"minReplicas": 2}))
    for _ in range(30):
        fleet.step()
        fleet.now += timedelta(minutes=1)
    assert fleet.weights() == {"v1": 50, "v2": 50}
    assert fleet.running()["v2"], "half of the requests have nobody to answer them"
    fleet.takes_up = True
    fleet.settle()
    fleet.now += timedelta(minutes=1)
    fleet.settle()
    assert fleet.weights() == {"v1": 100}
    assert not fleet.running().get("v2")
