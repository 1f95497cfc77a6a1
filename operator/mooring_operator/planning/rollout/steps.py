"""Moves traffic to a revision that has passed its gates: step by step, or back."""

from mooring_operator.api import reasons
from mooring_operator.api.checks import Check
from mooring_operator.api.rollout_status import LARGEST_TESTED, CIStatus, Revision, stored_bytes
from mooring_operator.planning import identity
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout import analysis
from mooring_operator.planning.rollout.approvals import (
    goes_back,
    without_own_promotion,
)
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.rollout.holds import hold_forward, wait_for_its_turn
from mooring_operator.planning.rollout.progress import (
    LOOK_AGAIN,
    LOOK_AGAIN_SELDOM,
    ROUTER,
    drop_if_hopeless,
    in_effect,
    note_progress,
    out_of_effect,
    own_variant,
    settle_waiting,
    waiting_for,
    why_unready,
)
from mooring_operator.planning.rollout.stages import expose, is_exposed, refuse_what_is_out_of_reach, take
from mooring_operator.planning.rollout.traffic import share_of
from mooring_operator.planning.status.wording import because, by_whom, keeps_serving
from mooring_operator.planning.strategies.course import Exposure, Stage, course_of, place_in
from mooring_operator.planning.strategies.demands import why_not_beside, why_unsupported


def roll_out(draft: RolloutDraft) -> Settled:
    """Serve the candidate: all at once where there is nothing to share traffic with, else by steps."""
    hopeful = drop_if_hopeless(note_progress(draft))
    if isinstance(hopeful, Settled):
        return hopeful
    if draft.stable is None:
        return _deploy_first(hopeful)
    routed = wait_for_the_router(hopeful)
    if isinstance(routed, Settled):
        return routed
    skipped = _skip_if_promoted_by_hand(without_own_promotion(_follow_edited_steps(routed)))
    return skipped if isinstance(skipped, Settled) else _walk(skipped)


def restore(draft: RolloutDraft, left: Revision) -> Settled:
    """Bring the previous revision back from `left`: no tests, no steps, but not before it is ready."""
    hopeful = drop_if_hopeless(note_progress(draft))
    if isinstance(hopeful, Settled):
        return hopeful
    draft = expose(hopeful, Exposure(100))
    candidate, variant = draft.candidate, own_variant(hopeful)
    back = f"back from {left.revision} to {candidate.revision}: asked for{by_whom(candidate.requested_by)}"
    back += because(candidate.note)
    # Where nothing splits traffic, it follows the stable revision: going back waits for no route.
    unsplit = variant is not None and variant.ready and variant.weight is None
    if not in_effect(draft) and not unsplit:
        gap = "; nothing answers until it is ready" if draft.spec.rollout.strategy == "Recreate" else ""
        return settle_waiting(draft, "Promoting", reasons.ROLLING_BACK, f"going {back}{gap}")
    message = f"went {back}"
    reason = reasons.ANALYSIS_FAILED if analysis.refutes(draft, left) else reasons.ROLLBACK_REQUESTED
    return (
        draft.record(left, "RolledBack", reason, message)
        .retain(left, pods=share_of(draft, candidate).stable_pods, whole=candidate.stable_pods)
        .without_candidate(
            stable=_promoted(draft),
            previous=None,
            rejected=None,
            failed_revision=draft.target,
            failed_content=draft.content,
            failed_attempt=max(draft.status.failed_attempt, 1),
        )
        .settle("RolledBack", reason, message, recheck_after=LOOK_AGAIN)
    )


