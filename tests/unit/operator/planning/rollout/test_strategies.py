"""Each strategy, told as a story."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.routes import Traits
from mooring_operator.planning.routing import Mirror, Rule

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.fleet import promoted as promoted_by
from tests.unit.operator.planning.world import World, spec_of

ALL = Traits("Flows", 40, serves_each=True, mirrors=True, matches=True, sticks=True, previews=True)
BY_PODS = Traits("Flows", 40, serves_each=True, previews=True, weighs_by_pods=True)
SECOND = timedelta(seconds=1)
SERVING = {"minReplicas": 2}


def promoted() -> Fleet:
    fleet = promoted_by(serving=SERVING)
    fleet.router = ALL
    return fleet


def apply(fleet: Fleet, **rollout: Any) -> None:
    fleet.apply(spec_of("v2", rollout=rollout, serving=SERVING))
    fleet.settle(limit=300)


def pass_time(fleet: Fleet, seconds: int) -> None:
    fleet.now += timedelta(seconds=seconds)
    for _ in range(6):
        fleet.step()
        fleet.now += timedelta(seconds=1)


def test_a_weight_of_nothing_brings_the_candidate_up_unexposed():
    fleet = promoted()
    apply(fleet, steps=[{"setWeight": 0}, {"approve": {}}, {"setWeight": 100}])
    assert (fleet.weights(), fleet.running()) == ({"v1": 100}, {"v1": 2, "v2": 1})
    assert fleet.status.phase == "AwaitingApproval"
    fleet.command("approve")
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v2": 100})


@pytest.mark.parametrize(("replicas", "pods"), [(2, 2), ("50%", 1), ("100%", 2), (5, 5)])
def test_pods_can_be_asked_for_whatever_the_weight(replicas, pods):
    fleet = promoted()
    steps = [{"setReplicas": replicas}, {"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]
    apply(fleet, steps=steps)
    assert (fleet.weights(), fleet.running()) == ({"v1": 90, "v2": 10}, {"v1": 2, "v2": pods})


def test_blue_green_previews_with_all_pods_and_takes_over_at_once():
    fleet = promoted()
    apply(fleet, strategy="BlueGreen")
    candidate = fleet.status.candidate.revision
    assert fleet.routing.preview == candidate
    assert (fleet.weights(), fleet.running()) == ({"v1": 100}, {"v1": 2, "v2": 2})
    assert "at its preview address digits-preview.ns alone until it is approved" in fleet.status.message
    fleet.command("approve")
    fleet.settle()
    assert (fleet.status.phase, fleet.weights(), fleet.routing.preview) == ("Promoted", {"v2": 100}, "")
    weights = [[arm.weight for arm in routing.arms] for routing, _ in fleet.carried_out]
    assert all(set(entry) <= {0, 100} for entry in weights)


def test_blue_green_switches_by_itself_after_its_time():
    fleet = promoted()
    fleet.apply(
        spec_of("v2", rollout={"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "5m"}}, serving=SERVING)
    )
    pass_time(fleet, 0)
    pass_time(fleet, 240)
    assert fleet.weights() == {"v1": 100}
    pass_time(fleet, 60)
    assert fleet.weights() == {"v2": 100}


def test_a_shadow_gets_copies_and_nobody_its_answers():
    fleet = promoted()
    apply(
        fleet,
        strategy="Shadow",
        shadow={"percent": 50},
        steps=[{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}],
    )
    candidate = fleet.status.candidate.revision
    assert fleet.routing.mirror == Mirror(candidate, 50)
    assert (fleet.weights(), fleet.running()) == ({"v1": 100}, {"v1": 2, "v2": 1})
    fleet.command("approve")
    fleet.settle()
    assert (fleet.routing.mirror, fleet.weights()) == (None, {"v1": 50, "v2": 50})


def test_no_copies_go_to_a_shadow_that_is_not_ready():
    fleet = promoted()
    fleet.startable = {"s3://m/v2": False}
    fleet.apply(spec_of("v2", rollout={"strategy": "Shadow"}, serving=SERVING))
    for _ in range(5):
        fleet.step()
    assert all(routing.mirror is None for routing, _ in fleet.carried_out)


AB = {
    "weight": 0,
    "matches": [{"header": "X-Group", "value": "b"}, {"cookie": "group", "value": "a", "to": "Stable"}],
}


def test_requests_that_match_go_to_one_of_two_until_somebody_decides():
    fleet = promoted()
    apply(fleet, strategy="ABTest", abTest={**AB, "sticky": "arm"})
    stable, candidate = fleet.status.stable.revision, fleet.status.candidate.revision
    assert fleet.routing.rules == (Rule(candidate, "b", header="X-Group"), Rule(stable, "a", cookie="group"))
    assert (fleet.routing.sticky, fleet.running()) == ("arm", {"v1": 2, "v2": 2})
    assert fleet.status.phase == "AwaitingApproval"
    fleet.command("approve")
    fleet.settle()
    assert (fleet.status.phase, fleet.routing.rules, fleet.routing.sticky) == ("Promoted", (), "")


@pytest.mark.parametrize(
    ("rollout", "waits", "then"),
    [
        ({"strategy": "Shadow"}, "no copies of requests go to it yet", "PausedByStep"),
        ({"strategy": "BlueGreen"}, "its preview address does not lead to it yet", "PausedByStep"),
        ({"strategy": "ABTest", "abTest": AB}, "requests that match do not go to it yet", "AwaitingApproval"),
        (
            {"strategy": "ABTest", "abTest": {**AB, "duration": "1h"}},
            "requests that match do not go to it yet",
            "SideBySide",
        ),
    ],
)
def test_what_no_gateway_has_taken_up_is_not_in_effect(rollout, waits, then):
    """The weight is 0 before and after: it is the rest of the route that says when the time begins."""
    fleet = promoted()
    fleet.takes_up = False
    fleet.apply(spec_of("v2", rollout=rollout, serving=SERVING))
    for _ in range(6):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    assert (fleet.status.reason, fleet.running()) == ("SettingWeight", {"v1": 2, "v2": 2})
    assert fleet.status.message.endswith(waits)
    fleet.takes_up = True
    for _ in range(2):
        fleet.step()
    assert fleet.status.reason == then


@pytest.mark.parametrize(
    ("before", "still"),
    [
        ({"strategy": "Shadow", "shadow": {"percent": 30}}, "copies of 30% of requests still go to it"),
        ({"strategy": "ABTest", "abTest": AB}, "requests that match still go to it"),
    ],
)
def test_what_an_edit_takes_away_is_in_effect_once_it_is_gone(before, still):
    """A step of no weight holds for nothing while the route of the strategy before it sends copies, or who matches."""
    fleet = promoted()
    apply(fleet, **before)
    fleet.takes_up = False
    edited = {"steps": [{"setWeight": 0}, {"pause": {}}, {"setWeight": 100}]}
    fleet.apply(spec_of("v2", rollout=edited, serving=SERVING))
    for _ in range(3):
        fleet.step()
    assert fleet.status.reason == "SettingWeight"
    assert fleet.status.message.endswith(still)
    fleet.takes_up = True
    fleet.settle()
    assert fleet.status.reason == "PausedByStep"
    assert (fleet.effective.mirror, fleet.effective.rules) == (None, ())


def test_nobody_is_sent_to_a_side_that_lacks_pods():
    fleet = promoted()
    fleet.room = 3
    fleet.apply(spec_of("v2", rollout={"strategy": "ABTest", "abTest": AB}, serving=SERVING))
    for _ in range(5):
        fleet.step()
    assert fleet.running() == {"v1": 2, "v2": 1}
    assert fleet.routing.rules == ()


@pytest.mark.parametrize(
    ("end", "then", "phase", "reason", "left"),
    [
        ({"duration": "1h"}, "RollBack", "RolledBack", "TrialEnded", {"v1": 100}),
        ({"duration": "1h"}, "Promote", "Promoted", "Promoted", {"v2": 100}),
        ({"until": "2026-03-01T14:00:00Z"}, "Promote", "Promoted", "Promoted", {"v2": 100}),
        ({"until": "2026-03-01T14:00:00Z"}, "RollBack", "RolledBack", "TrialEnded", {"v1": 100}),
    ],
)
def test_a_test_ends_at_its_time(end, then, phase, reason, left):
    fleet = promoted()
    fleet.apply(
        spec_of("v2", rollout={"strategy": "ABTest", "abTest": {**end, "then": then}}, serving=SERVING)
    )
    pass_time(fleet, 0)
    pass_time(fleet, 1800)
    assert (fleet.status.reason, fleet.weights()) == ("SideBySide", {"v1": 50, "v2": 50})
    pass_time(fleet, 5600)
    assert (fleet.status.phase, fleet.status.reason, fleet.weights()) == (phase, reason, left)


@pytest.mark.parametrize("then", ["RollBack", "Promote"])
def test_a_date_left_from_the_last_test_neither_promotes_nor_rejects(then):
    """People change the model and forget the date beside it."""
    fleet, test = promoted(), {"until": "2026-03-01T11:59:59Z", "then": then}
    fleet.apply(spec_of("v2", rollout={"strategy": "ABTest", "abTest": test}, serving=SERVING))
    pass_time(fleet, 3600)
    status = fleet.status
    assert (status.phase, status.reason, fleet.weights()) == ("Pending", "TrialEnded", {"v1": 100})
    assert "spec.rollout.abTest.until 2026-03-01T11:59:59Z is over" in status.message
    assert any((known.type, known.status) == ("Stalled", "True") for known in status.conditions)
    later = {**test, "until": "2026-03-01T15:00:00Z"}
    fleet.apply(spec_of("v2", rollout={"strategy": "ABTest", "abTest": later}, serving=SERVING))
    pass_time(fleet, 60)
    assert (fleet.status.reason, fleet.weights()) == ("SideBySide", {"v1": 50, "v2": 50})


def test_a_first_revision_has_nothing_to_be_tested_against():
    fleet, test = Fleet(spec_of("v1")), {"until": "2026-03-01T11:59:59Z"}
    fleet.apply(spec_of("v1", rollout={"strategy": "ABTest", "abTest": test}, serving=SERVING))
    fleet.settle()
    assert fleet.status.phase == "Promoted"


def test_a_test_whose_time_was_over_when_it_could_begin_is_decided_by_people():
    fleet, test = promoted(), {"until": "2026-03-01T12:30:00Z", "then": "Promote"}
    fleet.room = 1
    fleet.apply(
        spec_of(
            "v2", rollout={"strategy": "ABTest", "abTest": test, "progressDeadline": "3h"}, serving=SERVING
        )
    )
    pass_time(fleet, 0)
    pass_time(fleet, 3600)
    fleet.room = 4
    pass_time(fleet, 60)
    assert (fleet.status.reason, fleet.weights()) == ("AwaitingApproval", {"v1": 50, "v2": 50})
    assert "spec.rollout.abTest.until was over before its test began" in fleet.status.message
    fleet.command("approve")
    fleet.settle()
    assert fleet.weights() == {"v2": 100}


def test_recreate_says_what_is_lost_before_and_stops_the_one_before_it_starts_the_other():
    fleet = promoted()
    fleet.room = 2
    fleet.apply(spec_of("v2", rollout={"strategy": "Recreate"}, serving=SERVING))
    decision = fleet.step()
    assert (decision.reason, fleet.running()) == ("Recreating", {"v1": 2})
    assert "nothing answers until that is ready" in decision.message
    told = list(decision.actions)
    for _ in range(40):
        told += fleet.step().actions
        fleet.now += timedelta(seconds=1)
        assert sum(fleet.pods.values()) <= 2
    assert (fleet.status.phase, fleet.weights(), fleet.running()["v2"]) == ("Promoted", {"v2": 100}, 2)
    # One cause, one Event.
    assert [one.reason for one in told if isinstance(one, Notify)].count("Recreating") == 1


def test_recreate_brings_the_one_before_back_when_the_other_does_not_start():
    fleet = promoted()
    fleet.room, fleet.startable = 2, {"s3://m/v2": False}
    fleet.apply(spec_of("v2", rollout={"strategy": "Recreate", "progressDeadline": "1m"}, serving=SERVING))
    for _ in range(90):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    assert (fleet.status.phase, fleet.weights(), fleet.running()) == (
        "RolledBack",
        {"v1": 100},
        {"v1": 2, "v2": 0},
    )
    [ended] = [one for one in fleet.status.history if one.outcome == "RolledBack"]
    assert "has stopped for it, and starts again" in ended.message
    assert "keeps serving" not in ended.message


def test_nobody_is_said_to_serve_while_recreate_waits_for_somebody_else():
    fleet = promoted()
    fleet.room = 2
    fleet.apply(spec_of("v2", rollout={"strategy": "Recreate"}, serving=SERVING))
    fleet.step()
    fleet.away = "its controller is away"
    said = []
    for _ in range(20):
        said.append(fleet.step().message)
        fleet.now += timedelta(seconds=1)
    stopped = [message for message in said if "has stopped for it, and nothing answers" in message]
    assert stopped
    assert "keeps serving" not in said[-1]


def test_going_back_by_recreate_says_that_nothing_answers():
    fleet = promoted()
    fleet.room = 2
    apply(fleet, strategy="Recreate")
    assert fleet.weights() == {"v2": 100}
    fleet.commands["rollback"] = fleet.status.stable.revision
    said = []
    for _ in range(40):
        said.append(fleet.step().message)
        fleet.now += timedelta(seconds=1)
    assert fleet.weights() == {"v1": 100}
    assert any("nothing answers until it is ready" in message for message in said)


def test_what_is_kept_at_hand_keeps_nobody_waiting(monkeypatch):
    """A route names the revision before for as long as it has pods, at no weight."""
    fleet, plain = promoted(), Fleet._service
    monkeypatch.setattr(
        Fleet,
        "_service",
        lambda seen: replace(plain(seen), shared=any(known.pods for known in seen.status.retained)),
    )
    rollout = {"strategy": "BlueGreen", "scaleDownDelay": "5m", "blueGreen": {"promoteAfter": "10s"}}
    fleet.apply(spec_of("v2", rollout=rollout, serving=SERVING))
    said = []
    for _ in range(60):
        said.append(fleet.step().message)
        fleet.now += timedelta(seconds=1)
    left = fleet.status.retained[0].left_at + timedelta(minutes=5)
    stable = fleet.status.stable.revision
    until = f"the one before it is at hand until {left:%H:%M:%S} UTC"
    assert (fleet.status.phase, said[-1]) == (
        "Promoted",
        f"revision {stable} (s3://m/v2) serves all traffic; {until}",
    )
    assert not any("has yet to leave" in message for message in said)


PLAIN = Traits("Flows", 40)
EACH = Traits("Flows", 40, serves_each=True)


@pytest.mark.parametrize(
    ("router", "rollout", "says"),
    [
        (
            PLAIN,
            {"strategy": "BlueGreen"},
            "cannot serve each revision by itself, nor give a revision an address",
        ),
        (EACH, {"strategy": "BlueGreen"}, "an address of its own"),
        (EACH, {"strategy": "Shadow"}, "cannot copy requests"),
        (PLAIN, {"strategy": "Recreate"}, "serve each revision by itself"),
        (PLAIN, {"strategy": "ABTest", "abTest": {}}, "serve each revision by itself"),
        (EACH, {"strategy": "ABTest", "abTest": AB}, "by a header or a cookie"),
        (EACH, {"strategy": "ABTest", "abTest": {"sticky": "arm"}}, "keep a caller"),
        (PLAIN, {"steps": [{"setWeight": 0}, {"setWeight": 100}]}, "without traffic (setWeight 0)"),
        (PLAIN, {"steps": [{"setReplicas": 3}, {"setWeight": 100}]}, "setReplicas"),
        (PLAIN, {"maxSurge": 1}, "maxSurge"),
    ],
)
def test_what_the_router_cannot_is_said_before_anything_moves(router, rollout, says):
    world = World(spec_of("v1"), router)
    world.settle()
    served = world.served
    world.apply(spec_of("v2", rollout=rollout))
    decision = world.settle()
    [condition] = [c for c in world.status.conditions if c.type == "RouterReady"]
    assert (condition.status, condition.reason) == ("False", "UnsupportedByRouter")
    assert says in condition.message
    assert re.search("write (one of )?Canary", condition.message) or rollout.get("strategy") is None
    assert (world.served, decision.recheck_after, world.status.candidate.runs) == (served, None, False)
    assert {c.type: c.status for c in world.status.conditions}["Stalled"] == "True"


def test_what_the_router_cannot_is_said_of_what_is_promoted_too():
    """The first revision has nothing to share traffic with: nobody else would say it before the second one."""
    world = World(spec_of("v1", rollout={"strategy": "Shadow"}), EACH)
    world.settle()
    for rollout, said in (
        ({"strategy": "Shadow"}, ("False", "UnsupportedByRouter")),
        ({}, ("True", "RouterRecovered")),
    ):
        world.apply(spec_of("v1", rollout=rollout))
        world.settle()
        assert world.status.phase == "Promoted"
        [condition] = [c for c in world.status.conditions if c.type == "RouterReady"]
        assert (condition.status, condition.reason) == said
    told = [
        a.reason
        for a in world.actions
        if isinstance(a, Notify) and a.reason in ("UnsupportedByRouter", "RouterRecovered")
    ]
    assert told == ["UnsupportedByRouter", "RouterRecovered"]


@pytest.mark.parametrize(
    ("rollout", "fields"),
    [
        ({"host": "a.example.com"}, "spec.rollout.host:"),
        ({"gateway": {"name": "front"}}, "spec.rollout.gateway:"),
        (
            {"gateway": {"name": "front"}, "host": "a.example.com"},
            "spec.rollout.gateway and spec.rollout.host:",
        ),
    ],
)
@pytest.mark.parametrize("hears", [False, True])
def test_a_host_name_that_leads_nowhere_is_told_and_holds_nothing_up(hears, rollout, fields):
    fleet = promoted()
    fleet.router = replace(ALL, hears_hosts=hears)
    fleet.apply(spec_of("v2", rollout=rollout, serving=SERVING))
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v2": 100})
    found = [c for c in fleet.status.conditions if c.type == "RouterReady"]
    assert [(c.status, c.reason) for c in found] == ([] if hears else [("True", "RouterImprecise")])
    assert all(c.message.startswith(f"{fields} no effect with router") for c in found)


def test_a_mirror_that_may_copy_more_than_it_is_asked_is_told_of_once_and_holds_nothing_up():
    fleet = promoted()
    fleet.router = replace(ALL, mirrors_part=False, lacking="GatewayClass x lists no such feature")
    steps = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
    apply(fleet, strategy="Shadow", shadow={"percent": 20}, steps=steps)
    [condition] = [c for c in fleet.status.conditions if c.type == "RouterReady"]
    assert (condition.status, condition.reason) == ("True", "RouterImprecise")
    assert condition.message.startswith(
        "spec.rollout.shadow.percent 20: all requests may be copied, not 20%: GatewayClass x lists no such feature; "
    )
    assert fleet.routing.mirror is not None
    apply(fleet, strategy="Shadow", steps=steps)
    told = [
        (a.type, a.reason) for a in fleet.actions if isinstance(a, Notify) and a.reason.startswith("Router")
    ]
    assert told == [("Warning", "RouterImprecise"), ("Normal", "RouterRecovered")]


def test_a_share_that_pods_cannot_make_stays_where_it_is():
    fleet = promoted()
    fleet.router = Traits("Flows", 40, serves_each=True, weighs_by_pods=True)
    fleet.apply(spec_of("v2", rollout={"steps": [{"setWeight": 10}, {"setWeight": 100}]}, serving=SERVING))
    fleet.settle()
    assert (fleet.status.reason, fleet.weights()) == ("UnsupportedByRouter", {"v1": 100})
    assert "setWeight be 34 or more" in fleet.status.message


def test_more_than_a_step_gives_is_not_that_step():
    """What an earlier routing gave the same revision may still be in effect."""
    fleet = promoted_by(serving={"minReplicas": 2})
    fleet.router = Traits("Flows", 40, serves_each=True, weighs_by_pods=True)
    rollout = {"steps": [{"setWeight": 50}, {"setWeight": 75}, {"pause": {}}, {"setWeight": 100}]}
    fleet.apply(spec_of("v2", rollout=rollout, serving={"minReplicas": 2}))
    fleet.settle()
    assert fleet.weights() == {"v1": 25, "v2": 75}
    fleet.takes_up = False
    for model in ("v1", "v2"):
        fleet.apply(spec_of(model, rollout=rollout, serving={"minReplicas": 2}))
        for _ in range(10):
            fleet.step()
            fleet.now += SECOND
    assert fleet.weights() == {"v1": 25, "v2": 75}
    assert (fleet.status.reason, fleet.status.candidate.step) == ("SettingWeight", 0)


@pytest.mark.parametrize(
    ("between", "times"), [(2, 1), (50, 1), (7200, 2)], ids=["at once", "soon", "much later"]
)
def test_one_cause_is_one_event_for_the_router_and_for_who_waits(between, times):
    world = World(spec_of("v1"))
    world.settle()
    world.routed = False
    world.step()
    world.now += timedelta(seconds=between)
    world.apply(spec_of("v2", rollout={"steps": [{"setWeight": 10}, {"setWeight": 100}]}))
    for _ in range(40):
        world.step()
        world.now += timedelta(seconds=3)
    assert (world.status.phase, world.status.reason) == ("Pending", "RouterNotReady")
    assert [a.reason for a in world.actions if isinstance(a, Notify)].count("RouterNotReady") == times


def test_a_router_that_gets_well_is_told_of_once():
    world = World(spec_of("v1"))
    world.settle()
    world.routed = False
    world.apply(spec_of("v2", rollout={"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}))
    for _ in range(4):
        world.step()
    world.routed = True
    world.settle()
    told = [(a.type, a.reason) for a in world.actions if isinstance(a, Notify) and "Router" in a.reason]
    assert told == [("Warning", "RouterNotReady"), ("Normal", "RouterRecovered")]


@pytest.mark.parametrize(
    ("edited", "phase", "weights"),
    [
        ({"strategy": "BlueGreen"}, "Paused", {"v1": 100}),
        ({"strategy": "Shadow"}, "Paused", {"v1": 100}),
        ({"steps": [{"approve": {}}, {"setWeight": 100}]}, "AwaitingApproval", {"v1": 80, "v2": 20}),
        (
            {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]},
            "AwaitingApproval",
            {"v1": 90, "v2": 10},
        ),
        (
            {"steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"setWeight": 100}]},
            "Paused",
            {"v1": 80, "v2": 20},
        ),
        ({"steps": [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]}, "Paused", {"v1": 50, "v2": 50}),
    ],
    ids=str,
)
def test_no_gate_of_a_course_that_is_edited_under_way_is_passed_over(edited, phase, weights):
    fleet = promoted()
    apply(fleet, steps=[{"setWeight": 20}, {"approve": {}}, {"setWeight": 100}])
    assert fleet.status.phase == "AwaitingApproval"
    apply(fleet, **({"steps": [{"setWeight": 100}]} | edited))
    assert (fleet.status.phase, fleet.weights()) == (phase, weights)


@pytest.mark.parametrize(
    ("router", "surge"), [(ALL, {"maxSurge": 1}), (BY_PODS, {})], ids=["maxSurge", "by pods"]
)
@pytest.mark.parametrize(
    "edited",
    [{"strategy": "BlueGreen"}, {"steps": [{"setWeight": 25}, {"approve": {}}, {"setWeight": 100}]}],
    ids=str,
)
def test_an_edit_gives_nothing_back_where_the_stable_revision_has_left_its_pods(router, surge, edited):
    fleet = promoted_by(serving={"minReplicas": 4})
    fleet.router = router
    serving, course = {"minReplicas": 4}, [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
    fleet.apply(spec_of("v2", rollout={"steps": course, **surge}, serving=serving))
    fleet.settle(limit=300)
    for _ in range(60):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    assert fleet.running() == {"v1": 2, "v2": 2}
    fleet.carried_out.clear()
    fleet.apply(spec_of("v2", rollout={"steps": [{"setWeight": 100}], **surge, **edited}, serving=serving))
    fleet.settle(limit=300)
    assert fleet.status.phase in ("Paused", "AwaitingApproval")
    assert (fleet.weights(), fleet.running()) == ({"v1": 50, "v2": 50}, {"v1": 2, "v2": 2})
    assert all(routing.arms[1].weight == 50 for routing, _ in fleet.carried_out)


def test_what_has_all_the_traffic_is_promoted_whatever_an_edit_says():
    fleet = promoted()
    apply(fleet, steps=[{"setWeight": 100}, {"pause": {}}])
    assert fleet.status.candidate.weight == 100
    apply(fleet, strategy="BlueGreen", steps=[{"setWeight": 100}])
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v2": 100})
