"""Asks Prometheus about a canary, judges the answer, and shows it."""

import asyncio
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mooring_artifacts.uris import is_web_address, redact

from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.api.types import parse_duration
from mooring_operator.cli.errors import CliError
from mooring_operator.planning.analysis.bets import Limit, Look
from mooring_operator.planning.analysis.comparison import Comparison, bursts_before, smallest_excess
from mooring_operator.planning.analysis.judgement import Errors, Judgement, describe_limit, judge
from mooring_operator.planning.analysis.latency import Exceedance, NoResolutionError, exceedance
from mooring_operator.planning.analysis.looks import pair_slow, together
from mooring_operator.planning.analysis.queries import (
    LATENCY,
    RATES,
    AnswerUnusableError,
    Latency,
    Question,
    Rate,
    quoted,
)

if TYPE_CHECKING:
    from rich.console import Group

_HISTORY = timedelta(hours=1)
_MOST_LOOKS = 10_000
_REVISION = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class Asked:
    """What is asked about two revisions: the candidate and the stable one."""

    metric: str
    question: Question
    since: datetime
    until: datetime
    limit: Limit
    errors: Errors
    quantile: float
    slower: float

    @property
    def candidate(self) -> str:
        """The revision on its way."""
        return self.question.revisions[0]

    @property
    def stable(self) -> str:
        """The revision that it is compared with."""
        return self.question.revisions[1]


@dataclass(frozen=True)
class Found:
    """The verdict, and what it rests on; `excess` is the least that the candidate exceeds ratio times stable by."""

    asked: Asked
    judgement: Judgement
    comparison: Comparison
    excess: float | None
    bounds: Exceedance | None = None

    @property
    def verdict(self) -> str:
        """PASS, FAIL or INSUFFICIENT."""
        return self.judgement.verdict

    def document(self) -> dict[str, Any]:
        """Give it for programs."""
        seen, asked = self.comparison, self.asked
        return {
            "verdict": self.verdict,
            "metric": asked.metric,
            "message": self.judgement.message,
            "candidate": {
                "revision": asked.candidate,
                "events": seen.candidate,
                "requests": seen.candidate_of,
            },
            "stable": {"revision": asked.stable, "events": seen.stable, "requests": seen.stable_of},
            "limit": {"ratio": asked.limit.ratio, "points": asked.limit.points * 100},
            "looks": seen.looks,
            "burstScale": seen.bursts.theta,
            "evidenceForFail": seen.worse.value,
            "evidenceForPass": seen.ok,
            "excessPoints": None if self.excess is None else self.excess * 100,
            **({} if self.bounds is None else {"bounds": asdict(self.bounds)}),
        }


def matchers(name: str, namespace: str | None) -> str:
    """Give the matchers of a deployment's series."""
    of_namespace = f"namespace={quoted(namespace)}," if namespace else ""
    return f"{of_namespace}model={quoted(name)}"


def ask(
    *,
    metric: str,
    revisions: tuple[str, str],
    matchers: str,
    window: str,
    every: int,
    limit: tuple[float, float],
    false_rollback: float,
    quantile: float,
    slower: float,
    until: datetime,
) -> Asked:
    """Check what was typed.

    Raises:
        CliError: an option cannot be used; the message names it.
    """
    metrics: dict[str, Rate | Latency] = {str(name): rate for name, rate in RATES.items()}
    metrics["latency"] = LATENCY
    if metric not in metrics:
        raise CliError(f"--metric {metric}: known are {', '.join(metrics)}, predictionDrift")
    if not 0 < quantile < 100:
        raise CliError(f"--quantile {quantile:g}: want percent, above 0 and below 100")
    if not 0 < slower <= 1000:
        raise CliError(f"--slower {slower:g}: want percent, above 0 and up to 1000")
    for option, revision in zip(("--candidate", "--stable"), revisions, strict=True):
        if not _REVISION.fullmatch(revision):
            raise CliError(f"{option} {revision}: a revision is hexadecimal, as mooring status shows it")
    if revisions[0] == revisions[1]:
        raise CliError(f"--candidate and --stable are both {revisions[0]}: there is nothing to compare")
    if not 0 < false_rollback < 50:
        raise CliError(f"--false-rollback {false_rollback:g}: want percent, above 0 and below 50")
    back = time_back(window, every)
    try:
        agreed = Limit.of(limit[0], limit[1] / 100)
    except ValueError as error:
        raise CliError(f"--ratio {limit[0]:g} --points {limit[1]:g}: {error}") from None
    question = Question(metrics[metric], revisions, (matchers,) if matchers else (), every)
    errors = Errors(false_rollback=false_rollback / 100)
    return Asked(metric, question, until - back, until, agreed, errors, quantile / 100, 1 + slower / 100)


def time_back(window: str, every: int) -> timedelta:
    """Read how far back to look.

    Raises:
        CliError: it is no time, or of no look or too many.
    """
    try:
        back = parse_duration(window)
    except ValueError as error:
        raise CliError(f"--window {window}: {error}") from None
    if not every <= back.total_seconds() <= every * _MOST_LOOKS:
        raise CliError(f"--window {window}: want one to {_MOST_LOOKS} looks of {every} s")
    return back


