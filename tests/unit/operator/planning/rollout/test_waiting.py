"""A candidate's clock runs only while what it depends on is there."""

from dataclasses import replace
from datetime import timedelta

import pytest
from mooring_operator.planning.actions import Notify

from tests.unit.operator.planning.fleet import EACH, Fleet, promoted
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


def test_what_a_candidate_had_last_is_told_while_no_gateway_says_what_it_does():
    fleet = promoted()
    steps = [{"setWeight": 20}, {"approve": {}}, *ROLLOUT["steps"]]
    fleet.apply(spec_of("v2", rollout={**ROLLOUT, "steps": steps}))
    fleet.settle()
    fleet.takes_up = False
    fleet.command("approve")
    passing(fleet, 60)
    candidate = fleet.status.candidate
    assert (candidate.weight, candidate.routed) == (50, 20)
    fleet.takes_up = True
    fleet.settle()
    assert fleet.status.candidate.routed == 50


def test_what_comes_back_goes_on_where_it_was():
    fleet = begun()
    fleet.away = AWAY
    passing(fleet, 600)
    fleet.away, fleet.startable = "", {}
    fleet.settle()
    assert fleet.status.phase == "AwaitingApproval"
    assert fleet.status.candidate.waiting_since is None


class Doors(Fleet):
    """A fleet whose traffic goes through a door that may be another one than the spec asks for."""

    problem = ""
    lagging = False
    shared = False
    """Whether the route names a revision that has lost its traffic."""

    def _service(self):
        service = super()._service()
        if service is not None and self.shared:
            service = replace(service, shared=True)
        if service is None or not self.problem:
            return service
        unseen = {name: replace(variant, weight=0) for name, variant in service.variants.items()}
        return replace(service, variants=unseen, problem=self.problem, lagging=self.lagging)


def behind_a_door(strategy="Canary", **rollout):
    doors = Doors(spec_of("v1"), router=replace(EACH, mirrors=True, previews=True))
    passing(doors, 30)
    asked = {**ROLLOUT, "strategy": strategy, **rollout}
    doors.apply(spec_of("v2", rollout=asked))
    doors.settle()
    return doors


CLOSED = "no listener of Gateway gateways/second takes digits.ns"
GOING_ON = {
    "approve": ("Canary", {}, {"v1": 50, "v2": 50}),
    "promote": ("Canary", {}, {"v1": 50, "v2": 50}),
    "approve a preview": ("BlueGreen", {"steps": [{"setWeight": 100}]}, {"v1": 100}),
    "approve copies": (
        "Shadow",
        {"steps": [{"setWeight": 100}], "shadow": {"percent": 10}},
        {"v1": 100},
    ),
}


@pytest.mark.parametrize(("strategy", "rollout", "weights"), GOING_ON.values(), ids=GOING_ON)
def test_no_more_is_given_while_nobody_can_tell_what_is_in_effect(request, strategy, rollout, weights):
    doors = behind_a_door(strategy, **rollout)
    assert doors.weights() == weights
    doors.problem = CLOSED
    command = request.node.callspec.id.partition(" ")[0]
    doors.commands[command] = doors.status.candidate.revision
    passing(doors, 600)
    assert doors.weights() == weights
    assert doors.status.reason == "Waiting"
    assert CLOSED in doors.status.message
    doors.problem = ""
    doors.settle()
    assert (doors.status.phase, doors.weights()) == ("Promoted", {"v2": 100})


@pytest.mark.parametrize("lagging", [False, True], ids=["refused", "taken up late"])
@pytest.mark.parametrize(("strategy", "rollout", "weights"), GOING_ON.values(), ids=GOING_ON)
def test_one_cause_is_one_event_whatever_waits_for_it(request, strategy, rollout, weights, lagging):
    doors = behind_a_door(strategy, **rollout)
    doors.actions.clear()
    doors.problem, doors.lagging = CLOSED, lagging
    doors.commands[request.node.callspec.id.partition(" ")[0].rpartition("-")[2]] = (
        doors.status.candidate.revision
    )
    passing(doors, 600)
    notices = [a.reason for a in doors.actions if isinstance(a, Notify) and CLOSED in a.message]
    # What is taken up in a moment, as a rule, was not said to be in the way.
    assert [reason for reason in notices if reason != "SettingWeight"] == ["RouterNotReady"]
    assert CLOSED in doors.status.message


def told_of_the_way(doors):
    return [
        a.reason
        for a in doors.actions
        if isinstance(a, Notify) and a.reason in ("RouterNotReady", "RouterRecovered", "Waiting")
    ]


def router_ready(doors):
    return next(known.status for known in doors.status.conditions if known.type == "RouterReady")


def test_a_change_that_is_taken_up_in_a_moment_is_no_event():
    doors = behind_a_door()
    doors.problem, doors.lagging = CLOSED, True
    doors.commands["approve"] = doors.status.candidate.revision
    passing(doors, 8)
    assert (router_ready(doors), doors.weights()) == ("Unknown", {"v1": 50, "v2": 50})
    assert CLOSED in doors.status.message
    assert doors.status.candidate.waiting_since is None
    doors.problem, doors.lagging = "", False
    doors.settle()
    assert (router_ready(doors), doors.status.phase) == ("True", "Promoted")
    assert told_of_the_way(doors) == []


def told(fleet):
    return [a.reason for a in fleet.actions if isinstance(a, Notify)]


