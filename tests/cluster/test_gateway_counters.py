"""Contour's Envoy counts for any runtime: real requests, its own page, a real Prometheus, and our question."""

import asyncio
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.planning.analysis.looks import together
from mooring_operator.planning.analysis.sources import SOURCES

import cluster.prometheus
from cluster.programs import ProgramUnavailableError
from tests.cluster.gateway_lab import MODELS, gateway_lab, routing
from tests.operator.test_metrics_prometheus import exporter

SERVICES = {"r1": "digits-r1-predictor", "r4": "digits-r4-predictor"}


class Statistics:
    """Envoy's page, read by its administration's socket, whose path is too long for one."""

    answers = True

    def __init__(self, folder):
        self._folder = os.open(folder, os.O_RDONLY)

    def page(self):
        path = f"/proc/self/fd/{self._folder}/admin.sock"
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            return client.get("http://envoy/stats/prometheus").text


@contextmanager
def scraped(folder, gateway):
    with exporter(Statistics(gateway)) as port:
        often = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
        target = {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "projectcontour"}}
        jobs = [{"job_name": "envoy", "static_configs": [target]}]
        with cluster.prometheus.Prometheus({"global": often, "scrape_configs": jobs}, folder) as server:
            yield server


async def until(holds, what):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


def total(server, at, counter="envoy_cluster_upstream_rq_xx"):
    query = f"sum({counter})"
    found = httpx.get(f"{server.url}/api/v1/query", params={"query": query, "time": at}).json()
    return float(found["data"]["result"][0]["value"][1]) if found["data"]["result"] else 0.0


def all_timed(server):
    """Envoy counts at once, and adds up how long requests took every five seconds."""
    now, ours = time.time(), f'{{envoy_cluster_name=~"{MODELS}_digits-.*"}}'
    sent = total(server, now, f"envoy_cluster_upstream_rq_total{ours}")
    return total(server, now, f"envoy_cluster_upstream_rq_time_count{ours}") >= sent > 0


async def test_requests_behind_a_real_gateway_are_counted_by_revision(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    try:
        with gateway_lab(folder) as everything:
            async with everything.connected() as lab:
                await count(lab, tmp_path_factory.mktemp("prometheus"), folder)
    except ProgramUnavailableError as error:
        pytest.skip(str(error))


async def count(lab, folder, gateway):
    socket = next(gateway.rglob("admin.sock"))
    lab.expose("r4", None)
    await lab.settled(routing(r1=50, r4=50))
    # Both have counters before the time that is asked about.
    before = (await lab.ask(50)).total
    with scraped(folder, socket.parent) as server:
        await until(lambda: total(server, time.time() - 1) >= before, "nothing was scraped")
        await until(lambda: all_timed(server), "the requests before were not timed")
        since, counted = datetime.now(UTC).replace(microsecond=0), total(server, time.time())
        seen = await lab.ask(200)
        await until(lambda: total(server, time.time()) >= counted + 200, "the requests were not scraped")
        await until(lambda: all_timed(server), "the requests were not timed")
        end = since + timedelta(seconds=int((datetime.now(UTC) - since).total_seconds()) + 1)
        await until(lambda: time.time() > end.timestamp(), "time goes on")
        metrics, source = Prometheus(Access(server.url)), SOURCES["Contour"]
        every = int((end - since).total_seconds())
        question = source.question("errorRate", MODELS, "digits", SERVICES, every)
        events, requests = await metrics.counts(question, since, end)
        latency = source.question("latency", MODELS, "digits", SERVICES, every)
        slow = await metrics.histograms(latency, since, end)
        await metrics.close()
    answered, failed = seen.answered["r1"], len(seen.failed)
    assert {name: sum(known.values()) for name, known in requests.items()} == {"r1": answered, "r4": failed}
    assert sum(events["r4"].values()) == failed > 50
    assert sum(events.get("r1", {}).values()) == 0
    histogram = together(slow["r1"])
    assert histogram.total == answered
    # Envoy's bounds are milliseconds: an answer takes some of them, and no ten seconds.
    assert 0 < histogram.bounds[0] < 0.01
    assert histogram.above[histogram.bounds.index(10.0)] == 0
