"""Lets a history happen to a fleet that is watched."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mooring_operator.api import ModelDeploymentSpec, reasons
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.routes import Traits

from tests.unit.operator.planning.fleet import MANY, Fleet
from tests.unit.operator.planning.specs import revision_of
from tests.unit.operator.planning.whole import Whole
from tests.unit.operator.planning.witness.witness import Witness

HELD = ("Paused", "AwaitingApproval")
RESTING = ("Promoted", "RolledBack", "Failed")
SECOND = timedelta(seconds=1)

POINTS: dict[str, Callable[[Fleet], bool]] = {
    "begun": lambda fleet: fleet.status.candidate is not None and fleet.status.candidate.runs,
    "some": lambda fleet: bool(_routed(fleet)),
    "half": lambda fleet: _routed(fleet) >= 50,
    "settled": lambda fleet: fleet.status.candidate is not None and fleet.status.candidate.settled > 0,
    "all": lambda fleet: fleet.status.candidate is not None and fleet.status.candidate.weight == 100,
    "left": lambda fleet: any(known.pods is not None for known in fleet.status.retained),
    "checked": lambda fleet: bool(fleet.running_checks),
    "held": lambda fleet: fleet.status.phase in HELD,
    "followed": lambda fleet: (
        fleet.status.phase == "Promoted" and fleet.status.stable.storage_uri == fleet.spec.model.uri
    ),
    "over": lambda fleet: fleet.status.candidate is None,
}


def happen(witness: Witness, event: tuple[str, Any]) -> None:
    fleet = witness.fleet
    match event:
        case ("apply", asked):
            fleet.apply(asked)
        case ("command", name):
            fleet.command(name)
        case ("decide", side):
            stable = fleet.status.stable
            won = stable.revision if side == "stable" and stable is not None else revision_of(side)
            fleet.commands["promote"], fleet.askers["promote"] = won, ""
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
        case ("command_of_step", (name, step)):
            candidate = fleet.status.candidate
            fleet.commands[name] = f"{candidate.revision if candidate is not None else ''}/{step}"
        case ("edit", asked):
            edit(fleet, asked)
        case ("elsewhere", model) if isinstance(fleet, Whole):
            fleet.promote_elsewhere(model)
        case ("queue", others) if isinstance(fleet, Whole):
            fleet.queue(others)
        case (name, value):
            setattr(fleet, name, value)


def play(
    witness: Witness, story: list[tuple[str, Any]], *, times: int = 1, pause: timedelta = timedelta()
) -> None:
    """Let a story happen, with so many decisions after each event and a pause after each."""
    for event in story:
        happen(witness, event)
        for _ in range(times):
            witness.step()
            witness.fleet.now += pause


def edit(fleet: Fleet, asked: ModelDeploymentSpec) -> None:
    """Change how the same model is rolled out, and nothing else."""
    fleet.apply(fleet.spec.model_copy(update={"rollout": asked.rollout}))


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
    return _begun(Witness(Fleet(first, router)))


def begin_whole(first: ModelDeploymentSpec, router: Traits) -> Witness:
    """The same in a world with everything."""
    fleet = Whole(first, router)
    fleet.promote_elsewhere(first.model.uri.removeprefix("s3://m/"))
    return _begun(Witness(fleet))


def _begun(witness: Witness) -> Witness:
    while go_on(witness) is not None:
        pass
    assert witness.fleet.status.phase == "Promoted", witness.fleet.status.message
    return witness


def heal(fleet: Fleet) -> None:
    """Nothing is missing any more, and nobody holds the rollout; what is stable starts."""
    fleet.room, fleet.away, fleet.takes_up, fleet.load, fleet.finds = MANY, "", True, 0, "Pass"
    fleet.commands.pop("pause", None)
    if isinstance(fleet, Whole):
        fleet.unavailable, fleet.per_second, fleet.image = "", 100.0, fleet.image or "a"
        fleet.promote_elsewhere(fleet.spec.model.uri.removeprefix("s3://m/"))
        fleet.queue(0)
    if fleet.status.stable is not None:
        fleet.startable = {**fleet.startable, fleet.status.stable.storage_uri: True}


LONG = 60


def rest(witness: Witness, limit: int = 400) -> Decision:
    """Go on until nothing happens any more, approving where that is waited for.

    What waits for another spec may be looked at all the while: it rests once it has waited for long.
    """
    fleet, stalled = witness.fleet, 0
    for _ in range(limit):
        if go_on(witness) is None and not approve_if_held(fleet):
            break
        approve_if_held(fleet)
        stalled = stalled + 1 if is_stalled(fleet) else 0
        if stalled == LONG:
            break
    else:
        raise AssertionError(
            f"does not end: {fleet.status.phase} {fleet.status.reason} {fleet.status.message}"
        )
    return witness.step()


def approve_if_held(fleet: Fleet) -> bool:
    """Approve of the step that waits for it, once."""
    status = fleet.status
    if status.reason not in reasons.AWAIT_A_PERSON or is_stalled(fleet):
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
