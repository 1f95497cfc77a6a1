"""The evidence on all metrics of one rollout: how it begins, grows look by look, and is written down."""

import base64
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf, isfinite, nan, sqrt
from typing import TypeGuard

from mooring_operator.api.analysis import LATENCIES, MetricLimit
from mooring_operator.planning.analysis import bets
from mooring_operator.planning.analysis.agreements import UsedAgreement
from mooring_operator.planning.analysis.bets import Capital, Limit, Look
from mooring_operator.planning.analysis.bursts import Bursts
from mooring_operator.planning.analysis.comparison import Comparison, bursts_before
from mooring_operator.planning.analysis.counting import Answer, Counted
from mooring_operator.planning.analysis.judgement import Errors, Judgement, judge
from mooring_operator.planning.analysis.latency import Exceedance, NoResolutionError, exceedance
from mooring_operator.planning.analysis.looks import pair, pair_predictions, pair_slow, together
from mooring_operator.planning.analysis.measuring import Measurement, UsedQuery
from mooring_operator.planning.analysis.prediction_drift import LEAST, SHORT, CellLook, PredictionDrift
from mooring_operator.planning.analysis.rates import JudgedLimit, key_of
from mooring_operator.planning.analysis.thresholds import Tally

_LEAST_SLOW = 5
"""Requests beyond the quantile that stable's history has at least, before it is taken for a bound."""
_OF_PAIRS = 1
"""Looks at pairs that a burst may last: each is of minutes."""
_QUERY = "query."
"""Before the names of queries, which may be those of metrics."""
_CAUTION = 2.33
"""Standard deviations: 99% of all counts are below."""


class TooFewError(Exception):
    """There are too few requests yet to begin; the message says how many it takes."""


@dataclass(frozen=True)
class Metric:
    """One metric so far.

    asked: the two numbers of the spec that it is judged by.
    bounds: which bounds of latency's buckets are compared.
    """

    asked: tuple[float, float]
    comparison: Comparison | PredictionDrift
    bounds: Exceedance | None = None

    def after(self, look: Look | CellLook) -> "Metric":
        """Take one more look, of the kind that `_looks` gives."""
        match self.comparison, look:
            case Comparison() as rates, Look():
                return replace(self, comparison=rates.after(look))
            case PredictionDrift() as drift, CellLook():
                return replace(self, comparison=drift.after(look))
        raise TypeError(f"a {type(look).__name__} is no look at a {type(self.comparison).__name__}")


