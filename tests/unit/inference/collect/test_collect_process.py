"""The command collects over HTTP into files that look as the runtime's own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import httpx
import orjson
import pyarrow.parquet as pq
import pytest

from tests.unit.inference.collect.logger_events import headers
from tests.unit.inference.inference_process import BODY, running, save_negation


async def spawn(*flags, env=None):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mooring_inference", "collect"),
        *flags,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | (env or {}),
    )


@asynccontextmanager
async def collecting(folder, *flags):
    """A collector that listens, its process and a client; it is killed at the end if it still runs."""
    process = await spawn(
        "--host=127.0.0.1",
        "--http_port=0",
        f"--capture_uri={folder}",
        "--drain_seconds=0",
        *flags,
        env={"MOORING_REVISION": "r7"},
    )
    try:
        while (line := json.loads(await process.stdout.readline()))["message"] != "listening":
            pass
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{line['port']}", trust_env=False) as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def post(client, content, is_request=True, id="a1", **changed):
    return await client.post("/", content=content, headers=headers(is_request, id, **changed))


def tables(folder):
    return [pq.read_table(file, partitioning=None) for file in sorted(folder.rglob("*.parquet"))]


async def test_what_was_joined_is_in_files_after_sigterm_as_the_runtime_writes_them(tmp_path):
    model = save_negation(tmp_path / "model")
    async with running(model, f"--capture_uri={tmp_path}/own", "--deployment=d", "--revision=r7") as server:
        answered = await server.client.post("/v2/models/m/infer", json=BODY | {"id": "one"})
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
    async with collecting(tmp_path / "collected", "--deployment=d") as (process, client):
        # The answer's event may be the faster one.
        service = {"ce_inferenceservicename": "m"}
        assert (await post(client, answered.content, False, **service)).status_code == 200
        assert (await post(client, orjson.dumps(BODY | {"id": "one"}), **service)).status_code == 200
        assert (await post(client, b"{}", id="endless")).status_code == 200
        process.send_signal(signal.SIGTERM)
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    stopped = json.loads(output.splitlines()[-1])
    assert (stopped["message"], stopped["unjoined"], stopped["rows"]) == (
        "stopped",
        1,
        len(BODY["inputs"][0]["data"]) // 2,
    )
    [own], [collected] = tables(tmp_path / "own"), tables(tmp_path / "collected")
    assert collected.schema == own.schema
    for mine, its in zip(collected.to_pylist(), own.to_pylist(), strict=True):
        for row in (mine, its):
            row["request"] = {
                name: row["request"][name] for name in ("id", "row", "model", "revision", "route", "status")
            }
        assert mine == its


async def test_health_metrics_and_refusals(tmp_path):
    async with collecting(tmp_path, "--max_event_bytes=1000", "--namespace=ml") as (process, client):
        for path in ("/health/live", "/health/ready"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/v2")).status_code == 404
        assert (await post(client, b"{}")).status_code == 200
        assert (await post(client, b"{}", id="b", ce_namespace="theirs")).status_code == 403
        assert (await post(client, b"{}", ce_type="other")).json()["field"] == "ce-type"
        assert (await post(client, b"{}", ce_id=None)).status_code == 400
        assert (await post(client, bytes(1001))).status_code == 413

        async def chunks():
            yield bytes(600)
            yield bytes(600)

        assert (await post(client, chunks())).status_code == 413
        text = (await client.get("/metrics")).text
        counts = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        for outcome, count in (
            ("taken", 1),
            ("foreign", 1),
            ("unknown_type", 1),
            ("malformed", 1),
            ("too_large", 2),
            ("unread", 0),
        ):
            assert float(counts[f'mooring_collect_events_total{{outcome="{outcome}"}}']) == count
        assert float(counts["mooring_collect_waiting_events"]) == 1
        assert "mooring_inference_capture_rows_total" in counts
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_scrapers_have_a_port_that_takes_no_events(tmp_path):
    process = await spawn(
        "--host=127.0.0.1",
        *("--http_port=0", "--metrics_port=0", "--drain_seconds=0", f"--capture_uri={tmp_path}"),
    )
    try:
        while (line := json.loads(await process.stdout.readline()))["message"] != "listening for scrapers":
            pass
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{line['port']}", trust_env=False) as client:
            assert (await post(client, b"{}")).status_code == 405
            assert 'mooring_collect_events_total{outcome="taken"} 0.0' in (await client.get("/metrics")).text
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        ([], 2, "--capture_uri"),
        (["--capture_uri=nowhere"], 2, "--capture_uri"),
        (["--capture_uri=/proc/none"], 1, "/proc/none"),
        (["--capture_uri=/tmp/c", "--join_seconds=0"], 2, "join_seconds"),
        (["--capture_uri=/tmp/c", "--capture_mask=a=hmac"], 1, "MOORING_CAPTURE_HMAC_KEY"),
    ],
)
async def test_wrong_usage_is_one_line(flags, code, said):
    process = await spawn("--http_port=0", *flags)
    output, errors = await process.communicate()
    assert (process.returncode, output) == (code, b"")
    assert said in errors.decode()
    assert "Traceback" not in errors.decode()
