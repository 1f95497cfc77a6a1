"""Judges a revision by what it answers, beside the stable one and for a while after it was promoted.

What has been counted, and up to when, is one status: a look is taken once, whoever takes it.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from mooring_operator.api import reasons
from mooring_operator.api.analysis import Analysis, AnalysisStatus, VerdictName
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus, Revision
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.analysis.absent import missing_series
from mooring_operator.planning.analysis.counting import Answer, Counting, Request
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.measuring import (
    counted_of,
    described,
    limits_of,
    queries_of,
    rates_of,
)
from mooring_operator.planning.analysis.sources import Choice, choose_for_both, service_of
from mooring_operator.planning.analysis.templates import Standards
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout.copies import copies_of
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.progress import STARTS_AGAIN, in_effect, who_serves
from mooring_operator.planning.routes import Service
from mooring_operator.planning.status import conditions
from mooring_operator.planning.status.wording import one_line

DraftT = TypeVar("DraftT", bound=Draft)

CONDITION = "Analysed"
_BY_PODS = " (counted by the pods themselves, without a Prometheus)"
# Seconds. An answer is on its way; nobody answers.
_SOON = 1.0
_LATER = 15.0


def how_counted(
    counting: Counting, standards: Standards, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
) -> Counting:
    """Say how the revisions can be judged by these templates: an analysis that counts nothing takes no counters."""
    by_templates = counting.by(standards)
    if standards.problem:
        return by_templates
    analysis = spec.rollout.analysis
    queries = queries_of(analysis) if analysis is not None else ()
    if analysis is not None and queries and not counted_of(analysis):
        if all(query.provider != "query" for query in queries):
            return replace(counting, problem="", by_pods=False)
    elif not counting.problem:
        return replace(counting, problem=who_counts(spec, status).problem)
    return counting


def due(
    spec: ModelDeploymentSpec,
    status: ModelDeploymentStatus,
    owner: Owner,
    counting: Counting,
    now: datetime,
    service: Service | None = None,
) -> Request | None:
    """Give what has to be asked now; None where nothing is watched, or no look is over yet."""
    found, analysis = status.analysis, spec.rollout.analysis
    if found is None or analysis is None or counting.problem or not goes_on(analysis, status, now):
        return None
    until = counting.until(found.until, now)
    if until <= found.until:
        return None
    evidence = evidence_of(found, analysis)
    metrics = tuple(limit.metric for limit in counted_of(analysis))
    return Request(
        namespace=owner.namespace,
        name=owner.name,
        candidate=found.candidate,
        stable=found.stable,
        metrics=metrics,
        begins=tuple(name for name in evidence.missing if name in metrics),
        since=found.until,
        every=counting.every,
        until=until,
        queries=evidence.queries,
        rates=rates_of(analysis),
        began=found.since,
        source=who_counts(spec, status).source,
        services=_services(spec, status, owner, found),
        settled={name: tally.settled for name, tally in evidence.tallies.items() if tally.settled},
        joined={name: tally.joined for name, tally in evidence.tallies.items() if tally.joined},
        copies=copies_of(spec, status, owner.name, found),
        owner=owner,
        address=_address(service, found.candidate),
        model=_model(status, found.candidate),
    )


def _model(status: ModelDeploymentStatus, name: str) -> tuple[str, str]:
    revision = _revision(status, name)
    return (revision.storage_uri, revision.content_digest or "") if revision is not None else ("", "")


def _address(service: Service | None, revision: str) -> str:
    variant = service.variants.get(revision) if service is not None else None
    return variant.address if variant is not None else ""


def who_counts(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> Choice:
    """Give who counts what the revisions answer."""
    found, analysis = status.analysis, spec.rollout.analysis
    if found is None or analysis is None:
        return Choice()
    both = [_revision(status, found.candidate), _revision(status, found.stable)]
    return choose_for_both(analysis.source, both, spec.serving.runtime)


def _services(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, owner: Owner, found: AnalysisStatus
) -> tuple[str, str]:
    transformed = spec.serving.transformer is not None
    candidate, stable = (_revision(status, name) for name in (found.candidate, found.stable))
    return (
        service_of(owner.name, candidate, transformed=transformed) if candidate is not None else "",
        service_of(owner.name, stable, transformed=transformed) if stable is not None else "",
    )


def _revision(status: ModelDeploymentStatus, name: str) -> Revision | None:
    kept = (status.candidate, status.stable, status.previous, *status.retained)
    return next((known for known in kept if known is not None and known.revision == name), None)


def look_again(draft: Draft) -> float | None:
    """Seconds until the next look can be asked for; None where nothing is watched."""
    status, analysis, counting = draft.status, draft.spec.rollout.analysis, draft.observed.counting
    found = status.analysis
    if found is None or analysis is None or not goes_on(analysis, status, draft.now):
        return None
    answer = draft.observed.counted
    if counting.problem or (answer is not None and answer.unavailable):
        return _LATER
    left = (counting.due(found.until) - draft.now).total_seconds()
    if found.promoted_at is not None and analysis.after_promotion is not None:
        left = min(left, (found.promoted_at + analysis.after_promotion - draft.now).total_seconds())
    return max(left, _SOON)


def judge_candidate(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Take what was counted, and reject the candidate where it is beyond a limit."""
    analysis, stable, candidate = draft.spec.rollout.analysis, draft.stable, draft.candidate
    if analysis is None or stable is None or candidate.returns:
        return draft.change(analysis=None) if draft.status.analysis is not None else draft
    found = draft.status.analysis
    if found is not None and not _is_of(found, draft):
        found = None
        draft = draft.change(analysis=None)
    if found is None:
        return _begin(draft, stable)
    draft, found = _by_the_templates(draft, found)
    found = _taken(draft, found, analysis)
    draft = _noted(draft.change(analysis=found), found)
    if found.verdict != "FAIL":
        return draft
    message = f"revision {candidate.revision} at {candidate.weight}% of traffic: {found.message}"
    return draft.reject(reasons.ANALYSIS_FAILED, message + who_serves(draft, STARTS_AGAIN))


