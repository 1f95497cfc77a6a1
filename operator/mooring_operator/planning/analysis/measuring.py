"""Queries of templates: when they are measured, what a measurement says, and how the outcomes add up."""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from math import isfinite
from typing import Any

from pydantic import JsonValue

from mooring_operator.api.analysis import Analysis
from mooring_operator.api.template_queries import IN_THE_NAMESPACE, ProviderName, Query
from mooring_operator.planning.analysis.agreements import AgreementQuery, PairCounts, UsedAgreement
from mooring_operator.planning.analysis.promql import filled
from mooring_operator.planning.analysis.rates import JudgedLimit, UsedRate
from mooring_operator.planning.analysis.thresholds import Allowance, Outcome, Tally
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion
from mooring_operator.planning.status.wording import one_line

FACTS = ("result", "arguments")
"""What conditions see: the number that the query gives, and what the template was told."""


_COUNTS = (
    "successes",
    "failures",
    "inconclusive",
    "errors",
    "consecutive_errors",
    "in_step",
    "settled",
    "joined",
)
_PACKED = f"<4s{len(_COUNTS)}I"


@dataclass(frozen=True)
class UsedQuery:
    """A query of a template, and what that was told."""

    query: Query
    arguments: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    kind: str = "ClusterAnalysisTemplate"

    @property
    def name(self) -> str:
        """Its name."""
        return self.query.name

    @property
    def provider(self) -> ProviderName:
        """Who measures."""
        return self.query.provider

    @property
    def where(self) -> str:
        """Where people find it."""
        return f"{self.kind} {self.template}, {'agreement' if self.is_agreement else 'query'} {self.name}"

    @property
    def is_agreement(self) -> bool:
        """Whether what it counts is evidence, and no threshold decides about it."""
        return self.provider == "agreement"

    @property
    def allowance(self) -> Allowance:
        """How many measurements there are, and how many may fail."""
        query = self.query
        return Allowance(
            query.failure_limit, query.inconclusive_limit, query.consecutive_error_limit, query.count
        )

    @property
    def in_namespace(self) -> bool:
        """Whether it is measured in the deployment's namespace, by what takes a while."""
        return self.provider in IN_THE_NAMESPACE

    @property
    def is_a_job(self) -> bool:
        """Whether a Job measures it, and no run of a pipeline."""
        return self.in_namespace and self.provider != "pipeline"

    @cached_property
    def fingerprint(self) -> str:
        """Stands for all that it is judged by."""
        content = json.dumps([self.query.model_dump(mode="json"), dict(self.arguments)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def identity(self) -> bytes:
        """Stands for all that it is judged by: four bytes."""
        return bytes.fromhex(self.fingerprint[:8])

    def promql(self, namespace: str, name: str, candidate: str, stable: str) -> str:
        """Give the query for a deployment and two of its revisions.

        Raises:
            ValueError: something of it cannot stand in a query.
        """
        return filled(self.query.query or "", self.values(namespace, name, candidate, stable))

    def values(self, namespace: str, name: str, candidate: str, stable: str) -> dict[str, str]:
        """Give what stands for places, by their names."""
        values = {"namespace": namespace, "name": name, "candidate": candidate, "stable": stable}
        return {**values, **{f"arguments.{name}": value for name, value in self.arguments.items()}}

    def posted(self, namespace: str, name: str, candidate: str, stable: str) -> dict[str, Any]:
        """Give what a webhook is asked about a deployment and two of its revisions."""
        about = {"namespace": namespace, "name": name, "candidate": candidate, "stable": stable}
        return {**about, "query": self.name, "arguments": dict(self.arguments)}

    def times(self, began: datetime, since: datetime, until: datetime) -> list[datetime]:
        """Give when it is measured after `since` and up to `until`: each interval, in an analysis that `began` then."""
        at, times = self.first_after(began, since), []
        while at <= until:
            times.append(at)
            at += self.query.interval
        return times

    def first_after(self, began: datetime, since: datetime) -> datetime:
        """Give when it is measured first after `since`, in an analysis that `began` then."""
        interval = self.query.interval
        first = began + (self.query.initial_delay or timedelta()) + interval
        skipped = max(-(-(since + timedelta(microseconds=1) - first) // interval), 0)
        return first + skipped * interval

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

    def question(self, result: JsonValue) -> RuleQuestion:
        """Ask what its conditions say of a number, or of what else was found."""
        facts: dict[str, Any] = {"result": result, "arguments": dict(self.arguments)}
        return RuleQuestion(self.query.conditions, facts, FACTS)


class JudgedAnalysis(Analysis):
    """An analysis with the queries and rates of the templates that it names; agreements are among the queries."""

    queries: tuple[UsedQuery, ...] = ()
    rates: tuple[UsedRate, ...] = ()


def limits_of(analysis: Analysis) -> tuple[JudgedLimit, ...]:
    """Give all that evidence is gathered about: metrics, and rates and agreements of the templates that it names."""
    asked = (used.query for used in queries_of(analysis))
    agreements = (UsedAgreement(query.agreement) for query in asked if isinstance(query, AgreementQuery))
    return (*counted_of(analysis), *agreements)


def counted_of(analysis: Analysis) -> tuple[JudgedLimit, ...]:
    """Give what of it takes counters."""
    return (*analysis.metrics, *rates_of(analysis))


def rates_of(analysis: Analysis) -> tuple[UsedRate, ...]:
    """Give the rates of the templates that an analysis goes by."""
    return analysis.rates if isinstance(analysis, JudgedAnalysis) else ()


def queries_of(analysis: Analysis) -> tuple[UsedQuery, ...]:
    """Give the queries of the templates that an analysis goes by."""
    return analysis.queries if isinstance(analysis, JudgedAnalysis) else ()


@dataclass(frozen=True)
class Measurement:
    """What was measured at one time; `said` is the number, or why there is none.

    begun: when it was, where that took a while. settled: as `Tally` has it, where it does.
    pairs: what was counted, of an agreement.
    """

    at: float
    outcome: Outcome
    said: str
    begun: float | None = None
    settled: int | None = None
    pairs: PairCounts | None = None

    def counted(self, tally: Tally, since: float) -> Tally:
        """Give the tally with it; `since` is when the step began."""
        old = self.begun is not None and self.begun <= since
        counted = tally.after_an_old_one if old else tally.after
        after = counted(self.outcome, self.said)
        if self.pairs is not None:
            after = replace(after, joined=self.pairs.joined)
        return after if self.settled is None else replace(after, settled=self.settled)


@dataclass(frozen=True)
class Reading:
    """What a provider found: a result, or why there is none, or that the measurement itself says no.

    begun, settled, pairs: as `Measurement` has them.
    """

    at: datetime
    result: JsonValue = None
    problem: str = ""
    failed: str = ""
    begun: datetime | None = None
    settled: int | None = None
    pairs: PairCounts | None = None

    @classmethod
    def of(cls, at: datetime, number: float | str) -> "Reading":
        """Give the reading that is a number, or why there is none."""
        return cls(at, problem=number) if isinstance(number, str) else cls(at, number)

    def measured(self, outcome: Outcome, said: str) -> Measurement:
        """Give the measurement that it is, with what was made of it."""
        begun = self.begun.timestamp() if self.begun is not None else None
        return Measurement(self.at.timestamp(), outcome, said, begun, self.settled, self.pairs)

    def by_itself(self, query: Query) -> Measurement | None:
        """Give the measurement where no condition has to be asked."""
        if self.problem:
            return self.measured("Error", self.problem)
        if self.failed:
            return self.measured("Failure", self.failed)
        return None if query.conditions else self.measured("Success", shown(self.result))


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


def outcome_of(query: Query, result: JsonValue, answers: RuleAnswers) -> tuple[Outcome, str]:
    """Give what the conditions say of a result, as Argo Rollouts has it; and the result, or what is wrong."""
    told = shown(result)
    wrong = [
        problem
        for index, problem in enumerate(answers.problems)
        if problem is not None and index not in answers.untrue
    ]
    if wrong:
        return "Error", f"{told}, and a condition that tells nothing: {wrong[0]}"
    holds = iter([problem is None for problem in answers.problems])
    succeeds = next(holds) if query.success_condition else None
    fails = next(holds) if query.failure_condition else not succeeds
    if fails:
        return "Failure", told
    return ("Inconclusive" if succeeds is False else "Success"), told


def last_of(measured: str, name: str) -> str:
    """Give the last number of a query in what `described` gave; nothing where there is none."""
    known = dict(part.split(": ", 1) for part in measured.split("; ") if ": " in part)
    return (
        known.get(name, "").rpartition(", last ")[2].removesuffix(_DRY)
        if ", last " in known.get(name, "")
        else ""
    )


def described(queries: Sequence[UsedQuery], tallies: Mapping[str, Tally], before: str) -> str:
    """Say how each query does; of one that has not been measured anew, what was said `before` of its last number."""
    known = dict(part.split(": ", 1) for part in before.split("; ") if ": " in part)
    return "; ".join(f"{query.name}: {_described(query, tallies[query.name], known)}" for query in queries)


def _described(query: UsedQuery, tally: Tally, known: Mapping[str, str]) -> str:
    last = _plain(tally.last) if not tally.consecutive_errors else "none"
    last = last or known.get(query.name, "").rpartition(", last ")[2].removesuffix(_DRY)
    failed = (
        f"{tally.measured} looks" if query.is_agreement else f"{tally.failures} of {tally.measured} failed"
    )
    errors = f", {tally.errors} without a number" if tally.errors else ""
    return f"{failed}{errors}" + (f", last {last}" if last else "") + (_DRY if query.query.dry_run else "")


def shown(result: JsonValue) -> str:
    """Write a result as people read it: one short line."""
    if isinstance(result, float):
        return f"{result:g}"
    if result is None:
        return "done"
    return one_line(json.dumps(_with_whole_numbers(result), ensure_ascii=False), _LONGEST_RESULT)


def _with_whole_numbers(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _with_whole_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _plain(said: str) -> str:
    """Give what was said without the marks by which this text is read again, and what its field does not take."""
    return " ".join(_OTHERS.sub(" ", said).split())[:_LONGEST_LAST]


_LONGEST_RESULT, _LONGEST_LAST = 100, 40
_OTHERS = re.compile(r"[^-+A-Za-z0-9.() ]")
_DRY = " (dry run)"
