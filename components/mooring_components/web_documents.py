"""Documents on web servers: one GET by TLS, without redirects, credentials or cookies, of a bounded size and time."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable

import httpx2 as httpx
from mooring_artifacts.demands import WEB_PATTERN
from mooring_artifacts.digests import ManifestEntry
from mooring_artifacts.errors import InputError

_ADDRESS = re.compile(WEB_PATTERN)
_WAIT_S, _WHOLE_S = 15.0, 120.0
_PAGES = ("text/html", "application/xhtml+xml")


def read_web_document(
    address: str,
    most: int,
    take: Callable[[bytes], object] = lambda _: None,
    transport: httpx.BaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ManifestEntry:
    """Read the document at an ``https://`` address, give every chunk to `take`, and say what was read.

    most: bytes that are allowed.
    A page of HTML is none: servers answer with one for signing in, and for what is not there.

    Raises:
        InputError: there is none, the address is not allowed, or the server does not hand it out.
    """
    if not _ADDRESS.fullmatch(address):
        raise InputError("its address is not allowed: https://, a host by its name, and a plain path")
    try:
        with (
            httpx.Client(
                timeout=_WAIT_S, follow_redirects=False, transport=transport, headers=_HEADERS
            ) as client,
            client.stream("GET", address) as response,
        ):
            _check(response)
            return _read(response, address, most, take, clock)
    except httpx.HTTPError as error:
        raise InputError(f"its server does not answer ({type(error).__name__})") from None


_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "mooring"}


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if 300 <= status < 400:
        raise InputError(
            f"its server answers {status}, which leads elsewhere: name the address that it leads to"
        )
    if status != 200:
        raise InputError(f"its server answers {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise InputError("its server answers in an encoding that nobody asked for")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _PAGES:
        raise InputError(
            "its server answers with a web page, which may be there for any address; name a file"
        )


def _read(
    response: httpx.Response,
    address: str,
    most: int,
    take: Callable[[bytes], object],
    clock: Callable[[], float],
) -> ManifestEntry:
    sha256, size, until = hashlib.sha256(), 0, clock() + _WHOLE_S
    for chunk in response.iter_raw():
        size += len(chunk)
        if size > most:
            raise InputError(f"it has more than {most} bytes, which are allowed")
        if clock() > until:
            raise InputError(f"its server takes longer than {_WHOLE_S:.0f} s")
        sha256.update(chunk)
        take(chunk)
    return ManifestEntry(address.rpartition("/")[2], size, sha256.hexdigest())