@dataclass(frozen=True)
class Evidence:
    """What has been found of each metric that has begun; `problems` and `waits` say of others why they have not.

    waits: what more requests will mend.
    watched: whether the candidate is alone by now, and compared with what the stable revision was.
    queries: what is measured beside, with the measurements so far in `tallies`.
    """

    limits: tuple[JudgedLimit, ...]
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    waits: Mapping[str, str] = field(default_factory=dict)
    watched: bool = False
    queries: tuple[UsedQuery, ...] = ()
    tallies: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """The metrics that have not begun; none begins when the candidate is alone."""
        return () if self.watched else tuple(x.metric for x in self.limits if x.metric not in self.metrics)

    def judge(self, risk: float) -> Judgement:
        """Give the verdict on all metrics together; one that has not begun is a capital of 1."""
        fresh = Comparison(Limit(), ok=inf if self.watched else 1.0)
        known = {name: metric.comparison for name, metric in self.metrics.items()}
        comparisons: dict[str, Comparison | PredictionDrift] = {
            limit.metric: known.get(limit.metric, fresh) for limit in self.limits
        }
        slow: dict[str, Exceedance] = {
            name: metric.bounds for name, metric in self.metrics.items() if metric.bounds is not None
        }
        decide = [query.name for query in self.queries if self._decides(query)]
        tallies = {name: self.tallies[name] for name in decide}
        judgement = judge(comparisons, tallies, Errors(false_rollback=risk), slow)
        missing = next((name for name in self.missing if name == judgement.metric), None)
        if missing is None or judgement.verdict != "INSUFFICIENT":
            return judgement
        why = {**self.waits, **self.problems}.get(missing, "nothing has been counted yet")
        return replace(judgement, message=f"{missing}: {why}")

    def _decides(self, query: UsedQuery) -> bool:
        """Whether a tally decides; of an agreement the bet does, while there are counts."""
        if query.is_agreement:
            return self.tallies[query.name].has_no_number
        return not query.query.dry_run

    def after(self, answer: Answer, risk: float, step: datetime | None = None) -> "Evidence":
        """Take the looks of an answer, one after the other for all metrics, up to the one that decides on FAIL.

        step: when the step began that has to be passed; looks until then, which came late, are no evidence for that.
        """
        seen = self._begun(answer)
        since = step.timestamp() if step is not None else -inf
        looks: dict[str, Mapping[float, Look | CellLook]] = {}
        for name, metric in seen.metrics.items():
            try:
                looks[name] = _looks(answer.metrics.get(name, Counted()), metric, answer)
            except NoResolutionError as error:
                seen = replace(seen, problems={**seen.problems, name: str(error)})
        measured = dict(answer.measured)
        looks |= {name: _looks_at_pairs(measured.get(name, ())) for name in seen.agreements}
        times = {at for by_time in looks.values() for at in by_time}
        for at in sorted(times | {one.at for several in measured.values() for one in several}):
            taken = {
                name: metric.after(looks[name][at]) if at in looks.get(name, {}) else metric
                for name, metric in seen.metrics.items()
            }
            seen = replace(seen, metrics=taken, tallies=seen.measured(measured, at, since))
            if at <= since:
                seen = seen.of_a_new_step()
            if seen.judge(risk).verdict == "FAIL":
                break
        return seen

    def measured(
        self, measured: Mapping[str, Sequence[Measurement]], at: float, since: float = -inf
    ) -> dict[str, Tally]:
        """Give the tallies with what was measured at one time, in a step that began at `since`."""
        tallies = dict(self.tallies)
        for query in self.queries:
            for one in measured.get(query.name, ()):
                if one.at == at:
                    tallies[query.name] = one.counted(tallies[query.name], since)
        return tallies

    def _begun(self, answer: Answer) -> "Evidence":
        """Begin the metrics whose history is there; the looks of this answer are the first ones."""
        metrics = dict(self.metrics)
        problems: dict[str, str] = {
            name: counted.problem for name, counted in answer.metrics.items() if counted.problem
        }
        waits: dict[str, str] = {}
        for limit in self.limits:
            if isinstance(limit, UsedAgreement):
                if limit.metric not in metrics and not self.watched:
                    comparison = Comparison(Limit(*limit.rate_limit), minute=_OF_PAIRS)
                    metrics[limit.metric] = Metric(limit.rate_limit, comparison)
                continue
            counted = answer.metrics.get(limit.metric)
            if limit.metric in metrics or self.watched or counted is None or counted.before is None:
                continue
            try:
                metrics[limit.metric] = _begin(limit, counted.before, answer)
            except TooFewError as error:
                waits[limit.metric] = str(error)
            except NoResolutionError as error:
                problems[limit.metric] = str(error)
        return replace(self, metrics=metrics, problems=problems, waits=waits)

    @property
    def agreements(self) -> tuple[str, ...]:
        """Names of those that are judged by copies of requests."""
        return tuple(limit.metric for limit in self.limits if isinstance(limit, UsedAgreement))

    def of_a_new_step(self) -> "Evidence":
        """Go on with no evidence for PASS: what was found before the step is none of it.

        But for agreements: copies are sent before the steps, and what was answered to them is of no weight.
        """
        kept = self.agreements
        return replace(
            self,
            metrics={
                name: metric if name in kept else _unproven(metric) for name, metric in self.metrics.items()
            },
            tallies={name: tally.of_a_new_step() for name, tally in self.tallies.items()},
        )

    def alone(self) -> "Evidence":
        """Go on with the candidate alone: its limits become shares, by what the stable revision had beside it.

        The capital stays, for the error rate is the whole rollout's.
        """
        kept = {name: metric for name, metric in self.metrics.items() if name not in self.agreements}
        alone = {name: _alone(metric) for name, metric in kept.items()}
        queries = tuple(query for query in self.queries if not query.is_agreement)
        return replace(
            self,
            watched=True,
            metrics={name: metric for name, metric in alone.items() if metric is not None},
            queries=queries,
            # What is watched begins now, and its measurements with it.
            tallies={query.name: replace(self.tallies[query.name], settled=0) for query in queries},
        )

    # --- how a status keeps it ------------------------------------------------------------------

    def to_text(self) -> str:
        """Give it as one line: NAME:NUMBERS for each metric that has begun, query.NAME:NUMBERS for each query."""
        keys = {limit.metric: key_of(limit) for limit in self.limits}
        metrics = [f"{keys[name]}:{_packed(metric)}" for name, metric in self.metrics.items()]
        queries = [f"{_QUERY}{query.name}:{query.packed(self.tallies[query.name])}" for query in self.queries]
        return " ".join([*metrics, *queries])

    @classmethod
    def from_text(
        cls, text: str, limits: Sequence[JudgedLimit], queries: Sequence[UsedQuery] = (), *, watched: bool
    ) -> "Evidence":
        """Read what `to_text` gave; what is not that, or is judged by another limit now, begins anew."""
        kept = dict(part.split(":", 1) for part in text.split() if ":" in part)
        metrics: dict[str, Metric] = {}
        for limit in limits:
            unpack = _unpacked_drift if _of_predictions(limit) else _unpacked
            metric = unpack(kept.get(key_of(limit), ""))
            if metric is not None and (watched or _fits(metric, limit)):
                metrics[limit.metric] = _timed(metric) if isinstance(limit, UsedAgreement) else metric
        # Nobody gets copies when the candidate is alone.
        measured = tuple(query for query in queries if not (watched and query.is_agreement))
        tallies = {query.name: query.unpacked(kept.get(f"{_QUERY}{query.name}", "")) for query in measured}
        return cls(tuple(limits), metrics, watched=watched, queries=measured, tallies=tallies)


