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
    Candidate,
    ModelDeploymentStatus,
    Phase,
    ResolvedModel,
    Revision,
)
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import addresses, identity
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.actions import DropCommand, ForgetRuntime
from mooring_operator.planning.rollout.adoption import refuse_to_take_over, take_over_what_runs
from mooring_operator.planning.rollout.analysis import judge_candidate, watch_the_promoted, watched_until
from mooring_operator.planning.rollout.commands import one_line
from mooring_operator.planning.rollout.compliance import (
    enforce_policies,
    refuse_what_is_forbidden,
    report_compliance,
)
from mooring_operator.planning.rollout.decision import Decision, decide
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.gates import test_candidate, wait_for_the_runtime
from mooring_operator.planning.rollout.holds import begin_when_it_may
from mooring_operator.planning.rollout.situation import Observed, Unresolved
from mooring_operator.planning.rollout.steps import refuse_what_the_router_cannot, restore, roll_out
from mooring_operator.planning.rollout.workloads import follow_stable
from mooring_operator.planning.routes import Variant, why_too_long
from mooring_operator.planning.runs import texts
from mooring_operator.planning.status.wording import because, by_whom, keeps_serving


def plan(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed, now: datetime
) -> Decision:
    """Give the next status and the actions that follow from it.

    Planning again on the result, with nothing observed anew, changes nothing.
    """
    settled = settle_rollout(Draft.begin(spec, status, observed, now))
    return decide(follow_stable(settled))  # files and messages go to what is stable, whatever was settled


def settle_rollout(draft: Draft) -> Settled:
    """Apply the rules in order: the first that settles the draft has the say."""
    for rule in (
        refuse_long_names,  # the router's controller would make host names that DNS forbids
        refuse_to_take_over,  # what runs is not this deployment's to take, or something else than the spec says
        leave_what_is_not_ours,  # somebody else's object has the name
        refuse_addresses_of_files,  # they mean whatever pod reads them
        refuse_what_runs_cannot_carry,  # Kubeflow Pipelines would fail on it after it began
        wait_for_the_model,  # unknown or unreachable: the stable revision keeps serving
        take_over_what_runs,  # as the first revision, and no pod moves
        go_back_on_evidence,  # what was promoted turned out to be beyond a limit
        go_back_when_asked,  # a person or a DriftMonitor wants the previous revision
        finish_going_back,  # and has it as soon as it is ready
        stay_on_the_stable_revision,  # the spec asks for what is promoted
        refuse_what_is_forbidden,  # by a ClusterModelPolicy
        refuse_components_that_are_not_split,  # requests of the candidate would miss them
        leave_the_failed_revision,  # rejected before, and nobody asked for a retry
        wait_for_the_runtime,  # a revision runs on what its runtime is when it begins
    ):
        draft = rule(draft)
        if isinstance(draft, Settled):
            return draft
    rollout = take_up_the_candidate(draft)  # a new revision supersedes whatever was on its way
    for check in (
        abort_when_asked,  # by a person
        judge_candidate,  # by what it has answered
        refuse_what_the_router_cannot,  # before anything is tested or shifted
        test_candidate,  # the CI run and its verdict
        enforce_policies,  # the rules that deployments share
        begin_when_it_may,  # notBefore, evidence of other deployments, freezes, turns
    ):
        checked = check(rollout)
        if isinstance(checked, Settled):
            return checked
        rollout = checked
    return roll_out(rollout)  # first deployment, canary steps, promotion, rollback


def refuse_long_names(draft: Draft) -> Draft:
    """Name and namespace become parts of names that DNS limits."""
    owner = draft.observed.owner
    refusal = why_too_long(owner.name, owner.namespace, draft.observed.router, draft.spec.serving)
    if not refusal:
        return draft
    return draft.settle("Failed", reasons.NAME_TOO_LONG, refusal + keeps_serving(draft.stable), stalled=True)


def leave_what_is_not_ours(draft: Draft) -> Draft:
    """Nothing is written where an object of somebody else has the name that is needed."""
    taken = draft.observed.name_taken
    if taken is None:
        return draft
    return draft.settle(
        "Pending" if taken.temporary else "Failed",
        reasons.NAME_TAKEN,
        taken.message,
        recheck_after=5.0 if taken.temporary else 60.0,
        stalled=not taken.temporary,
    )


def refuse_addresses_of_files(draft: Draft) -> Draft:
    """Only development reads models and rows from files."""
    refusal = addresses.refuse_files(addresses.addresses_of(draft.spec), files=draft.observed.file_addresses)
    if refusal is None:
        return draft
    return draft.settle(
        "Failed", reasons.ADDRESS_NOT_ALLOWED, refusal + keeps_serving(draft.stable), stalled=True
    )


