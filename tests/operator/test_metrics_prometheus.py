"""Looks out of a real Prometheus, whose targets restart, come and go, and fail to answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.planning.analysis.bets import Look
from mooring_operator.planning.analysis.latency import Exceedance
from mooring_operator.planning.analysis.looks import pair_slow, together
from mooring_operator.planning.analysis.queries import LATENCY, RATES, AnswerUnusableError, Question

from tests.operator.played_prometheus import PlayedPrometheus
from tests.real_prometheus import running_prometheus

CANDIDATE, STABLE = "c0ffee0001", "beef000002"
DEADLINE = 60.0
HOUR = timedelta(hours=1)
RATE = RATES["errorRate"]


@dataclass
class Pod:
    """Counters of one replica, by status code."""

    revision: str
    codes: dict[str, int] = field(default_factory=dict)
    buckets: dict[str, int] = field(default_factory=dict)

    def serve(self, good: int, bad: int = 0) -> None:
        for code, count in (("200", good), ("503", bad)):
            self.codes[code] = self.codes.get(code, 0) + count


@dataclass
class Pods:
    """What Prometheus scrapes: all replicas on one page."""

    pods: dict[str, Pod] = field(default_factory=dict)
    answers: bool = True
    scrapes: int = 0

    def page(self) -> str:
        self.scrapes += 1
        lines = [
            f'{RATE.counter}{{pod="{name}",namespace="ml",model="iris",revision="{pod.revision}",code="{code}"}} {n}'
            for name, pod in self.pods.items()
            for code, n in pod.codes.items()
        ]
        buckets = [
            f'{LATENCY.counter}{{pod="{name}",revision="{pod.revision}",le="{le}"}} {n}'
            for name, pod in self.pods.items()
            for le, n in pod.buckets.items()
        ]
        histogram = f"# TYPE {LATENCY.counter.removesuffix('_bucket')} histogram"
        return "\n".join([f"# TYPE {RATE.counter} counter", *lines, histogram, *buckets, ""])


@contextmanager
def exporter(pods: Pods) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pods.page().encode()
            self.send_response(200 if pods.answers else 500)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def prometheus(folder: Path, target: int) -> AbstractAsyncContextManager[str]:
    configuration = (
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: ours, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    )
    return running_prometheus(folder, configuration)


class Watcher:
    """Looks at both revisions from a time on."""

    @classmethod
    async def begin(cls, address: str, pods: Pods) -> Watcher:
        """Watch from now on: what was counted before the time that is asked about is none of its looks."""
        watcher = cls(address)
        await watcher.until_scraped(pods)
        await until_known(address, 1010)
        watcher.since = datetime.now(UTC)
        return watcher

    def __init__(self, address: str) -> None:
        self.metrics = Prometheus(Access(address))
        self.question = Question(RATE, (CANDIDATE, STABLE), ('namespace="ml"',), every_s=1)
        self.since = datetime.now(UTC) - HOUR

    async def looks(self) -> list[Look]:
        return await self.metrics.looks(self.question, CANDIDATE, STABLE, self.since, datetime.now(UTC))

    async def totals(self) -> tuple[float, float, float, float]:
        looks = await self.looks()
        return (
            sum(look.candidate for look in looks),
            sum(look.candidate_of for look in looks),
            sum(look.stable for look in looks),
            sum(look.stable_of for look in looks),
        )

    async def until(self, *wanted: float) -> None:
        """Wait for these totals."""
        found: tuple[float, ...] = ()
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE):
                while found != wanted:
                    with suppress(MetricsUnavailableError):
                        found = await self.totals()
                    await asyncio.sleep(0.1)
        assert found == wanted

    async def until_scraped(self, pods: Pods) -> None:
        """Wait until what the pods show now has been scraped, and stored."""
        before = pods.scrapes
        async with asyncio.timeout(DEADLINE):
            while pods.scrapes < before + 3:
                await asyncio.sleep(0.05)


async def test_every_request_is_counted_once_whatever_pods_do(tmp_path: Path) -> None:
    pods = Pods({"a": Pod(STABLE, {"200": 1000, "503": 10})})
    with exporter(pods) as target:
        async with prometheus(tmp_path, target) as address:
            watcher = await Watcher.begin(address, pods)
            pods.pods["a"].serve(90, 1)
            pods.pods["c"] = Pod(CANDIDATE)
            pods.pods["c"].serve(20, 5)
            await watcher.until(5, 25, 1, 91)
            # A pod restarts: its counters begin again.
            pods.pods["a"] = Pod(STABLE)
            pods.pods["a"].serve(30, 2)
            await watcher.until(5, 25, 3, 123)
            # One more comes, and one goes.
            pods.pods["b"] = Pod(STABLE)
            pods.pods["b"].serve(7)
            await watcher.until(5, 25, 3, 130)
            # What was scraped of it counts, also of the look in which it ends: it may be why it ended.
            pods.pods["a"].serve(11, 4)
            await watcher.until_scraped(pods)
            del pods.pods["a"]
            pods.pods["b"].serve(3)
            await watcher.until(5, 25, 7, 148)
            # Scrapes fail while requests go on.
            pods.answers = False
            pods.pods["c"].serve(40, 10)
            await watcher.until_scraped(pods)
            pods.answers = True
            await watcher.until(15, 75, 7, 148)
            await watcher.until_scraped(pods)
            assert await watcher.totals() == (15, 75, 7, 148)
            await watcher.metrics.close()


async def test_the_played_one_counts_the_same_samples_as_the_real_one(tmp_path: Path) -> None:
    """What tests of the operator stand on: pods that begin, restart and go, and one of another namespace."""
    pods = Pods({"a": Pod(STABLE, {"200": 1000, "503": 10})})
    with exporter(pods) as target:
        async with prometheus(tmp_path, target) as address:
            watcher = await Watcher.begin(address, pods)
            for number in range(6):
                pods.pods["a"] = Pod(STABLE) if number == 2 else pods.pods["a"]
                pods.pods["a"].serve(90 + number, number)
                pods.pods.setdefault("c", Pod(CANDIDATE)).serve(20, 5)
                await watcher.until_scraped(pods)
            await watcher.until(30, 150, 15, 570)
            del pods.pods["c"]
            pods.pods["a"].serve(7)
            await watcher.until(30, 150, 15, 577)
            until = datetime.now(UTC)
            played = PlayedPrometheus(now=until.timestamp())
            sampled = await samples_of(address)
            for labels, samples in sampled:
                own = {name: value for name, value in labels.items() if name != "__name__"}
                for at, value in samples:
                    played.scrape(float(at), RATE.counter, float(value), **own)
            double = played.metrics(lambda: until)
            for every in (1, 2, 5):
                question = Question(RATE, (CANDIDATE, STABLE), ('namespace="ml"', 'model="iris"'), every)
                found, wanted = [
                    await metrics.looks(question, CANDIDATE, STABLE, watcher.since, until)
                    for metrics in (double, watcher.metrics)
                ]
                assert told(found) == told(wanted)
                assert told(wanted)
            elsewhere = Question(RATE, (CANDIDATE, STABLE), ('namespace="other"',), 1)
            for metrics in (double, watcher.metrics):
                assert await metrics.looks(elsewhere, CANDIDATE, STABLE, watcher.since, until) == []
            await watcher.metrics.close()


def told(looks: list[Look]) -> list[Look]:
    """Those in which anything was counted."""
    return [look for look in looks if look.candidate_of or look.stable_of]


async def samples_of(address: str) -> list[tuple[dict[str, str], list[list[Any]]]]:
    """Every sample that Prometheus has of the counter."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{address}/api/v1/query", params={"query": f"{RATE.counter}[1h]"})
    return [(series["metric"], series["values"]) for series in answer.json()["data"]["result"]]


