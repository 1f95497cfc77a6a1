"""Histories of a fleet: who applies, asks and fails what, with something under way when it happens."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.routes import Traits

from tests.unit.operator.planning.fleet import MANY, Fleet
from tests.unit.operator.planning.witness.witness import Witness
from tests.unit.operator.planning.world import spec_of

MODELS = ("v1", "v2", "v3", "v4")
HELD = ("Paused", "AwaitingApproval")
RESTING = ("Promoted", "RolledBack", "Failed")
SECOND = timedelta(seconds=1)

JOB = {"job": {"image": "smoke", "timeout": "20s"}}
HOOK = {"webhook": {"url": "https://gates.example.com/", "timeout": "30s", "onFailure": "Pause"}}

ROLLOUTS: list[dict[str, Any]] = [
    {"steps": [{"setWeight": 100}]},
    {"steps": [{"setWeight": 0}, {"setWeight": 20}, {"pause": {"duration": "20s"}}, {"setWeight": 100}]},
    {"steps": [{"setReplicas": "50%"}, {"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]},
    {"steps": [{"setWeight": 50}, {"setWeight": 75}, {"approve": {}}, {"setWeight": 100}], "maxSurge": 1},
    {"steps": [{"setWeight": 50}, {"pause": {"duration": "40s"}}, {"setWeight": 100}], "maxSurge": "25%"},
    {"strategy": "BlueGreen"},
    {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "30s"}},
    {
        "strategy": "Shadow",
        "shadow": {"percent": 30, "duration": "20s"},
        "steps": [{"setWeight": 40}, {"setWeight": 100}],
    },
    {"strategy": "ABTest", "abTest": {"weight": 30, "duration": "40s", "then": "Promote", "sticky": "arm"}},
    {
        "strategy": "ABTest",
        "abTest": {"weight": 0, "matches": [{"header": "x", "value": "1"}], "duration": "30s"},
    },
    {"strategy": "ABTest", "abTest": {"weight": 50, "replicas": "2"}},
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


Windows = tuple[tuple[tuple[str, str], ...], ...]
"""Windows of a freeze, as pairs of their fields' names and values."""
SURGING = [number for number, rollout in enumerate(ROLLOUTS) if "maxSurge" in rollout]


@cache
def spec(
    model: str, rollout: int, replicas: int, delay: str, limit: int, freeze: Windows = ()
) -> ModelDeploymentSpec:
    windows = [dict(window) for window in freeze]
    return spec_of(
        model,
        rollout={"progressDeadline": "1m", "scaleDownDelay": delay, "freeze": windows, **ROLLOUTS[rollout]},
        serving={"minReplicas": replicas, "maxReplicas": 9},
        revisionHistoryLimit=limit,
    )


def specs_with(windows: st.SearchStrategy[Windows]) -> st.SearchStrategy[ModelDeploymentSpec]:
    return st.builds(
        spec,
        st.sampled_from(MODELS),
        st.integers(0, len(ROLLOUTS) - 1),
        st.integers(1, 4),
        st.sampled_from(["1s", "5s", "30s"]),
        st.integers(0, 2),
        windows,
    )


specs = specs_with(st.just(()))
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
    st.one_of(st.just((True,) * 4), st.tuples(*[st.booleans()] * 4)),
    st.sampled_from([False, False, True]),
)
flags = st.fixed_dictionaries({f"s3://m/{model}": st.sampled_from([True, True, False]) for model in MODELS})

POINTS: dict[str, Callable[[Fleet], bool]] = {
    "begun": lambda fleet: fleet.status.candidate is not None and fleet.status.candidate.runs,
    "some": lambda fleet: bool(_routed(fleet)),
    "half": lambda fleet: _routed(fleet) >= 50,
    "settled": lambda fleet: fleet.status.candidate is not None and fleet.status.candidate.settled > 0,
    "all": lambda fleet: fleet.status.candidate is not None and fleet.status.candidate.weight == 100,
    "left": lambda fleet: any(known.pods is not None for known in fleet.status.retained),
    "held": lambda fleet: fleet.status.phase in HELD,
    "over": lambda fleet: fleet.status.candidate is None,
}
commands = ["approve", "promote", "abort", "retry", "rollback", "pause"]