def refuse_what_runs_cannot_carry(draft: Draft) -> Draft:
    """Nothing is asked of a backend that it cannot keep."""
    refusal = texts.refuse_wide(texts.texts_of_test(draft.spec), narrow=draft.observed.narrow_runs)
    if refusal is None:
        return draft
    return draft.settle(
        "Failed", reasons.CHARACTERS_NOT_ALLOWED, refusal + keeps_serving(draft.stable), stalled=True
    )


def wait_for_the_model(draft: Draft) -> Draft:
    """Pin what the model resolves to, or say why it does not."""
    model = draft.observed.model
    if isinstance(model, Unresolved):
        if draft.candidate is not None and draft.candidate.model_uri != draft.spec.model.uri:
            draft = draft.supersede("the spec changed")
        return draft.set_condition("ModelResolved", "False", model.reason, model.message).settle(
            "Pending" if model.temporary else "Failed",
            model.reason,
            model.message + keeps_serving(draft.stable),
            recheck_after=15.0 if model.temporary else 60.0,
            stalled=not model.temporary,
        )
    pinned = ResolvedModel(uri=draft.spec.model.uri, storage_uri=model.storage_uri, digest=model.digest)
    return draft.change(model=pinned)


def go_back_when_asked(draft: Draft) -> Draft:
    """Bring the previous revision back beside the stable one; it takes over as soon as it is ready."""
    stable, previous, current = draft.stable, draft.status.previous, draft.candidate
    if stable is None or (current is not None and current.restores):
        return draft
    asked = draft.asked("rollback", stable.revision)
    if asked is None:
        return draft
    if previous is None:
        message = f"cannot roll back from {stable.revision}: no revision was promoted before it"
        return draft.request(Notify("Warning", reasons.NOTHING_TO_ROLL_BACK_TO, message))
    draft = draft.supersede(f"revision {stable.revision} is being left", reason=reasons.ROLLBACK_REQUESTED)
    taken_up = DropCommand("rollback", draft.observed.commands["rollback"])
    return _returning(draft.request(taken_up), previous, note=asked.note, by=asked.by)


def go_back_on_evidence(draft: Draft) -> Draft:
    """Leave a revision that is watched after its promotion, and answers worse than what was there before."""
    draft, why = watch_the_promoted(draft)
    stable, previous = draft.stable, draft.status.previous
    if not why or stable is None or previous is None:
        return draft
    told = f"revision {stable.revision} is left after its promotion: {why}"
    draft = draft.request(Notify("Warning", reasons.ANALYSIS_FAILED, told))
    return _returning(draft, previous, note=why, by="analysis")


def _returning(draft: Draft, previous: Revision, *, note: str, by: str) -> Draft:
    """Go on with the previous revision on its way back."""
    returning = Candidate(
        **previous.model_dump(exclude={"workload", "since"}),
        restores=True,
        note=note,
        requested_by=by,
        started_at=draft.now,
        step_started_at=draft.now,
    )
    return draft.with_candidate(_named(draft, returning))


def finish_going_back(draft: Draft) -> Draft:
    """While the previous revision comes back, what the spec asks for has to wait."""
    candidate, left = draft.candidate, draft.stable
    if candidate is None or not candidate.restores or left is None:
        return draft
    return restore(draft.with_candidate(candidate), left)


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
    if service is None or variant is None or not serves or service.shared:
        why = variant.message if variant is not None and variant.message else "it is not ready"
        if serves:
            why = "another revision has yet to leave"
        message = f"waiting for revision {stable.revision} to serve all traffic: {why}"
        phase: Phase = "Promoting" if draft.before.phase in ("Promoting", "Canary") else "Deploying"
        return draft.settle(phase, reasons.SERVICE_NOT_READY, message, recheck_after=30.0)
    if variant.workload not in (None, stable.workload):
        draft = draft.change(stable=stable.model_copy(update={"workload": variant.workload}))
    end = watched_until(draft)
    watched = f", and is watched until {end:%Y-%m-%d %H:%M:%S} UTC" if end is not None else ""
    return draft.settle(
        "Promoted",
        reasons.PROMOTED,
        f"revision {stable.revision} ({model}) serves all traffic{watched}",
        recheck_after=_poll(draft.spec),
    )


