"""A candidate's clock runs only while what it depends on is there."""

from datetime import timedelta

import pytest

from tests.unit.operator.planning.fleet import Fleet, promoted
from tests.unit.operator.planning.world import spec_of

AWAY = "its controller is away"
ROLLOUT = {"progressDeadline": "2m", "steps": [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]}


def begun(*, first: bool = False) -> Fleet:
    fleet = Fleet(spec_of("v2", rollout=ROLLOUT)) if first else promoted()
    fleet.startable = {"s3://m/v2": False}
    fleet.apply(spec_of("v2", rollout=ROLLOUT))
    fleet.step()
    return fleet


def passing(fleet: Fleet, seconds: int) -> None:
    for _ in range(seconds):
        fleet.step()
        fleet.now += timedelta(seconds=1)


@pytest.mark.parametrize("first", [True, False])
def test_nobody_is_rejected_while_a_controller_is_away(first):
    fleet = begun(first=first)
    passing(fleet, 60)
    fleet.away = AWAY
    passing(fleet, 3600)
    assert (fleet.status.reason, fleet.status.candidate is None) == ("Waiting", False)
    assert AWAY in fleet.status.message
    fleet.away = ""
    passing(fleet, 50)
    assert fleet.status.candidate is not None
    passing(fleet, 15)
    assert fleet.status.reason == "ProgressDeadlineExceeded"


def test_a_controller_that_goes_and_comes_stops_the_clock_only_while_it_is_away():
    fleet = begun()
    for _ in range(6):
        fleet.away = ""
        passing(fleet, 30)
        fleet.away = AWAY
        passing(fleet, 30)
    assert fleet.status.reason == "ProgressDeadlineExceeded"


def test_a_route_that_is_not_taken_up_is_waited_for():
    fleet = promoted()
    fleet.takes_up = False
    fleet.apply(spec_of("v2", rollout=ROLLOUT))
    passing(fleet, 3600)
    assert (fleet.status.phase, fleet.status.candidate.routed) == ("Canary", 0)
    fleet.takes_up = True
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("AwaitingApproval", {"v1": 50, "v2": 50})


def test_what_comes_back_goes_on_where_it_was():
    fleet = begun()
    fleet.away = AWAY
    passing(fleet, 600)
    fleet.away, fleet.startable = "", {}
    fleet.settle()
    assert fleet.status.phase == "AwaitingApproval"
    assert fleet.status.candidate.waiting_since is None
