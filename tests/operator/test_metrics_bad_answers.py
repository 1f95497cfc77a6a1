"""What a Prometheus may say that is none, keeps old answers, or never ends: none of it is counted, and each is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
import pytest
from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.planning.analysis.queries import (
    LATENCY,
    PREDICTIONS,
    RATES,
    AnswerUnusableError,
    Question,
)

CANDIDATE, STABLE = "c0ffee0001", "beef000002"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=5)
AT = NOW.timestamp()
EVERY = timedelta(seconds=30)
DATE = "Sat, 28 Nov 2026 12:00:00 GMT"
HUGE = "1" + "0" * 400


def prometheus(body: Any, *, date: str = DATE, token: str = "", **access: Any) -> Prometheus:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Date": date}, content=content)

    return Prometheus(
        Access("http://prometheus", **access),
        token=token,
        clock=lambda: NOW,
        transport=httpx.MockTransport(answer),
    )


def series(value: Any = "1", at: Any = AT, **labels: Any) -> dict[str, Any]:
    named = {"revision": CANDIDATE, "le": "+Inf", "prediction": "1", **labels}
    return {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": named, "values": [[at, value]]}]},
    }


async def ask(metrics: Prometheus, what: str) -> Any:
    match what:
        case "counts":
            question = Question(RATES["errorRate"], (CANDIDATE, STABLE), every_s=30)
            return await metrics.counts(question, SINCE, NOW)
        case "histograms":
            question = Question(LATENCY, (CANDIDATE, STABLE), every_s=30)
            return await metrics.histograms(question, SINCE, NOW)
        case "predictions":
            question = Question(PREDICTIONS, (CANDIDATE, STABLE), every_s=30)
            return await metrics.predictions(question, SINCE, NOW)
    return await metrics.values("up", SINCE, NOW, EVERY)


ALL = ("counts", "histograms", "predictions", "values")
COUNTS = ALL[:3]

BODIES: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "deep JSON": (b"[" * 100_000, ALL, "is not Prometheus: 200, and no JSON; MOORING_PROMETHEUS_URL wants"),
    "too much of it": (
        b" " * (8 * 2**20 + 1),
        ALL,
        r"answers with more than 8 MiB: make fewer series .* as by sum\(\); MOORING_PROMETHEUS_URL wants",
    ),
    "JSON of another": (
        [1],
        ALL,
        "its JSON has no status success or error; MOORING_PROMETHEUS_URL wants Prometheus' address",
    ),
    "a huge time": (
        json.dumps(series()).replace(str(NOW.timestamp()), HUGE).encode(),
        ALL,
        "does not write time series",
    ),
    "a huge count": (
        json.dumps(series("VALUE")).replace('"VALUE"', HUGE).encode(),
        COUNTS,
        "is no count",
    ),
    "a count beyond exact numbers": (series("1e308"), COUNTS, "has '1e308', which is no count"),
    "a count that is none": (
        series("NaN"),
        COUNTS,
        r'the series \{revision="[^ ]+", le="\+Inf", prediction="1"\} has \'NaN\', which is no count: what is asked '
        "for has to be a counter",
    ),
    "labels in colours": (
        series("-1", le="\x1b[31m"),
        COUNTS,
        r'le="\?\[31m", .* has \'-1\', which is no count',
    ),
    "labels that are lists": (series(revision=[1], le=[1]), ALL, "does not write time series"),
    "labels that are null": (
        series(revision=None),
        ALL,
        "does not write time series as Prometheus does; MOORING_PROMETHEUS_URL wants",
    ),
    "a bound that is no number": (series(le="NaN"), ("histograms",), "a bound le that is no number"),
    "a native histogram": (
        {
            "status": "success",
            "data": {
                "resultType": "matrix",
                "result": [{"metric": {"revision": "a"}, "histograms": [[NOW.timestamp(), {"count": "1"}]]}],
            },
        },
        ALL,
        "a native histogram, where numbers were asked for",
    ),
    "an error that says nothing": ({"status": "error"}, ALL, "refused the query: it does not say why"),
    "an error in colours": (
        {"status": "error", "error": "no\n\x1b[31mway"},
        ALL,
        r"refused the query: no \?\[31mway",
    ),
}


@pytest.mark.parametrize("case", BODIES)
async def test_what_is_no_answer_of_prometheus_is_said(case: str) -> None:
    body, asked, said = BODIES[case]
    for what in asked:
        with pytest.raises(AnswerUnusableError, match=said):
            await ask(prometheus(body), what)


@pytest.mark.parametrize("at", [NOW.timestamp() - 3600, NOW.timestamp() + 3600, "NaN", "inf"])
@pytest.mark.parametrize("what", ALL)
async def test_an_answer_about_other_times_is_asked_for_again(what: str, at: Any) -> None:
    """A cache that gives what was asked before would have each look counted twice."""
    with pytest.raises(
        MetricsUnavailableError, match="about other times than it was asked about: does a cache"
    ):
        await ask(prometheus(series(at=at)), what)


@pytest.mark.parametrize("earlier", [0.0, 0.0004, 13.0, 29.9])
async def test_times_that_were_moved_to_multiples_of_the_step_are_those_that_were_asked_about(
    earlier: float,
) -> None:
    """As Thanos' query frontend does: else a query of a template would never give a number."""
    moved = prometheus(series(at=NOW.timestamp() - earlier))
    assert await ask(moved, "values") == {NOW.timestamp(): [1.0]}
    assert await ask(moved, "counts") == (2 * ({CANDIDATE: {NOW.timestamp(): 1.0}},))


async def test_one_bound_that_is_written_in_two_ways_is_one_bucket() -> None:
    body = series("4")
    for le, count in (("1", "2"), ("1.0", "1"), ("0", "0")):
        body["data"]["result"] += series(count, le=le)["data"]["result"]
    found = (await ask(prometheus(body), "histograms"))[CANDIDATE][NOW.timestamp()]
    assert (found.bounds, found.above, found.total) == ((1.0,), (1.0,), 4.0)


async def test_what_subtractions_leave_is_nothing() -> None:
    assert await ask(prometheus(series("1e-300")), "counts") == (2 * ({CANDIDATE: {AT: 0.0}},))


@pytest.mark.parametrize(
    "date", ["Sat, 28 Nov 2026 12:00:00 -0000", "Sat, 28 Nov 99999999999 12:00:00 GMT", "today", ""]
)
async def test_a_date_that_is_none_tells_nothing_about_clocks(date: str) -> None:
    assert await ask(prometheus(series(), date=date), "values") == {NOW.timestamp(): [1.0]}


@pytest.mark.parametrize("token", ["geheim\u00fc", "geheim\nzwei", "geheim\x00"])
async def test_a_token_that_no_header_may_have_is_named_and_not_quoted(token: str) -> None:
    with pytest.raises(MetricsUnavailableError, match="MOORING_PROMETHEUS_TOKEN_FILE") as raised:
        await ask(prometheus(series(), token=token), "values")
    assert "geheim" not in str(raised.value)


async def test_an_answer_that_trickles_ends_with_the_time_for_the_whole() -> None:
    async def drops() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=drops())

    access = Access("http://prometheus", timeout=0.05, set_by=("--prometheus", "--token-file"))
    metrics = Prometheus(access, transport=httpx.MockTransport(answer))
    async with asyncio.timeout(30):
        with pytest.raises(MetricsUnavailableError, match=r"no whole answer within 0.05 s \(--prometheus\)"):
            await ask(metrics, "values")
