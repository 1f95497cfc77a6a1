"""Requests that offer another protocol, which RFC 9110, 7.8 lets a server decline by answering them as they are."""

from __future__ import annotations

from mooring_inference.rest.http_server.exchange import Exchange

# How callers offer HTTP/2 or a web socket, which they may do with any request.
_OFFERS = frozenset((b"connection", b"upgrade", b"http2-settings"))


def head_without_offer(exchange: Exchange, version: str) -> bytes:
    """Return the head of a request as it would read without the offer, for a parser that stops at one.

    Args:
        exchange: the request; ``path`` holds all of its target.
        version: of HTTP, such as ``1.1``.
    """
    lines = [b"%b %b HTTP/%b" % (exchange.method.encode(), exchange.path, version.encode())]
    lines += [b"%b: %b" % header for header in exchange.headers.items() if header[0] not in _OFFERS]
    lines.append(b"connection: " + (b"keep-alive" if exchange.is_keep_alive else b"close"))
    return b"\r\n".join(lines) + b"\r\n\r\n"