def _begin(limit: JudgedLimit, before: Counted, answer: Answer) -> Metric:
    request = answer.request
    if _of_predictions(limit):
        return _begin_predictions(limit, before.predicted.get(request.stable, {}))
    if not _of_latency(limit):
        looks = pair(before.events, before.requests, request.candidate, request.stable)
        return Metric(
            limit.rate_limit, Comparison(Limit(*limit.rate_limit), bursts=bursts_before(looks.values()))
        )
    history = together(before.histograms.get(request.stable, {}))
    quantile, slower = limit.latency_limit
    least = _LEAST_SLOW / (1 - quantile)
    if history.total < least:
        raise TooFewError(
            f"stable answered {history.total:g} requests in the hour before; a p{quantile * 100:g} takes {least:.0f}"
        )
    bounds = exceedance(history, quantile, slower)
    stable = {request.stable: before.histograms[request.stable]}
    looks = pair_slow(stable, bounds, request.candidate, request.stable)
    comparison = Comparison(bounds.limit, bursts=bursts_before(looks.values()))
    return Metric(limit.latency_limit, comparison, bounds)


def _begin_predictions(limit: JudgedLimit, before: Mapping[float, Mapping[str, float]]) -> Metric:
    total = sum(count for cells in before.values() for count in cells.values())
    if total < LEAST:
        told = (
            f"{total:g} predictions of the stable revision were counted in the hour before; it takes {LEAST}"
        )
        raise TooFewError(told if total else f"{told}. Does the runtime of the stable revision count them?")
    return Metric(limit.rate_limit, PredictionDrift.begin(Limit(*limit.rate_limit), before))


def _looks(counted: Counted, metric: Metric, answer: Answer) -> Mapping[float, Look | CellLook]:
    arms = (answer.request.candidate, answer.request.stable)
    if isinstance(metric.comparison, PredictionDrift):
        return pair_predictions(counted.predicted, metric.comparison.sets, *arms)
    if metric.bounds is None:
        return pair(counted.events, counted.requests, *arms)
    return pair_slow(counted.histograms, metric.bounds, *arms)


def _looks_at_pairs(measured: Sequence[Measurement]) -> Mapping[float, Look | CellLook]:
    """Give a look for each measurement that counted pairs.

    They stand for stable's too: a threshold does not look at it, and how bursty pairs are is learnt from them.
    """
    counted = [(one.at, one.pairs) for one in measured if one.pairs is not None and one.pairs.pairs]
    return {at: Look(*2 * (pairs.disagreements, pairs.pairs)) for at, pairs in counted}


