"""One stage of a rollout after the other: what the candidate is exposed to, and what is waited for."""

from typing import Any

from mooring_operator.api import reasons
from mooring_operator.api.analysis import Analyse
from mooring_operator.api.checks import Check
from mooring_operator.api.rollout import Approve, Pause
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.approvals import approved, without_own_approval
from mooring_operator.planning.rollout.checks import await_check
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.rollout.progress import (
    LOOK_AGAIN,
    ROUTER,
    in_effect,
    note_progress,
    settle_waiting,
    until_deadline,
    waiting_for,
)
from mooring_operator.planning.rollout.traffic import variant_of
from mooring_operator.planning.rollout.trials import try_out, variants_awaited
from mooring_operator.planning.rollout.verdicts import await_verdict, ends_early
from mooring_operator.planning.status.wording import because, by_whom
from mooring_operator.planning.strategies import capacity
from mooring_operator.planning.strategies.course import Exposure, Stage, Trial

_SOON = 1.0


def take(draft: RolloutDraft, stage: Stage) -> RolloutDraft | Settled:
    """Do one stage, or settle on waiting for it."""
    match stage:
        case Exposure():
            exposed = _expose(draft, stage)
            return exposed if isinstance(exposed, Settled) else _hold_if_asked(exposed)
        case _ if draft.asked("pause", draft.candidate.revision) is not None:
            return _hold_if_asked(draft)
        case Pause():
            return _pause(draft, stage)
        case Approve():
            return _await_approval(without_own_approval(draft, stage), stage)
        case Analyse():
            return await_verdict(draft, stage)
        case Trial():
            return try_out(draft, stage)
        case Check():
            return await_check(draft, stage)


def refuse_what_is_out_of_reach(draft: RolloutDraft, stage: Stage) -> Settled | None:
    """Stop at a share of the traffic that no numbers of pods make, before anything is waited for."""
    out_of_reach = _why_out_of_reach(draft, stage.weight) if isinstance(stage, Exposure) else ""
    if not out_of_reach:
        return None
    candidate = draft.candidate
    draft = draft.set_condition(ROUTER, "False", reasons.UNSUPPORTED_BY_ROUTER, out_of_reach)
    message = f"revision {candidate.revision} stays at {candidate.weight}% of traffic: {out_of_reach}"
    return draft.settle("Paused", reasons.UNSUPPORTED_BY_ROUTER, message, stalled=True)


def expose(draft: RolloutDraft, to: Exposure) -> RolloutDraft:
    """Have the candidate get what the exposure says; from here on it runs, and is expected to be ready."""
    if is_exposed(draft, to):
        return draft
    begun = {} if draft.candidate.runs else {"unready_since": draft.now, "begun": True}
    # Until here it keeps the pods, and the part of the traffic, that it had as one that was left.
    draft = draft.forget(draft.candidate.revision)
    return note_progress(draft.change_candidate(step_started_at=draft.now, **_asked(to), **begun))


def is_exposed(draft: RolloutDraft, to: Exposure) -> bool:
    """Whether the candidate runs, and should get what the exposure says."""
    candidate = draft.candidate
    return candidate.runs and all(getattr(candidate, name) == value for name, value in _asked(to).items())


def _asked(to: Exposure) -> dict[str, Any]:
    return {"weight": to.weight, "replicas": to.replicas, "mirror": to.mirror, "matched": to.matched}


def _expose(draft: RolloutDraft, to: Exposure) -> RolloutDraft | Settled:
    candidate, replaces = draft.candidate, draft.spec.rollout.strategy == "Recreate"
    if replaces and not candidate.runs and draft.before.reason != reasons.RECREATING:
        message = f"{_stops_first(draft)}; it begins at once"
        return draft.settle("Pending", reasons.RECREATING, message, recheck_after=_SOON)
    draft = expose(draft, to)
    if in_effect(draft):
        awaited = variants_awaited(draft)
        if not awaited:
            return draft
        message = f"revision {candidate.revision} has {to.weight}% of traffic, and waits for {awaited}"
        return draft.settle("Canary", reasons.SETTING_WEIGHT, message, recheck_after=LOOK_AGAIN)
    if replaces:
        message = f"{_stops_first(draft)}: {waiting_for(draft)}"
        return settle_waiting(draft, "Canary", reasons.RECREATING, message)
    what = f"{to.weight}% of traffic" if to.weight else "its pods, and no traffic"
    message = f"giving revision {candidate.revision} {what}: {waiting_for(draft)}"
    return settle_waiting(draft, "Canary", reasons.SETTING_WEIGHT, message)


