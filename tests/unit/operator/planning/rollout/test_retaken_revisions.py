"""A revision that is being left, or kept, and comes back: nothing of it goes before it runs again."""

from datetime import timedelta

from tests.unit.operator.planning.fleet import Fleet, promoted
from tests.unit.operator.planning.world import CI, spec_of

SERVING = {"minReplicas": 4}
SURGE = {
    "steps": [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}],
    "maxSurge": 1,
    "scaleDownDelay": "2s",
}


def at_half() -> Fleet:
    """Half of the traffic is at v2, and v1 has left the pods for it; then there is no room any more."""
    fleet = promoted(serving=SERVING)
    fleet.apply(spec_of("v2", serving=SERVING, rollout=SURGE))
    fleet.settle(limit=200)
    for _ in range(8):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    assert fleet.running() == {"v1": 2, "v2": 2}
    fleet.room = 4
    return fleet


def test_what_is_aborted_and_asked_for_again_keeps_its_traffic_while_it_is_tested():
    fleet = at_half()
    fleet.command("abort")
    fleet.step()
    assert fleet.weights() == {"v1": 50, "v2": 50}
    fleet.good = {"s3://m/v2": True}
    fleet.apply(spec_of("v2", serving=SERVING, rollout=SURGE, ci=CI))
    fleet.command("retry")
    fleet.step()
    assert (fleet.status.phase, fleet.weights()) == ("Testing", {"v1": 50, "v2": 50})


def test_what_is_kept_stays_while_it_waits_to_run():
    fleet = promoted(revisionHistoryLimit=1)
    fleet.apply(spec_of("v2", revisionHistoryLimit=1))
    fleet.settle(limit=200)
    fleet.apply(spec_of("v1", revisionHistoryLimit=1, ci=CI))
    fleet.step()
    assert fleet.status.phase == "Testing"
    assert fleet.running() == {"v2": 1, "v1": 0}


def test_pods_that_are_too_few_on_both_sides_share_the_traffic_alike():
    fleet = at_half()
    fleet.command("approve")
    for _ in range(3):
        fleet.step()
    fleet.kill("stable", 1)
    fleet.kill("candidate", 1)
    fleet.room = 2
    fleet.command("abort")
    fleet.step()
    assert fleet.running() == {"v1": 1, "v2": 1}
    assert fleet.weights() == {"v1": 50, "v2": 50}
    fleet.kill("leaving", 1)
    fleet.step()
    assert fleet.weights() == {"v1": 100}
