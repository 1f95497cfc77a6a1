"""What holds for every history, over all strategies and whatever the router can; MOORING_HISTORIES: how many each."""

import copy
import os
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.routes import Traits
from mooring_operator.planning.strategies import capacity
from mooring_operator.planning.strategies.course import Exposure, course_of

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.world import spec_of

HISTORIES = int(os.environ.get("MOORING_HISTORIES", "60"))
MODELS = ("v1", "v2", "v3")
RESTING = ("Promoted", "RolledBack", "Failed")

JOB = {"job": {"image": "smoke", "timeout": "20s"}}
HOOK = {"webhook": {"url": "https://gates.example.com/", "timeout": "30s", "onFailure": "Pause"}}

ROLLOUTS: list[dict[str, Any]] = [
    {"steps": [{"setWeight": 100}]},
    {"steps": [{"setWeight": 0}, {"setWeight": 20}, {"pause": {"duration": "20s"}}, {"setWeight": 100}]},
    {"steps": [{"setReplicas": "50%"}, {"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]},
    {"steps": [{"setWeight": 50}, {"setWeight": 100}], "maxSurge": 1},
    {"strategy": "BlueGreen"},
    {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "30s"}},
    {"strategy": "Shadow", "shadow": {"percent": 30, "duration": "20s"}},
    {"strategy": "ABTest", "abTest": {"weight": 30, "duration": "40s", "then": "Promote", "sticky": "arm"}},
    {
        "strategy": "ABTest",
        "abTest": {"weight": 0, "matches": [{"header": "x", "value": "1"}], "duration": "30s"},
    },
    {"strategy": "Recreate"},
    {"steps": [{"setWeight": 0}, JOB, {"setWeight": 40}, HOOK, {"setWeight": 100}]},
    {
        "steps": [
            HOOK,
            {"setWeight": 30},
            {"job": {"image": "load", "onFailure": "Pause"}},
            {"setWeight": 100},
        ]
    },
    {"strategy": "Shadow", "shadow": {"percent": 10, "duration": "5s"}, "steps": [JOB, {"setWeight": 100}]},
]

specs = st.builds(
    lambda model, rollout, replicas, delay, limit: spec_of(
        model,
        rollout={"progressDeadline": "1m", "scaleDownDelay": delay, **rollout},
        serving={"minReplicas": replicas, "maxReplicas": 9},
        revisionHistoryLimit=limit,
    ),
    st.sampled_from(MODELS),
    st.sampled_from(ROLLOUTS),
    st.integers(1, 4),
    st.sampled_from(["1s", "30s"]),
    st.integers(0, 2),
)
routers = st.builds(
    lambda able, by_pods: Traits(
        "its controller",
        40,
        serves_each=True,
        weighs_by_pods=by_pods,
        mirrors=able[0],
        matches=able[1],
        sticks=able[2],
        previews=able[3],
    ),
    st.tuples(*[st.booleans()] * 4),
    st.booleans(),
)
flags = st.fixed_dictionaries({f"s3://m/{model}": st.booleans() for model in MODELS})
events = st.one_of(
    st.tuples(st.just("apply"), specs),
    st.tuples(st.just("command"), st.sampled_from(["approve", "promote", "abort", "retry", "rollback"])),
    st.tuples(st.just("wait"), st.integers(1, 90)),
    st.tuples(st.just("startable"), flags),
    st.tuples(st.just("room"), st.integers(2, 12)),
    st.tuples(st.just("load"), st.integers(0, 8)),
    st.tuples(st.just("away"), st.sampled_from(["", "a controller is away"])),
    st.tuples(st.just("takes_up"), st.booleans()),
    st.tuples(st.just("lose"), st.integers(0, 5)),
    st.tuples(st.just("finds"), st.sampled_from([None, "Pass", "Fail", "Insufficient"])),
    st.tuples(st.just("lose_check"), st.just(0)),
    st.tuples(st.just("crash"), st.integers(0, 3)),
)


def happen(fleet: Fleet, event: tuple[str, Any]) -> None:
    match event:
        case ("apply", spec):
            fleet.apply(spec)
        case ("command", name):
            fleet.command(name)
        case ("wait", seconds):
            fleet.now += timedelta(seconds=seconds)
        case ("lose", pods):
            fleet.pods = {revision: max(0, there - pods) for revision, there in fleet.pods.items()}
        case ("lose_check", _):
            fleet.checks.clear()
        case ("crash", done):
            fleet.step(crash_after=done)
        case (name, value):
            setattr(fleet, name, value)


def begin(first: Any, router: Traits) -> Fleet:
    fleet = Fleet(first, router)
    fleet.settle()
    for _ in range(6):
        fleet.step()
    fleet.carried_out.clear()
    return fleet


histories = settings(max_examples=HISTORIES, deadline=None)


@histories
@given(first=specs, router=routers, story=st.lists(events, max_size=14))
def test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to(first, router, story):
    fleet = begin(first, router)
    for event in story:
        happen(fleet, event)
        for _ in range(3):
            fleet.carried_out.clear()
            fleet.step()
            check_checks(fleet)
            for routing, pods in fleet.carried_out:
                check(fleet, routing, pods)


def check(fleet: Fleet, routing: Any, pods: dict[str, int]) -> None:
    """What holds for a routing when it is asked for, with the pods that are ready then."""
    assert sum(arm.weight for arm in routing.arms) == 100
    assert all(arm.weight >= 0 for arm in routing.arms)
    ready = {arm.revision.revision: pods.get(arm.revision.revision, 0) for arm in routing.arms}
    stable, *others = routing.arms
    candidate = fleet.status.candidate
    for arm in others:
        assert not arm.weight or ready[arm.revision.revision]
    if candidate is None or fleet.status.stable is None or not candidate.runs:
        assert (routing.rules, routing.mirror, routing.preview) == ((), None, "")
        return
    share = next(arm for arm in others if arm.revision.revision == candidate.revision)
    allowed = {s.weight for s in course_of(fleet.spec.rollout) if isinstance(s, Exposure)} | {100}
    assert share.weight <= candidate.weight
    # A spec that was edited is followed with the next step.
    assert candidate.weight in allowed or candidate.steps_hash != ""
    whole, has = candidate.stable_pods or 1, ready[candidate.revision]
    if not fleet.router.weighs_by_pods or candidate.weight in (0, 100):
        dead = ready[stable.revision.revision] == 0
        assert share.weight <= capacity.carried(has, whole) or (dead and has)
    elif share.weight:
        assert 100 * has <= candidate.weight * (has + ready[stable.revision.revision])
    if routing.mirror is not None or any(rule.revision == candidate.revision for rule in routing.rules):
        assert has > 0
    if (
        fleet.spec.rollout.max_surge is None
        and fleet.spec.rollout.strategy != "Recreate"
        and not fleet.router.weighs_by_pods
    ):
        assert (stable.pods or 0) >= whole


def check_checks(fleet: Fleet) -> None:
    """Each check is started once, those that go on are waited for or told to stop, and none is passed over."""
    assert len(set(fleet.checked)) == len(fleet.checked)
    candidate = fleet.status.candidate
    waited = candidate.check.id if candidate is not None and candidate.check is not None else ""
    left = {run.run_id for run in fleet.status.abandoned_runs if not run.ended}
    assert fleet.running_checks <= {waited} | left
    if candidate is not None and fleet.status.stable is not None and not candidate.restores:
        check = candidate.check
        assert check is None or check.step <= candidate.step
        assert check is None or check.step == candidate.step or check.outcome is not None


@histories
@given(first=specs, last=specs, router=routers, starts=flags, story=st.lists(events, max_size=12))
def test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks(
    first, last, router, starts, story
):
    fleet = begin(first, router)
    for event in [*story, ("apply", last), ("startable", starts)]:
        happen(fleet, event)
        fleet.step()
    fleet.room, fleet.away, fleet.takes_up, fleet.load = 1000, "", True, 0
    if fleet.status.stable is not None:
        fleet.startable = {**fleet.startable, fleet.status.stable.storage_uri: True}
    for _ in range(600):
        decision = fleet.step()
        stalled = any(c.type == "Stalled" and c.status == "True" for c in fleet.status.conditions)
        if fleet.status.phase in RESTING or stalled:
            break
        if decision.phase in ("Paused", "AwaitingApproval"):
            fleet.command("approve")
        fleet.now += timedelta(seconds=1)
    for _ in range(120):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    stalled = any(c.type == "Stalled" and c.status == "True" for c in fleet.status.conditions)
    assert fleet.status.phase in RESTING or stalled, (fleet.status.phase, fleet.status.message)
    if fleet.status.candidate is None and fleet.status.stable is not None:
        assert fleet.routed.get(fleet.status.stable.revision) == 100
        assert len(fleet.status.retained) <= fleet.spec.revision_history_limit


@histories
@given(
    router=routers,
    rollout=st.sampled_from(ROLLOUTS),
    replicas=st.integers(1, 4),
    starts=st.booleans(),
    crashes=st.lists(st.integers(0, 3), max_size=12),
)
def test_a_crash_after_any_action_comes_to_the_same_end(router, rollout, replicas, starts, crashes):
    serving = {"minReplicas": replicas}
    fleet = begin(spec_of("v1", serving=serving), router)
    fleet.startable = {"s3://m/v2": starts}
    fleet.apply(
        spec_of("v2", serving=serving, rollout={"progressDeadline": "1m", "scaleDownDelay": "5s", **rollout})
    )
    crashing = copy.deepcopy(fleet)
    for done in crashes:
        crashing.step(crash_after=done)
        crashing.now += timedelta(seconds=1)
    for each in (fleet, crashing):
        for _ in range(400):
            decision = each.step()
            if (
                decision.phase in ("Paused", "AwaitingApproval")
                and decision.status.conditions[0].status != "False"
            ):
                each.command("approve")
            each.now += timedelta(seconds=1)
    assert (crashing.status.phase, crashing.status.reason) == (fleet.status.phase, fleet.status.reason)
    assert crashing.weights() == fleet.weights()
    assert crashing.running() == fleet.running()
