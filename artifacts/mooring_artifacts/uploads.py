"""Write a run's document where the operator reads it: to a store, or by a signed URL.

A signed URL allows one PUT to one object for a time, and is a password: no message of this module holds its query.
Whoever signs decides whether the object can be written twice: where the signature covers a condition, the first
writer wins, and a second one is told so.

Sources: AWS Signature Version 4, query string authentication, and S3's conditional writes; Google Cloud Storage,
V4 signing; Azure Storage, Put Blob.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, urlsplit

from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.storage import write
from mooring_artifacts.uris import FORMS, parse, redact

if TYPE_CHECKING:
    import httpx2

SECONDS = 60.0
_LONGEST_URL = 8192
_NO_ANSWER = "the store does not answer"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# What a client has to send because the signature covers it: the object must not exist.
_CONDITIONS = {"if-none-match": "*", "x-goog-if-generation-match": "0"}
# 409 is S3's and Azure's word for requests that got in each other's way.
_TRANSIENT = (408, 409, 429)
_EXISTS = ("BlobAlreadyExists", "UnauthorizedBlobOverwrite")
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_READ_BYTES = 4096


@dataclass(frozen=True)
class _SignedUrl:
    url: str
    field: str
    headers: Mapping[str, str]

    @property
    def shown(self) -> str:
        return redact(self.url)


def check_destination(uri: str, field: str) -> None:
    """Do nothing when a document can be put to `uri`, as far as that can be said beforehand.

    Raises:
        InputError: it is neither an address nor a URL that is allowed.
    """
    if _is_url(uri):
        _signed(uri, field)
    else:
        parse(uri, field)


def put_document(
    uri: str,
    content: bytes,
    field: str,
    *,
    seconds: float = SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Create or overwrite the document at an address, or PUT it to a signed URL.

    A store that does not answer, or is busy, is asked again for up to `seconds`. What is there after an answer that was
    lost, and cannot be read, counts as ours: readers look whose document it is.

    Raises:
        InputError: the address is not allowed, or the store refuses for good.
        StoreUnavailable: the store did not answer in that time.
    """
    if not _is_url(uri):
        write(uri, content, field)
        return
    # Takes a tenth of a second, which programs that write to stores need not spend.
    import httpx2

    signed = _signed(uri, field)
    deadline = clock() + seconds
    pause, trouble = _FIRST_PAUSE, ""
    timeout = httpx2.Timeout(min(15.0, seconds), connect=min(5.0, seconds))
    with httpx2.Client(timeout=timeout, follow_redirects=False) as client:
        while trouble := _put(client, signed, content, lost=trouble.startswith(_NO_ANSWER)):
            # At random, so that many runs do not come back together.
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311
            if clock() + wait >= deadline:
                raise StoreUnavailable(
                    f"{field} {signed.shown} cannot be written: {trouble}; tried for {seconds:g} s"
                )
            sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _put(client: httpx2.Client, signed: _SignedUrl, content: bytes, *, lost: bool) -> str:
    """One attempt: nothing when the document is there, or what may be over soon.

    `lost` says that the attempt before it got no answer, and may have written the document.
    """
    import httpx2

    try:
        with client.stream("PUT", signed.url, content=content, headers=signed.headers) as response:
            status, code = response.status_code, _code(response)
    except httpx2.RequestError as error:
        # Its text may hold the URL.
        return f"{_NO_ANSWER} ({type(error).__name__})"
    except (httpx2.InvalidURL, ValueError) as error:
        raise InputError(f"{signed.field} {signed.shown} cannot be asked ({type(error).__name__})") from None
    if 200 <= status < 300:
        return ""
    answer = f"{status} {code}".strip()
    if status == 412 or code in _EXISTS:
        holds = _holds(client, signed, content)
        if holds or (holds is None and lost):
            return ""
        raise InputError(
            f"{signed.field} {signed.shown} has been written already, and not with this content as far as it can "
            f"be read: another writer won (the store answered {answer})"
        )
    if status >= 500 or status in _TRANSIENT:
        return f"the store answered {answer}"
    hint = "; the URL is signed for another request, or has expired" if status == 403 else ""
    raise InputError(f"{signed.field} {signed.shown} cannot be written: the store answered {answer}{hint}")


def _holds(client: httpx2.Client, signed: _SignedUrl, content: bytes) -> bool | None:
    """Whether the object is what we wanted to write; None where it cannot be read, as by S3's URLs for PUT."""
    import httpx2

    found = bytearray()
    try:
        with client.stream("GET", signed.url) as response:
            if response.status_code != 200:
                return None
            for chunk in response.iter_raw():
                found += chunk
                if len(found) > len(content):
                    return False
    except httpx2.RequestError:
        return None
    return bytes(found) == content


def _code(response: httpx2.Response) -> str:
    """The store's word for an error, from the start of its XML answer."""
    if response.is_success:
        return ""
    start = bytearray()
    for chunk in response.iter_raw():
        start += chunk
        if len(start) >= _READ_BYTES:
            break
    match = _CODE.search(start[:_READ_BYTES])
    return match[1].decode() if match else ""


def _is_url(uri: str) -> bool:
    return uri.startswith(("https://", "http://"))


def _signed(uri: str, field: str) -> _SignedUrl:
    try:
        parts = urlsplit(uri)
        why = _why_refused(uri, parts)
    except ValueError:
        why = "it is no URL"
    if why:
        raise InputError(
            f"{field} {redact(uri)} is not allowed: {why}; write {FORMS}, or a signed https:// URL"
        )
    query = {name.lower(): values[-1] for name, values in parse_qs(parts.query).items()}
    covered = ";".join(query.get(name, "") for name in ("x-amz-signedheaders", "x-goog-signedheaders"))
    headers = {"accept-encoding": "identity"}
    headers |= {name: value for name, value in _CONDITIONS.items() if name in covered.lower().split(";")}
    if "sig" in query and "sv" in query:
        headers["x-ms-blob-type"] = "BlockBlob"
    return _SignedUrl(uri, field, headers)


def _why_refused(uri: str, parts: SplitResult) -> str:
    if not uri.isascii() or not uri.isprintable() or set(uri) & set(' "<>\\^`{|}'):
        return "it holds characters that no URL has"
    if len(uri) > _LONGEST_URL:
        return f"it has more than {_LONGEST_URL} characters"
    if not parts.hostname or parts.username is not None or parts.password is not None:
        return "it names no host, or a user"
    if parts.port == 0:  # raises ValueError where it is none
        return "it has no possible port"
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        return f"http:// is for {_LOOPBACK[0]} alone"
    if parts.fragment or parts.path in ("", "/"):
        return "it names no object"
    return ""