def _unproven(metric: Metric) -> Metric:
    if isinstance(metric.comparison, PredictionDrift):
        return replace(metric, comparison=metric.comparison.fresh())
    none = Capital.begin(bets.BETTER)
    comparison = replace(metric.comparison, better=none, begun=none, ok=1.0)
    return replace(metric, comparison=comparison)


def _timed(metric: Metric) -> Metric:
    """Take a look at pairs for what it is: it lasts longer than a burst."""
    assert isinstance(metric.comparison, Comparison)
    return replace(metric, comparison=replace(metric.comparison, minute=_OF_PAIRS))


def _alone(metric: Metric) -> Metric | None:
    seen = metric.comparison
    if isinstance(seen, PredictionDrift) or not seen.stable_of:
        # Nothing answers the same traffic beside it.
        return None
    highest = (seen.stable + _CAUTION * sqrt(seen.stable + 1) + _CAUTION) / seen.stable_of
    share = seen.limit.ratio * highest + seen.limit.points
    if not 0 < share < 1:
        return None
    begun = Comparison(
        Limit(0.0, share), bursts=seen.bursts, jumps=seen.jumps, worse=seen.worse, fail=seen.fail
    )
    return replace(metric, comparison=begun)


# --- numbers ------------------------------------------------------------------------------------


def _numbers(
    comparison: Comparison, asked: tuple[float, float], bounds: Exceedance | None
) -> Iterator[float]:
    yield from asked
    yield comparison.limit.ratio
    yield comparison.limit.points
    yield nan if comparison.bursts.history is None else comparison.bursts.history
    yield from (nan, nan, nan) if bounds is None else (bounds.bound, bounds.reference, bounds.ratio)
    yield from comparison.to_numbers()


_COUNT = len(list(_numbers(Comparison(Limit()), (1.0, 0.0), None)))


def _packed(metric: Metric) -> str:
    seen = metric.comparison
    if isinstance(seen, PredictionDrift):
        names, numbers, short = "\n".join(seen.sets).encode(), seen.to_numbers(), SHORT * len(seen.sets)
        content = struct.pack(f"<H{len(names)}s{len(numbers) - short}d{short}f", len(names), names, *numbers)
    else:
        content = struct.pack(f"<{_COUNT}d", *_numbers(seen, metric.asked, metric.bounds))
    return base64.b64encode(content).decode()


def _unpacked_drift(text: str) -> Metric | None:
    try:
        content = base64.b64decode(text, validate=True)
        (length,) = struct.unpack_from("<H", content)
        sets = tuple(content[2 : 2 + length].decode().split("\n"))
        short = SHORT * len(sets)
        long = (len(content) - 2 - length - 4 * short) // 8
        numbers = struct.unpack(f"<{long}d{short}f", content[2 + length :])
        seen = PredictionDrift.of_numbers(sets, numbers)
    except (ValueError, struct.error):
        return None
    return Metric((seen.limit.ratio, seen.limit.points), seen)


def _unpacked(text: str) -> Metric | None:
    try:
        first, second, ratio, points, history, *rest = struct.unpack(
            f"<{_COUNT}d", base64.b64decode(text, validate=True)
        )
        bounds = Exceedance(*rest[:3]) if isfinite(rest[0]) else None
        bursts = Bursts(history if isfinite(history) else None)
        comparison = Comparison(Limit.of(ratio, points), bursts=bursts).resumed(rest[3:])
    except (ValueError, struct.error):
        return None
    return Metric((first, second), comparison, bounds)


def _fits(metric: Metric, limit: JudgedLimit) -> bool:
    """Whether it was judged by this limit."""
    if _of_latency(limit):
        return metric.asked == limit.latency_limit and metric.bounds is not None
    return metric.asked == limit.rate_limit and metric.bounds is None


def _of_predictions(limit: JudgedLimit) -> bool:
    return isinstance(limit, MetricLimit) and limit.metric == "predictionDrift"


def _of_latency(limit: JudgedLimit) -> TypeGuard[MetricLimit]:
    return isinstance(limit, MetricLimit) and limit.metric in LATENCIES
