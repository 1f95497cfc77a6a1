"""What the operator has found of a revision so far, out of the status: whoever counts, and whatever webhooks say."""

from dataclasses import replace

from mooring_operator.api.analysis import AnalysisStatus
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.whole_analysis import Compared, Subject, Whole
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.judgement import Judgement
from mooring_operator.planning.analysis.measuring import last_of, limits_of, queries_of
from mooring_operator.planning.analysis.templates import resolve
from mooring_operator.planning.rollout.analysis import CONDITION, who_counts


def explain(subject: Subject) -> Whole:
    """Give what the operator has found so far: whoever counts, and with the numbers of webhooks.

    Raises:
        CliError: nothing is judged, or a template cannot be gone by.
    """
    asked, found = subject.spec.rollout.analysis, subject.status.analysis
    if asked is None or found is None:
        raise CliError(
            f"{subject.name}: no revision is judged, nor has been since the last one was promoted",
            hint="--prometheus URL judges two revisions by their counters",
        )
    analysis, standards = resolve(asked, subject.templates, subject.namespace)
    if standards.problem:
        raise CliError(standards.problem)
    watched, kept = found.promoted_at is not None, bool(found.evidence)
    limits, queries = (limits_of(analysis), queries_of(analysis)) if kept else ((), ())
    evidence = Evidence.from_text(found.evidence, limits, queries, watched=watched)
    tallies = {
        name: replace(tally, last=last_of(found.measured, name)) for name, tally in evidence.tallies.items()
    }
    told = [] if kept else ["it has ended: what was found of each metric is kept no longer"]
    told += [f"nothing can be counted now: {found.problem}"] if found.problem else []
    told += _beside(subject, found)
    compared = Compared(
        found.candidate,
        found.stable,
        who_counts(subject.spec, subject.status).source.name,
        found.since,
        found.until,
        tuple(told),
    )
    judgement = Judgement(
        found.verdict, found.message.partition(":")[0], found.message or "nothing was counted yet"
    )
    return Whole(compared, replace(evidence, tallies=tallies), judgement, analysis.risk, found.templates)


def _beside(subject: Subject, found: AnalysisStatus) -> list[str]:
    """Say what the condition says beyond the verdict's message and what stops the counting: who counted."""
    said = next((one.message for one in subject.status.conditions if one.type == CONDITION), "")
    rest = said.removeprefix(found.message).strip() if found.message else said
    return [rest.strip("()")] if rest and rest != found.problem else []
