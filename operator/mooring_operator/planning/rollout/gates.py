"""What has to be known of a revision before any of it is served: what it runs on, and that its CI run passed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from mooring_artifacts.data_versions.references import is_latest

from mooring_operator.api import reasons
from mooring_operator.api.ci import CISpec
from mooring_operator.api.rollout_status import Candidate, CIStatus
from mooring_operator.api.types import format_time
from mooring_operator.planning import identity
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.policies.evidence import demands_of
from mooring_operator.planning.rollout.actions import AskForRuntime, LaunchRun
from mooring_operator.planning.rollout.compliance import binding_policies
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.progress import REFUSED_WAY_OUT
from mooring_operator.planning.rollout.run_ends import passed, reject_run, wait
from mooring_operator.planning.rollout.runtimes import NoRuntime
from mooring_operator.planning.rollout.situation import Unseen, Verdict
from mooring_operator.planning.rollout.under_test import (
    address_for,
    bring_up,
    is_tested_as_served,
    why_hopeless,
)
from mooring_operator.planning.runs import abandoned_runs, retries
from mooring_operator.planning.runs.run import SURE_AFTER, RunState, pause_in_run
from mooring_operator.planning.status.wording import because, keeps_serving

_LAUNCHES = 3
# Seconds between two looks at what is answered at once, and at what somebody has to change.
_SOON, _SELDOM = 2.0, 60.0


def wait_for_the_runtime(draft: Draft) -> Draft:
    """Nothing begins before it is known what it runs on; what serves goes on."""
    runtime = draft.observed.runtime
    if not isinstance(runtime, NoRuntime):
        return draft
    draft = draft.supersede("the spec changed")
    stays = keeps_serving(draft.stable)
    if runtime.ask is not None:
        if (refusal := draft.observed.refused) is not None:
            asked = draft.observed.router.controller
            message = f"{asked} cannot be asked which runtime it chooses: {refusal}{REFUSED_WAY_OUT}{stays}"
            return draft.settle(
                "Failed", reasons.SERVICE_REFUSED, message, recheck_after=_SELDOM, stalled=True
            )
        draft = draft.request(AskForRuntime(runtime.ask))
        if draft.observed.unwritten:
            asked = draft.observed.router.controller
            message = f"{asked} cannot be asked which runtime it chooses: {draft.observed.unwritten}{stays}"
            return draft.stop(reasons.WAITING, message, temporary=True, soon=_SOON)
        before = draft.before
        if before.reason == reasons.SERVICE_REFUSED and before.candidate is None:
            # As long as it may be refused again, it is said.
            return draft.settle("Failed", before.reason, before.message, recheck_after=_SELDOM, stalled=True)
    message = runtime.message + stays
    if runtime.overdue and draft.before.message != message:
        draft = draft.request(Notify("Warning", runtime.reason, message))
    return draft.stop(runtime.reason, message, temporary=runtime.temporary, soon=_SOON)


@dataclass(frozen=True)
class Question:
    """What a run is to find out about the candidate, and what is made of its answer.

    doing: what is said while it is under way, such as testing.
    run_id: names the run, of what was asked at that time.
    launch: has it launched, or waits for what it needs.
    conclude: takes the document that it left.
    answered: goes on where that was done before.
    """

    doing: str
    run_id: Callable[[RolloutDraft, datetime], str]
    launch: Callable[[RolloutDraft, CIStatus], RolloutDraft | Settled]
    conclude: Callable[[RolloutDraft, CIStatus, Verdict], RolloutDraft | Settled]
    answered: Callable[[RolloutDraft, CIStatus], RolloutDraft | Settled]


def test_candidate(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Wait for the verdict of the candidate's run; anything but a pass rejects the candidate."""
    ci = draft.spec.ci
    if ci is None:
        return draft.change(ci=None)
    asked = partial(_run_id, ci=ci)
    return ask(draft, ci, Question("testing", asked, _launch, _judge_verdict, passed))


