"""Numbers of webhooks before the operator: what is asked, what an answer decides, and what is no number."""

import gzip
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2 as httpx
import pytest
from aiohttp import web
from mooring_operator.adapters.metrics import webhooks as webhooks_module
from mooring_operator.adapters.metrics.webhooks import Webhooks
from mooring_operator.reconcile.counters import Counters

from tests.operator.played_prometheus import PlayedPrometheus
from tests.operator.test_operator_analysis import COUNTING, Traffic, go_on
from tests.operator.test_operator_queries import JUDGED, SLO
from tests.operator.test_operator_templates import look
from tests.operator.world import START, World

URL = "http://numbers.monitoring.svc/accuracy"


@dataclass
class Service:
    """A service that knows the number; `body` and `status` are what it answers instead."""

    value: object = 0.97
    body: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json()))
        body = json.dumps({"value": self.value}).encode() if self.body is None else self.body
        return web.Response(status=self.status, body=body, headers=self.headers)


class ToThatService(httpx.AsyncHTTPTransport):
    """Has whatever is asked of the cluster's Service asked of one of this machine."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await super().handle_async_request(request)


@asynccontextmanager
async def serving(service: Service):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hooks = Webhooks(transport=ToThatService(runner.addresses[0][1]))
    try:
        yield hooks
    finally:
        await hooks.close()
        await runner.cleanup()


@pytest.fixture
async def service(world: World):
    made, played = Service(), PlayedPrometheus(now=START.timestamp())
    metrics = played.metrics(lambda: world.now)
    async with serving(made) as hooks:
        world.counters = lambda: Counters(
            metrics, COUNTING, patience=60, again=-1, rules=world.rules, providers={"webhook": hooks}
        )
        await world.start()
        yield made
    await metrics.close()


def demand(world, **fields):
    """Write the template slo: nine of ten answers are right, by labels that come late."""
    query = {
        "name": "accuracy",
        "webhook": {"url": URL},
        "successCondition": "result >= 0.9",
        "count": 3,
        "interval": "20s",
        **fields,
    }
    query = {name: value for name, value in query.items() if value is not None}
    spec = {"arguments": [{"name": "pool"}], "queries": [query]}
    world.objects.apply(SLO, {"metadata": {"name": "slo"}, "spec": spec}, "admin")


async def begin(world) -> Traffic:
    await world.promote("v1", **JUDGED)
    world.deploy("v2", **JUDGED)
    return Traffic(world, PlayedPrometheus(now=START.timestamp()))


async def test_a_number_that_is_not_as_it_should_be_rolls_back(world: World, service: Service):
    demand(world, failureLimit=1)
    service.value = 0.5
    await go_on(world, await begin(world))
    assert (world.phase, world.status["reason"]) == ("RolledBack", "AnalysisFailed")
    assert "accuracy: 2 of 2 measurements failed (limit 1); the last: 0.5" in world.status["message"]
    path, asked = service.asked[0]
    analysis = world.status["analysis"]
    assert path == "/accuracy"
    assert asked == {
        "namespace": "ns",
        "name": "digits",
        "candidate": analysis["candidate"],
        "stable": analysis["stable"],
        "query": "accuracy",
        "arguments": {"pool": "a-1"},
    }


async def test_one_that_is_goes_on_after_so_many_measurements(world: World, service: Service):
    demand(world)
    await go_on(world, await begin(world))
    assert world.phase == "Promoted"
    assert len(service.asked) == 3
    assert "accuracy: 0 of 3 failed, last 0.97" in world.status["analysis"]["measured"]


NO_NUMBERS = {
    "an error": ({"status": 500}, "the webhook answers 500"),
    "a redirect": ({"status": 302, "headers": {"Location": "http://169.254.169.254/"}}, "answers 302"),
    "a page": ({"body": b"<html>secret"}, "it answers with no JSON object"),
    "a list": ({"body": b"[0.97]"}, "it answers with no JSON object"),
    "a text": ({"value": "0.97"}, "it answers with no JSON object"),
    "true": ({"value": True}, "it answers with no JSON object"),
    "nothing": ({"value": None}, "it answers with no JSON object"),
    "NaN": ({"body": b'{"value": NaN}'}, "has a finite number `value`"),
    "huge": ({"body": b'{"value": 1' + b"0" * 400 + b"}"}, "it answers with no JSON object"),
    "deep": ({"body": b"[" * 60_000}, "it answers with no JSON object"),
    "long": ({"body": b" " * 70_000}, "more than 64 KiB"),
    "inflated": (
        {"body": gzip.compress(b'{"value": 0.97}'), "headers": {"Content-Encoding": "gzip"}},
        "it answers with no JSON object",
    ),
}


@pytest.mark.parametrize("answer", NO_NUMBERS)
async def test_what_is_no_number_is_said_and_not_repeated(answer: str):
    changes, said = NO_NUMBERS[answer]
    service = Service(**changes)
    async with serving(service) as hooks:
        found = await hooks.number(URL, {})
    assert isinstance(found, str)
    assert said in found
    assert "secret" not in found
    assert len(service.asked) == 1


async def test_nobody_who_answers_is_said(monkeypatch):
    monkeypatch.setattr(webhooks_module, "_SECONDS", 0.0)
    async with serving(Service()) as hooks:
        assert "does not answer within" in await hooks.number(URL, {})
    monkeypatch.undo()
    hooks = Webhooks(transport=ToThatService(1))
    assert await hooks.number(URL, {}) == "the webhook does not answer: ConnectError"
    await hooks.close()


async def test_a_webhook_that_fails_counts_against_nobody(world: World, service: Service):
    demand(world, consecutiveErrorLimit=2)
    service.status = 503
    traffic = await begin(world)
    await go_on(world, traffic)
    assert (world.phase, world.status["reason"]) == ("Paused", "PausedByAnalysis")
    found = world.condition("Analysed")
    assert (found["status"], found["reason"]) == ("Unknown", "MetricsUnavailable")
    assert found["message"] == "ClusterAnalysisTemplate slo, query accuracy: the webhook answers 503"
    service.status = 200
    await go_on(world, traffic, until=lambda: world.phase == "Promoted")


async def test_a_template_says_what_its_queries_lack(world: World):
    for fields, said in (
        ({"query": "up"}, "a query has one of query, webhook, job, datadog, cloudWatch, pipeline"),
        ({"webhook": None}, "a query has one of query, webhook, job, datadog, cloudWatch, pipeline"),
        (
            {"webhook": {"url": "http://169.254.169.254/latest"}},
            "the address of a webhook: write https://HOST/PATH",
        ),
        ({"webhook": {"url": "file:///etc/passwd"}}, "the address of a webhook: write https://HOST/PATH"),
    ):
        demand(world, **fields)
        status, reason, message = await look(world, SLO)
        assert (status, reason) == ("False", "InvalidTemplate")
        assert said in message
