"""Decides what happens next to a ModelDeployment.

    spec changes, alias moves                                     weights, pauses, approvals
            |                                                              |
            v                                                              v
        Testing --passed--> Deploying (first) ----------ready---------> Promoted
            |        \\----> Canary <-> Paused, AwaitingApproval -> Promoting -^
            |                  |
         failed            deadline, abort, blocked
            v                  v
          Failed           RolledBack          both: the stable revision keeps serving

The revision that is stable never loses its traffic to a revision that has not passed.
"""

from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import (
    ModelDeploymentStatus,
    Phase,
    ResolvedModel,
)
from mooring_operator.planning import identity
from mooring_operator.planning.rollout.adoption import refuse_to_take_over, take_over_what_runs
from mooring_operator.planning.rollout.aliases import follow_alias
from mooring_operator.planning.rollout.analysis import judge_candidate, watched_until
from mooring_operator.planning.rollout.candidates import take_up_the_candidate, tell_of_an_edit_that_waits
from mooring_operator.planning.rollout.compliance import (
    enforce_policies,
    refuse_what_is_forbidden,
    report_compliance,
    wait_for_signers,
)
from mooring_operator.planning.rollout.decision import Decision, decide
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.gates import test_candidate, wait_for_the_runtime
from mooring_operator.planning.rollout.holds import begin_when_it_may
from mooring_operator.planning.rollout.progress import (
    STARTS_AGAIN,
    is_being_taken_up,
    note_progress,
    who_serves,
)
from mooring_operator.planning.rollout.recovery import recover_what_serves
from mooring_operator.planning.rollout.refusals import (
    leave_what_is_not_ours,
    refuse_addresses_of_files,
    refuse_components_that_are_not_split,
    refuse_long_names,
    refuse_what_runs_cannot_carry,
)
from mooring_operator.planning.rollout.retained import at_hand_until
from mooring_operator.planning.rollout.returning import (
    decide_for_another_arm,
    finish_going_back,
    go_back_on_evidence,
    go_back_when_asked,
)
from mooring_operator.planning.rollout.situation import Observed, Unresolved
from mooring_operator.planning.rollout.staging import copy_candidate, refuse_what_cannot_be_copied
from mooring_operator.planning.rollout.steps import refuse_what_the_router_cannot, roll_out
from mooring_operator.planning.rollout.trials import refuse_a_test_that_is_over, refuse_unknown_variants
from mooring_operator.planning.rollout.workloads import follow_stable
from mooring_operator.planning.routes import Service, Variant
from mooring_operator.planning.status.wording import because, by_whom, keeps_serving
from mooring_operator.planning.strategies.course import ALL


def plan(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed, now: datetime
) -> Decision:
    """Give the next status and the actions that follow from it.

    Planning again on the result, with nothing observed anew, changes nothing.
    """
    settled = settle_rollout(Draft.begin(spec, status, observed, now))
    # Files, messages and an alias go to what is stable, whatever was settled.
    return decide(follow_alias(follow_stable(settled)))


def settle_rollout(draft: Draft) -> Settled:
    """Apply the rules in order: the first that settles the draft has the say."""
    draft = note_what_the_candidate_has(draft)  # whatever has the say: no pods, no traffic
    for rule in (
        refuse_long_names,  # the router's controller would make host names that DNS forbids
        refuse_to_take_over,  # what runs is not this deployment's to take, or something else than the spec says
        leave_what_is_not_ours,  # somebody else's object has the name
        refuse_addresses_of_files,  # they mean whatever pod reads them
        refuse_what_runs_cannot_carry,  # Kubeflow Pipelines would fail on it after it began
        wait_for_the_model,  # unknown or unreachable: the stable revision keeps serving
        recover_what_serves,  # where the status is lost: it would be taken for a first revision
        take_over_what_runs,  # as the first revision, and no pod moves
        go_back_on_evidence,  # what was promoted turned out to be beyond a limit
        go_back_when_asked,  # a person or a DriftMonitor wants the previous revision
        finish_going_back,  # and has it as soon as it is ready
        stay_on_the_stable_revision,  # the spec asks for what is promoted
        refuse_what_is_forbidden,  # by a ClusterModelPolicy
        refuse_components_that_are_not_split,  # requests of the candidate would miss them
        leave_the_failed_revision,  # rejected before, and nobody asked for a retry
        refuse_what_cannot_be_copied,  # a registry alone can read it
        wait_for_the_runtime,  # a revision runs on what its runtime is when it begins
    ):
        draft = rule(draft)
        if isinstance(draft, Settled):
            return draft
    rollout = take_up_the_candidate(draft)  # a new revision supersedes whatever was on its way
    for check in (
        abort_when_asked,  # by a person
        decide_for_another_arm,  # of its test: the stable revision, or a variant
        judge_candidate,  # by what it has answered
        refuse_what_the_router_cannot,  # before anything is tested or shifted
        refuse_unknown_variants,  # revisions that are not kept, or take part already
        refuse_a_test_that_is_over,  # it would be promoted, or rolled back, without one
        wait_for_signers,  # a run verifies signatures by their keys
        copy_candidate,  # where a registry alone can read it
        test_candidate,  # the CI run and its verdict
        enforce_policies,  # the rules that deployments share
        begin_when_it_may,  # notBefore, evidence of other deployments, freezes, turns
    ):
        checked = check(rollout)
        if isinstance(checked, Settled):
            return checked
        rollout = checked
    return roll_out(rollout)  # first deployment, canary steps, promotion, rollback


