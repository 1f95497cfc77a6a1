"""Rates that a template names by counters of its own: what is asked for, and by what they are judged."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mooring_operator.api.analysis import MetricLimit
from mooring_operator.api.analysis_template import Counted, CountedRate
from mooring_operator.planning.analysis.agreements import UsedAgreement
from mooring_operator.planning.analysis.promql import filled, problems_of_query
from mooring_operator.planning.analysis.queries import Question, Rate, quoted

MOST_JUDGED = 3
"""Metrics, rates and agreements of one rollout: they share one rate of false rollbacks, and one status."""


@dataclass(frozen=True)
class UsedRate:
    """A rate of a template, and what that was told. It is judged by the same evidence as a metric of ours."""

    rate: CountedRate
    arguments: Mapping[str, str] = field(default_factory=dict)
    template: str = ""

    @property
    def metric(self) -> str:
        """Its name."""
        return self.rate.name

    @property
    def rate_limit(self) -> tuple[float, float]:
        """Times the stable revision's rate, and the share beyond that."""
        return self.rate.ratio, self.rate.points / 100

    @cached_property
    def key(self) -> str:
        """What its evidence is kept by: another where it is counted otherwise."""
        content = json.dumps([self.rate.model_dump(mode="json"), dict(self.arguments)], sort_keys=True)
        return f"{self.metric}.{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def question(self, namespace: str, name: str, revisions: tuple[str, ...], every_s: int) -> Question:
        """Ask for it. The namespace is the deployment's: nobody counts what is another's.

        Raises:
            ValueError: something cannot stand in a query.
        """
        rate = self.rate
        values = {"name": name, **{f"arguments.{key}": value for key, value in self.arguments.items()}}
        counted = Rate(
            rate.total.counter,
            filled(_matchers(rate.events), values),
            rate.revision_label,
            of=filled(_matchers(rate.total), values),
            part=rate.events.counter,
            is_good=rate.good is not None,
        )
        return Question(counted, revisions, (f"namespace={quoted(namespace)}",), every_s)


def _matchers(counted: Counted) -> str:
    return ",".join(f'{label}="{value}"' for label, value in sorted(counted.labels.items()))


def problems_of_rate(rate: CountedRate, arguments: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with what a rate counts, whatever it is told: the field, and why."""
    part = "good" if rate.good else "bad"
    for name, counted in (("total", rate.total), (part, rate.events)):
        yield from ((f"{name}.labels", why) for why in problems_of_query(_matchers(counted), arguments))
    if rate.events == rate.total:
        yield (
            part,
            "it is all that total counts, so that the share is always 100%: name labels, or another counter",
        )


JudgedLimit = MetricLimit | UsedRate | UsedAgreement
"""What evidence is gathered about: a metric of ours, or a rate or an agreement of a template."""


def key_of(limit: JudgedLimit) -> str:
    """What the evidence about it is kept by."""
    return limit.metric if isinstance(limit, MetricLimit) else limit.key
