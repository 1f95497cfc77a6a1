"""Addresses in stores: `file:///PATH`, `s3://BUCKET/KEY`, `gs://BUCKET/KEY` and `az://CONTAINER/KEY`.

The one parser of them. It is pure, and what it accepts means the same to every other reader: no `.` or `..` and no
empty segments, whether written plainly or percent-encoded, no credentials, no query, nothing that cannot be printed.
Paths of `file://` are percent-decoded; keys in buckets are taken as they are written, as KServe and MLflow do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from mooring_artifacts.errors import InputError

SCHEMES = ("file", "s3", "gs", "az")
FORMS = "file:///PATH, s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY"

_URI = re.compile(r"([a-z0-9]+)://([^/?#]*)(?:/(.*))?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
# Up to what ends an URL in logs: white space, quotes, brackets of Markdown and XML.
_WORD = re.compile(r"[^\s'\"<>]+")
_WEB = re.compile(r"https?://")
LONGEST = 4096
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a store: a file or a folder, which only the store can tell apart.

    `bucket` is empty for `file`. `key` has no slash at its ends; it is empty where the whole bucket is meant.
    """

    scheme: str
    bucket: str
    key: str

    @property
    def root(self) -> str:
        """The address of the bucket, or of the file system."""
        return f"{self.scheme}://{self.bucket}/"

    @property
    def name(self) -> str:
        """The last segment of the key."""
        return self.key.rpartition("/")[2]

    @property
    def path(self) -> Path:
        """Where a `file` address lies in the file system."""
        return Path("/", self.key)

    def __str__(self) -> str:
        return self.root + (quote(self.key) if self.scheme == "file" else self.key)


def parse(uri: str, field: str = "uri", *, whole_bucket: bool = False) -> Address:
    """The address that `uri` writes; `field` is what an error calls it.

    A slash at the end means nothing. The key may be missing where `whole_bucket` allows it, never for `file`.

    Raises:
        InputError: it is none, or one that two readers could take for two places.
    """
    match = _URI.fullmatch(uri) if uri.isprintable() and len(uri) <= LONGEST else None
    if match is None or match[1] not in SCHEMES:
        raise _refused(field, uri, _why_no_uri(uri))
    scheme, bucket, rest = match[1], match[2], match[3] or ""
    if scheme == "file":
        if bucket not in ("", "localhost"):
            raise _refused(field, uri, "it names a host")
        bucket = ""
    elif not _BUCKET.fullmatch(bucket):
        raise _refused(field, uri, "it names no bucket" if not bucket else "it names no possible bucket")
    written = rest.removesuffix("/")
    key = unquote(written, errors="surrogateescape") if scheme == "file" else written
    if not key and not (whole_bucket and scheme != "file" and not rest):
        raise _refused(field, uri, "it names no file or folder")
    if key and (fault := find_fault(key) or find_hidden_fault(written)):
        raise _refused(field, uri, fault)
    return Address(scheme, bucket, key)


def below(root: str, *segments: str) -> str:
    """The address that lies under `root` by `segments`.

    Raises:
        InputError: one is no single segment of a path.
    """
    for segment in segments:
        if "/" in segment or "%" in segment or find_fault(segment):
            raise InputError(f"{segment!r:.80} is no name of a file or folder")
    return "/".join([root.rstrip("/"), *segments])


def find_fault(key: str) -> str:
    """Why `key` is no path below a root, as the end of a sentence; empty where it is one."""
    if not key.isprintable() or "\\" in key:
        return "it holds a character that is not allowed in paths"
    if "?" in key or "#" in key:
        return "it has a query or a fragment"
    for segment in key.split("/"):
        if not segment:
            return "its path has an empty segment"
        if segment in (".", ".."):
            return f"its path has the segment {segment!r}"
    return ""


def is_web_address(text: str) -> bool:
    """Whether it is an http:// or https:// address with a host, and with a port that can be where it has one."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return fits and text.isprintable() and " " not in text


def redact(uri: str) -> str:
    """`uri` as messages may show it: without credentials, query and fragment, on one line, not too long."""
    shown = re.sub(r"[?#].*", "?...", uri, count=1, flags=re.DOTALL)
    shown = re.sub(r"://[^/]*@", "://...@", shown, count=1)
    return repr(shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "...")


def hide_queries(text: str) -> str:
    """`text` without the queries of the URLs in it: in a signed URL they are a password.

    Takes time in proportion to the text, whatever it is: each word is looked through once.
    """
    return _WORD.sub(_without_query, text)


def find_hidden_fault(written: str) -> str:
    """Faults that show once or twice decoded: other readers may decode where this one does not."""
    once = unquote(written, errors="surrogateescape")
    for stage in (once, unquote(once, errors="surrogateescape")):
        if stage.count("/") != written.count("/") or find_fault(stage):
            return "it is percent-encoded in a way that hides what it means"
    return ""


def _without_query(word: re.Match[str]) -> str:
    text = word[0]
    found = _WEB.search(text)
    mark = text.find("?", found.end()) if found is not None else -1
    return text if mark < 0 else f"{text[:mark]}?..."


def _why_no_uri(uri: str) -> str:
    if not uri.isprintable():
        return "it holds characters that cannot be printed"
    if len(uri) > LONGEST:
        return f"it has more than {LONGEST} characters"
    if "?" in uri or "#" in uri:
        return "it has a query or a fragment"
    return f"its scheme is none of {', '.join(SCHEMES)}"


def _refused(field: str, uri: str, why: str) -> InputError:
    return InputError(f"{field} {redact(uri)} is not allowed: {why}; write {FORMS}")