def _stops_first(draft: RolloutDraft) -> str:
    stable = draft.stable.revision if draft.stable is not None else ""
    return (
        f"revision {stable} stops before revision {draft.candidate.revision} starts, "
        "and nothing answers until that is ready"
    )


def _why_out_of_reach(draft: RolloutDraft, weight: int) -> str:
    if not draft.observed.router.weighs_by_pods:
        return ""
    stable, variant = draft.stable, variant_of(draft, draft.stable)
    least = stable.serving_spec.min_replicas if stable is not None else 0
    whole = draft.candidate.stable_pods or (variant.pods if variant is not None else None) or least or 1
    return capacity.why_out_of_reach(weight, whole)


def _hold_if_asked(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A person's pause stops the rollout between two steps, and keeps the weight as it is."""
    candidate = draft.candidate
    asked = draft.asked("pause", candidate.revision)
    if asked is None:
        return draft
    message = (
        f"revision {candidate.revision} is held{by_whom(asked.by)} at {candidate.weight}% of traffic"
        f"{because(asked.note)}"
    )
    before = draft.before
    if before.reason != reasons.PAUSED_BY_COMMAND or not before.message.startswith(message):
        draft = draft.request(Notify("Normal", reasons.PAUSED_BY_COMMAND, message))
    return draft.settle("Paused", reasons.PAUSED_BY_COMMAND, message, recheck_after=until_deadline(draft))


def _pause(draft: RolloutDraft, pause: Pause) -> RolloutDraft | Settled:
    candidate = draft.candidate
    at = f"revision {candidate.revision} {_exposed_to(draft)}"
    if pause.duration is None:
        message = f"{at} until it is approved (step {candidate.step})"
        return approved(draft, "Paused") or draft.settle(
            "Paused", reasons.PAUSED_BY_STEP, message, recheck_after=until_deadline(draft)
        )
    left = (pause.duration - draft.elapsed(candidate.step_started_at)).total_seconds()
    draft, decided = ends_early(draft)
    if left <= 0 or decided:
        return draft
    until = candidate.step_started_at + pause.duration
    message = f"{at} until {until:%H:%M:%S} UTC (step {candidate.step})"
    deadline = until_deadline(draft)
    return draft.settle("Canary", reasons.PAUSING, message, recheck_after=min(left, deadline or left))


def _exposed_to(draft: RolloutDraft) -> str:
    candidate = draft.candidate
    if candidate.mirror:
        return f"gets copies of {candidate.mirror}% of the requests, and nobody its answers,"
    if draft.spec.rollout.strategy == "BlueGreen" and not candidate.weight:
        owner = draft.observed.owner
        return f"answers at its preview address {owner.name}-preview.{owner.namespace} alone"
    return f"stays at {candidate.weight}% of traffic"


def _await_approval(draft: RolloutDraft, approve: Approve) -> RolloutDraft | Settled:
    candidate = draft.candidate
    than = f" than {candidate.requested_by}" if candidate.requested_by else ""
    whose = f" by someone else{than}" if approve.by == "SomeoneElse" else ""
    awaits = f"revision {candidate.revision} at {candidate.weight}% of traffic awaits approval{whose}"
    message = awaits + because(approve.message)
    return approved(draft, "AwaitingApproval") or draft.settle(
        "AwaitingApproval", reasons.AWAITING_APPROVAL, message, recheck_after=until_deadline(draft)
    )
