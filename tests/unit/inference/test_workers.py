"""Several worker processes are one server, to callers and to Prometheus."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import httpx
import psutil
import pytest
from mooring_inference.observability.metrics import ServingMetrics
from mooring_inference.observability.shared_metrics import SharedMetrics
from mooring_inference.workers.place import WorkerPlace
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.inference.inference_process import BODY, running, save_negation, save_slow_to_load, spawn


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


async def test_callers_that_connect_at_once_are_shared_out(model_dir):
    async with (
        running(model_dir, "--workers=2", "--drain_seconds=0", ready=2) as server,
        AsyncExitStack() as stack,
    ):
        readers = []
        for _ in range(64):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: h\r\n\r\n")
            readers.append(reader)
        async with asyncio.timeout(30):
            assert {await reader.readline() for reader in readers} == {b"HTTP/1.1 200 OK\r\n"}
        counts = [
            sum(one.status == "ESTABLISHED" for one in worker.net_connections("tcp"))
            for worker in workers(server.process)
        ]
        # Beside them there is the client that has waited for the server.
        assert 64 <= sum(counts) <= 65
        assert max(counts) - min(counts) <= 8
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0


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


async def test_nobody_is_refused_while_a_worker_that_is_started_again_loads(tmp_path):
    folder = save_negation(tmp_path)
    async with running(folder, "--workers=2", "--drain_seconds=0", ready=2) as server:
        process, client = server
        save_slow_to_load(folder)
        victim = workers(process)[0]
        place = WorkerPlace.parse(victim.cmdline()[-1].removeprefix("--worker="))
        follows = place.folder / f"worker-{place.index}.sock"
        before = follows.stat()
        victim.kill()
        # It is there, and loads: a worker makes its socket for changes just before.
        while not follows.exists() or follows.stat().st_ctime_ns == before.st_ctime_ns:
            await asyncio.sleep(0.02)
        assert await states(client, 2) == {(("m", "READY"),)}
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


async def states(client, workers):
    """What each worker says of its models: a connection of its own for each question, until all were asked."""
    found = set()
    for _ in range(40 * workers):
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False, timeout=30) as one:
            rows = (await one.post("/v2/repository/index", json={})).json()
            found.add(tuple(sorted((row["name"], row["state"]) for row in rows)))
    return found


async def test_models_are_loaded_and_unloaded_on_all_workers(tmp_path):
    save_negation(tmp_path / "one")
    save_negation(tmp_path / "two")
    flags = [f"--model_repository={tmp_path}", "--allow_repository_changes", "--drain_seconds=0"]
    async with running(None, "--workers=2", *flags, ready=4) as server:
        process, client = server
        await server.line("listening")  # the second; the first listened before it loaded
        assert (await client.post("/v2/repository/models/two/unload")).status_code == 200
        assert await states(client, 2) == {(("one", "READY"), ("two", "UNAVAILABLE"))}
        save_negation(tmp_path / "three")
        assert (await client.post("/v2/repository/models/three/load")).status_code == 200
        everywhere = {(("one", "READY"), ("three", "READY"), ("two", "UNAVAILABLE"))}
        assert await states(client, 2) == everywhere
        # A worker that is started again serves what the others do, and goes on to follow them.
        workers(process)[0].kill()
        await server.line("a worker ended")
        await server.line("listening")
        assert await states(client, 2) == everywhere
        (tmp_path / "one" / "model.onnx").write_bytes(b"broken")
        refused = await client.post("/v2/repository/models/one/load")
        assert (refused.status_code, refused.json()["field"]) == (400, "model")
        assert (await client.post("/v2/repository/models/none/load")).status_code == 404
        assert (await client.post("/v2/repository/models/none/unload")).status_code == 404
        assert await states(client, 2) == everywhere
        changes = [
            client.post(f"/v2/repository/models/two/{action}") for action in ("load", "unload", "load")
        ]
        assert [answer.status_code for answer in await asyncio.gather(*changes)] == [200] * 3
        assert len(await states(client, 2)) == 1
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_probes_of_all_workers_have_a_port_of_their_own(model_dir):
    async with running(model_dir, "--workers=2", "--probe_port=0", "--drain_seconds=0", ready=2) as server:
        line = next(line for line in server.lines if line["message"] == "listening for probes")
        url = f"http://127.0.0.1:{line['port']}"
        for _ in range(20):
            async with httpx.AsyncClient(base_url=url, trust_env=False) as probe:
                assert (await probe.get("/v2/health/ready")).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
