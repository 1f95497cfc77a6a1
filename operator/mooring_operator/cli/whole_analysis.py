"""Judges two revisions once by all that a deployment is judged by, as the operator would, and shows it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.adapters.rules.engine import LimitedRules
from mooring_operator.api.analysis import Analysis
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus, Revision
from mooring_operator.cli.errors import CliError
from mooring_operator.planning.analysis.absent import missing_series
from mooring_operator.planning.analysis.counting import Answer, Counting, Request
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.judgement import Errors, Judgement, describe_limit
from mooring_operator.planning.analysis.measuring import (
    UsedQuery,
    counted_of,
    limits_of,
    queries_of,
    rates_of,
)
from mooring_operator.planning.analysis.prediction_drift import PredictionDrift, describe_set
from mooring_operator.planning.analysis.sources import choose_for_both, service_of
from mooring_operator.planning.analysis.templates import Found, resolve
from mooring_operator.planning.analysis.thresholds import Tally
from mooring_operator.reconcile.counters import Counters

if TYPE_CHECKING:
    from rich.console import Group

_DEADLINE_S = 300.0


@dataclass(frozen=True)
class Subject:
    """A deployment, and the two of its revisions that are compared."""

    name: str
    namespace: str
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    candidate: str
    stable: str
    templates: Mapping[tuple[str, str], Found]

    def revision(self, name: str) -> Revision:
        """Give what is known of a revision."""
        status = self.status
        kept = (status.candidate, status.stable, status.previous, *status.retained)
        known = next((one for one in kept if one is not None and one.revision == name), None)
        model = self.spec.model
        return known or Revision(
            revision=name, model_uri=model.uri, storage_uri=model.uri, format=model.format
        )


@dataclass(frozen=True)
class Compared:
    """Which revisions, who counts what they answer, and from when to when; `told` says what else there is to know."""

    candidate: str
    stable: str
    source: str
    since: datetime
    until: datetime
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Whole:
    """What was found of all metrics and queries together."""

    compared: Compared
    evidence: Evidence
    judgement: Judgement
    risk: float
    templates: str

    @property
    def verdict(self) -> str:
        """PASS, FAIL or INSUFFICIENT."""
        return self.judgement.verdict

    def document(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "verdict": self.verdict,
            "decidedBy": self.judgement.metric,
            "message": self.judgement.message,
            "templates": self.templates.split(),
            "source": self.compared.source,
            "candidate": self.compared.candidate,
            "stable": self.compared.stable,
            "told": list(self.compared.told),
            "metrics": [self._metric(limit.metric) for limit in self.evidence.limits],
            "queries": [
                _query(query, self.evidence.tallies[query.name]) for query in _decided(self.evidence)
            ],
        }

    def _metric(self, name: Any) -> dict[str, Any]:
        found = self.evidence.metrics.get(name)
        why = {**self.evidence.waits, **self.evidence.problems}.get(name, "")
        if found is None:
            return {"metric": name, "problem": why or "nothing has been counted"}
        seen = found.comparison
        return {
            "metric": name,
            "candidate": {"events": seen.candidate, "requests": seen.candidate_of},
            **(
                {}
                if name in self.evidence.agreements
                else {"stable": {"events": seen.stable, "requests": seen.stable_of}}
            ),
            **(
                {"moved": describe_set(seen.sets[seen.moved.index])}
                if isinstance(seen, PredictionDrift)
                else {}
            ),
            "limit": {"ratio": seen.limit.ratio, "points": seen.limit.points * 100},
            "looks": seen.looks,
            "evidenceForFail": seen.worse.value,
            "evidenceForPass": seen.ok,
            **({"problem": why} if why else {}),
        }


def _decided(evidence: Evidence) -> list[UsedQuery]:
    """Give the queries that are judged by thresholds: agreements stand among the metrics."""
    return [query for query in evidence.queries if not query.is_agreement]


def _query(query: UsedQuery, tally: Tally) -> dict[str, Any]:
    return {
        "query": query.name,
        "template": query.template,
        "verdict": _verdict(tally),
        "measured": tally.measured,
        "failed": tally.failures,
        "inconclusive": tally.inconclusive,
        "withoutNumber": tally.errors,
        "last": tally.last,
        "dryRun": query.query.dry_run,
    }


def _verdict(tally: Tally) -> str:
    return "FAIL" if tally.has_failed else "PASS" if tally.has_passed else "INSUFFICIENT"


def judge_whole(
    subject: Subject, *, address: str, token: str, window: timedelta, every: int, until: datetime
) -> Whole:
    """Ask Prometheus about all that the deployment is judged by, and judge it.

    Raises:
        CliError: there is no analysis, a template cannot be gone by, or Prometheus does not answer.
    """
    asked = subject.spec.rollout.analysis
    if asked is None:
        raise CliError(
            f"{subject.name} has no spec.rollout.analysis", hint="--metric errorRate compares errors"
        )
    analysis, standards = resolve(asked, subject.templates, subject.namespace)
    if standards.problem:
        raise CliError(standards.problem)
    request = _request(subject, analysis, window, every, until)
    answer = asyncio.run(_answer(request, address, token))
    if answer.unavailable:
        raise CliError(answer.unavailable)
    evidence = Evidence.from_text("", limits_of(analysis), queries_of(analysis), watched=False)
    evidence = evidence.after(answer, analysis.risk)
    compared = Compared(
        request.candidate,
        request.stable,
        request.source.name,
        request.since,
        request.until,
        tuple(filter(None, (missing_series(answer), *_not_asked(request)))),
    )
    return Whole(compared, evidence, evidence.judge(analysis.risk), analysis.risk, standards.templates)


def _not_asked(request: Request) -> tuple[str, ...]:
    """Say which queries only the operator asks: what is not in Prometheus is asked from the cluster."""
    others = [f"{query.name} ({query.provider})" for query in request.queries if query.provider != "query"]
    if not others:
        return ()
    return (
        f"not asked from here, for Prometheus does not have it: {', '.join(others)}; without --prometheus it is "
        "said what the operator was answered",
    )


def _request(subject: Subject, analysis: Analysis, window: timedelta, every: int, until: datetime) -> Request:
    both = [subject.revision(subject.candidate), subject.revision(subject.stable)]
    choice = choose_for_both(analysis.source, both, subject.spec.serving.runtime)
    if choice.problem:
        raise CliError(choice.problem)
    transformed = subject.spec.serving.transformer is not None
    services = [service_of(subject.name, revision, transformed=transformed) for revision in both]
    metrics = tuple(limit.metric for limit in counted_of(analysis))
    looks = window // timedelta(seconds=every)
    since = until - looks * timedelta(seconds=every)
    return Request(
        subject.namespace,
        subject.name,
        subject.candidate,
        subject.stable,
        metrics,
        metrics,
        since,
        timedelta(seconds=every),
        until,
        source=choice.source,
        services=(services[0], services[1]),
        queries=queries_of(analysis),
        rates=rates_of(analysis),
        began=since,
    )


async def _answer(request: Request, address: str, token: str) -> Answer:
    prometheus, rules = (
        Prometheus(Access(address, set_by=("--prometheus", "--token-file")), token=token),
        LimitedRules(),
    )
    counters = Counters(prometheus, Counting(every=request.every), rules=rules, patience=_DEADLINE_S)
    try:
        answer = await counters.answer((request.namespace, request.name), request)
    finally:
        rules.close()
        await prometheus.close()
    return answer or Answer(request, unavailable=f"Prometheus gives no answer in {_DEADLINE_S:.0f} s")


def view(found: Whole) -> "Group":
    """Show the verdict, and each metric and query with its numbers."""
    from rich.console import Group
    from rich.text import Text

    from mooring_operator.cli.tables import plain_table

    colour = {"PASS": "green", "FAIL": "red"}.get(found.verdict, "yellow")
    parts: list[Any] = [Text(f"{found.verdict}  {found.judgement.message}", style=colour), Text()]
    if found.evidence.limits:
        rows = [_row(found, limit.metric) for limit in found.evidence.limits]
        columns = ("METRIC", "CANDIDATE", "STABLE", "LIMIT", "FOR FAIL", "FOR PASS", "")
        parts += [plain_table(columns, rows, indent=0), Text()]
    if decided := _decided(found.evidence):
        queries = [_query_row(query, found.evidence.tallies[query.name]) for query in decided]
        parts += [
            plain_table(("QUERY", "VERDICT", "MEASURED", "WANTED", "FAILED", "LAST"), queries, indent=0),
            Text(),
        ]
    seen = found.compared
    times = f"{seen.since:%H:%M:%S} to {seen.until:%H:%M:%S} UTC"
    lines = [
        f"counted by {seen.source}, {times}; candidate {seen.candidate}, stable {seen.stable}",
        *seen.told,
    ]
    if found.templates:
        # What stands in a file has no generation.
        lines.append(f"templates {found.templates.replace('@0', '')}")
    return Group(*parts, Text("\n".join(lines), style="dim"))


def _row(found: Whole, name: Any) -> list[str]:
    metric = found.evidence.metrics.get(name)
    why = {**found.evidence.waits, **found.evidence.problems}.get(name, "")
    if metric is None:
        return [str(name), "-", "-", "-", "-", "-", why or "nothing has been counted"]
    seen, errors = metric.comparison, Errors(false_rollback=found.risk)
    what = f" ({describe_set(seen.sets[seen.moved.index])})" if isinstance(seen, PredictionDrift) else ""
    return [
        f"{name}{what}",
        _share(seen.candidate, seen.candidate_of),
        "-" if name in found.evidence.agreements else _share(seen.stable, seen.stable_of),
        describe_limit(seen),
        f"{seen.worse.value:.3g} of {1 / errors.false_rollback:g}",
        f"{seen.ok:.3g} of {1 / errors.false_promotion:g}",
        why,
    ]


def _share(events: float, of: float) -> str:
    return f"{events / of:.2%} ({events:g} of {of:g})" if of else "no requests"


def _query_row(query: UsedQuery, tally: Tally) -> list[str]:
    asked = query.query
    verdict = _verdict(tally) + (" (dry run)" if asked.dry_run else "")
    measured = f"{tally.measured}" + (f", {tally.errors} without a number" if tally.errors else "")
    failed = f"{tally.failures} (limit {asked.failure_limit})"
    return [query.name, verdict, measured, str(asked.count), failed, tally.last]