def ask(draft: RolloutDraft, ci: CISpec, question: Question) -> RolloutDraft | Settled:
    """Wait for the answer of the question's run; anything but a good one rejects the candidate."""
    candidate = draft.candidate
    known = draft.status.ci
    if known is not None and _is_lost(draft, known):
        # Somebody deleted it, or the backend forgot it: that says nothing about the model.
        runs = abandoned_runs.abandon(draft.status.abandoned_runs, known.run_id, draft.now, ended=True)
        draft = draft.change(abandoned_runs=runs)
    ours = known is not None and known.revision == candidate.revision
    run_id = question.run_id(draft, known.started_at if known is not None and ours else draft.now)
    asked = known is not None and (known.run_id, known.revision) == (run_id, candidate.revision)
    if known is None or not asked or known.verdict == "Failed":
        # The answer may be there already, from a revision that serves the same files in another way.
        run_id = question.run_id(draft, draft.now)
        known = CIStatus(
            run_id=run_id,
            revision=candidate.revision,
            url=draft.observed.run_pages and draft.observed.run_pages + run_id,
            started_at=draft.now,
            outages=_outages_before(candidate, known),
        )
        draft = draft.change(ci=known)
    elif known.verdict == "Passed":
        return question.answered(draft, known)
    if draft.observed.launch_refused is not None:
        message = f"revision {candidate.revision}: run {run_id} was refused: {draft.observed.launch_refused}"
        refused = known.model_copy(update={"state": "Failed"})
        reason = reasons.NAME_TAKEN if draft.observed.run_name_taken else reasons.CI_RUN_FAILED
        return reject_run(draft, refused, reason, message)
    unseen, run = draft.observed.run_unseen, draft.observed.run
    if unseen is not None and unseen.run_id == run_id:
        return _look_again(draft, unseen)
    if run is None or run.run_id != run_id:
        return question.launch(draft, known)
    return _judge_run(draft, ci, question, known, run)


def _run_id(draft: RolloutDraft, asked_at: datetime, ci: CISpec) -> str:
    owner, attempt = draft.observed.owner.uid, draft.candidate.attempt
    content, address = draft.resolved.content, draft.candidate.storage_uri
    if ci.compares and (champion := draft.status.stable) is not None:
        # Beside another model it is another question.
        content = f"{content} beside {champion.digest or champion.storage_uri}"
    if demands := demands_of(binding_policies(draft), draft.spec.model.signature):
        content = f"{content} demanding {identity.fingerprint(demands)}"
    if is_tested_as_served(draft):
        content = f"{content} served as {draft.candidate.revision}"
    if ci.test_data.digest is None and is_latest(ci.test_data.uri):
        # What was the newest version then may be none now, and only a run may look.
        content = f"{content} asked {format_time(asked_at)}"
    return abandoned_runs.first_free(
        draft.status.abandoned_runs,
        lambda round_: identity.run_id_of(owner, content, address, draft.spec.model, ci, attempt, round_),
    )


def _is_lost(draft: RolloutDraft, known: CIStatus) -> bool:
    """Whether the run that this candidate waits for was there and is there no more."""
    before = draft.before.candidate
    asked_about = before is not None and before.revision == draft.candidate.revision == known.revision
    gone = draft.observed.run is None and draft.observed.run_unseen is None
    return asked_about and known.verdict is None and known.seen_at is not None and gone


def _look_again(draft: RolloutDraft, unseen: Unseen) -> Settled:
    """Wait for whoever knows of the run; a person, an edit and pods that are lost have their say meanwhile."""
    message = f"{unseen.message}; trying again" + keeps_serving(
        draft.stable, otherwise="nothing is served yet"
    )
    if draft.before.reason != unseen.reason:
        draft = draft.request(Notify("Warning", unseen.reason, message))
    return draft.settle("Testing", unseen.reason, message)


