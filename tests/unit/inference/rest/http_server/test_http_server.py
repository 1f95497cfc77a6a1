"""HTTP/1.1 as callers send it, well and badly, over real sockets."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.serving.stops.cases import write_certificates
from tests.unit.inference.rest.http_server.http_world import (
    SECONDS,
    answer,
    connected,
    echoing,
    post,
    sweep,
    until,
)


async def exchange(server, request):
    """The first response, and whether the server closed the connection after it."""
    async with connected(server) as (reader, writer):
        writer.write(request)
        status, headers, body = await answer(reader)
        return status, headers, body


async def test_requests_sent_ahead_are_answered_in_their_order():
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(b"".join(post(b"/%d" % i, b"b%d" % i) for i in range(100)))
        for i in range(100):
            assert (await answer(reader))[2] == b"/%d|b%d" % (i, i)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_where_the_network_cuts_requests_does_not_matter(bodies, generator):
    async def scenario():
        async with echoing() as (server, _), connected(server) as (reader, writer):
            stream = b"".join(post(b"/%d" % i, body) for i, body in enumerate(bodies))
            while stream:
                size = generator.randint(1, 40)
                writer.write(stream[:size])
                await writer.drain()
                stream = stream[size:]
            for i, body in enumerate(bodies):
                assert (await answer(reader))[2] == b"/%d|%b" % (i, body)

    asyncio.run(scenario())


async def test_chunked_bodies():
    request = (
        b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    async with echoing() as (server, _):
        assert (await exchange(server, request))[2] == b"/x|abcde"


async def test_a_head_has_no_body():
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(b"HEAD /x HTTP/1.1\r\nhost: h\r\n\r\n" + post(b"/y"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 3" in head
        assert (await answer(reader))[2] == b"/y|"


async def test_a_caller_that_asks_first_is_told_to_go_on():
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await answer(reader))[2] == b"/x|abc"


async def test_an_offer_of_http_2_is_answered_over_http_1():
    offer = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n"
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(post(b"/x", b"abc", offer) + post(b"/y"))
        assert [(await answer(reader))[2] for _ in range(2)] == [b"/x|abc", b"/y|"]


@pytest.mark.parametrize("version", [b"HTTP/1.0\r\n", b"HTTP/1.1\r\nconnection: close\r\n"])
async def test_connections_are_closed_where_the_caller_wants_that(version):
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(b"GET /x " + version + b"host: h\r\n\r\n")
        assert (await answer(reader))[1]["connection"] == "close"
        assert await reader.read() == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (post(headers=b"transfer-encoding: chunked\r\n"), 400),
        (post(headers=b"content-length: 7\r\n"), 400),
        (b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /x HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", 431),
        (post(body=b"x" * 2001), 413),
        (
            b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"64\r\n%b\r\n" % (b"x" * 100) * 21
            + b"0\r\n\r\n",
            413,
        ),
    ],
)
async def test_what_cannot_be_read_is_refused_and_the_connection_closed(request_, status):
    async with echoing(max_body_bytes=2000) as (server, _), connected(server) as (reader, writer):
        writer.write(request_)
        got, headers, body = await answer(reader)
        assert (got, headers["connection"]) == (status, "close")
        assert b'"error"' in body
        assert await reader.read() == b""
        assert (await exchange(server, post(b"/after")))[2] == b"/after|"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2**32))
def test_no_bytes_make_it_fail(rubbish, seed):
    async def scenario():
        async with echoing(max_body_bytes=200, max_head_bytes=300) as (server, _):
            generator = random.Random(seed)
            request = bytearray(post(b"/x", rubbish[:20], b"a: b\r\n"))
            for _ in range(generator.randint(0, 4)):
                request[generator.randrange(len(request))] = generator.randrange(256)
            for content in (rubbish, bytes(request)):
                async with connected(server) as (_, writer):
                    writer.write(content)
                    writer.write_eof()
            assert (await exchange(server, post(b"/after")))[0] == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"POST /x HTTP/1.1\r\nho", {"head_seconds": 5}),
        (b"POST /x HTTP/1.1\r\ncontent-length: 5\r\n\r\nab", {"body_seconds": 5}),
    ],
)
async def test_a_request_that_does_not_come_to_an_end_is_408(sent, limits):
    async with echoing(**limits) as (server, _), connected(server) as (reader, writer):
        writer.write(sent)
        while not any(c.is_reading for c in server.connections):
            await asyncio.sleep(0.01)
        sweep(server, 4)
        sweep(server, 6)
        assert (await answer(reader))[0] == 408
        assert await reader.read() == b""


async def test_an_idle_connection_is_closed_in_the_end():
    async with echoing(idle_seconds=50) as (server, _), connected(server) as (reader, writer):
        writer.write(post())
        await answer(reader)
        sweep(server, 40)
        writer.write(post())
        await answer(reader)
        sweep(server, 60)
        assert await reader.read() == b""


async def test_a_caller_that_does_not_read_its_answers_is_dropped():
    async with echoing(write_seconds=5) as (server, _), connected(server) as (_, writer):
        writer.write(post(b"/big") * 40)
        while not any(c.is_stalled for c in server.connections):
            await asyncio.sleep(0.01)
        sweep(server, 4)
        assert server.connections
        sweep(server, 6)
        while server.connections:
            await asyncio.sleep(0.01)


async def test_who_has_gone_is_known():
    async with echoing() as (server, handler):
        async with connected(server) as (_, writer):
            writer.write(post(b"/later"))
            while not handler.kept:
                await asyncio.sleep(0.01)
        while not handler.gone:
            await asyncio.sleep(0.01)
        handler.kept[0].respond(200, b"nobody reads this")


async def test_thousands_of_slow_callers_do_not_keep_others_waiting():
    async with echoing() as (server, _):
        slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2000)]
        for _, writer in slow:
            writer.write(b"POST /x HTTP/1.1\r\nx: ")
        assert (await exchange(server, post(b"/quick")))[0] == 200
        while sum(c.is_reading for c in server.connections) < 2000:
            await asyncio.sleep(0.01)
        sweep(server, 11)
        for reader, writer in slow:
            assert b" 408 " in await reader.read()
            writer.close()


async def test_stopping_finishes_what_has_begun():
    async with (
        echoing() as (server, handler),
        connected(server) as (reader, writer),
        connected(server) as (idle, _),
    ):
        writer.write(post(b"/later"))
        while not handler.kept or len(server.connections) < 2:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(server.stop(20))
        assert await idle.read() == b""
        assert not stopping.done()
        handler.kept[0].respond(200, b"done")
        status, headers, body = await answer(reader)
        assert (status, headers["connection"], body) == (200, "close", b"done")
        await stopping


async def test_a_request_that_has_come_and_is_not_read_yet_is_answered_by_a_server_that_stops():
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(post(b"/first"))
        assert (await answer(reader))[0] == 200
        writer.write(post(b"/second"))
        stopping = asyncio.create_task(server.stop(SECONDS))
        status, headers, body = await answer(reader)
        assert (status, headers["connection"], body) == (200, "close", b"/second|")
        await stopping


async def test_the_first_request_of_a_new_connection_is_answered_by_a_server_that_stops():
    async with echoing() as (server, _), connected(server) as (reader, writer):
        await until(lambda: server.connections)
        stopping = asyncio.create_task(server.stop(SECONDS))
        await asyncio.sleep(0)
        writer.write(post(b"/first"))
        assert (await answer(reader))[::2] == (200, b"/first|")
        await stopping


async def test_that_nobody_was_there_for_a_while_ends_no_request():
    async with echoing() as (server, handler):
        server.is_draining = True
        async with connected(server):
            await until(lambda: server.connections)
        await until(lambda: not server.connections)
        async with connected(server) as (reader, writer):
            writer.write(post(b"/later"))
            await until(lambda: handler.kept)
            stopping = asyncio.create_task(server.stop(SECONDS))
            await asyncio.wait([stopping], timeout=0.1)
            handler.kept[0].respond(200, b"done")
            assert (await answer(reader))[::2] == (200, b"done")
            await stopping


def test_a_request_that_came_while_the_process_stood_still_is_answered_by_a_server_that_stops():
    async def scenario():
        async with echoing() as (server, _):
            with socket.create_connection(("127.0.0.1", server.port)) as caller:
                caller.sendall(post(b"/first"))
                assert b"/first|" in await received(caller)
                stopping = asyncio.create_task(server.stop(SECONDS))
                await asyncio.sleep(0)
                caller.sendall(post(b"/second"))
                # Longer than a stopping server waits between two looks; its timer is due before the socket is read.
                time.sleep(0.1)  # noqa: ASYNC251
                assert b"/second|" in await received(caller)
                await stopping

    # Which looks at timers first.
    uvloop.run(scenario())


async def test_a_connection_that_nobody_has_accepted_is_answered_by_a_server_that_stops():
    async with echoing() as (server, _):
        with socket.create_connection(("127.0.0.1", server.port)) as caller:
            caller.sendall(post(b"/first"))
            stopping = asyncio.create_task(server.stop(SECONDS))
            assert b"/first|" in await received(caller)
            await stopping


async def test_a_handshake_that_is_under_way_is_waited_for_by_a_server_that_stops(tmp_path):
    certificate = write_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, tmp_path / "tls.key")
    async with echoing(tls=tls) as (server, _):
        with socket.create_connection(("127.0.0.1", server.port)) as caller:
            await until(lambda: server.is_joined)
            stopping = asyncio.create_task(server.stop(SECONDS))
            await until(lambda: server.is_draining)
            reader, writer = await asyncio.open_connection(
                sock=caller,
                ssl=ssl.create_default_context(cafile=certificate),
                server_hostname="127.0.0.1",
            )
            assert not stopping.done()
            writer.write(post(b"/first"))
            assert (await answer(reader))[::2] == (200, b"/first|")
            writer.close()
            await stopping


async def test_a_handshake_that_never_comes_holds_no_server_that_stops(tmp_path):
    certificate = write_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, tmp_path / "tls.key")
    async with echoing(tls=tls) as (server, _):
        with socket.create_connection(("127.0.0.1", server.port)):
            await until(lambda: server.is_joined)
            async with asyncio.timeout(SECONDS / 2):
                await server.stop(SECONDS)


async def test_time_in_which_the_process_stood_still_ends_no_connection():
    async with echoing(head_seconds=10) as (server, _), connected(server) as (reader, writer):
        writer.write(b"POST /x HTTP/1.1\r\n")
        await until(lambda: any(one.is_reading for one in server.connections))
        for connection in server.connections:
            connection.allow(1000)
        sweep(server, 1005)
        writer.write(b"host: h\r\ncontent-length: 0\r\n\r\n")
        assert (await answer(reader))[0] == 200


async def received(caller):
    caller.setblocking(False)
    async with asyncio.timeout(SECONDS):
        return await asyncio.get_running_loop().sock_recv(caller, 1 << 16)