def checked_address(address: str) -> str:
    """Give the address of Prometheus; raises CliError where it is none."""
    if not is_web_address(address):
        raise CliError(
            f"--prometheus {redact(address)}: want an address with http:// or https://, a host, and a port from 1 to "
            "65535 where there is one, as http://localhost:9090"
        )
    return address


def answer(asked: Asked, address: str, token: str) -> Found:
    """Read the counters and judge them.

    Raises:
        CliError: Prometheus does not answer, or with nothing that can be judged.
    """
    try:
        return asyncio.run(_answer(asked, checked_address(address), token))
    except (MetricsUnavailableError, AnswerUnusableError, NoResolutionError) as error:
        raise CliError(str(error)) from None


async def _answer(asked: Asked, address: str, token: str) -> Found:
    prometheus = Prometheus(Access(address, set_by=("--prometheus", "--token-file")), token=token)
    try:
        if isinstance(asked.question.metric, Latency):
            return await _compare_latency(prometheus, asked)
        arms = (asked.candidate, asked.stable)
        looks = await prometheus.looks(asked.question, *arms, asked.since, asked.until)
        before = await prometheus.looks(asked.question, *arms, asked.since - _HISTORY, asked.since)
        return found(_counted(asked, looks), looks, before)
    finally:
        await prometheus.close()


async def _compare_latency(prometheus: Prometheus, asked: Asked) -> Found:
    """Compare shares of slow requests: how slow is decided by looks that are not judged.

    They are those of the stable revision's hour before, or else the first third of those that are asked about.
    """
    now = await prometheus.histograms(asked.question, asked.since, asked.until)
    before = await prometheus.histograms(asked.question, asked.since - _HISTORY, asked.since)
    if not before.get(asked.stable):
        third = (asked.since + (asked.until - asked.since) / 3).timestamp()
        before = {name: {at: h for at, h in known.items() if at <= third} for name, known in now.items()}
        now = {name: {at: h for at, h in known.items() if at > third} for name, known in now.items()}
    stable = together(before.get(asked.stable, {}))
    decided = exceedance(stable, asked.quantile, asked.slower)
    arms = (asked.candidate, asked.stable)
    looks = list(pair_slow(now, decided, *arms).values())
    seen = replace(_counted(asked, looks), limit=decided.limit)
    return found(seen, looks, list(pair_slow(before, decided, *arms).values()), decided)


def _counted(asked: Asked, looks: list[Look]) -> Asked:
    if not looks:
        raise CliError(
            f"Prometheus has no {asked.question.metric.counter} of revisions {asked.candidate} and {asked.stable}",
            hint=f"it was asked: {asked.question.counts}",
        )
    return asked


def found(asked: Asked, looks: list[Look], before: list[Look], bounds: Exceedance | None = None) -> Found:
    """Judge the looks; those before say how bursty the stable revision's traffic is."""
    bursts = bursts_before(before)
    comparison = Comparison(asked.limit, bursts=bursts)
    slow = {asked.metric: bounds} if bounds is not None else None
    judgement = judge({asked.metric: comparison}, {}, asked.errors, slow)
    for number, look in enumerate(looks, 1):
        comparison = comparison.after(look)
        judgement = judge({asked.metric: comparison}, {}, asked.errors, slow)
        if judgement.verdict != "INSUFFICIENT":
            looks = looks[:number]
            break
    excess = smallest_excess(looks, asked.limit.ratio, bursts=bursts) if comparison.stable_of else None
    return Found(asked, judgement, comparison, excess, bounds)


def view(found: Found) -> "Group":
    """Show the verdict, both revisions and the evidence."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    seen, asked = found.comparison, found.asked
    colour = {"PASS": "green", "FAIL": "red"}.get(found.verdict, "yellow")
    table = Table(box=None, pad_edge=False)
    for column in ("", "REVISION", "REQUESTS", "EVENTS", "RATE"):
        table.add_column(column, justify="left" if column in ("", "REVISION") else "right")
    for arm, revision, events, requests in (
        ("candidate", asked.candidate, seen.candidate, seen.candidate_of),
        ("stable", asked.stable, seen.stable, seen.stable_of),
    ):
        rate = f"{events / requests:.2%}" if requests else "-"
        table.add_row(arm, revision, f"{requests:,.0f}", f"{events:,.0f}", rate)
    wanted = 1 / asked.errors.false_rollback
    lines = [
        f"limit      {describe_limit(seen)}",
        f"for FAIL   {seen.worse.value:.3g} of {wanted:g}",
        f"for PASS   {seen.ok:.3g} of {1 / asked.errors.false_promotion:g}",
        f"looks      {seen.looks} of {asked.question.every_s} s, burst scale {seen.bursts.theta:.2g}",
    ]
    if found.excess is not None and found.excess > 0:
        times = "" if asked.limit.ratio == 1 else f"{asked.limit.ratio:g} x "
        lines.append(f"excess     at least {found.excess * 100:.2f} points above {times}stable (99%)")
    if found.bounds is not None:
        lines.append(
            f"slow       candidate: more than {found.bounds.bound * 1000:g} ms, "
            f"stable: more than {found.bounds.reference * 1000:g} ms"
        )
    return Group(
        Text(f"{found.verdict}  {found.judgement.message}", style=colour),
        Text(),
        table,
        Text(),
        Text("\n".join(lines)),
    )
