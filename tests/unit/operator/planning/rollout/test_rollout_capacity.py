"""Capacity comes before traffic, and stays until traffic has gone for good."""

from datetime import timedelta

import pytest
from mooring_operator.planning.rollout.situation import Unresolved

from tests.unit.operator.planning.fleet import promoted
from tests.unit.operator.planning.world import World, spec_of

STEPS = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]


def rollout(**fields):
    return {"steps": STEPS, **fields}


def routes(fleet):
    """The weights and least pods of the arms that were asked for, each once."""
    seen = []
    for routing, _ in fleet.carried_out:
        entry = [(fleet.model_of(a.revision.revision), a.weight, a.pods) for a in routing.arms]
        if not seen or seen[-1] != entry:
            seen.append(entry)
    return seen


def test_a_candidate_enters_at_nothing_and_gets_as_much_as_its_pods_carry():
    fleet = promoted(serving={"minReplicas": 4})
    fleet.apply(spec_of("v2", rollout=rollout(), serving={"minReplicas": 4}))
    fleet.settle()
    assert routes(fleet)[:3] == [
        [("v1", 100, 4), ("v2", 0, 2)],
        [("v1", 75, 4), ("v2", 25, 2)],
        [("v1", 50, 4), ("v2", 50, 2)],
    ]
    assert fleet.status.phase == "AwaitingApproval"
    assert fleet.status.candidate.routed == 50


def test_the_pods_that_a_share_needs_are_those_that_stable_has_now():
    fleet = promoted(serving={"minReplicas": 1, "maxReplicas": 9})
    fleet.load = 8
    for _ in range(8):
        fleet.step()
    fleet.apply(spec_of("v2", rollout=rollout(), serving={"minReplicas": 1, "maxReplicas": 9}))
    fleet.settle()
    assert fleet.running() == {"v1": 8, "v2": 4}
    fleet.load = 1
    fleet.command("approve")
    fleet.settle()
    assert all(
        pods[fleet.status.stable.revision] == 8
        for r, pods in fleet.carried_out
        if r.arms[1:] and r.arms[1].weight == 100
    )
    assert fleet.status.phase == "Promoted"


def ask_for_what_the_router_cannot(fleet, serving):
    fleet.apply(spec_of("v2", rollout={"strategy": "Shadow"}, serving=serving))


def lose_sight_of_the_model(fleet, serving):
    fleet.model = Unresolved("ModelNotFound", "no version 7", temporary=True)


@pytest.mark.parametrize("settle", [ask_for_what_the_router_cannot, lose_sight_of_the_model])
def test_whatever_stops_a_rollout_its_candidate_has_the_pods_for_its_share(settle):
    serving = {"minReplicas": 1, "maxReplicas": 9}
    fleet = promoted(serving=serving)
    fleet.apply(spec_of("v2", rollout=rollout(), serving=serving))
    fleet.settle()
    assert (fleet.status.phase, fleet.running()) == ("AwaitingApproval", {"v1": 1, "v2": 1})
    settle(fleet, serving)
    fleet.step()
    assert fleet.status.phase != "AwaitingApproval"
    fleet.load = 8
    for _ in range(20):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    weight = fleet.weights().get("v2", 0)
    assert fleet.running().get("v2", 0) >= 8 * weight / 100


def test_stable_keeps_its_pods_until_its_traffic_has_been_gone_for_the_delay():
    fleet = promoted(serving={"minReplicas": 3})
    spec = spec_of("v2", rollout={"scaleDownDelay": "2m"}, serving={"minReplicas": 3})
    fleet.apply(spec)
    while not fleet.status.retained:
        fleet.step()
        fleet.now += timedelta(seconds=1)
    left = fleet.status.retained[0].left_at
    assert fleet.weights() == {"v2": 100}
    while fleet.now < left + timedelta(seconds=119):
        assert fleet.running() == {"v1": 3, "v2": 3}
        fleet.step()
        fleet.now += timedelta(seconds=1)
    fleet.now += timedelta(seconds=2)
    fleet.step()
    assert fleet.running() == {"v1": 0, "v2": 3}


