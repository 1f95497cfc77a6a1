"""The CI run that a revision must pass before any of it is served."""

from collections.abc import Mapping
from datetime import timedelta

from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import CISpec
from mooring_operator.api.rollout_status import CIStatus
from mooring_operator.planning import identity
from mooring_operator.planning.actions import LaunchRun
from mooring_operator.planning.draft import RolloutDraft, Settled
from mooring_operator.planning.situation import Run
from mooring_operator.planning.wording import because, keeps_serving


def test_candidate(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Wait for the verdict of the candidate's run; anything but a pass rejects the candidate."""
    candidate, ci = draft.candidate, draft.spec.ci
    if ci is None:
        return draft.change(ci=None)
    run_id = identity.run_id_of(
        draft.observed.owner.uid, draft.resolved.content, draft.spec.model, ci, candidate.attempt
    )
    known = draft.status.ci
    asked = known is not None and (known.run_id, known.revision) == (run_id, candidate.revision)
    if known is None or not asked or known.verdict == "Failed":
        # The answer may be there already, from a revision that serves the same files in another way.
        known = CIStatus(
            run_id=run_id,
            revision=candidate.revision,
            url=draft.observed.run_pages and draft.observed.run_pages + run_id,
            started_at=draft.now,
        )
        draft = draft.change(ci=known)
    elif known.verdict == "Passed":
        return _passed(draft, known)
    run = draft.observed.run
    if run is None or run.run_id != run_id:
        waiting = draft.request(LaunchRun(run_id, candidate))
        return _testing(waiting, ci, f"testing revision {candidate.revision}: run {run_id}", timedelta())
    return _judge_run(draft, ci, known.model_copy(update={"state": run.state}), run)


def _judge_run(draft: RolloutDraft, ci: CISpec, status: CIStatus, run: Run) -> RolloutDraft | Settled:
    draft = draft.change(ci=status)
    name = f"revision {draft.candidate.revision}"
    if run.state in ("Pending", "Running"):
        elapsed = draft.elapsed(status.started_at)
        if elapsed > ci.timeout:
            return _failed(
                draft,
                status,
                reasons.CI_TIMEOUT,
                f"{name}: run {run.run_id} took longer than spec.ci.timeout allows",
            )
        return _testing(draft, ci, f"testing {name}: run {run.run_id}", elapsed)
    if run.state != "Succeeded":
        message = f"{name}: run {run.run_id} ended as {run.state}{because(run.message)}"
        return _failed(draft, status, reasons.CI_RUN_FAILED, message)
    return _judge_verdict(draft, status, run)


def _judge_verdict(draft: RolloutDraft, status: CIStatus, run: Run) -> RolloutDraft | Settled:
    candidate, verdict = draft.candidate, draft.observed.verdict
    name = f"revision {candidate.revision}"
    if verdict is None:
        why = draft.observed.verdict_error or "it left no verdict"
        return _failed(
            draft, status, reasons.VERDICT_MISSING, f"{name}: run {run.run_id} succeeded, but {why}"
        )
    if verdict.run_id != run.run_id:
        return _failed(
            draft,
            status,
            reasons.VERDICT_MISMATCH,
            f"{name}: the verdict is of run {verdict.run_id}, not {run.run_id}",
        )
    pinned = candidate.content_digest
    if pinned and verdict.digest and verdict.digest != pinned:
        return _failed(
            draft,
            status,
            reasons.VERDICT_MISMATCH,
            f"{name}: the run tested {verdict.digest}, but the revision is pinned to {pinned}; "
            "the model's files changed under its address",
        )
    status = status.model_copy(update={"metrics": _readable(verdict.metrics)})
    if not verdict.passed:
        return _failed(
            draft,
            status,
            reasons.CI_FAILED,
            f"{name}: {'; '.join(verdict.violations) or 'the gates are not met'}",
        )
    return _passed(draft, status.model_copy(update={"verdict": "Passed"}))


def _readable(metrics: Mapping[str, float]) -> dict[str, float]:
    """Six digits are more than was measured."""
    return {name: float(f"{value:.6g}") for name, value in metrics.items()}


def _testing(draft: RolloutDraft, ci: CISpec, message: str, elapsed: timedelta) -> Settled:
    # A run cannot be watched. Ask often at first, when a short run ends, and less often later.
    pause = min(max(elapsed.total_seconds() / 10, 1.0), 15.0)
    until_timeout = max((ci.timeout - elapsed).total_seconds(), 1.0)
    draft = draft.set_condition("Tested", "Unknown", reasons.TESTING, message)
    return draft.settle("Testing", reasons.TESTING, message, recheck_after=min(pause, until_timeout))


def _passed(draft: RolloutDraft, status: CIStatus) -> RolloutDraft:
    passed = draft.change(ci=status)
    return passed.set_condition("Tested", "True", reasons.CI_PASSED, f"run {status.run_id} met every gate")


def _failed(draft: RolloutDraft, status: CIStatus, reason: str, message: str) -> Settled:
    stays = keeps_serving(draft.stable, otherwise="nothing of it is served")
    failed = draft.change(ci=status.model_copy(update={"verdict": "Failed", "message": message}))
    return failed.set_condition("Tested", "False", reason, message).reject(reason, message + stays)