def refuse_what_the_router_cannot(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A strategy that the router cannot carry out is said before anything is shifted; traffic stays where it is."""
    observed = draft.observed
    problem = why_unsupported(draft.spec.rollout, observed.router, observed.router_choice.name)
    if not problem and draft.stable is not None:
        problem = why_not_beside(draft.spec.rollout, observed.router, draft.stable.adopted_service)
    if not problem:
        return draft
    draft = draft.set_condition(ROUTER, "False", reasons.UNSUPPORTED_BY_ROUTER, problem)
    if draft.stable is None:
        # A first revision has nothing to share traffic with.
        return draft
    return draft.settle(
        "Pending", reasons.UNSUPPORTED_BY_ROUTER, problem + keeps_serving(draft.stable), stalled=True
    )


def wait_for_the_router(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A candidate is not begun while the router cannot give it any traffic."""
    service, candidate = draft.observed.service, draft.candidate
    if service is None or not service.problem:
        return draft
    if candidate.runs:
        return draft
    message = (
        f"revision {candidate.revision} waits for its traffic: {service.problem}{keeps_serving(draft.stable)}"
    )
    # Which router it may not leave for, only the spec can say otherwise.
    held = bool(draft.observed.router_choice.held)
    return draft.settle(
        "Pending", reasons.ROUTER_NOT_READY, message, stalled=held, recheck_after=LOOK_AGAIN_SELDOM
    )


def _deploy_first(draft: RolloutDraft) -> Settled:
    if (held := wait_for_its_turn(draft)) is not None:
        return held
    draft = expose(draft, Exposure(100))
    candidate, variant = draft.candidate, own_variant(draft)
    if variant is None or not variant.ready:
        message = f"waiting for revision {candidate.revision} to become ready{why_unready(draft)}"
        return settle_waiting(draft, "Deploying", reasons.DEPLOYING, message)
    return _promote(draft)


def _walk(draft: RolloutDraft) -> Settled:
    """Go through the steps until one has to be waited for."""
    course = course_of(draft.spec.rollout)
    while draft.candidate.step < len(course):
        stage = course[draft.candidate.step]
        held = refuse_what_is_out_of_reach(draft, stage)
        if held is None and _goes_forward(draft, stage):
            held = hold_forward(draft)
        taken = held or take(draft, stage)
        if isinstance(taken, Settled):
            return (
                taken if isinstance(stage, Exposure) and held is None else _with_what_is_missing(draft, taken)
            )
        draft = taken.change_candidate(step=taken.candidate.step + 1, step_started_at=draft.now)
    if (held := hold_forward(draft)) is not None:
        return held
    draft = expose(draft, Exposure(100))
    if in_effect(draft):
        return _promote(draft)
    message = f"revision {draft.candidate.revision} is taking over: {waiting_for(draft)}"
    return settle_waiting(draft, "Promoting", reasons.PROMOTING, message)


def _with_what_is_missing(draft: RolloutDraft, settled: Settled) -> Settled:
    """What a stage waits for is told with what the candidate has lost meanwhile."""
    if settled.status.reason == reasons.WAITING:
        return settled
    if draft.candidate.revision != (settled.candidate.revision if settled.candidate is not None else ""):
        return settled
    return settled.change(message=settled.status.message + out_of_effect(draft))


def _goes_forward(draft: RolloutDraft, stage: Stage) -> bool:
    """Whether the stage would change what the candidate is exposed to, or start a check; what has begun is finished."""
    if isinstance(stage, Check):
        return draft.candidate.check is None
    return isinstance(stage, Exposure) and not is_exposed(draft, stage)


def _skip_if_promoted_by_hand(draft: RolloutDraft) -> RolloutDraft | Settled:
    candidate = draft.candidate
    steps = len(course_of(draft.spec.rollout))
    asked = draft.asked("promote", candidate.revision)
    if candidate.step >= steps or not (asked or goes_back(draft)):
        return draft
    if (held := hold_forward(draft)) is not None:
        return held
    if asked is not None:
        message = (
            f"revision {candidate.revision} takes over without the steps that are left: asked for{by_whom(asked.by)}"
            f"{because(asked.note)}"
        )
        draft = draft.request(Notify("Normal", reasons.PROMOTION_REQUESTED, message))
    return draft.change_candidate(step=steps, step_started_at=draft.now, check=None)


def _follow_edited_steps(draft: RolloutDraft) -> RolloutDraft:
    """Where the course was edited under way, go on where it gives no more than there is: no gate is passed over."""
    candidate = draft.candidate
    digest = identity.steps_hash(draft.spec.rollout)
    if candidate.steps_hash == digest:
        return draft
    leaves_pods = draft.observed.router.weighs_by_pods or draft.spec.rollout.max_surge is not None
    resume = place_in(course_of(draft.spec.rollout), candidate.weight, gives_back=not leaves_pods)
    return draft.change_candidate(step=resume, steps_hash=digest, step_started_at=draft.now, check=None)


def _promote(draft: RolloutDraft) -> Settled:
    candidate = draft.candidate
    replaced = f" in place of {draft.stable.revision}" if draft.stable else ""
    message = f"revision {candidate.revision} was promoted{replaced}"
    first = draft.stable is None
    done = draft.record(candidate, "Promoted", reasons.PROMOTED, message)
    if draft.stable is not None:
        done = done.retain(
            draft.stable, pods=share_of(draft, candidate).stable_pods, whole=candidate.stable_pods
        )
    watched = analysis.promoted(done)
    promoted = watched.without_candidate(stable=_promoted(draft), previous=draft.stable, rejected=None)
    if first:
        serving = f"revision {candidate.revision} ({candidate.model_uri}) serves all traffic"
        return promoted.settle("Promoted", reasons.PROMOTED, serving, recheck_after=LOOK_AGAIN)
    return promoted.settle("Promoting", reasons.PROMOTING, message, recheck_after=LOOK_AGAIN)


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
    return candidate.as_revision(workload=workload, since=draft.now, tested=_tested(draft))


def _tested(draft: RolloutDraft) -> CIStatus | None:
    """Give the test that the candidate has passed, where it is small enough to be kept."""
    ci, candidate = draft.status.ci, draft.candidate
    if ci is None or (ci.revision, ci.verdict) != (candidate.revision, "Passed"):
        return candidate.tested
    return ci if stored_bytes(ci) <= LARGEST_TESTED else None
