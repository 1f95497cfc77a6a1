"""What holds of the weights: nobody gets what its pods do not carry, or more than the strategy exposes it to."""

from mooring_operator.api.rollout_status import Candidate
from mooring_operator.planning.routing import Arm, Routing
from mooring_operator.planning.strategies.course import Exposure

from tests.unit.operator.planning.witness.account import Account, Journey, Moment, carries, up
from tests.unit.operator.planning.witness.holds import is_frozen


def check_weights(account: Account, moment: Moment, routing: Routing) -> None:
    """Nobody gets what its pods do not carry, or more than the strategy exposes it to."""
    assert sum(arm.weight for arm in routing.arms) == 100
    assert all(arm.weight >= 0 for arm in routing.arms)
    named = [arm.revision.revision for arm in routing.arms] + [known.revision for known in routing.kept]
    assert len(named) == len(set(named)), "a revision is named twice"
    stable, candidate = moment.after.stable, moment.after.candidate
    first, *others = routing.arms
    assert first.revision.revision == (stable or candidate).revision  # type: ignore[union-attr]
    for arm in others:
        assert not arm.weight or moment.pods(arm.revision.revision), "traffic for what is not ready"
    running = candidate if candidate is not None and candidate.runs and stable is not None else None
    for arm in others:
        if running is not None and arm.revision.revision == running.revision:
            check_candidates(account, moment, arm, running, first)
    if running is None and candidate is not None and stable is not None:
        early = [arm for arm in others if arm.revision.revision == candidate.revision]
        assert not early or candidate.revision in account.left, "it runs before its time"


def check_candidates(account: Account, moment: Moment, arm: Arm, candidate: Candidate, stable: Arm) -> None:
    journey, pods = account.next, moment.pods(candidate.revision)
    assert journey is not None
    allowed = 100 if candidate.restores else journey.allowed
    assert arm.weight <= allowed, f"{arm.weight}% where the stages expose to {allowed}%"
    assert arm.weight <= candidate.weight
    whole = journey.whole or 1
    beside = moment.pods(stable.revision.revision)
    if account.fleet.router.weighs_by_pods and candidate.weight not in (0, 100):
        assert not arm.weight or 100 * pods <= candidate.weight * (pods + beside), "more than its pods make"
    else:
        dead = beside == 0 and pods and candidate.weight == 100
        assert arm.weight <= carries(pods, whole) or dead, f"{arm.weight}% for {pods} of {whole} pods"


def check_pods(account: Account, moment: Moment, routing: Routing) -> None:
    """Stable keeps the pods for its traffic; with a surge there are no more than it allows."""
    candidate, journey, rollout = moment.after.candidate, account.next, account.rollout
    if (
        candidate is None
        or journey is None
        or not candidate.runs
        or moment.after.stable is None
        or rollout.strategy == "Recreate"
    ):
        return
    stable, *others = routing.arms
    arm = next(arm for arm in others if arm.revision.revision == candidate.revision)
    whole, floor, pods = journey.whole or 1, stable.pods or 0, moment.pods(candidate.revision)
    assert arm.pods is not None
    if account.fleet.router.weighs_by_pods:
        # All traffic has pods: stable's alone, both sides', or the candidate has those that its weight needs.
        assert floor + pods >= whole or pods >= account.needed(candidate.weight, "", whole)
        return
    if rollout.max_surge is None:
        assert floor >= whole, "stable leaves pods before it is replaced"
        assert arm.pods >= account.needed(candidate.weight, candidate.replicas, whole)
        return
    surge = rollout.max_surge
    spare = up(int(surge[:-1]) * whole, 100) if surge.endswith("%") else int(surge)
    there = max(floor, min(moment.pods(stable.revision.revision), whole))
    assert arm.pods + there <= whole + max(spare, 1), "more pods than maxSurge allows"
    # A clock that was set back makes none come back that went before.
    goes = floor < moment.pods(stable.revision.revision)
    early = floor * 100 <= (100 - settled(account, moment, journey) - 1) * whole
    assert not (goes and early), "pods are gone too early"


def check_in_place(account: Account, moment: Moment, routing: Routing) -> None:
    """Where there is room for one of the two alone, the stable revision stops before the other starts."""
    candidate, journey, stable = moment.after.candidate, account.next, routing.stable.revision
    if candidate is None or journey is None or not candidate.runs or moment.after.stable is None:
        return
    if account.rollout.strategy != "Recreate" or candidate.weight < 100:
        return
    arm = next(arm for arm in routing.arms if arm.revision.revision == candidate.revision)
    assert routing.arms[0].pods == 0, "the stable revision is to keep pods"
    there, own = moment.pods(stable), moment.pods(candidate.revision)
    assert own or not (there and arm.pods), "it starts before the stable revision has stopped"
    assert not (journey.in_place and there and own), "pods of both at once"


def settled(account: Account, moment: Moment, journey: Journey) -> int:
    """The percent that the candidate has had for scaleDownDelay without a break."""
    since = moment.now - journey.delay
    recent = [routed for at, routed in journey.routed if at > since]
    before = [routed for at, routed in journey.routed if at <= since]
    return min([*recent, *before[-1:]]) if before else 0


def stays(account: Account, moment: Moment, candidate: Candidate) -> bool:
    """Whether a candidate has what it had before its steps were edited: none of them exposes it to anything yet, a
    freeze holds, or pods make no such share."""
    before, course = moment.before.candidate, account.course[: candidate.step + 1]
    if before is None or (before.mirror, before.matched) != (candidate.mirror, candidate.matched):
        return False
    reached = [stage for stage in course if isinstance(stage, Exposure)]
    by_pods = account.fleet.router.weighs_by_pods
    parts = by_pods and reached[-1:] == list(course[-1:]) and 0 < reached[-1].weight < 100
    return not reached or parts or is_frozen(account, moment.now)


def check_exposure(account: Account, moment: Moment, routing: Routing) -> None:
    """Copies, matches and previews are for a candidate that is at such a stage, and ready for them."""
    candidate, router = moment.after.candidate, account.fleet.router
    if candidate is None or not candidate.runs or moment.after.stable is None:
        assert (routing.rules, routing.mirror, routing.preview) == ((), None, "")
        return
    pods = moment.pods(candidate.revision)
    at = [stage for stage in account.course[: candidate.step + 1] if isinstance(stage, Exposure)]
    # One that is out of the router's reach leaves things as they are.
    recent = at[-2:] if candidate.step < len(account.course) else [Exposure(100)]
    edited = candidate.steps_hash != account.steps_hash or stays(account, moment, candidate)
    if routing.mirror is not None:
        assert router.mirrors
        assert pods
        assert edited or routing.mirror.percent in [stage.mirror for stage in recent]
        assert routing.mirror.revision == candidate.revision
    if routing.rules:
        assert router.matches
        assert edited or any(stage.matched for stage in recent)
        led = any(rule.revision == candidate.revision for rule in routing.rules)
        assert not led or account.next is None or pods >= account.wanted(candidate, account.next)
    assert not routing.sticky or router.sticks
    if routing.preview:
        assert (account.rollout.strategy, routing.preview) == ("BlueGreen", candidate.revision)
