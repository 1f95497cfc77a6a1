"""Queries of templates: when they are measured, what a measurement says, and how the outcomes add up."""

import base64
import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import isfinite
from typing import Any

from mooring_operator.api.analysis import Analysis
from mooring_operator.api.analysis_template import Query
from mooring_operator.planning.analysis.promql import filled
from mooring_operator.planning.analysis.rates import JudgedLimit, UsedRate
from mooring_operator.planning.analysis.thresholds import Allowance, Outcome, Tally
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion

FACTS = ("result", "arguments")
"""What conditions see: the number that the query gives, and what the template was told."""


_COUNTS = ("successes", "failures", "inconclusive", "errors", "consecutive_errors", "in_step")
_PACKED = "<4s6I"


@dataclass(frozen=True)
class UsedQuery:
    """A query of a template, and what that was told."""

    query: Query
    arguments: Mapping[str, str] = field(default_factory=dict)
    template: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.query.name

    @property
    def where(self) -> str:
        """Where people find it."""
        return f"ClusterAnalysisTemplate {self.template}, query {self.name}"

    @property
    def allowance(self) -> Allowance:
        """How many measurements there are, and how many may fail."""
        query = self.query
        return Allowance(
            query.failure_limit, query.inconclusive_limit, query.consecutive_error_limit, query.count
        )

    @cached_property
    def identity(self) -> bytes:
        """Stands for all that it is judged by: four bytes."""
        content = json.dumps([self.query.model_dump(mode="json"), dict(self.arguments)], sort_keys=True)
        return hashlib.sha256(content.encode()).digest()[:4]

    def promql(self, namespace: str, name: str, candidate: str, stable: str) -> str:
        """Give the query for a deployment and two of its revisions.

        Raises:
            ValueError: something of it cannot stand in a query.
        """
        values = {"namespace": namespace, "name": name, "candidate": candidate, "stable": stable}
        told = {f"arguments.{name}": value for name, value in self.arguments.items()}
        return filled(self.query.query or "", {**values, **told})

    def posted(self, namespace: str, name: str, candidate: str, stable: str) -> dict[str, Any]:
        """Give what a webhook is asked about a deployment and two of its revisions."""
        about = {"namespace": namespace, "name": name, "candidate": candidate, "stable": stable}
        return {**about, "query": self.name, "arguments": dict(self.arguments)}

    def times(self, began: datetime, since: datetime, until: datetime) -> list[datetime]:
        """Give when it is measured after `since` and up to `until`: each interval, in an analysis that `began` then."""
        interval = self.query.interval
        first = began + (self.query.initial_delay or timedelta()) + interval
        skipped = max(-(-(since + timedelta(microseconds=1) - first) // interval), 0)
        at = first + skipped * interval
        times = []
        while at <= until:
            times.append(at)
            at += interval
        return times

    def packed(self, tally: Tally) -> str:
        """Write a tally, with what it is of."""
        counts = [getattr(tally, name) for name in _COUNTS]
        return base64.b64encode(struct.pack(_PACKED, self.identity, *counts)).decode()

    def unpacked(self, text: str) -> Tally:
        """Read what `packed` gave; of another query, or of one that was edited, it is a new one."""
        try:
            identity, *counts = struct.unpack(_PACKED, base64.b64decode(text, validate=True))
        except (ValueError, struct.error):
            return Tally(self.allowance)
        if identity != self.identity:
            return Tally(self.allowance)
        return Tally(self.allowance, **dict(zip(_COUNTS, counts, strict=True)))

    def question(self, result: float) -> RuleQuestion:
        """Ask what its conditions say of a number."""
        facts: dict[str, Any] = {"result": result, "arguments": dict(self.arguments)}
        return RuleQuestion(self.query.conditions, facts, FACTS)


class JudgedAnalysis(Analysis):
    """An analysis with the queries and rates of the templates that it names."""

    queries: tuple[UsedQuery, ...] = ()
    rates: tuple[UsedRate, ...] = ()


def limits_of(analysis: Analysis) -> tuple[JudgedLimit, ...]:
    """Give all that evidence is gathered about: metrics, and the rates of the templates that it names."""
    return (*analysis.metrics, *rates_of(analysis))


def rates_of(analysis: Analysis) -> tuple[UsedRate, ...]:
    """Give the rates of the templates that an analysis goes by."""
    return analysis.rates if isinstance(analysis, JudgedAnalysis) else ()


def queries_of(analysis: Analysis) -> tuple[UsedQuery, ...]:
    """Give the queries of the templates that an analysis goes by."""
    return analysis.queries if isinstance(analysis, JudgedAnalysis) else ()


@dataclass(frozen=True)
class Measurement:
    """What was measured at one time; `said` is the number, or why there is none."""

    at: float
    outcome: Outcome
    said: str


def number_of(values: Sequence[float]) -> float | str:
    """Give the one number among what a query gave at one time; or why it is none, and what to write."""
    if not values:
        return "it gives no series: are its labels right? where none means 0, add `or vector(0)`"
    if len(values) > 1:
        return f"it gives {len(values)} series: make one of them, as by sum()"
    if not isfinite(values[0]):
        return (
            f"it gives {values[0]:g}: what it divides by is 0; where that is fine, divide by clamp_min(X, 1)"
        )
    return values[0]


def outcome_of(query: Query, result: float, answers: RuleAnswers) -> tuple[Outcome, str]:
    """Give what the conditions say of a number, as Argo Rollouts has it; and the number, or what is wrong."""
    wrong = [
        problem
        for index, problem in enumerate(answers.problems)
        if problem is not None and index not in answers.untrue
    ]
    if wrong:
        return "Error", f"{result:g}, and a condition that tells nothing: {wrong[0]}"
    holds = iter([problem is None for problem in answers.problems])
    succeeds = next(holds) if query.success_condition else None
    fails = next(holds) if query.failure_condition else not succeeds
    if fails:
        return "Failure", f"{result:g}"
    return ("Inconclusive" if succeeds is False else "Success"), f"{result:g}"


def described(queries: Sequence[UsedQuery], tallies: Mapping[str, Tally], before: str) -> str:
    """Say how each query does; of one that has not been measured anew, what was said `before` of its last number."""
    known = dict(part.split(": ", 1) for part in before.split("; ") if ": " in part)
    return "; ".join(f"{query.name}: {_described(query, tallies[query.name], known)}" for query in queries)


def _described(query: UsedQuery, tally: Tally, known: Mapping[str, str]) -> str:
    last = tally.last if not tally.consecutive_errors else "none"
    last = last or known.get(query.name, "").rpartition(", last ")[2].removesuffix(_DRY)
    failed = f"{tally.failures} of {tally.measured} failed"
    errors = f", {tally.errors} without a number" if tally.errors else ""
    return f"{failed}{errors}" + (f", last {last}" if last else "") + (_DRY if query.query.dry_run else "")


_DRY = " (dry run)"
