"""The memory of a whole server while callers send it as much as they can."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.unit.inference.access.test_memory import binary
from tests.unit.inference.inference_process import BODY, running, save_negation
from tests.unit.inference.rest.http_server.http_world import answer

INFER = "/v2/models/m/infer"
MIB = 1 << 20


def resident(process):
    """MiB that a process takes now."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def test_eight_callers_with_63_mib_each_do_not_take_half_a_gibibyte(tmp_path):
    save_negation(tmp_path)
    body, headers = binary(63 * MIB // 8)
    head = (
        f"POST {INFER} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n"
        f"inference-header-content-length: {headers['inference-header-content-length']}\r\n\r\n"
    ).encode()
    # However slow the machine is, it is room that decides.
    flags = ["--max_inflight_bytes=268435456", "--drain_seconds=0", "--request_timeout_seconds=100"]
    async with running(tmp_path, *flags) as server:
        idle = resident(server.process)
        callers = [socket.create_connection(("127.0.0.1", server.port), timeout=100) for _ in range(8)]
        # All but the last byte, so that none can be answered.
        await asyncio.gather(*(asyncio.to_thread(send, caller, head, body[:-1]) for caller in callers))
        assert resident(server.process) - idle < 260
        assert (await server.client.get("/metrics")).status_code == 200
        assert (await server.client.post(INFER, json=BODY)).status_code == 200
        statuses = await asyncio.gather(*(asyncio.to_thread(finish, caller, body[-1:]) for caller in callers))
        # The answer takes as much again as the request, so not all that are read have room for theirs.
        assert statuses.count(503) >= 5
        assert set(statuses) <= {200, 503}


def send(caller, *parts):
    for part in parts:
        caller.sendall(part)


def finish(caller, rest):
    """The status of the answer."""
    with caller:
        caller.sendall(rest)
        return int(caller.recv(12).split()[1])


async def test_a_tunnel_that_nobody_may_ask_for_costs_no_log(tmp_path):
    save_negation(tmp_path / "model")
    (tmp_path / "keys").write_text("correct-horse-battery\n")
    async with running(tmp_path / "model", f"--api_keys={tmp_path}/keys", "--drain_seconds=0") as server:
        for _ in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"CONNECT h:1 HTTP/1.1\r\n\r\n")
            assert (await answer(reader))[0] == 405
            assert await reader.read() == b""
            writer.close()
        server.process.terminate()
        rest, complaints = await server.process.communicate()
        assert len(rest) < 2000
        assert complaints == b""


async def test_connections_beyond_the_flag_are_refused(tmp_path):
    save_negation(tmp_path)
    async with running(tmp_path, "--max_connections=2", "--drain_seconds=0") as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        statuses = []

        async def ask():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            statuses.append((await answer(reader))[0])
            writer.close()

        await ask()
        assert statuses == [503]
        for _, writer in held:
            writer.close()

        async def is_free():
            return (await server.client.get("/v2/health/live")).status_code == 200

        while not await is_free():
            await asyncio.sleep(0.01)