def test_pods_that_cannot_be_had_hold_the_weight_and_end_the_rollout():
    fleet = promoted(serving={"minReplicas": 4})
    fleet.room = 5
    fleet.apply(spec_of("v2", rollout=rollout(progressDeadline="5m"), serving={"minReplicas": 4}))
    for _ in range(5):
        fleet.step()
    assert fleet.weights() == {"v1": 75, "v2": 25}
    assert "1 of 2 pods are ready" in fleet.status.message
    fleet.settle(limit=400)
    assert fleet.status.reason == "ProgressDeadlineExceeded"
    assert fleet.weights() == {"v1": 100}


def test_pods_that_are_lost_take_their_share_of_the_traffic_back():
    fleet = promoted(serving={"minReplicas": 4})
    fleet.apply(spec_of("v2", rollout=rollout(), serving={"minReplicas": 4}))
    fleet.settle()
    lost = fleet.status.candidate.revision
    fleet.pods[lost], fleet.room = 1, 5
    fleet.step()
    assert fleet.weights() == {"v1": 75, "v2": 25}
    fleet.pods[lost], fleet.room = 0, 4
    fleet.step()
    assert fleet.weights() == {"v1": 100}


@pytest.mark.parametrize("autoscaled", [False, True])
@pytest.mark.parametrize("surge", [1, "25%"])
def test_with_a_surge_there_are_never_more_pods_than_it_allows(surge, autoscaled):
    fleet = promoted(serving={"minReplicas": 4})
    fleet.autoscaled = autoscaled
    spec = spec_of("v2", rollout={"maxSurge": surge, "scaleDownDelay": "10s"}, serving={"minReplicas": 4})
    fleet.apply(spec)
    for _ in range(200):
        fleet.step()
        fleet.now += timedelta(seconds=1)
        assert sum(fleet.pods.values()) <= 5
        for routing, pods in fleet.carried_out:
            for arm in routing.arms:
                assert 100 * pods.get(arm.revision.revision, 0) >= arm.weight * 4
    assert (fleet.status.phase, fleet.running()) == ("Promoted", {"v1": 0, "v2": 4})


def test_with_a_surge_an_aborted_rollout_waits_for_stables_pods_before_it_takes_traffic_away():
    fleet = promoted(serving={"minReplicas": 4})
    fields = {
        "maxSurge": 1,
        "scaleDownDelay": "1s",
        "steps": [{"setWeight": 75}, {"approve": {}}, {"setWeight": 100}],
    }
    fleet.apply(spec_of("v2", rollout=fields, serving={"minReplicas": 4}))
    fleet.settle(limit=400)
    for _ in range(5):
        fleet.step()
        fleet.now += timedelta(seconds=2)
    assert fleet.running() == {"v1": 1, "v2": 3}
    fleet.carried_out.clear()
    fleet.command("abort")
    for _ in range(10):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    assert fleet.status.phase == "RolledBack"
    assert fleet.weights() == {"v1": 100}
    for routing, pods in fleet.carried_out:
        stable, *_ = routing.arms
        assert 100 * pods[stable.revision.revision] >= stable.weight * 4


def test_what_serves_no_more_is_left_at_once():
    fleet = promoted(serving={"minReplicas": 4})
    fleet.apply(spec_of("v2", serving={"minReplicas": 4}))
    fleet.settle()
    assert fleet.status.phase == "Promoted"
    fleet.startable = {"s3://m/v2": False}
    fleet.pods[fleet.status.stable.revision] = 0
    fleet.command("rollback")
    fleet.step()
    fleet.step()
    fleet.step()
    assert fleet.running()["v1"] < 4
    assert fleet.weights() == {"v1": 100}


def test_a_pod_that_scaling_adds_after_the_promotion_is_no_rollout():
    fleet = promoted(serving={"minReplicas": 2})
    fleet.load, fleet.room = 3, 2
    fleet.settle()
    assert fleet.status.phase == "Promoted"


def test_a_router_that_tells_no_pods_is_asked_for_none():
    world = World(spec_of("v1"))
    world.settle()
    world.apply(spec_of("v2", rollout=rollout()))
    world.settle()
    assert world.status.retained == []
    assert all(
        arm.pods is None
        for action in world.actions
        if hasattr(action, "routing")
        for arm in action.routing.arms
    )
