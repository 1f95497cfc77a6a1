"""What holds of the variants of a test: who is one, and what each gets."""

from mooring_operator.planning.routing import Routing
from mooring_operator.planning.strategies.course import Exposure

from tests.unit.operator.planning.witness.account import Account, Moment, carries


def note_variants(account: Account, moment: Moment) -> None:
    """Note who is a variant from here on; one that is none any more has been left."""
    before, account.sides = account.sides, _sides(account, moment)
    for revision in account.sides:
        account.left.pop(revision, None)
    candidate, stable = moment.after.candidate, moment.after.stable
    running = candidate if candidate is not None and candidate.runs else None
    others = [known.revision for known in (running, stable) if known is not None]
    for revision, asked in before.items():
        if revision not in account.sides and revision not in others:
            account.left[revision] = account.leaves(moment, asked)


def check_variants(account: Account, moment: Moment, routing: Routing) -> None:
    """A variant gets what it is to get as far as its pods carry it; it is asked for all of them."""
    arms = {arm.revision.revision: arm for arm in routing.arms}
    candidate = moment.after.candidate
    for revision, asked in account.sides.items():
        assert revision in arms, "a variant does not run"
        whole, pods = (account.next and account.next.whole) or 1, moment.pods(revision)
        gets = arms[revision].weight
        assert gets == min(asked, carries(pods, whole)), f"{gets}% of {asked}% for {pods} pods of {whole}"
        assert candidate is not None
        wanted = account.needed(asked, candidate.replicas, whole)
        assert arms[revision].pods == wanted
        led = any(rule.revision == revision for rule in routing.rules)
        assert not led or pods >= wanted, "who matches is sent to what lacks pods"
    stable = [moment.after.stable.revision] if moment.after.stable is not None else []
    known = {*account.sides, *stable, *([candidate.revision] if candidate is not None else [])}
    assert {rule.revision for rule in routing.rules} <= known, "who matches is sent to nobody's side"


def _sides(account: Account, moment: Moment) -> dict[str, int]:
    """Give the variants that there are to be: promoted before, kept, and none of the two that are compared."""
    test, candidate, stable = account.rollout.ab_test, moment.after.candidate, moment.after.stable
    if test is None or candidate is None or stable is None or not account.fleet.router.splits_many:
        return {}
    at = [stage for stage in account.course[: candidate.step + 1] if isinstance(stage, Exposure)]
    edited = candidate.steps_hash != account.steps_hash
    if not candidate.runs or not (candidate.matched if edited else at and at[-1].matched):
        return {}
    return {
        one.revision: one.weight
        for one in test.variants
        if one.revision in account.history
        and one.revision not in (candidate.revision, stable.revision)
        and not _is_needed(account, moment, one.revision)
    }


def _is_needed(account: Account, moment: Moment, revision: str) -> bool:
    """Whether a revision that was left still serves what the stable one has no pods for."""
    left, stable = account.left.get(revision), moment.after.stable
    if left is None or not left.asked or stable is None:
        return False
    late = moment.now - left.at >= account.rollout.progress_deadline
    lacks = carries(moment.pods(stable.revision), left.whole) < 100
    return not late and bool(moment.pods(revision)) and lacks
