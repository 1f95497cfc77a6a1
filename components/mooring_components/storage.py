"""Files by URI: `file://`, `s3://`, `gs://` and `az://`, read and written with obstore.

Credentials, regions and endpoints come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
Imports nothing but the standard library and obstore, so that small programs can use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
import obstore.exceptions
import obstore.store
from mooring_artifacts.errors import InputError

SCHEMES = ("file", "s3", "gs", "az")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Location:
    """A key in an object store: where a URI points to."""

    uri: str
    store: Any
    key: str

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class StoredFile:
    """One object: its key, its path relative to the URI it was listed under, its size in bytes."""

    key: str
    path: str
    size: int


def locate(uri: str, field: str = "uri") -> Location:
    """Where `uri` points to; `field` is the parameter that an error message names.

    Raises:
        InputError: not a URI of one of `SCHEMES`, or the store cannot be configured.
    """
    parts = urlsplit(uri)
    if parts.scheme not in SCHEMES:
        raise InputError(
            f"{field} {uri!r} is not allowed: use one of {', '.join(s + '://' for s in SCHEMES)}"
        )
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or parts.path in ("", "/"):
            raise InputError(f"{field} {uri!r} is not allowed: write file:///ABSOLUTE/PATH")
        key, root = unquote(parts.path), "file:///"
    else:
        if not parts.netloc:
            raise InputError(f"{field} {uri!r} is not allowed: it names no bucket")
        key, root = parts.path, f"{parts.scheme}://{parts.netloc}/"
    try:
        store = obstore.store.from_url(root)
    except obstore.exceptions.BaseError as error:
        raise InputError(f"{field} {uri!r} cannot be opened: {_first_line(error)}") from error
    return Location(uri=uri, store=store, key=key.strip("/"))


def list_files(location: Location, field: str = "uri") -> list[StoredFile]:
    """The file at `location`, or every file below it when it is a folder, sorted by path.

    Raises:
        InputError: there is nothing there, or it cannot be read.
    """
    try:
        files = _list(location)
    except (obstore.exceptions.BaseError, OSError) as error:
        raise InputError(f"{field} {location.uri!r} cannot be read: {_first_line(error)}") from error
    if not files:
        raise InputError(f"{field} {location.uri!r} does not exist")
    return files


def stream(location: Location, file: StoredFile) -> Iterator[bytes]:
    """The content of `file` in chunks of about one MiB.

    Raises:
        InputError: it cannot be read, or it disappeared.
    """
    try:
        for chunk in obstore.get(location.store, file.key).stream(min_chunk_size=_CHUNK_BYTES):
            yield bytes(chunk)
    except (obstore.exceptions.BaseError, OSError) as error:
        raise InputError(f"{location.uri!r}: {file.path!r} cannot be read: {_first_line(error)}") from error


def write(uri: str, content: bytes, field: str = "uri") -> None:
    """Create or overwrite the object at `uri`.

    Raises:
        InputError: the URI is not allowed, or it cannot be written.
    """
    location = locate(uri, field)
    try:
        obstore.put(location.store, location.key, content)
    except (obstore.exceptions.BaseError, OSError) as error:
        raise InputError(f"{field} {uri!r} cannot be written: {_first_line(error)}") from error


def _list(location: Location) -> list[StoredFile]:
    try:
        head = obstore.head(location.store, location.key)
    except FileNotFoundError:
        prefix = location.key + "/"
        found = [meta for batch in obstore.list(location.store, prefix=prefix) for meta in batch]
        files = [StoredFile(m["path"], m["path"].removeprefix(prefix), m["size"]) for m in found]
        # Object stores show an empty folder as an object of no bytes whose name ends with a slash.
        return sorted((f for f in files if f.path), key=lambda f: f.path)
    return [StoredFile(key=location.key, path=location.name, size=head["size"])]


def _first_line(error: Exception) -> str:
    # obstore appends a multi-line debug dump of its source error.
    return str(error).split("\n", 1)[0]