async def test_histograms_are_counted_bucket_by_bucket(tmp_path: Path) -> None:
    fast, slow = {"0.1": 90, "1": 99, "+Inf": 100}, {"0.1": 10, "1": 40, "+Inf": 50}
    pods = Pods(
        {"a": Pod(STABLE, buckets=fast), "b": Pod(STABLE, buckets=slow), "c": Pod(CANDIDATE, buckets=slow)}
    )
    with exporter(pods) as target:
        async with prometheus(tmp_path, target) as address:
            metrics, question = Prometheus(Access(address)), Question(LATENCY, (CANDIDATE, STABLE), every_s=1)
            found, since = {}, datetime.now(UTC) - HOUR
            async with asyncio.timeout(DEADLINE):
                while sum(together(found.get(STABLE, {})).above) != 61 or CANDIDATE not in found:
                    with suppress(MetricsUnavailableError):
                        found = await metrics.histograms(question, since, datetime.now(UTC))
            stable = together(found[STABLE])
            assert (stable.bounds, stable.above, stable.total) == ((0.1, 1.0), (50, 11), 150)
            looks = list(pair_slow(found, Exceedance(1.0, 0.1, 1.0), CANDIDATE, STABLE).values())
            assert sum(look.candidate for look in looks) == 10
            assert sum(look.stable for look in looks) == 50
            await metrics.close()


