"""Tunnels and offers of other protocols: refused or declined once, whatever comes with them."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_inference.errors import RequestError

from tests.unit.inference.rest.http_server.http_world import answer, connected, echoing, ended, post

H2C = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n"
WEB_SOCKET = b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
CONNECT = b"CONNECT h:1 HTTP/1.1\r\n%b\r\n%b"


@pytest.mark.parametrize(
    "request_",
    [
        CONNECT % (b"", b""),
        CONNECT % (b"host: h:1\r\n", b""),
        CONNECT % (b"content-length: 3\r\n", b"abc"),
        CONNECT % (b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
        CONNECT % (H2C, b""),
        CONNECT % (b"expect: 100-continue\r\ncontent-length: 3\r\n", b"abc"),
        CONNECT % (b"connection: close\r\n", b""),
        CONNECT % (b"", post(b"/after")),
        (CONNECT % (b"", b"")) * 2000,
        b"CONNECT h:1 HTTP/1.0\r\n\r\n",
    ],
    ids=["bare", "host", "body", "chunks", "offer", "expect", "close", "followed", "many", "old"],
)
@pytest.mark.parametrize("has_key", [True, False])
async def test_a_tunnel_is_refused_once_and_the_connection_closed(request_, has_key, caplog):
    async with echoing() as (server, handler):
        handler.refusal = None if has_key else RequestError("no key", status=401)
        async with connected(server) as (reader, writer):
            writer.write(request_)
            status, headers, _ = await answer(reader)
            assert (status, headers["allow"]) == (405, "GET, HEAD, POST")
            assert headers["connection"] == "close"
            assert await ended(reader) == b""
        assert not handler.seen
    assert not caplog.records


async def test_a_tunnel_asked_for_behind_a_request_costs_it_nothing():
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(post(b"/later") + CONNECT % (b"", b"") + post(b"/never"))
        while not handler.kept:
            await asyncio.sleep(0.01)
        handler.kept[0].respond(200, b"done")
        assert (await answer(reader))[2] == b"done"
        assert (await answer(reader))[0] == 405
        assert await ended(reader) == b""
        assert len(handler.seen) == 1


@pytest.mark.parametrize("offer", [H2C, WEB_SOCKET], ids=["h2c", "websocket"])
@pytest.mark.parametrize(
    ("extra", "body", "sent"),
    [
        (b"content-length: 0\r\n", b"", b""),
        (b"content-length: 3\r\n", b"abc", b"abc"),
        (b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"transfer-encoding: chunked\r\n", b"3\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\n", b"abc"),
    ],
)
async def test_an_offer_is_answered_as_a_request_without_it(offer, extra, body, sent):
    request = b"POST /x?q HTTP/1.1\r\nhost: h\r\n" + offer + extra + b"\r\n" + body
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(request + post(b"/y") + request)
        for expected in (b"/x|" + sent, b"/y|", b"/x|" + sent):
            status, headers, got = await answer(reader)
            assert (status, got) == (200, expected)
            assert "upgrade" not in headers
        assert [exchange.query for exchange in handler.seen] == [b"q", b"", b"q"]
        assert not {b"upgrade", b"http2-settings", b"x-trailer"} & handler.seen[0].headers.keys()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.booleans())
def test_where_the_network_cuts_an_offer_does_not_matter(sizes, is_chunked):
    body = (
        b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        if is_chunked
        else b"content-length: 3\r\n\r\nabc"
    )
    stream = (b"POST /x HTTP/1.1\r\nhost: h\r\n" + H2C + body) * 3

    async def scenario():
        async with echoing() as (server, _), connected(server) as (reader, writer):
            rest, turn = stream, 0
            while rest:
                size = sizes[turn % len(sizes)]
                writer.write(rest[:size])
                await writer.drain()
                rest, turn = rest[size:], turn + 1
            for _ in range(3):
                assert (await answer(reader))[2] == b"/x|abc"

    asyncio.run(scenario())


async def test_offers_sent_ahead_do_not_make_the_stack_deep(caplog):
    request = b"GET /x HTTP/1.1\r\nhost: h\r\n" + WEB_SOCKET + b"\r\n"
    with caplog.at_level(logging.WARNING):
        async with echoing() as (server, _), connected(server) as (reader, writer):
            writer.write(request * 2000)
            for _ in range(2000):
                assert (await answer(reader))[0] == 200
    assert not caplog.records


async def test_an_offer_that_asks_first_is_told_to_go_on_once():
    head = b"POST /x HTTP/1.1\r\nhost: h\r\n" + H2C + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n"
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await answer(reader))[::2] == (200, b"/x|abc")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /x HTTP/1.1\r\nconnection: close, upgrade\r\nupgrade: h2c\r\n\r\n",
        b"GET /x HTTP/1.1\r\nconnection: close\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"GET /x HTTP/1.0\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    ],
)
async def test_a_connection_that_the_caller_ends_is_closed_with_an_offer_too(request_):
    async with echoing() as (server, _), connected(server) as (reader, writer):
        writer.write(request_)
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await ended(reader) == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" * 100, 400),
        (post(headers=H2C + b"content-length: 4\r\n"), 400),
        (post(headers=H2C + b"transfer-encoding: chunked\r\n"), 400),
        (post(headers=H2C + b"transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n"), 400),
    ],
)
async def test_what_frames_a_body_in_two_ways_is_refused_with_an_offer_too(request_, status):
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(request_)
        assert (await answer(reader))[0] == status
        assert await ended(reader) == b""
        assert not handler.seen


async def test_trailers_are_not_headers():
    request = (
        b"POST /x HTTP/1.1\r\nhost: h\r\nx-request-id: one\r\ntransfer-encoding: chunked\r\n\r\n"
        b"1\r\na\r\n0\r\nx-request-id: two\r\ncontent-encoding: gzip\r\nx-api-key: k\r\n\r\n"
    )
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(request + post(b"/y"))
        for expected in (b"/x|a", b"/y|"):
            assert (await answer(reader))[2] == expected
        first, second = (exchange.headers for exchange in handler.seen)
        assert first == {b"host": b"h", b"x-request-id": b"one", b"transfer-encoding": b"chunked"}
        assert set(second) == {b"host", b"content-length"}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://h/x?q=/", b"/x", b"q=/"),
        (b"HTTPS://h:80/x", b"/x", b""),
        (b"http://h", b"/", b""),
        (b"http://h?q", b"/", b"q"),
        (b"*", b"*", b""),
        (b"/http://h/x", b"/http://h/x", b""),
    ],
)
async def test_a_target_may_be_the_whole_address(target, path, query):
    async with echoing() as (server, handler), connected(server) as (reader, writer):
        writer.write(b"OPTIONS " + target + b" HTTP/1.1\r\nhost: h\r\n\r\n")
        await answer(reader)
        assert (handler.seen[0].path, handler.seen[0].query) == (path, query)
