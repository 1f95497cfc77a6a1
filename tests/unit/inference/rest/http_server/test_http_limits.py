"""What callers may take of a server: bytes of requests and answers, connections, time."""

from __future__ import annotations

import asyncio

import pytest
from mooring_inference.errors import RequestError

from tests.unit.inference.rest.http_server.http_world import (
    answer,
    connected,
    echoing,
    ended,
    post,
    sweep,
    until,
)

MIB = 1 << 20
CHUNKED = b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"


def head(size, path=b"/x", headers=b""):
    return b"POST %b HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n%b\r\n" % (path, size, headers)


async def pour(writer, most):
    """Write until the server closes the connection; gives how many bytes it took."""
    taken = 0
    try:
        while taken < most:
            writer.write(b"x" * 65536)
            await writer.drain()
            taken += 65536
    except ConnectionError:
        pass
    return taken


@pytest.mark.parametrize(
    "start",
    [
        b"GET /x HTTP/1.1\r\na: ",
        b"GET /x HTTP/1.1\r\na",
        CHUNKED + b"0\r\na: ",
        CHUNKED + b"1;a=",
        CHUNKED + b"1\r\na\r\n0\r\na",
    ],
    ids=["header", "name", "trailer", "extension", "trailer's name"],
)
async def test_what_has_no_end_is_refused_long_before_it(start):
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(start)
        assert await pour(writer, 32 * MIB) < 8 * MIB
        assert await ended_by_reset(reader) in (b"", b"HTTP/1.1 431")
        await until(lambda: not len(server.connections))
        assert server.budget.held == 0


async def ended_by_reset(reader):
    try:
        return (await ended(reader))[:12]
    except ConnectionError:
        return b""


async def test_many_small_headers_are_too_many():
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(b"GET /x HTTP/1.1\r\n" + b"".join(b"a%d:\r\n" % i for i in range(1000)) + b"\r\n")
        assert (await answer(reader))[0] == 431


async def test_bodies_beyond_the_budget_are_refused_and_the_others_go_on():
    async with echoing(budget=64 * MIB, max_body_bytes=16 * MIB) as (server, handler):
        bodies = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(8)]
        for _, writer in bodies:
            writer.write(head(15 * MIB))
        await until(lambda: sum(c.is_reading for c in server.connections) == 8)
        # Three quarters of the budget are for large bodies, the rest is for small ones.
        assert 45 * MIB <= server.budget.held <= 46 * MIB
        async with connected(server) as (reader, writer):
            writer.write(post(b"/small", b"abc"))
            assert (await answer(reader))[::2] == (200, b"/small|abc")
        answers = []
        for reader, writer in bodies:
            writer.write(b"x" * 15 * MIB)
            await writer.drain()
            status, headers, _ = await answer(reader)
            answers.append((status, headers.get("retry-after")))
        assert sorted(answers, key=str) == [(200, None)] * 3 + [(503, "1")] * 5
        for _, writer in bodies:
            writer.close()
        await until(lambda: not len(server.connections))
        assert server.budget.held == 0
        assert len(handler.seen) == 4


async def test_bodies_that_do_not_say_how_long_they_are_are_counted_as_they_come():
    chunk = b"%x\r\n" % MIB + b"x" * MIB + b"\r\n"
    async with echoing(budget=32 * MIB, max_body_bytes=16 * MIB) as (server, _):
        async with connected(server) as (first, writer), connected(server) as (second, other):
            for each in (writer, other):
                each.write(CHUNKED + chunk * 7)
            await until(lambda: server.budget.held > 14 * MIB)
            other.write(chunk * 8 + b"0\r\n\r\n")
            writer.write(chunk * 8 + b"0\r\n\r\n")
            statuses = {(await answer(first))[0], (await answer(second))[0]}
            assert statuses == {200, 503}
        await until(lambda: not len(server.connections))
        assert server.budget.held == 0


async def test_requests_sent_ahead_are_counted():
    async with echoing(budget=2 * MIB) as (server, handler), connected(server) as (reader, writer):
        writer.write(post(b"/later") + post(b"/x", b"x" * 200_000) * 40)
        await until(lambda: handler.kept)
        (connection,) = server.connections
        await until(lambda: connection._reader.is_over)
        assert MIB < server.budget.held <= 2 * MIB
        handler.kept[0].respond(200, b"done")
        statuses = [(await answer(reader))[0]]
        while statuses[-1] == 200 and len(statuses) < 41:
            statuses.append((await answer(reader))[0])
        # What found no room ends the connection, behind all that did.
        assert statuses[-1] == 503
        assert 8 < len(statuses) < 13
        assert await ended(reader) == b""
        await until(lambda: not len(server.connections))
        assert server.budget.held == 0


async def test_a_caller_that_does_not_read_gets_one_answer_at_a_time():
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(post(b"/big") * 200)
        await until(lambda: any(c.is_stalled for c in server.connections))
        assert len(handler.seen) < 20
        for _ in range(200):
            assert len((await answer(reader))[2]) == MIB
        await until(lambda: server.budget.held < MIB)


async def test_answers_that_nobody_reads_are_counted_and_further_ones_are_refused():
    async with echoing(budget=12 * MIB) as (server, _):
        slow = [await asyncio.open_connection("127.0.0.1", server.port, limit=1024) for _ in range(30)]
        for _, writer in slow:
            writer.write(post(b"/big") * 20)
        await until(lambda: sum(c.is_stalled for c in server.connections) >= 5)
        assert server.budget.held <= 12 * MIB
        async with connected(server) as (reader, writer):
            writer.write(post(b"/big"))
            assert (await answer(reader))[0] in (200, 503)
            writer.write(post(b"/small"))
            assert (await answer(reader))[::2] == (200, b"/small|")
        for _, writer in slow:
            writer.transport.abort()
        await until(lambda: not len(server.connections))
        assert server.budget.held == 0


