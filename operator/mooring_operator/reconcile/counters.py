"""Reads the counters of revisions beside the reconciles: none of them waits for who is asked."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mooring_operator.adapters.metrics.port import Metrics, MetricsUnavailableError, Provider
from mooring_operator.adapters.metrics.promql import PromQL
from mooring_operator.adapters.pools import Pool
from mooring_operator.adapters.rules.child import RulesUnavailable
from mooring_operator.adapters.rules.engine import Rules
from mooring_operator.api.analysis import LATENCIES
from mooring_operator.api.template_queries import ProviderName
from mooring_operator.planning.analysis.counting import Answer, Counted, Counting, Request
from mooring_operator.planning.analysis.measuring import Measurement, Reading, UsedQuery, outcome_of
from mooring_operator.planning.analysis.queries import AnswerUnusableError, Question

UNCONFIGURED = (
    "spec.rollout.analysis: the operator may ask nobody what revisions counted; an administrator sets "
    "MOORING_PROMETHEUS_URL, or takes MOORING_METRICS=None away"
)
_HISTORY = timedelta(hours=1)
# Seconds: how long a reconcile waits for an answer that comes at once, and how long one that is none is kept.
_PATIENCE_S = 0.3
_AGAIN_S = 10.0


@dataclass
class _Asked:
    request: Request
    task: asyncio.Task[Answer]
    answered_at: float | None = None


class Counters:
    """Gives what revisions counted. At most one question is under way for each deployment."""

    def __init__(
        self,
        metrics: Metrics | None = None,
        counting: Counting | None = None,
        *,
        pool: Pool | None = None,
        rules: Rules | None = None,
        providers: Mapping[ProviderName, Provider] | None = None,
        patience: float = _PATIENCE_S,
        again: float = _AGAIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        counting = counting or Counting()
        self.counting = counting if metrics is not None else replace(counting, problem=UNCONFIGURED)
        """How they can be looked at."""
        self._pool = pool or Pool("metrics", MetricsUnavailableError)
        self._rules = rules
        queries: dict[ProviderName, Provider] = {} if metrics is None else {"query": PromQL(metrics)}
        self._providers = {**queries, **(providers or {})}
        self._patience = patience
        self._again = again
        self._clock = clock
        self._asked: dict[tuple[str, str], _Asked] = {}

    async def answer(self, key: tuple[str, str], request: Request | None) -> Answer | None:
        """Give the answer to what a deployment, by namespace and name, asks; None while there is none."""
        if request is None:
            self.forget(key)
            return None
        asked = self._asked.get(key)
        if asked is None or asked.request != request or self._is_worn_out(asked):
            self.forget(key)
            asked = _Asked(request, asyncio.create_task(self._ask(request)))
            self._asked[key] = asked
        if not asked.task.done():
            await asyncio.wait({asked.task}, timeout=self._patience)
        if not asked.task.done():
            return None
        if asked.answered_at is None:
            asked.answered_at = self._clock()
        if asked.task.exception() is not None:
            self._asked.pop(key)
        return asked.task.result()

    def forget(self, key: tuple[str, str]) -> None:
        """Take no answer any more for a deployment."""
        asked = self._asked.pop(key, None)
        if asked is not None:
            asked.task.cancel()

    def _is_worn_out(self, asked: _Asked) -> bool:
        """Whether it was no answer, and it is time to ask again."""
        at = asked.answered_at
        return at is not None and bool(asked.task.result().unavailable) and self._clock() - at >= self._again

    async def _ask(self, request: Request) -> Answer:
        try:
            counted = await self._pool.call(lambda: _count_all(self._metrics, request))
            readings = await self._pool.call(lambda: self._read_all(request))
            measured = {
                query.name: [await self._judged(query, reading, request) for reading in readings[query.name]]
                for query in request.queries
            }
        except (MetricsUnavailableError, RulesUnavailable) as error:
            return Answer(request, unavailable=str(error))
        problems = [known.problem for known in counted.values()]
        if problems and all(problems) and not request.queries:
            # Nothing was counted: no look is taken.
            return Answer(request, unavailable=problems[0])
        return Answer(request, counted, measured=measured)

    async def _read_all(self, request: Request) -> dict[str, list[Reading]]:
        return {query.name: await self._read(request, query) for query in request.queries}

    async def _read(self, request: Request, query: UsedQuery) -> list[Reading]:
        provider = self._providers.get(query.provider)
        if provider is not None:
            return await provider.read(request, query)
        return [
            Reading(at, problem=f"{query.provider} is measured by the operator alone")
            for at in request.times(query)[-1:]
        ]

    async def _judged(self, query: UsedQuery, reading: Reading, request: Request) -> Measurement:
        """Judge what was read by the conditions of its query, which are evaluated where rules are."""
        by_itself = reading.by_itself(query.query)
        if by_itself is not None:
            return by_itself
        if self._rules is None:
            return reading.measured("Error", "conditions cannot be evaluated here")
        question = query.question(reading.result)
        while True:
            answers = await self._rules.answer(request.namespace, [question])
            if question.key in answers:
                return reading.measured(*outcome_of(query.query, reading.result, answers[question.key]))
            await asyncio.sleep(self._rules.wait(request.namespace, question))


async def _count_all(metrics: Metrics | None, request: Request) -> dict[str, Counted]:
    if metrics is None:
        return {name: Counted(problem=UNCONFIGURED) for name in request.metrics}
    return {name: await _count(metrics, request, name) for name in request.metrics}


async def _count(metrics: Metrics, request: Request, name: str) -> Counted:
    since, until = request.since, request.until
    try:
        question = request.question(name)
        counted = await _count_between(metrics, question, name, since, until)
        if name in request.begins:
            before = await _count_between(metrics, question, name, since - _HISTORY, since)
            counted = replace(counted, before=before)
        return counted
    except (AnswerUnusableError, ValueError) as error:
        return Counted(problem=str(error))


async def _count_between(
    metrics: Metrics, question: Question, name: str, since: datetime, until: datetime
) -> Counted:
    if name in LATENCIES:
        return Counted(histograms=await metrics.histograms(question, since, until))
    if name == "predictionDrift":
        return Counted(predicted=await metrics.predictions(question, since, until))
    events, requests = await metrics.counts(question, since, until)
    return Counted(requests, events)