def events_with(specs: st.SearchStrategy[ModelDeploymentSpec]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.one_of(
        st.tuples(st.just("until"), st.sampled_from(sorted(POINTS))),
        st.tuples(st.just("apply"), specs),
        st.tuples(st.just("until"), st.sampled_from(sorted(POINTS))),
        st.tuples(
            st.just("kill"),
            st.tuples(st.sampled_from(["stable", "candidate", "leaving", "all"]), st.integers(1, 5)),
        ),
        st.tuples(st.just("command"), st.sampled_from(commands)),
        st.tuples(st.just("release"), st.none()),
        st.tuples(st.just("wait"), st.integers(1, 90)),
        st.tuples(st.just("startable"), flags),
        st.tuples(st.just("room"), st.integers(1, 12)),
        st.tuples(st.just("crowd"), st.integers(0, 2)),
        st.tuples(st.just("load"), st.integers(0, 8)),
        st.tuples(st.just("away"), st.sampled_from(["", "a controller is away"])),
        st.tuples(st.just("takes_up"), st.booleans()),
        st.tuples(st.just("finds"), st.sampled_from([None, "Pass", "Fail", "Insufficient"])),
        st.tuples(st.just("lose_check"), st.none()),
        st.tuples(st.just("crash"), st.integers(0, 3)),
    )


events = events_with(specs)
# A rollout that stable has left pods for is given up half-way, where there is no room for them: what leaves keeps
# traffic, and then something happens to it.
left_half_way = st.builds(
    lambda asked, point, crowd, ends, later: [
        ("room", MANY),
        ("startable", {}),
        ("apply", asked),
        ("until", point),
        ("crowd", crowd),
        *ends,
        *later,
    ],
    st.builds(
        spec, st.sampled_from(MODELS), st.sampled_from(SURGING), st.integers(2, 4), st.just("1s"), st.just(1)
    ),
    st.sampled_from(["settled", "settled", "half", "all"]),
    st.integers(0, 1),
    st.sampled_from([[("command", "abort")], [("until", "half")], []]),
    st.lists(events, max_size=2),
)
# Something outside is away while a candidate is not ready: whose fault the time is has to be told apart.
held_up = st.builds(
    lambda asked, early, pause, later, rest: [
        ("startable", {asked.model.uri: False}),
        ("apply", asked),
        ("until", "begun"),
        ("wait", early),
        ("away", "a controller is away"),
        ("wait", 1),
        ("wait", pause),
        ("away", ""),
        ("wait", later),
        ("wait", rest),
    ],
    specs,
    st.integers(1, 50),
    st.integers(1, 90),
    st.integers(1, 50),
    st.integers(1, 50),
)
# A person holds a rollout where it would go on by itself.
on_hold = st.builds(
    lambda asked, point, pauses, later: [
        ("startable", {}),
        ("apply", asked),
        ("until", point),
        ("command", "pause"),
        *(("wait", pause) for pause in pauses),
        *later,
    ],
    specs,
    st.sampled_from(["begun", "some", "held"]),
    st.lists(st.integers(10, 60), min_size=1, max_size=3),
    st.lists(events, max_size=3),
)
stories = st.one_of(
    st.lists(events, min_size=1, max_size=12),
    st.lists(left_half_way, min_size=2, max_size=3).map(
        lambda turns: [event for turn in turns for event in turn]
    ),
    held_up,
    on_hold,
)


def happen(witness: Witness, event: tuple[str, Any]) -> None:
    fleet = witness.fleet
    match event:
        case ("apply", asked):
            fleet.apply(asked)
        case ("command", name):
            fleet.command(name)
        case ("release", _):
            fleet.commands.pop("pause", None)
        case ("wait", seconds):
            fleet.now += timedelta(seconds=seconds)
        case ("until", point):
            reach(witness, point)
        case ("kill", (role, pods)):
            fleet.kill(role, pods)
        case ("crowd", more):
            fleet.room = sum(fleet.pods.values()) + more
        case ("lose_check", _):
            check = fleet.status.candidate.check if fleet.status.candidate is not None else None
            if check is not None and check.seen_at is None:
                # What nobody has seen may be started again: nobody knows that it was there.
                fleet.checked = [name for name in fleet.checked if name != check.id]
            fleet.checks.clear()
        case ("crash", done):
            witness.step(crash_after=done)
        case (name, value):
            setattr(fleet, name, value)


def reach(witness: Witness, point: str, limit: int = 40) -> None:
    """Step until the fleet is at a point, nothing happens any more, or the limit."""
    fleet, reached = witness.fleet, POINTS[point]
    for _ in range(limit):
        if reached(fleet):
            return
        if go_on(witness) is None and (point == "held" or not approve_if_held(fleet)):
            return
        if point != "held":
            approve_if_held(fleet)


def go_on(witness: Witness) -> Decision | None:
    """Step once, and let as much time pass as the plan asks for where nothing happens; None where nothing will."""
    fleet = witness.fleet
    before = (fleet.status, dict(fleet.pods), dict(fleet.routed), dict(fleet.commands))
    decision = witness.step(crash_after=witness.next_crash())
    if (fleet.status, fleet.pods, fleet.routed, fleet.commands) != before:
        fleet.now += SECOND
    elif decision.recheck_after is None:
        return None
    else:
        fleet.now += timedelta(seconds=decision.recheck_after)
    return decision


def begin(first: ModelDeploymentSpec, router: Traits) -> Witness:
    """A first revision that is promoted, and has all its pods."""
    witness = Witness(Fleet(first, router))
    while go_on(witness) is not None:
        pass
    assert witness.fleet.status.phase == "Promoted"
    return witness


def heal(fleet: Fleet) -> None:
    """Nothing is missing any more, and nobody holds the rollout; what is stable starts."""
    fleet.room, fleet.away, fleet.takes_up, fleet.load, fleet.finds = MANY, "", True, 0, "Pass"
    fleet.commands.pop("pause", None)
    if fleet.status.stable is not None:
        fleet.startable = {**fleet.startable, fleet.status.stable.storage_uri: True}


def rest(witness: Witness, limit: int = 400) -> Decision:
    """Go on until nothing happens any more, approving where that is waited for."""
    fleet = witness.fleet
    for _ in range(limit):
        if go_on(witness) is None and not approve_if_held(fleet):
            break
        approve_if_held(fleet)
    else:
        raise AssertionError(
            f"does not end: {fleet.status.phase} {fleet.status.reason} {fleet.status.message}"
        )
    return witness.step()


def approve_if_held(fleet: Fleet) -> bool:
    """Approve of the step that waits for it, once."""
    status = fleet.status
    if status.phase not in HELD or is_stalled(fleet) or status.reason in ("Approved", "PausedByCommand"):
        return False
    if "approve" in fleet.commands:
        return False
    fleet.command("approve")
    return True


def is_stalled(fleet: Fleet) -> bool:
    return any(c.type == "Stalled" and c.status == "True" for c in fleet.status.conditions)


def _routed(fleet: Fleet) -> int:
    candidate = fleet.status.candidate
    return fleet.routed.get(candidate.revision, 0) if candidate is not None else 0