def refuse_components_that_are_not_split(draft: Draft) -> Draft:
    """A transformer and its model move together, or not at all."""
    router, stable = draft.observed.router, draft.stable
    if router.splits_components or stable is None:
        return draft
    arms = (stable.serving_spec, draft.spec.serving)
    fields = [name for name in ("transformer", "explainer") if any(getattr(arm, name) for arm in arms)]
    if not fields:
        return draft
    return draft.supersede("the spec changed").settle(
        "Failed",
        reasons.COMPONENTS_NOT_SPLIT,
        f"spec.serving.{fields[0]}: {router.controller} sends a candidate's requests past it; use a router that "
        f"serves each revision by itself, or make a new ModelDeployment{keeps_serving(stable)}",
        stalled=True,
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


def take_up_the_candidate(draft: Draft) -> RolloutDraft:
    """Start the rollout of a new revision, in place of whatever was on its way."""
    current = draft.candidate
    if draft.observed.runtime_asked:
        draft = draft.request(ForgetRuntime())
    if current is not None and current.revision == draft.target and _is_from_where(draft, current):
        scaled = identity.scaled_as(current, draft.spec.serving)
        return draft.with_candidate(current.model_copy(update={"serving": scaled}))
    draft = draft.supersede(f"revision {draft.target} took its place")
    kept = next((known for known in draft.status.retained if known.revision == draft.target), None)
    adopted = kept.adopted if kept is not None else None
    attempt = draft.status.failed_attempt + 1 if draft.status.failed_revision == draft.target else 1
    runtime = draft.observed.runtime if isinstance(draft.observed.runtime, PinnedRuntime) else None
    edited = runtime is not None and draft.is_like_stable
    candidate = Candidate(
        revision=draft.target,
        model_uri=draft.spec.model.uri,
        storage_uri=draft.resolved.storage_uri,
        digest=draft.resolved.digest,
        format=draft.spec.model.format,
        format_version=draft.spec.model.format_version,
        serving=identity.serving_snapshot(draft.spec.serving if adopted else _served(draft)),
        adopted=adopted,
        runtime=None if adopted else runtime,
        attempt=attempt,
        returns=kept is not None and not kept.rejected,
        steps_hash=identity.steps_hash(draft.spec.rollout),
        # Who edited a runtime is not known here, and is not who last changed the spec.
        requested_by="" if edited else one_line(draft.observed.requested_by),
        started_at=draft.now,
        step_started_at=draft.now,
    )
    draft = draft.change(failed_revision=None, failed_attempt=0)
    if candidate.returns and kept is not None and kept.tested is not None:
        draft = draft.change(ci=kept.tested)
    if runtime is not None and edited:
        message = f"{runtime.kind} {runtime.name} was edited: revision {draft.target} is rolled out with it"
        draft = draft.request(Notify("Normal", reasons.RUNTIME_CHANGED, message))
    return _without_older_commands(draft.with_candidate(_named(draft, candidate)))


def _is_from_where(draft: Draft, candidate: Candidate) -> bool:
    """Whether the candidate is loaded from where the spec says now.

    By one digest two addresses are one revision: what people approve of is at the one that the spec has.
    """
    return candidate.storage_uri == draft.resolved.storage_uri


def _served(draft: Draft) -> ServingSpec:
    """Give how the revision is served, with the runtime of its format where the spec names none, and none is pinned.

    A revision keeps the runtime that it began with: another default is for those that come later.
    """
    serving = draft.spec.serving
    runtime = draft.observed.runtimes.get(draft.spec.model.format)
    if serving.runtime is not None or runtime is None or draft.observed.runtime is not None:
        return serving
    return serving.model_copy(update={"runtime": runtime})


def _without_older_commands(draft: RolloutDraft) -> RolloutDraft:
    """What was asked of a revision's last attempt, its abortion above all, is not asked of the next."""
    commands = draft.observed.commands
    older = {name: value for name, value in commands.items() if name in ("abort", "approve", "promote")}
    kept = {name: value for name, value in commands.items() if name not in older}
    dropped = (DropCommand(name, value) for name, value in older.items())
    return draft.with_commands(kept).request(*dropped)


def abort_when_asked(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A person has seen enough."""
    revision = draft.candidate.revision
    asked = draft.asked("abort", revision)
    if asked is None:
        return draft
    message = f"revision {revision} was aborted{by_whom(asked.by)}{because(asked.note)}{keeps_serving(draft.stable)}"
    return draft.reject(reasons.ABORTED, message)


def _named(draft: Draft, candidate: Candidate) -> Candidate:
    """Name the candidate's workload, unlike the stable one's, where names are the plan's to give."""
    if not draft.observed.router.names_workloads:
        return candidate
    stable = draft.stable
    name = identity.workload_name(candidate.revision)
    if stable is not None and stable.workload == name:
        # A revision that only changed how the model is served kept its predecessor's workload.
        name = name[:-1] + ("x" if name[-1] != "x" else "y")
    return candidate.model_copy(update={"workload": name})


def _serves(draft: Draft, variant: Variant) -> bool:
    """Whether the stable revision serves; once promoted, a pod that its scaling adds and that is not there yet is none
    of a rollout's business."""
    return variant.ready or (draft.before.phase == "Promoted" and bool(variant.pods))


def _poll(spec: ModelDeploymentSpec) -> float | None:
    """Seconds until a moving address has to be looked up again; None for an address that stays."""
    return spec.model.poll_interval.total_seconds() if identity.is_alias(spec.model.uri) else None
