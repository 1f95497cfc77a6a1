"""A model that its registry alone can read is copied by a run, by content: the copy is what is tested and served."""

from datetime import datetime

from mooring_artifacts.staging import is_proxied, staged_uri

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import Candidate, CIStatus, Revision
from mooring_operator.planning import identity
from mooring_operator.planning.rollout.actions import LaunchRun
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.gates import Question, ask, launch
from mooring_operator.planning.rollout.run_ends import reject_run
from mooring_operator.planning.rollout.situation import Verdict
from mooring_operator.planning.runs import abandoned_runs
from mooring_operator.planning.status.wording import keeps_serving

_SETTING = "MOORING_STAGING_ROOT"


def refuse_what_cannot_be_copied(draft: Draft) -> Draft:
    """MLflow hands the files out itself: that takes a run, and a place that serves."""
    if not is_proxied(draft.resolved.storage_uri) or (draft.observed.staging and draft.spec.ci is not None):
        return draft
    lacks = "the operator has no setting " + _SETTING if not draft.observed.staging else "the spec has no ci"
    message = (
        f"spec.model.uri {draft.spec.model.uri}: MLflow hands its files out itself, so that a run has to copy them to "
        f"where they can be served, but {lacks}"
    )
    draft = draft.supersede("the spec changed")
    return draft.settle(
        "Failed", reasons.ARTIFACTS_PROXIED, message + keeps_serving(draft.stable), stalled=True
    )


def copy_candidate(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Wait for the copy of the candidate's files; what cannot be copied is rejected."""
    ci, source = draft.spec.ci, draft.candidate.storage_uri
    if ci is None or not is_proxied(source):
        return draft
    doing = f"copying revision {draft.candidate.revision}"

    def launched(draft: RolloutDraft, status: CIStatus) -> Settled:
        run = LaunchRun(status.run_id, draft.candidate, copy_to=draft.observed.staging)
        return launch(draft, status, run, doing)

    def answered(draft: RolloutDraft, status: CIStatus) -> RolloutDraft | Settled:
        raise AssertionError("a candidate whose files were copied has the copy's address")

    return ask(draft, ci, Question("copying", _run_id, launched, _take_copy, answered))


def is_from(draft: Draft, revision: Revision) -> bool:
    """Whether the revision is loaded from where the spec says now, or from a copy of that."""
    return revision.storage_uri == draft.resolved.storage_uri or (
        is_proxied(draft.resolved.storage_uri) and _is_copy(draft, revision)
    )


def known_copy(draft: Draft) -> Revision | None:
    """Give a revision that serves a copy of what the spec asks for; None where it has yet to be copied."""
    version, digest = draft.resolved.registered, draft.spec.model.digest
    if version is None or not is_proxied(draft.resolved.storage_uri):
        return None
    before = (draft.status.stable, draft.status.previous, *draft.status.retained)
    return next(
        (
            known
            for known in before
            if known is not None
            and known.registered == version
            and digest in (None, known.digest)
            and _is_copy(draft, known)
        ),
        None,
    )


def _is_copy(draft: Draft, revision: Revision) -> bool:
    digest = revision.content_digest
    return digest is not None and revision.storage_uri == staged_uri(draft.observed.staging, digest)


def _run_id(draft: RolloutDraft, asked_at: datetime) -> str:
    candidate = draft.candidate
    return abandoned_runs.first_free(
        draft.status.abandoned_runs,
        lambda round_: identity.copy_id_of(
            draft.observed.owner.uid, candidate, draft.observed.staging, round_
        ),
    )


def _take_copy(draft: RolloutDraft, status: CIStatus, verdict: Verdict) -> RolloutDraft | Settled:
    """Go on with the copy: its place follows from its digest, whatever the run says of it."""
    candidate, digest = draft.candidate, verdict.digest
    name = f"revision {candidate.revision}"
    if digest is None:
        return reject_run(
            draft,
            status,
            reasons.VERDICT_MISSING,
            f"{name}: run {status.run_id} does not say which files it copied",
        )
    pinned = candidate.content_digest
    if pinned not in (None, digest):
        message = f"{name}: run {status.run_id} copied {digest}, but the revision is pinned to {pinned}"
        return reject_run(draft, status, reasons.VERDICT_MISMATCH, message)
    copied = draft.change(ci=status.model_copy(update={"verdict": "Passed"}))
    return copied.change_candidate(storage_uri=staged_uri(draft.observed.staging, digest), digest=digest)


def copied_as(draft: Draft, candidate: Candidate) -> Candidate:
    """Give the candidate with the copy that there is of its files; as it is where there is none."""
    copy = known_copy(draft)
    if copy is None:
        return candidate
    return candidate.model_copy(update={"storage_uri": copy.storage_uri, "digest": copy.digest})
