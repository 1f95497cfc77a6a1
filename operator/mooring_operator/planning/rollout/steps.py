"""Moves traffic to a revision that has passed its gates: step by step, or back."""

from mooring_operator.api import reasons
from mooring_operator.api.rollout import Approve, Pause, Step
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning import identity
from mooring_operator.planning.rollout.approvals import approved, without_own_approval, without_own_promotion
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.routes import Variant
from mooring_operator.planning.status.wording import because, by_whom, keeps_serving

# Seconds. Replicas come and go without a sign on what is watched; most else shows there.
_LOOK_AGAIN = 2.0
_LOOK_AGAIN_SELDOM = 15.0


def roll_out(draft: RolloutDraft) -> Settled:
    """Serve the candidate: all at once where there is nothing to share traffic with, else by steps."""
    hopeful = drop_if_hopeless(draft)
    if isinstance(hopeful, Settled):
        return hopeful
    if draft.stable is None:
        return _deploy_first(hopeful)
    routed = report_router(hopeful)
    if isinstance(routed, Settled):
        return routed
    return _walk(_skip_if_promoted_by_hand(without_own_promotion(_follow_edited_steps(routed))))


def restore(draft: RolloutDraft, left: Revision) -> Settled:
    """Bring the previous revision back from `left`: no tests, no steps, but not before it is ready."""
    hopeful = drop_if_hopeless(draft)
    if isinstance(hopeful, Settled):
        return hopeful
    draft = _set_candidate_weight(hopeful, 100)
    candidate, variant = draft.candidate, _variant(hopeful)
    back = f"back from {left.revision} to {candidate.revision}: asked for{by_whom(candidate.requested_by)}"
    back += because(candidate.note)
    # Where nothing splits traffic, it follows the stable revision: going back waits for no route.
    unsplit = variant is not None and variant.ready and variant.weight is None
    if not _in_effect(draft) and not unsplit:
        return draft.settle(
            "Promoting", reasons.ROLLING_BACK, f"going {back}", recheck_after=_until_deadline(draft)
        )
    message = f"went {back}"
    return (
        draft.record(left, "RolledBack", reasons.ROLLBACK_REQUESTED, message)
        .without_candidate(
            stable=_promoted(draft),
            previous=None,
            rejected=None,
            failed_revision=draft.target,
            failed_attempt=max(draft.status.failed_attempt, 1),
        )
        .settle("RolledBack", reasons.ROLLBACK_REQUESTED, message, recheck_after=_LOOK_AGAIN)
    )