def watch_the_promoted(draft: Draft) -> tuple[Draft, str]:
    """Take what was counted of a revision since it was promoted; why it has to be left, where it has to."""
    found, analysis = draft.status.analysis, draft.spec.rollout.analysis
    if found is None or found.promoted_at is None or draft.candidate is not None:
        return draft, ""
    if analysis is None or not goes_on(analysis, draft.status, draft.now):
        return draft, ""
    found = _taken(draft, found, analysis)
    return _noted(draft.change(analysis=found), found), found.message if found.verdict == "FAIL" else ""


def without_what_has_ended(draft: Settled) -> Settled:
    """Keep of an analysis that has ended what it found, and not what it takes to go on."""
    found, analysis = draft.status.analysis, draft.spec.rollout.analysis
    if found is None or not (found.evidence or found.promoted_at):
        return draft
    if analysis is not None and goes_on(analysis, draft.status, draft.now):
        return draft
    return draft.change(analysis=found.model_copy(update={"evidence": "", "promoted_at": None}))


def promoted(draft: DraftT) -> DraftT:
    """Go on watching the revision that was promoted, where that is asked for and there is something to go by."""
    found, analysis = draft.status.analysis, draft.spec.rollout.analysis
    if found is None or analysis is None:
        return draft
    evidence = evidence_of(found, analysis).alone()
    if analysis.after_promotion is None or not (evidence.metrics or evidence.queries):
        return draft
    watched = {"promoted_at": draft.now, "since": draft.now, "evidence": evidence.to_text()}
    return draft.change(analysis=found.model_copy(update=watched))


def refutes(draft: Draft, revision: Revision) -> bool:
    """Whether the last analysis found that this revision is beyond a limit."""
    found = draft.status.analysis
    return found is not None and (found.candidate, found.verdict) == (revision.revision, "FAIL")


def watched_until(draft: Draft) -> datetime | None:
    """Until when the stable revision is watched; None where it is not."""
    found, analysis = draft.status.analysis, draft.spec.rollout.analysis
    if found is None or analysis is None or found.promoted_at is None or analysis.after_promotion is None:
        return None
    return found.promoted_at + analysis.after_promotion


def verdict_of_step(draft: RolloutDraft) -> tuple[RolloutDraft, VerdictName]:
    """Give what the evidence since the step began says: a PASS of an earlier one is none of this one's."""
    found, analysis, step = draft.status.analysis, draft.spec.rollout.analysis, draft.candidate.step
    if found is None or analysis is None:
        return draft, "INSUFFICIENT"
    if found.step == step:
        return draft, found.verdict
    begun = {
        "step": step,
        "verdict": "INSUFFICIENT",
        "evidence": evidence_of(found, analysis).of_a_new_step().to_text(),
    }
    return draft.change(analysis=found.model_copy(update=begun)), "INSUFFICIENT"


def _begin(draft: RolloutDraft, stable: Revision) -> RolloutDraft:
    """Begin as soon as the candidate gets requests."""
    candidate = draft.candidate
    exposed = candidate.weight > 0 or candidate.mirror > 0 or candidate.matched
    unknown = draft.observed.standards.problem
    if not candidate.runs or not exposed or unknown or not in_effect(draft):
        return draft
    begun = AnalysisStatus(
        candidate=candidate.revision,
        stable=stable.revision,
        since=draft.now,
        until=draft.now,
        step=candidate.step,
        problem=draft.observed.counting.problem,
        templates=draft.observed.standards.templates,
    )
    return _noted(draft.change(analysis=begun), begun)