async def test_what_is_counted_is_given_back_when_the_caller_goes():
    async with echoing() as (server, handler):
        for content in (head(8 * MIB) + b"x" * MIB, post(b"/later", b"x" * MIB), CHUNKED + b"3\r\nab"):
            async with connected(server) as (_, writer):
                writer.write(content)
                await until(lambda: server.budget.held > 8192)
        await until(lambda: not len(server.connections))
        assert server.budget.held == 0
        handler.kept[0].respond(200, b"nobody reads this")
        assert server.budget.held == 0


async def test_a_body_must_keep_a_pace_that_brings_it_to_its_end():
    async with (
        echoing(head_seconds=10, body_seconds=60) as (server, _),
        connected(server) as (idle, writer),
        connected(server) as (steady, other),
    ):
        writer.write(head(6 * MIB))
        # A body that does not say how long it is cannot be late before its time.
        other.write(CHUNKED + b"%x\r\n" % (2 * MIB) + b"x" * 2 * MIB)
        await until(lambda: server.budget.held > 8 * MIB)
        sweep(server, 9)
        assert sum(c.is_reading for c in server.connections) == 2
        sweep(server, 19)
        assert (await answer(idle))[0] == 408
        other.write(b"\r\n0\r\n\r\n")
        assert (await answer(steady))[0] == 200


async def test_a_refused_body_that_never_comes_is_answered_with_the_refusal():
    async with echoing(max_body_bytes=1000) as (server, handler):
        for size, refusal, status in ((10**18, None, 413), (10, RequestError("no key", status=401), 401)):
            handler.refusal = refusal
            async with connected(server) as (reader, writer):
                writer.write(head(size))
                await until(lambda: any(c.is_reading for c in server.connections))
                sweep(server, 71)
                assert (await answer(reader))[0] == status
                assert await ended(reader) == b""


async def test_who_asks_before_it_sends_is_refused_at_once():
    async with echoing(max_body_bytes=1000) as (server, handler):
        for size, refusal, status in ((2000, None, 413), (10, RequestError("no key", status=401), 401)):
            handler.refusal = refusal
            async with connected(server) as (reader, writer):
                writer.write(head(size, headers=b"expect: 100-continue\r\n"))
                got, headers, _ = await answer(reader)
                assert (got, headers["connection"]) == (status, "close")
                assert await ended(reader) == b""


async def test_leave_to_send_a_body_comes_after_the_answers_before_it():
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(post(b"/later") + head(3, headers=b"expect: 100-continue\r\n"))
        await until(lambda: handler.kept and any(c.is_reading for c in server.connections))
        sweep(server, 11)
        handler.kept[0].respond(200, b"done")
        assert (await answer(reader))[2] == b"done"
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await answer(reader))[2] == b"/x|abc"


async def test_http_1_0_knows_no_leave_to_send():
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(post(b"/x", b"abc", b"expect: 100-continue\r\n", version=b"1.0"))
        assert (await answer(reader))[::2] == (200, b"/x|abc")


@pytest.mark.parametrize(
    "garbage", [b"rubbish\r\n\r\n", b"GET /x HTTP/1.1\r\n bad: 1\r\n\r\n", b"\x16\x03\x01"]
)
async def test_requests_before_what_cannot_be_read_are_answered(garbage):
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(post(b"/later") + post(b"/y") + garbage)
        await until(lambda: handler.kept)
        handler.kept[0].respond(200, b"done")
        assert [(await answer(reader))[::2] for _ in range(2)] == [(200, b"done"), (200, b"/y|")]
        assert (await answer(reader))[0] == 400
        assert await ended(reader) == b""


async def test_a_server_has_so_many_connections_and_says_so_beyond():
    async with echoing(max_connections=3) as (server, _):
        taken = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        await until(lambda: len(server.connections) == 3)
        async with connected(server) as (reader, _):
            status, headers, _ = await answer(reader)
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
            assert await ended(reader) == b""
        for reader, writer in taken:
            writer.write(post())
            assert (await answer(reader))[0] == 200
            writer.close()
        await until(lambda: not len(server.connections))
        async with connected(server) as (reader, writer):
            writer.write(post())
            assert (await answer(reader))[0] == 200


async def test_one_address_that_takes_all_connections_keeps_no_other_out():
    async with echoing(max_connections=4) as (server, handler):
        taken = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
        await until(lambda: len(server.connections) == 4)
        # The first is being answered; the second has waited longest of those that wait for nothing.
        for (_, writer), content in zip(taken, (post(b"/later"), b"", b"POST /x", b""), strict=True):
            writer.write(content)
        await until(lambda: handler.kept and any(c.is_reading for c in server.connections))
        async with connected(server, "127.0.0.2") as (reader, writer):
            writer.write(post())
            assert (await answer(reader))[0] == 200
            assert await ended_by_reset(taken[1][0]) == b""
            async with connected(server) as (third, _):
                assert (await answer(third))[0] == 503
        handler.kept[0].respond(200, b"done")
        assert (await answer(taken[0][0]))[2] == b"done"
        for _, writer in taken:
            writer.close()


async def test_a_closing_connection_whose_caller_does_not_read_is_ended():
    async with echoing(write_seconds=5) as (server, _), connected(server) as (_, writer):
        # As much as fits into the transport's buffer beside what the kernel takes, and then a refusal.
        writer.write(post(b"/big") * 8 + b"rubbish\r\n\r\n")
        await until(lambda: any(c.is_stalled for c in server.connections))
        sweep(server, 6)
        await until(lambda: not len(server.connections))