def drop_if_hopeless(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Reject a candidate that is refused, blocked, or unready for longer than it may be."""
    candidate = draft.candidate
    stays = keeps_serving(draft.stable)
    name = f"revision {candidate.revision}"
    if draft.observed.refused is not None:
        return draft.reject(reasons.SERVICE_REFUSED, f"{name}: {draft.observed.refused}{stays}")
    if candidate.weight == 0:
        return draft
    variant = _variant(draft)
    if variant is not None and variant.blocked is not None:
        return draft.reject(reasons.CANDIDATE_BLOCKED, f"{name}: {variant.blocked}{stays}")
    if variant is not None and variant.ready:
        return draft.change_candidate(unready_since=None) if candidate.unready_since else draft
    since = candidate.unready_since or draft.now
    deadline = draft.spec.rollout.progress_deadline
    if draft.elapsed(since) >= deadline:
        message = f"{name} was not ready for {int(deadline.total_seconds())} s{_why_unready(variant)}{stays}"
        return draft.reject(reasons.PROGRESS_DEADLINE_EXCEEDED, message)
    return draft.change_candidate(unready_since=since)


def report_router(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Say what keeps the router from splitting traffic; a candidate that has none is not begun before."""
    service, candidate = draft.observed.service, draft.candidate
    if service is None or not service.problem:
        return draft
    draft = draft.set_condition("RouterReady", "False", reasons.ROUTER_NOT_READY, service.problem)
    if candidate.weight > 0:
        return draft
    message = (
        f"revision {candidate.revision} waits for its traffic: {service.problem}{keeps_serving(draft.stable)}"
    )
    return draft.settle("Pending", reasons.ROUTER_NOT_READY, message, recheck_after=_LOOK_AGAIN_SELDOM)


def _deploy_first(draft: RolloutDraft) -> Settled:
    draft = _set_candidate_weight(draft, 100)
    candidate, variant = draft.candidate, _variant(draft)
    if variant is None or not variant.ready:
        message = f"waiting for revision {candidate.revision} to become ready{_why_unready(variant)}"
        return draft.settle("Deploying", reasons.DEPLOYING, message, recheck_after=_until_deadline(draft))
    return _promote(draft)


def _walk(draft: RolloutDraft) -> Settled:
    """Go through the steps until one has to be waited for."""
    steps = draft.spec.rollout.steps
    while draft.candidate.step < len(steps):
        taken = _take(draft, steps[draft.candidate.step])
        if isinstance(taken, Settled):
            return taken
        draft = taken.change_candidate(step=taken.candidate.step + 1, step_started_at=draft.now)
    draft = _set_candidate_weight(draft, 100)
    if _in_effect(draft):
        return _promote(draft)
    message = f"revision {draft.candidate.revision} is taking over: {_waiting_for(draft)}"
    return draft.settle("Promoting", reasons.PROMOTING, message, recheck_after=_until_deadline(draft))


def _take(draft: RolloutDraft, step: Step) -> RolloutDraft | Settled:
    """Do one step, or settle on waiting for it."""
    candidate = draft.candidate
    if step.set_weight is not None:
        draft = _set_candidate_weight(draft, step.set_weight)
        if not _in_effect(draft):
            message = (
                f"giving revision {candidate.revision} {step.set_weight}% of traffic: {_waiting_for(draft)}"
            )
            return draft.settle(
                "Canary", reasons.SETTING_WEIGHT, message, recheck_after=_until_deadline(draft)
            )
    elif draft.asked("pause", candidate.revision) is None:
        if step.pause is not None:
            return _pause(draft, step.pause)
        if step.approve is not None:
            return _await_approval(without_own_approval(draft, step), step.approve)
    return _hold_if_asked(draft)


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
    return draft.settle("Paused", reasons.PAUSED_BY_COMMAND, message, recheck_after=_until_deadline(draft))


def _pause(draft: RolloutDraft, pause: Pause) -> RolloutDraft | Settled:
    candidate = draft.candidate
    at = f"revision {candidate.revision} stays at {candidate.weight}% of traffic"
    if pause.duration is None:
        message = f"{at} until it is approved (step {candidate.step})"
        return approved(draft, "Paused") or draft.settle(
            "Paused", reasons.PAUSED_BY_STEP, message, recheck_after=_until_deadline(draft)
        )
    left = (pause.duration - draft.elapsed(candidate.step_started_at)).total_seconds()
    if left <= 0:
        return draft
    until = candidate.step_started_at + pause.duration
    message = f"{at} until {until:%H:%M:%S} UTC (step {candidate.step})"
    deadline = _until_deadline(draft)
    return draft.settle("Canary", reasons.PAUSING, message, recheck_after=min(left, deadline or left))


def _await_approval(draft: RolloutDraft, approve: Approve) -> RolloutDraft | Settled:
    candidate = draft.candidate
    awaits = f"revision {candidate.revision} at {candidate.weight}% of traffic awaits approval"
    message = awaits + because(approve.message)
    return approved(draft, "AwaitingApproval") or draft.settle(
        "AwaitingApproval", reasons.AWAITING_APPROVAL, message, recheck_after=_until_deadline(draft)
    )


def _skip_if_promoted_by_hand(draft: RolloutDraft) -> RolloutDraft:
    candidate = draft.candidate
    steps = len(draft.spec.rollout.steps)
    if draft.asked("promote", candidate.revision) is None or candidate.step >= steps:
        return draft
    return draft.change_candidate(step=steps, step_started_at=draft.now)


def _follow_edited_steps(draft: RolloutDraft) -> RolloutDraft:
    """Where the steps were edited under way, go on at the first that gives no less than there is."""
    candidate = draft.candidate
    digest = identity.steps_hash(draft.spec.rollout)
    if candidate.steps_hash == digest:
        return draft
    weights = [(index, step.set_weight) for index, step in enumerate(draft.spec.rollout.steps)]
    resume = next(i for i, weight in weights if weight is not None and weight >= candidate.weight)
    return draft.change_candidate(
        step=resume if candidate.weight else 0, steps_hash=digest, step_started_at=draft.now
    )


def _set_candidate_weight(draft: RolloutDraft, weight: int) -> RolloutDraft:
    """Have the candidate get `weight` percent; from the first percent on it is expected to be ready."""
    candidate = draft.candidate
    if candidate.weight == weight:
        return draft
    begun = {"unready_since": draft.now} if candidate.weight == 0 else {}
    return draft.change_candidate(weight=weight, step_started_at=draft.now, **begun)


def _promote(draft: RolloutDraft) -> Settled:
    candidate = draft.candidate
    replaced = f" in place of {draft.stable.revision}" if draft.stable else ""
    message = f"revision {candidate.revision} was promoted{replaced}"
    first = draft.stable is None
    done = draft.record(candidate, "Promoted", reasons.PROMOTED, message).without_candidate(
        stable=_promoted(draft), previous=draft.stable, rejected=None
    )
    if first:
        serving = f"revision {candidate.revision} ({candidate.model_uri}) serves all traffic"
        return done.settle("Promoted", reasons.PROMOTED, serving, recheck_after=_LOOK_AGAIN)
    return done.settle("Promoting", reasons.PROMOTING, message, recheck_after=_LOOK_AGAIN)


def _promoted(draft: RolloutDraft) -> Revision:
    """Give the candidate as a stable revision.

    Where workloads are renamed for other files only, a revision that serves the same files in another way takes its
    predecessor's workload over.
    """
    candidate, stable, service = draft.candidate, draft.stable, draft.observed.service
    router, workload = draft.observed.router, candidate.workload
    same_files = stable is not None and stable.storage_uri == candidate.storage_uri
    if stable is not None and same_files and router.renames_for_files_only:
        workload = stable.workload
    elif service is not None and not router.names_workloads:
        workload = service.variants[candidate.revision].workload
    return candidate.as_revision(workload=workload, since=draft.now)


def _variant(draft: RolloutDraft) -> Variant | None:
    service = draft.observed.service
    return None if service is None else service.variants.get(draft.candidate.revision)


def _in_effect(draft: RolloutDraft) -> bool:
    candidate, variant = draft.candidate, _variant(draft)
    return variant is not None and variant.ready and variant.weight == candidate.weight


def _waiting_for(draft: RolloutDraft) -> str:
    variant = _variant(draft)
    if variant is None:
        return f"waiting for {draft.observed.router.controller} to start it"
    if not variant.ready:
        return f"waiting for it to become ready{_why_unready(variant)}"
    service = draft.observed.service
    return f"it has {variant.weight or 0}% so far{because(service.problem if service is not None else '')}"


def _why_unready(variant: Variant | None) -> str:
    return because(variant.message if variant is not None else "")


def _until_deadline(draft: RolloutDraft) -> float | None:
    """Seconds until a candidate that is waited for has to be looked at again; None while there is no need."""
    candidate = draft.candidate
    if candidate.weight == 0 or (candidate.unready_since is None and _in_effect(draft)):
        return None
    # Up to 100% what is watched tells who is ready; that all replicas are there, or what is routed, only a look does.
    variant = _variant(draft)
    soon = candidate.weight == 100 or (variant is not None and variant.ready)
    pause = _LOOK_AGAIN if draft.stable is not None and soon else _LOOK_AGAIN_SELDOM
    since = candidate.unready_since or candidate.step_started_at
    left = (draft.spec.rollout.progress_deadline - draft.elapsed(since)).total_seconds()
    return max(min(left, pause), 0.1) if candidate.unready_since else pause