def _taken(draft: Draft, found: AnalysisStatus, analysis: Analysis) -> AnalysisStatus:
    """Give the status with the looks of the answer, where they are the next ones."""
    answer, counting = draft.observed.counted, draft.observed.counting
    if counting.problem:
        return found.model_copy(update={"problem": counting.problem})
    if answer is None or not _follows(answer, found):
        return found
    if answer.unavailable:
        return found.model_copy(update={"problem": one_line(answer.unavailable)})
    if tuple(limit.metric for limit in counted_of(analysis)) != answer.request.metrics:
        return found
    candidate = draft.candidate
    # What was counted before the step that is judged is no PASS of it. Other steps wait for none, and take none away.
    is_judged = candidate is not None and candidate.step == found.step
    step = candidate.step_started_at if candidate is not None and is_judged else None
    evidence = evidence_of(found, analysis).after(answer, analysis.risk, step)
    judgement = evidence.judge(analysis.risk)
    return AnalysisStatus.model_validate(
        {
            **found.model_dump(),
            "verdict": judgement.verdict,
            "message": one_line(judgement.message),
            "problem": one_line(_problem(evidence, answer, found, counting)),
            "until": answer.request.until,
            "evidence": evidence.to_text(),
            "measured": described(evidence.queries, evidence.tallies, found.measured)[:600],
        }
    )


def _by_the_templates(draft: DraftT, found: AnalysisStatus) -> tuple[DraftT, AnalysisStatus]:
    """Note which templates it goes by from now on, and tell where they are others than before."""
    standards = draft.observed.standards
    if standards.problem or standards.templates == found.templates:
        return draft, found
    message = (
        f"revision {found.candidate} is judged by templates {standards.templates or 'none'}, before by "
        f"{found.templates or 'none'}: what differs is judged anew"
    )
    draft = draft.request(Notify("Normal", reasons.ANALYSIS_TEMPLATE_CHANGED, message))
    return draft, found.model_copy(update={"templates": standards.templates})


def _problem(evidence: Evidence, answer: Answer, found: AnalysisStatus, counting: Counting) -> str:
    """Say why a metric or a query tells nothing; nothing where each tells something."""
    for query in evidence.queries:
        tally = evidence.tallies[query.name]
        if tally.has_no_number and not query.query.dry_run:
            return f"{query.where}: {tally.last}" if tally.last else found.problem
    for name, why in evidence.problems.items():
        return f"{name}: {why}"
    # Pods that lack a counter are said by who reads them; the first reading ends no look.
    if counting.by_pods or evidence.judge(0.5).verdict != "INSUFFICIENT":
        return ""
    return missing_series(answer)


def _noted(draft: DraftT, found: AnalysisStatus) -> DraftT:
    """Say in a condition what the evidence says, or why there is none."""
    by_whom = _BY_PODS if draft.observed.counting.by_pods else ""
    match found.verdict:
        case "FAIL":
            return draft.set_condition(CONDITION, "False", reasons.ANALYSIS_FAILED, found.message + by_whom)
        case _ if found.problem:
            return _warned(draft, found.problem)
        case "PASS":
            return draft.set_condition(CONDITION, "True", reasons.ANALYSIS_PASSED, found.message + by_whom)
    waiting = found.message or "nothing has been counted yet"
    return draft.set_condition(CONDITION, "Unknown", reasons.ANALYSIS_INSUFFICIENT, waiting + by_whom)


def _warned(draft: DraftT, problem: str) -> DraftT:
    """Say why nothing can be counted, in an Event too when that begins."""
    counting = draft.observed.counting
    reason = counting.reason if counting.problem else reasons.METRICS_UNAVAILABLE
    known = conditions.find(draft.before.conditions, CONDITION)
    if known is None or known.reason != reason:
        draft = draft.request(Notify("Warning", reason, problem))
    return draft.set_condition(CONDITION, "Unknown", reason, problem)


def evidence_of(found: AnalysisStatus, analysis: Analysis) -> Evidence:
    """Give what a status keeps of the evidence."""
    watched = found.promoted_at is not None
    return Evidence.from_text(found.evidence, limits_of(analysis), queries_of(analysis), watched=watched)


def _is_of(found: AnalysisStatus, draft: RolloutDraft) -> bool:
    """Whether it is the candidate's, in this attempt."""
    stable = draft.stable.revision if draft.stable is not None else ""
    return (
        (found.candidate, found.stable) == (draft.candidate.revision, stable)
        and found.promoted_at is None
        and found.since >= draft.candidate.started_at
    )


def goes_on(analysis: Analysis, status: ModelDeploymentStatus, now: datetime) -> bool:
    """Whether a revision is judged, on its way or after it was promoted."""
    found, candidate, stable = status.analysis, status.candidate, status.stable
    if found is None or stable is None:
        return False
    if found.promoted_at is None:
        return candidate is not None and candidate.revision == found.candidate and not candidate.restores
    if candidate is not None or stable.revision != found.candidate or status.previous is None:
        return False
    watched = analysis.after_promotion or timedelta()
    return status.previous.revision == found.stable and now < found.promoted_at + watched


def _follows(answer: Answer, found: AnalysisStatus) -> bool:
    """Whether the looks begin where those that were taken end."""
    request = answer.request
    return (request.candidate, request.stable, request.since) == (found.candidate, found.stable, found.until)