def _launch(draft: RolloutDraft, status: CIStatus) -> Settled:
    name = f"revision {draft.candidate.revision}"
    endpoint = ""
    if is_tested_as_served(draft):
        if why := why_hopeless(draft, status):
            return reject_run(draft, status, reasons.TEST_INSTANCE_NOT_READY, f"{name}: {why}")
        draft, waits_for = bring_up(draft)
        if waits_for:
            return wait(draft, f"testing {name}: {waits_for}", _SOON)
        endpoint = address_for(draft)
    demands = demands_of(binding_policies(draft), draft.spec.model.signature)
    run = LaunchRun(status.run_id, draft.candidate, draft.status.stable, endpoint, demands)
    return launch(draft, status, run, f"testing {name}")


def launch(draft: RolloutDraft, status: CIStatus, run: LaunchRun, doing: str) -> Settled:
    """Have a run launched, and say so; what was tried without success too often rejects the candidate."""
    error = draft.observed.launch_error
    if error is None:
        return wait(draft.request(run), f"{doing}: run {status.run_id}", 1.0)
    failed = (status.failed_launches or 0) + 1
    status = status.model_copy(update={"failed_launches": failed})
    name = f"revision {draft.candidate.revision}"
    message = f"{name}: launching run {status.run_id} failed {failed} times: {error}"
    if failed >= _LAUNCHES:
        # Each attempt may have begun the work without leaving a run: no more of them.
        return reject_run(draft, status, reasons.CI_LAUNCH_FAILED, message)
    return wait(draft.change(ci=status), message, 15.0)


def _judge_run(
    draft: RolloutDraft, ci: CISpec, question: Question, status: CIStatus, run: RunState
) -> RolloutDraft | Settled:
    name = f"revision {draft.candidate.revision}: run {run.run_id}"
    status = status.model_copy(update={"state": run.phase, "seen_at": status.seen_at or draft.now})
    if run.phase in ("Pending", "Running"):
        return _await_run(draft, ci, question, status.model_copy(update={"ended_at": None}), run)
    status = status.model_copy(update={"ended_at": status.ended_at or draft.now})
    draft = draft.change(ci=status)
    verdict = draft.observed.verdict
    if run.phase == "Succeeded" and verdict is not None:
        if verdict.run_id != status.run_id:
            message = f"{name}: the verdict is of run {verdict.run_id}, not {status.run_id}"
            return reject_run(draft, status, reasons.VERDICT_MISMATCH, message)
        return question.conclude(draft, status, verdict)
    said = draft.observed.verdict_error
    if draft.observed.verdict_outage and run.phase == "Failed" and said:
        return _ask_again(draft, ci, question, status, f"{name} ended by an outage: {said}")
    if run.timed_out:
        # Its pod is gone by now: what it waited for is known from before.
        told = "; ".join(filter(None, (said or status.message, run.message)))
        message = f"{name} took longer than it may{because(told)}"
        return reject_run(draft, status, reasons.CI_TIMEOUT, message)
    if not said and status.ended_at is not None and draft.elapsed(status.ended_at) < SURE_AFTER:
        return wait(draft, f"{name} ended as {run.phase}; looking once more", SURE_AFTER.total_seconds())
    if run.phase == "Succeeded":
        message = f"{name} succeeded, but {said or 'it left no verdict'}"
        return reject_run(draft, status, reasons.VERDICT_MISSING, message)
    message = f"{name} ended as {run.phase}{because(said or run.message)}"
    return reject_run(draft, status, reasons.CI_RUN_FAILED, message)


def _ask_again(
    draft: RolloutDraft, ci: CISpec, question: Question, status: CIStatus, message: str
) -> RolloutDraft | Settled:
    """Have another run asked the same in a while: that this one could not reach a store says nothing of the model."""
    outages = (status.outages or 0) + 1
    pause = retries.pause_after(outages)
    if pause is None:
        message = f"{message}; so did the {retries.MOST_OUTAGES} before it"
        return reject_run(draft, status, reasons.CI_RUN_FAILED, message)
    left = pause - draft.elapsed(status.ended_at or draft.now)
    if left <= timedelta():
        runs = abandoned_runs.abandon(draft.status.abandoned_runs, status.run_id, draft.now, ended=True)
        return ask(
            draft.change(abandoned_runs=runs, ci=status.model_copy(update={"outages": outages})), ci, question
        )
    again = f"{message}; another is launched at {draft.now + left:%H:%M:%S} UTC"
    if status.message != message:
        draft = draft.request(Notify("Warning", reasons.CI_RUN_FAILED, again))
    draft = draft.change(ci=status.model_copy(update={"message": message}))
    return wait(draft, again, left.total_seconds())


