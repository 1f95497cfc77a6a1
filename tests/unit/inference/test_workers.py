"""Several worker processes are one server, to callers and to Prometheus."""

from __future__ import annotations

import asyncio
import signal

import httpx
import psutil
import pytest
from mooring_inference.observability.metrics import ServingMetrics
from mooring_inference.observability.shared_metrics import SharedMetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.inference.inference_process import BODY, running, save_negation, spawn


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


def workers(process):
    return [
        child
        for child in psutil.Process(process.pid).children()
        if any(argument.startswith("--worker=") for argument in child.cmdline())
    ]


def answered(exposition):
    """How many requests the metrics say were answered with 200."""
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == "mooring_inference_requests_total" and sample.labels["code"] == "200":
                return int(sample.value)
    return 0


async def test_workers_share_a_port_and_one_set_of_metrics(model_dir):
    async with running(model_dir, "--workers=2", "--drain_seconds=0", ready=2) as server:
        process, client = server
        codes = []

        async def call():
            # A connection of its own for each request, so that both workers get some.
            async with httpx.AsyncClient(base_url=client.base_url, trust_env=False, timeout=30) as one:
                codes.append((await one.post("/v2/models/m/infer", json=BODY)).status_code)

        for _ in range(5):
            await asyncio.gather(*(call() for _ in range(8)))
        assert codes == [200] * 40
        while answered((await client.get("/metrics")).text) < 40:  # workers tell each other twice a second
            await asyncio.sleep(0.05)
        text = (await client.get("/metrics")).text
        assert answered(text) == 40
        assert "mooring_inference_workers 2.0" in text
        assert text.count("\nprocess_cpu_seconds_total") == 1
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_killed_worker_is_replaced_and_the_others_go_on(model_dir):
    async with running(model_dir, "--workers=2", "--drain_seconds=0", ready=2) as server:
        process, client = server
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200
        before = answered((await client.get("/metrics")).text)
        for victim in workers(process):
            victim.kill()
            assert (await server.line("a worker ended"))["code"] == -9
            await server.line("model ready")
        assert len(workers(process)) == 2
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200
        assert answered((await client.get("/metrics")).text) >= before
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_workers_end_with_their_parent(model_dir):
    async with running(model_dir, "--workers=2", "--drain_seconds=0", ready=2) as server:
        children = workers(server.process)
        server.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
        assert alive == []


async def test_a_model_that_cannot_be_loaded_is_said_once(tmp_path):
    process = await spawn(
        "--model_name=m",
        f"--model_dir={tmp_path}",
        "--http_port=0",
        "--host=127.0.0.1",
        "--workers=3",
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert stderr.decode().count("\n") == 1


def test_what_a_worker_has_counted_outlives_it(tmp_path):
    def count(metrics, times):
        series = metrics.of("m", "1")
        for _ in range(times):
            series.began()
            series.answered("v2", 200, 0.01, queue=0.001, compute=0.002)
            series.batch([4])

    first, second = ServingMetrics(), ServingMetrics()
    one, two = SharedMetrics(first, tmp_path, 0), SharedMetrics(second, tmp_path, 1)
    count(first, 3)
    count(second, 4)
    one.publish()
    assert answered(two.exposition()[0].decode()) == 7
    successor = ServingMetrics()
    SharedMetrics(successor, tmp_path, 0).publish()
    assert answered(two.exposition()[0].decode()) == 7
    count(successor, 1)
    text = SharedMetrics(ServingMetrics(), tmp_path, 5).exposition()[0].decode()
    assert answered(text) == 7
    assert 'mooring_inference_batch_rows_sum{model="m",revision="1"} 28.0' in text


def test_a_damaged_file_of_a_worker_is_left_out(tmp_path):
    (tmp_path / "worker-3.json").write_bytes(b"{")
    metrics = ServingMetrics()
    metrics.of("m", "1")
    assert b"mooring_inference_workers 1.0" in SharedMetrics(metrics, tmp_path, 0).exposition()[0]
