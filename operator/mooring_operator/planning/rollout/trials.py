"""An A/B test: who answers side by side, until somebody decides for one of them, or until its time is over."""

from collections.abc import Iterator

from mooring_operator.api import reasons
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout import variants
from mooring_operator.planning.rollout.approvals import approved, goes_back
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.rollout.progress import LOOK_AGAIN_SELDOM, until_deadline
from mooring_operator.planning.rollout.traffic import seen_of_side, variant_of
from mooring_operator.planning.rollout.variants import Side
from mooring_operator.planning.rollout.verdicts import ends_early
from mooring_operator.planning.status import conditions
from mooring_operator.planning.status.wording import because, keeps_serving
from mooring_operator.planning.strategies.course import Trial

_CONDITION = "VariantsReady"


def refuse_unknown_variants(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A test does not begin with a variant that cannot take part; one that goes on goes on without it."""
    if draft.stable is None or draft.candidate.runs or goes_back(draft):
        return draft
    problem = "; ".join(variants.refused(draft))
    if not problem:
        return draft
    message = f"{problem}{keeps_serving(draft.stable)}"
    draft = draft.set_condition(_CONDITION, "False", reasons.VARIANT_UNKNOWN, problem)
    return draft.settle("Pending", reasons.VARIANT_UNKNOWN, message, stalled=True)


def refuse_a_test_that_is_over(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A date that was left from the last test promotes nothing: nobody would have been asked anything."""
    test, rollout = draft.spec.rollout.ab_test, draft.spec.rollout
    if draft.stable is None or draft.candidate.runs or goes_back(draft) or rollout.strategy != "ABTest":
        return draft
    if test is None or test.until is None or test.until > draft.now:
        return draft
    message = (
        f"spec.rollout.abTest.until {test.until:%Y-%m-%dT%H:%M:%SZ} is over: the test of revision "
        f"{draft.candidate.revision} would end before it begins; write a later time, or a duration"
    )
    return draft.settle("Pending", reasons.TRIAL_ENDED, message + keeps_serving(draft.stable), stalled=True)


def variants_awaited(draft: RolloutDraft) -> str:
    """Say which variants have yet to get their part; nothing where all do, or have been waited for long enough."""
    waited = draft.elapsed(draft.candidate.step_started_at)
    if waited >= draft.spec.rollout.progress_deadline:
        return ""
    return "; ".join(_lacking(draft))


def try_out(draft: RolloutDraft, trial: Trial) -> RolloutDraft | Settled:
    """Let the revisions answer until somebody decides for one of them, or until the time is over."""
    candidate, end = draft.candidate, trial.ends(draft.candidate.step_started_at)
    draft = _tell_of_variants(draft)
    name = f"revision {candidate.revision}"
    sides = f"{name} answers beside {_others(draft)}"
    # It may have taken so long to come here that the end is over: as good as none at all.
    if end is None or end <= candidate.step_started_at:
        why = ": spec.rollout.abTest.until was over before its test began"
        more = _or_another_is_promoted(draft) if end is None else why
        message = f"{sides} until it is approved or aborted{more}"
        return approved(draft, "AwaitingApproval") or draft.settle(
            "AwaitingApproval", reasons.AWAITING_APPROVAL, message, recheck_after=_look_again(draft)
        )
    left = (end - draft.now).total_seconds()
    draft, decided = ends_early(draft)
    if decided:
        return draft
    if left <= 0:
        if trial.test.then == "Promote":
            return draft
        message = f"{name}: its test ended at {end:%Y-%m-%d %H:%M:%S} UTC, and nobody had approved it"
        return draft.reject(reasons.TRIAL_ENDED, message + keeps_serving(draft.stable))
    message = f"{sides} until {end:%Y-%m-%d %H:%M:%S} UTC, when it is {_fate(trial)} unless decided before"
    pause = min(left, _look_again(draft) or left)
    waiting = draft.settle("Canary", reasons.SIDE_BY_SIDE, message, recheck_after=pause)
    return approved(draft, "AwaitingApproval") or waiting


def _tell_of_variants(draft: RolloutDraft) -> RolloutDraft:
    """Say in a condition which variants get less than they should, and tell when one begins to."""
    refused, lacking = list(variants.refused(draft)), list(_lacking(draft))
    if not refused and not lacking:
        return draft
    reason = reasons.VARIANT_UNKNOWN if refused else reasons.VARIANT_NOT_READY
    message = "; ".join([*refused, *lacking]) + "; the stable revision answers for it"
    before = conditions.find(draft.before.conditions, _CONDITION)
    if before is None or before.reason != reason:
        draft = draft.request(Notify("Warning", reason, message))
    return draft.set_condition(_CONDITION, "False", reason, message)


def _lacking(draft: RolloutDraft) -> Iterator[str]:
    """Say of each variant that gets less than it should what it lacks."""
    for side in variants.running(draft):
        seen, variant = seen_of_side(draft, draft.candidate, side), variant_of(draft, side.revision)
        if not seen.is_ready:
            why = because(variant.message if variant is not None else "")
            yield f"{side}: {seen.ready} of {seen.pods} pods are ready{why}"
        elif variant is not None and (variant.weight or 0) != side.asked.weight:
            yield f"{side}: it has {variant.weight or 0}% of {side.asked.weight}% so far"


def _others(draft: RolloutDraft) -> str:
    stable = draft.stable.revision if draft.stable is not None else ""
    sides: list[Side] = variants.running(draft)
    return " and ".join([f"revision {stable}", *map(str, sides)])


def _or_another_is_promoted(draft: RolloutDraft) -> str:
    return ", or another one is promoted" if variants.running(draft) else ""


def _look_again(draft: RolloutDraft) -> float | None:
    deadline = until_deadline(draft)
    if not any(True for _ in _lacking(draft)):
        return deadline
    return min(deadline or LOOK_AGAIN_SELDOM, LOOK_AGAIN_SELDOM)


def _fate(trial: Trial) -> str:
    return "promoted" if trial.test.then == "Promote" else "rolled back"
