"""Faults in how a rollout goes on, is judged, asked about, and ends."""

from dataclasses import replace
from typing import Any

from mooring_operator.planning.rollout import (
    analysis,
    approvals,
    draft,
    holds,
    progress,
    retained,
    returning,
    runtimes,
    stages,
    steps,
    traffic,
    trials,
)
from mooring_operator.planning.rollout import plan as rules
from mooring_operator.planning.routing import Mirror
from mooring_operator.planning.strategies import capacity

from tests.unit.operator.planning.planted.planting import (
    ASKED,
    EDITED,
    ENDS,
    FOLLOWS,
    HALF_WAY,
    HELD_UP,
    SAFETY,
    TESTED,
    WRONG,
    Faults,
    Function,
    always,
    first,
)


def _unasked(original: Function) -> Function:
    return lambda asked, seen, **_: capacity.Share(asked, original(asked, seen).pods, seen.whole)


def _both_at_once(original: Function) -> Function:
    return lambda seen: capacity.Share(capacity.carried(seen.pods, seen.whole), seen.whole, 0)


def _as_if(original: Function, draft: Any, **asked: Any) -> Any:
    """What is decided where the spec asks for something else; the draft goes on with its own."""
    decided = original(replace(draft, spec=draft.spec.model_copy(update=asked)))
    return replace(decided, spec=draft.spec)


def _half_the_deadline(original: Function) -> Function:
    def drop(draft: Any) -> Any:
        rollout = draft.spec.rollout
        hasty = rollout.model_copy(update={"progress_deadline": rollout.progress_deadline / 2})
        return _as_if(original, draft, rollout=hasty)

    return drop


def _never_rejected(original: Function) -> Function:
    def judge(draft: Any) -> Any:
        judged = original(draft)
        ended = judged.candidate is None
        return draft.change(analysis=judged.status.analysis) if ended else judged

    return judge


def _passes(original: Function) -> Function:
    return lambda draft: (original(draft)[0], "PASS")


def _promotes_trials(original: Function) -> Function:
    def try_out(draft: Any, trial: Any) -> Any:
        return original(draft, replace(trial, test=trial.test.model_copy(update={"then": "Promote"})))

    return try_out


def _all_at_once(original: Function) -> Function:
    return lambda draft, to: original(draft, replace(to, weight=100) if to.weight else to)


def _mirrors_to_nobody(original: Function) -> Function:
    def expose(draft: Any, routing: Any, running: Any) -> Any:
        mirror = Mirror(running.revision, running.mirror) if running.mirror else None
        return replace(original(draft, routing, running), mirror=mirror)

    return expose


def _one_more_kept(original: Function) -> Function:
    def trim(draft: Any) -> Any:
        return _as_if(original, draft, revision_history_limit=draft.spec.revision_history_limit + 1)

    return trim


def _same_place(original: Function) -> Function:
    def follow(draft: Any) -> Any:
        followed = original(draft)
        return followed.change_candidate(step=draft.candidate.step)

    return follow


def _at_once(original: Function) -> Function:
    """Go on at once: the annotation is still there for the next step."""
    return lambda draft, phase: draft if draft.asked("approve", draft.candidate.revision) else None


def _traffic_alone(original: Function) -> Function:
    def in_effect(draft: Any) -> bool:
        variant = progress.own_variant(draft)
        return variant is not None and variant.weight == draft.candidate.weight

    return in_effect


def _pods_alone(original: Function) -> Function:
    def in_effect(draft: Any) -> bool:
        return not progress._pods_missing(draft) and progress.own_variant(draft) is not None

    return in_effect


def _pinned_as_followed(original: Function) -> Function:
    def sought(spec: Any, *args: Any) -> Any:
        serving = spec.serving.model_copy(update={"runtime_policy": "Follow"})
        return original(spec.model_copy(update={"serving": serving}), *args)

    return sought


def _followed_as_pinned(original: Function) -> Function:
    def sought(spec: Any, *args: Any) -> Any:
        serving = spec.serving.model_copy(update={"runtime_policy": "Pinned"})
        return original(spec.model_copy(update={"serving": serving}), *args)

    return sought


FAULTS: Faults = {
    "traffic before pods": (SAFETY, capacity, "carried", lambda _: lambda pods, whole: 100 if pods else 0),
    "traffic to what is not ready": (SAFETY, capacity, "share", _unasked),
    "a part by pods before there are any": (SAFETY, capacity, "share_by_pods", _unasked),
    "all at once": (SAFETY, stages, "expose", _all_at_once),
    "a step is in effect with traffic alone": (SAFETY, progress, "in_effect", _traffic_alone),
    "a step is in effect with pods alone": (SAFETY, progress, "in_effect", _pods_alone),
    "pods of both at once": (SAFETY, capacity, "share_in_place", _both_at_once),
    "copies to nobody": (SAFETY, traffic, "_exposed", _mirrors_to_nobody),
    "maxSurge is no limit": (SAFETY, traffic, "_surge", always(None)),
    "stable leaves its pods at once": (SAFETY, capacity, "_relieved", lambda _: lambda settled, whole: whole),
    "what leaves has no pods": (SAFETY, retained, "is_leaving", always(False)),
    "what leaves keeps no traffic": (HALF_WAY, retained, "keeps", always(0)),
    "what is superseded is dropped": (SAFETY, draft.Draft, "leave", first),
    "a pause is cut short": (SAFETY, stages, "_pause", first),
    "a person's pause is ignored": (ASKED, stages, "_hold_if_asked", first),
    "nobody has to approve": (ASKED, approvals, "approved", first),
    "an approval counts for two": (ASKED, approvals, "approved", _at_once),
    "an abort is ignored": (ASKED, rules, "abort_when_asked", first),
    "a rollback is ignored": (ASKED, returning, "go_back_when_asked", first),
    "promoted by nobody": (ASKED, approvals, "goes_back", always(True)),
    "edited steps go on by number": (EDITED, steps, "_follow_edited_steps", _same_place),
    "a trial is always promoted": (TESTED, trials, "try_out", _promotes_trials),
    "given up too early": (HELD_UP, progress, "drop_if_hopeless", _half_the_deadline),
    "never given up": (HELD_UP, progress, "drop_if_hopeless", first),
    "a freeze is ignored": (SAFETY, holds, "_hold_in_a_freeze", always(None)),
    "notBefore is ignored": (SAFETY, holds, "_wait_until_its_time", always(None)),
    "requires is ignored": (SAFETY, holds, "_wait_for_evidence", always(None)),
    "a failed verdict goes on": (WRONG, analysis, "judge_candidate", _never_rejected),
    "nobody judges": (WRONG, analysis, "judge_candidate", first),
    "every verdict is PASS": (SAFETY, analysis, "verdict_of_step", _passes),
    "a pinned runtime is followed": (EDITED, runtimes, "sought", _pinned_as_followed),
    "a runtime is not followed": (FOLLOWS, runtimes, "sought", _followed_as_pinned),
    "one more revision is kept": (ENDS, retained, "trim", _one_more_kept),
}