async def until_known(address: str, requests: int) -> None:
    """Wait until Prometheus has so many requests in its store."""
    async with httpx.AsyncClient(base_url=address) as client, asyncio.timeout(DEADLINE):
        while True:
            with suppress(httpx.HTTPError, IndexError, KeyError):
                answer = await client.get("/api/v1/query", params={"query": f"sum({RATE.counter})"})
                if float(answer.json()["data"]["result"][0]["value"][1]) == requests:
                    return
            await asyncio.sleep(0.05)


async def test_a_query_that_prometheus_refuses_is_said(tmp_path: Path) -> None:
    with exporter(Pods()) as target:
        async with prometheus(tmp_path, target) as address:
            watcher = Watcher(address)
            watcher.question = Question(RATE, (CANDIDATE, STABLE), ("namespace=ml",))
            said = ""
            async with asyncio.timeout(DEADLINE):
                while not said:
                    try:
                        await watcher.looks()
                    except AnswerUnusableError as error:
                        said = str(error)
                    except MetricsUnavailableError:
                        await asyncio.sleep(0.05)
            assert said.startswith("Prometheus refused the query:")
            assert "label matching, expected string" in said
            await watcher.metrics.close()


def answering(status: int, body: Any) -> Prometheus:
    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body if isinstance(body, bytes) else None, json=body)

    return Prometheus(Access("http://prometheus"), transport=httpx.MockTransport(handle))


def matrix(*series: tuple[dict[str, str], list[list[Any]]]) -> dict[str, Any]:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "is not Prometheus: 200, and no JSON"),
        (302, b"", "sends elsewhere: 302; MOORING_PROMETHEUS_URL wants the address that needs no redirect"),
        (308, matrix(), "sends elsewhere: 308; MOORING_PROMETHEUS_URL wants"),
        (401, {}, "refuses who asks: 401; give a token"),
        (200, {"status": "success", "data": {"resultType": "vector", "result": []}}, "no time series"),
        (200, {"status": "success", "data": {"resultType": "string", "result": []}}, "no time series"),
        (422, {"status": "error", "error": "too many samples"}, "refused the query: too many samples"),
        (200, matrix(({}, [])), "has no label revision"),
        (200, matrix(({"revision": "a"}, []), ({"revision": "a"}, [])), "several series for revision a"),
        (200, matrix(({"revision": "a"}, [[1, "NaN"]])), "has 'NaN', which is no count"),
        (200, matrix(({"revision": "a"}, [[1, "many"]])), "has 'many', which is no count"),
        (200, matrix(({"revision": "a"}, [[1, "-3"]])), "has '-3', which is no count"),
        (200, matrix(({"revision": "a"}, [["now"]])), "does not write time series as Prometheus does"),
        (
            200,
            {"status": "success", "data": {"resultType": "matrix", "result": [1]}},
            "does not write time series",
        ),
        (200, matrix(({"revision": "a"}, [[1, "+Inf"]])), r"has '\+Inf', which is no count"),
    ],
)
async def test_answers_that_cannot_be_judged_are_said(status: int, body: Any, said: str) -> None:
    now, question = datetime.now(UTC), Question(RATE, (CANDIDATE, STABLE))
    with pytest.raises(AnswerUnusableError, match=said):
        await answering(status, body).looks(question, CANDIDATE, STABLE, now - HOUR, now)