def test_the_moment_in_which_a_promotion_is_taken_up_is_no_event():
    doors = behind_a_door()
    doors.commands["promote"] = doors.status.candidate.revision
    while doors.status.candidate is not None:
        passing(doors, 1)
    doors.actions.clear()
    doors.problem, doors.lagging, doors.shared = CLOSED, True, True
    passing(doors, 2)
    stable = doors.status.stable.revision
    assert (doors.status.phase, doors.status.reason) == ("Promoting", "Promoting")
    assert doors.status.message == f"revision {stable} is taking over: {CLOSED}"
    doors.problem, doors.lagging = "", False
    passing(doors, 2)
    # What is at hand keeps nobody waiting, nor does that it leaves.
    assert (router_ready(doors), doors.status.phase) == ("True", "Promoted")
    assert "serves all traffic; the one before it is at hand until" in doors.status.message
    passing(doors, 60)
    assert "at hand" not in doors.status.message
    doors.problem, doors.lagging, doors.shared = CLOSED, True, False
    passing(doors, 2)
    doors.problem, doors.lagging = "", False
    passing(doors, 2)
    assert (router_ready(doors), doors.status.phase) == ("True", "Promoted")
    assert told(doors) == ["Promoted"]


def test_a_promoted_revision_that_loses_its_pods_is_said_not_to_serve():
    doors = behind_a_door()
    doors.commands["promote"] = doors.status.candidate.revision
    while doors.status.candidate is not None:
        passing(doors, 1)
    doors.startable, doors.shared = {"s3://m/v2": False}, True
    doors.kill("stable", 9)
    passing(doors, 1)
    assert (doors.status.phase, doors.status.reason) == ("Promoting", "ServiceNotReady")
    assert doors.status.message.endswith("to serve all traffic: CrashLoopBackOff")


@pytest.mark.parametrize("going", ["forward", "back"])
def test_a_controller_that_answers_in_a_moment_is_no_event(going):
    """It has to, after every change: Kubernetes takes up a Deployment that is scaled in some milliseconds."""
    fleet = promoted()
    fleet.apply(spec_of("v2", rollout={"scaleDownDelay": "1s", "steps": [{"setWeight": 100}]}))
    if going == "back":
        fleet.settle()
        passing(fleet, 10)
        fleet.commands["rollback"] = fleet.status.stable.revision
    fleet.actions.clear()
    fleet.step()
    fleet.away = AWAY
    passing(fleet, 9)
    assert fleet.status.candidate.waiting_since is not None
    fleet.away = ""
    passing(fleet, 60)
    assert told(fleet) == {"forward": ["SettingWeight", "Promoting", "Promoted"]}.get(
        going, ["RollingBack", "RollbackRequested"]
    )


def test_a_controller_that_stays_away_is_told_once_a_moment_has_passed():
    fleet = begun()
    fleet.actions.clear()
    fleet.away = AWAY
    passing(fleet, 10)
    assert "Waiting" not in told(fleet)
    passing(fleet, 60)
    assert told(fleet) == ["Waiting"]
    assert AWAY in fleet.status.message


def test_a_change_that_is_not_taken_up_for_long_is_told_once_and_its_end_too():
    doors = behind_a_door()
    doors.problem, doors.lagging = CLOSED, True
    doors.commands["approve"] = doors.status.candidate.revision
    passing(doors, 120)
    assert (router_ready(doors), doors.status.reason) == ("False", "Waiting")
    assert doors.status.candidate.waiting_since is not None
    assert told_of_the_way(doors).count("RouterNotReady") == 1
    doors.problem, doors.lagging = "", False
    doors.settle()
    assert (router_ready(doors), doors.status.phase) == ("True", "Promoted")
    assert told_of_the_way(doors).count("RouterRecovered") == 1


def test_a_gateway_that_turns_down_what_was_changed_is_told_at_once():
    doors = behind_a_door()
    doors.problem = CLOSED
    passing(doors, 1)
    assert router_ready(doors) == "False"
    assert "RouterNotReady" in told_of_the_way(doors)


def test_what_goes_back_is_held_by_no_door():
    doors = behind_a_door()
    doors.problem = CLOSED
    doors.apply(spec_of("v1", rollout=ROLLOUT))
    passing(doors, 5)
    assert doors.weights() == {"v1": 100}


@pytest.mark.parametrize("stage", [{"approve": {}}, {"pause": {}}, {"pause": {"duration": "1h"}}])
def test_what_a_candidate_has_lost_is_told_where_it_stays(stage):
    steps = [{"setWeight": 50}, stage, {"setWeight": 100}]
    fleet = promoted(serving={"minReplicas": 2})
    fleet.apply(spec_of("v2", serving={"minReplicas": 2}, rollout={**ROLLOUT, "steps": steps}))
    passing(fleet, 20)
    assert "50% of traffic" in fleet.status.message
    assert "in effect" not in fleet.status.message
    fleet.startable = {"s3://m/v2": False}
    fleet.kill("candidate", 9)
    passing(fleet, 5)
    assert fleet.status.candidate.routed == 0
    said = fleet.status.message
    assert said.endswith("; that is not in effect now: waiting for it to become ready: CrashLoopBackOff"), (
        said
    )


def test_a_stable_revision_that_is_down_is_told_while_somebody_is_waited_for():
    fleet = promoted()
    fleet.apply(spec_of("v2", rollout=ROLLOUT))
    passing(fleet, 20)
    fleet.startable = {"s3://m/v1": False}
    fleet.kill("stable", 9)
    passing(fleet, 5)
    stable = fleet.status.stable.revision
    assert f"; revision {stable} has no pod that is ready: CrashLoopBackOff" in fleet.status.message