def _outages_before(candidate: Candidate, known: CIStatus | None) -> int | None:
    """Give how many runs of this candidate, the last ones, were ended by an outage."""
    if known is None or known.verdict is not None or known.revision != candidate.revision:
        return None
    return known.outages if known.started_at >= candidate.started_at else None


def _await_run(
    draft: RolloutDraft, ci: CISpec, question: Question, status: CIStatus, run: RunState
) -> Settled:
    name = f"revision {draft.candidate.revision}"
    status = status.model_copy(update={"message": _waits_for(run, status.message)})
    draft = draft.change(ci=status)
    message = f"{question.doing} {name}: run {run.run_id}{because(run.message)}"
    if run.queued:
        return wait(draft, message, 5.0)
    elapsed = draft.elapsed(run.started_at or status.started_at)
    allowed = min(ci.timeout, draft.observed.longest_run)
    if elapsed > allowed:
        which = "spec.ci.timeout allows" if ci.timeout <= allowed else "the administrator lets any run take"
        message = f"{name}: run {run.run_id} took longer than {which}{because(run.message or status.message)}"
        return reject_run(draft, status, reasons.CI_TIMEOUT, message)
    return wait(draft, message, pause_in_run(elapsed, allowed))


def _waits_for(run: RunState, before: str) -> str:
    """Say why a run has not begun, where that is its own trouble and not its turn; as known where it says nothing."""
    if run.phase != "Pending" or run.queued:
        return ""
    return run.message or before


def _judge_verdict(draft: RolloutDraft, status: CIStatus, verdict: Verdict) -> RolloutDraft | Settled:
    name = f"revision {draft.candidate.revision}"
    pinned = draft.candidate.content_digest
    if pinned and verdict.digest and verdict.digest != pinned:
        message = (
            f"{name}: the run tested {verdict.digest}, but the revision is pinned to {pinned}; "
            "the model's files changed under its address"
        )
        return reject_run(draft, status, reasons.VERDICT_MISMATCH, message)
    measured = {
        "metrics": _readable(verdict.metrics),
        "test_data_digest": verdict.test_data_digest,
        "facts": dict(verdict.facts),
    }
    status = status.model_copy(update=measured)
    if not verdict.passed:
        message = f"{name}: {'; '.join(verdict.violations) or 'the gates are not met'}"
        return reject_run(draft, status, reasons.CI_FAILED, message)
    if pinned is None and verdict.digest:
        # Who tested the files knows what they are.
        draft = draft.change_candidate(digest=verdict.digest)
    if verdict.brought is not None:
        draft = draft.change_candidate(brought=verdict.brought)
    if verdict.registration:
        draft = _registered(draft, verdict)
    return passed(draft, status.model_copy(update={"verdict": "Passed", "message": verdict.registration}))


def _registered(draft: RolloutDraft, verdict: Verdict) -> RolloutDraft:
    """Note the version in the registry; that there is none is told, and rejects nothing."""
    told = f"revision {draft.candidate.revision}: {verdict.registration}"
    if verdict.registered is None:
        return draft.request(Notify("Warning", reasons.NOT_REGISTERED, told))
    noted = draft.change_candidate(registered=verdict.registered)
    return noted.request(Notify("Normal", reasons.REGISTERED, told))


def _readable(metrics: Mapping[str, float]) -> dict[str, float]:
    """Six digits are more than was measured."""
    return {name: float(f"{value:.6g}") for name, value in metrics.items()}