async def test_one_that_is_away_is_unavailable() -> None:
    now, question = datetime.now(UTC), Question(RATE, (CANDIDATE, STABLE))
    with pytest.raises(MetricsUnavailableError, match="does not answer"):
        await Prometheus(Access("http://127.0.0.1:1")).looks(question, CANDIDATE, STABLE, now - HOUR, now)
    with pytest.raises(MetricsUnavailableError, match="answers 503"):
        await answering(503, {}).looks(question, CANDIDATE, STABLE, now - HOUR, now)


async def test_who_does_not_answer_is_asked_again_as_often_as_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mooring_operator.adapters.metrics.prometheus._FIRST_PAUSE_S", 0.0)
    now, question, asked = datetime.now(UTC), Question(RATE, (CANDIDATE, STABLE)), []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503 if len(asked) < 3 else 200, json=matrix())

    def metrics(retries: int) -> Prometheus:
        asked.clear()
        access = Access("http://prometheus", retries=retries)
        return Prometheus(access, transport=httpx.MockTransport(handle))

    assert await metrics(2).looks(question, CANDIDATE, STABLE, now - HOUR, now) == []
    assert len(asked) == 4  # three times for the requests, once for the events
    with pytest.raises(MetricsUnavailableError, match="answers 503"):
        await metrics(1).looks(question, CANDIDATE, STABLE, now - HOUR, now)
    assert len(asked) == 2


async def test_a_token_that_was_changed_is_used_and_none_is_said(tmp_path: Path) -> None:
    now, question, sent = datetime.now(UTC), Question(RATE, (CANDIDATE, STABLE)), []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return httpx.Response(200, json=matrix())

    token = tmp_path / "token"
    token.write_text("one\n")
    access = Access("http://prometheus", token_file=token)
    metrics = Prometheus(access, transport=httpx.MockTransport(handle))
    await metrics.looks(question, CANDIDATE, STABLE, now - HOUR, now)
    token.write_text("two")
    await metrics.looks(question, CANDIDATE, STABLE, now - HOUR, now)
    assert sent == ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]
    token.unlink()
    with pytest.raises(MetricsUnavailableError, match="the token for Prometheus cannot be read"):
        await metrics.looks(question, CANDIDATE, STABLE, now - HOUR, now)


async def test_an_address_shows_no_password() -> None:
    now, question = datetime.now(UTC), Question(RATE, (CANDIDATE, STABLE))
    with pytest.raises(MetricsUnavailableError) as raised:
        await Prometheus(Access("http://ann:secret@127.0.0.1:1")).looks(
            question, CANDIDATE, STABLE, now - HOUR, now
        )
    assert "secret" not in str(raised.value)
    assert "127.0.0.1:1" in str(raised.value)


async def test_nothing_counted_is_no_look() -> None:
    now, question = datetime.now(UTC), Question(RATE, (CANDIDATE, STABLE))
    assert await answering(200, matrix()).looks(question, CANDIDATE, STABLE, now - HOUR, now) == []
