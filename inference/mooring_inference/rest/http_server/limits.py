"""What callers may ask of a connection, and how they are told that they asked for more."""

from __future__ import annotations

from dataclasses import dataclass

from mooring_inference.errors import RequestError

METHODS = "GET, HEAD, POST"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What callers may ask of a connection.

    Attributes:
        max_body_bytes: a larger body is answered with 413.
        max_head_bytes: a longer path is answered with 414, longer headers with 431.
        max_discarded_bytes: of a body that is refused, this much is read all the same, so that the caller gets to
            read the answer.
        max_connections: of all callers together.
        head_seconds: from a request's first byte to the end of its headers.
        body_seconds: from a request's first byte to the end of its body.
        idle_seconds: between requests.
        write_seconds: for the caller to read a response.
    """

    max_body_bytes: int = 64 << 20
    max_head_bytes: int = 32 << 10
    max_discarded_bytes: int = 256 << 20
    max_connections: int = 4096
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    write_seconds: float = 60.0


def body_too_large(size: int, limit: int) -> RequestError:
    """Return the refusal of a body that is larger than any may be."""
    return RequestError(
        f"body: expected at most {limit} bytes, got {size}",
        status=413,
        field="body",
        expected=limit,
        got=size,
    )


def head_too_large(field: str, limit: int) -> RequestError:
    """Return the refusal of a head that is too long; ``field`` is the one with which it became so."""
    return RequestError(
        f"{field}: expected at most {limit} bytes of path and headers",
        status=414 if field == "path" else 431,
        field=field,
        expected=limit,
    )


def too_many_connections() -> RequestError:
    """Return the refusal of a connection where all are taken."""
    return RequestError(
        "the server has as many connections as it may; try again later",
        status=503,
        headers=((b"retry-after", b"1"),),
    )


def too_late(seconds: float) -> RequestError:
    """Return the refusal of a request that does not come to its end."""
    return RequestError(f"the request took longer than {seconds:g} s to come", status=408)


def no_tunnel() -> RequestError:
    """Return the refusal of CONNECT, which asks for a connection to somewhere else."""
    return RequestError(
        f"CONNECT is not allowed: this is no proxy; {METHODS} are allowed",
        status=405,
        headers=((b"allow", METHODS.encode()),),
    )