def note_what_the_candidate_has(draft: Draft) -> Draft:
    """Note how what is on its way comes along, while it can be seen."""
    if draft.candidate is None or draft.observed.service is None:
        return draft
    return note_progress(draft.with_candidate(draft.candidate))


def wait_for_the_model(draft: Draft) -> Draft:
    """Pin what the model resolves to, or say why it does not."""
    model = draft.observed.model
    if isinstance(model, Unresolved):
        if draft.candidate is not None and draft.candidate.model_uri != draft.spec.model.uri:
            draft = draft.supersede("the spec changed")
        message = model.message + keeps_serving(draft.stable)
        draft = draft.set_condition("ModelResolved", "False", model.reason, model.message)
        return draft.stop(model.reason, message, temporary=model.temporary, soon=15.0)
    pinned = ResolvedModel(
        uri=draft.spec.model.uri,
        storage_uri=model.storage_uri,
        digest=model.digest,
        registered=model.registered,
    )
    return draft.change(model=pinned)


def stay_on_the_stable_revision(draft: Draft) -> Draft:
    """The spec asks for what is promoted: nothing is on its way, and the service follows."""
    stable = draft.stable
    if stable is None or stable.revision != draft.target:
        return draft
    draft = draft.supersede("the spec went back to the stable revision")
    scaled = identity.scaled_as(stable, draft.spec.serving)
    if scaled != stable.serving:
        stable = stable.model_copy(update={"serving": scaled})
        draft = draft.change(stable=stable)
    draft = draft.change(failed_revision=None, failed_attempt=0, rejected=None)
    if draft.before.candidate is None and draft.before.phase in ("Promoted", "Promoting", "Deploying"):
        draft = draft.keep_conditions()
    draft = report_compliance(draft, stable)
    service, model = draft.observed.service, stable.model_uri
    variant = service.variants.get(stable.revision) if service is not None else None
    serves = variant is not None and _serves(draft, variant)
    if service is None or variant is None or not serves:
        why = variant.message if variant is not None and variant.message else "it is not ready"
        message = f"waiting for revision {stable.revision} to serve all traffic: {why}"
        phase: Phase = "Promoting" if draft.before.phase in ("Promoting", "Canary") else "Deploying"
        return draft.settle(phase, reasons.SERVICE_NOT_READY, message, recheck_after=30.0)
    if service.shared and not _has_all_requests(draft, service, variant):
        why = service.problem or "another revision has yet to leave"
        message = f"revision {stable.revision} is taking over: {why}"
        return draft.settle("Promoting", reasons.PROMOTING, message, recheck_after=30.0)
    if variant.workload not in (None, stable.workload):
        draft = draft.change(stable=stable.model_copy(update={"workload": variant.workload}))
    end = watched_until(draft)
    watched = f", and is watched until {end:%Y-%m-%d %H:%M:%S} UTC" if end is not None else ""
    until = at_hand_until(draft)
    at_hand = f"; the one before it is at hand until {until:%H:%M:%S} UTC" if until is not None else ""
    draft, edited = tell_of_an_edit_that_waits(draft)
    poll = _poll(draft.spec)
    return draft.settle(
        "Promoted",
        reasons.PROMOTED,
        f"revision {stable.revision} ({model}) serves all traffic{at_hand}{watched}{edited}",
        recheck_after=min(poll or 30.0, 30.0) if service.shared else poll,
    )


def leave_the_failed_revision(draft: Draft) -> Draft:
    """A rejected revision is not tried again by itself."""
    if draft.status.failed_revision is None:
        return draft
    if draft.status.failed_revision != draft.target:
        return draft.change(failed_revision=None, failed_attempt=0)
    if draft.asked("retry", draft.target) is not None:
        return draft
    draft = draft.supersede("the spec went back to a rejected revision")
    before, recheck = draft.before, _poll(draft.spec)
    if (
        before.phase in ("RolledBack", "Failed")
        and before.observed_generation == draft.observed.owner.generation
    ):
        return draft.keep_conditions().settle(
            before.phase, before.reason, before.message, recheck_after=recheck
        )
    known = next((entry for entry in draft.status.history if entry.revision == draft.target), None)
    why = because(known.message if known is not None else "")
    message = f"revision {draft.target} was rejected before{why}; change the spec, or ask for a retry"
    return draft.settle("Failed", reasons.REJECTED_BEFORE, message, recheck_after=recheck)


def abort_when_asked(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A person has seen enough."""
    revision = draft.candidate.revision
    asked = draft.asked("abort", revision)
    if asked is None:
        return draft
    serves = who_serves(draft, STARTS_AGAIN)
    message = f"revision {revision} was aborted{by_whom(asked.by)}{because(asked.note)}{serves}"
    return draft.reject(reasons.ABORTED, message)


def _serves(draft: Draft, variant: Variant) -> bool:
    """Whether the stable revision serves; once promoted, a pod that its scaling adds and that is not there yet is none
    of a rollout's business."""
    return variant.ready or (draft.before.phase == "Promoted" and bool(variant.pods))


def _has_all_requests(draft: Draft, service: Service, variant: Variant) -> bool:
    """Whether nobody else gets any, but for what is kept at hand to go back to: that keeps nobody waiting.

    Once promoted, a change that is taken up in a moment, such as that of the one that leaves, does not change it.
    """
    if service.problem:
        return draft.before.phase == "Promoted" and is_being_taken_up(draft)
    return variant.weight == ALL


def _poll(spec: ModelDeploymentSpec) -> float | None:
    """Seconds until a moving address has to be looked up again; None for an address that stays."""
    return spec.model.poll_interval.total_seconds() if identity.is_alias(spec.model.uri) else None
