"""Files by address, read and written with obstore.

Credentials, regions and endpoints come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
Local files are read without obstore: it takes four times as long, and waits forever on what is no plain file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import obstore.exceptions
import obstore.store

from mooring_artifacts.digests import ManifestEntry, manifest_digest
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.local_files import MOST_FILES, StoredFile, files_below
from mooring_artifacts.store_errors import FAILURES, failed, is_outage, store_failure
from mooring_artifacts.uris import Address, find_fault, parse

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Location:
    """An address and the store that it is in."""

    address: Address
    store: Any

    def __str__(self) -> str:
        return str(self.address)

    def is_file(self, files: Sequence[StoredFile]) -> bool:
        """Whether `files`, which were listed here, are one file at this very address, and no folder of one."""
        return len(files) == 1 and files[0].key == self.address.key


def open_store(address: Address, field: str = "uri", retry_config: RetryConfig | None = None) -> Any:
    """The obstore store of the address's bucket, or of the file system.

    Raises:
        InputError: it cannot be configured.
    """
    try:
        return obstore.store.from_url(address.root, retry_config=retry_config)
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise InputError(f"{field} {str(address)!r} cannot be opened: {store_failure(error)}") from error


def locate(uri: str, field: str = "uri") -> Location:
    """Where `uri` points to; `field` is the parameter that an error message names.

    Raises:
        InputError: not an address, or the store cannot be configured.
    """
    address = parse(uri, field)
    return Location(address, open_store(address, field))


def list_files(
    location: Location, field: str = "uri", most: int = MOST_FILES, *, may_be_none: bool = False
) -> list[StoredFile]:
    """The file at `location`, or every file below it when it is a folder, sorted by path.

    Where there is nothing, that is an error, or, with `may_be_none`, no files.

    Raises:
        InputError: there is nothing there, more than `most` files, or who asks may not read it.
        StoreUnavailable: the store does not answer.
    """
    found = files_below(location.address.path) if location.address.scheme == "file" else _listed(location)
    files: list[StoredFile] = []
    try:
        for file in found:
            if len(files) == most:
                raise InputError(
                    f"{field} {str(location)!r} holds more than {most} files, which is the limit"
                )
            if fault := find_fault(file.path):
                raise InputError(
                    f"{field} {str(location)!r} holds {file.path[:200]!r}, which is no usable name: {fault}"
                )
            files.append(file)
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise failed(f"{field} {str(location)!r} cannot be read", error) from error
    if not files and not may_be_none:
        raise InputError(f"{field} {str(location)!r} {_why_nothing(location.address)}")
    return sorted(files, key=lambda file: file.path)


def _why_nothing(address: Address) -> str:
    if address.scheme != "file" or not address.path.exists():
        return "does not exist"
    return "holds no files" if address.path.is_dir() else "is neither a plain file nor a folder"


def stream(location: Location, file: StoredFile) -> Iterator[bytes]:
    """The content of `file` in chunks of about one MiB: as many bytes as were listed.

    Raises:
        InputError: it cannot be read, it disappeared, or it has grown since.
        StoreUnavailable: the store does not answer, or not to the end.
    """
    left = file.size
    try:
        for chunk in _chunks(location, file):
            left -= len(chunk)
            if left < 0:
                raise InputError(f"{str(location)!r}: {file.path!r} changed while it was read")
            yield chunk
    except FAILURES as error:
        raise failed(f"{str(location)!r}: {file.path!r} cannot be read", error) from error


def read_entry(
    location: Location, file: StoredFile, take: Callable[[bytes], object] = lambda _: None
) -> ManifestEntry:
    """Read a file to its end, give every chunk to `take`, and say what was read.

    Raises:
        InputError: it cannot be read.
        StoreUnavailable: the store does not answer.
    """
    sha256 = hashlib.sha256()
    size = 0
    for chunk in stream(location, file):
        sha256.update(chunk)
        size += len(chunk)
        take(chunk)
    return ManifestEntry(file.path, size, sha256.hexdigest())


def content_digest(uri: str) -> str:
    """The digest, `sha256:<64 hex digits>`, of the file or folder at `uri`.

    Raises:
        InputError: the URI is not allowed, does not exist or cannot be read.
        StoreUnavailable: the store does not answer.
    """
    location = locate(uri)
    return manifest_digest([read_entry(location, file) for file in list_files(location)])


def write(uri: str, content: bytes, field: str = "uri") -> None:
    """Create or overwrite the file at `uri`.

    Raises:
        InputError: the address is not allowed, or the store refuses.
        StoreUnavailable: the store does not answer.
    """
    location = locate(uri, field)
    try:
        obstore.put(location.store, location.address.key, content)
    except FAILURES as error:
        raise failed(f"{field} {str(location)!r} cannot be written", error) from error


def put_file(source: Path, uri: str, field: str = "uri") -> None:
    """Create or overwrite the file at `uri` by one that lies here; large files go in parts, none held as a whole.

    Raises:
        InputError: the address is not allowed, or the store refuses.
        StoreUnavailable: the store does not answer.
    """
    location = locate(uri, field)
    try:
        obstore.put(location.store, location.address.key, source)
    except FAILURES as error:
        raise failed(f"{field} {uri!r} cannot be written", error) from error


async def fetch(uri: str, most: int, field: str = "uri") -> bytes | None:
    """The content of a small file; None when there is none.

    Raises:
        InputError: the address is not allowed, or there are more than `most` bytes.
        StoreUnavailable: the store cannot be configured, did not answer, or refused.
    """
    address = parse(uri, field)
    try:
        location = Location(address, open_store(address, field))
    except InputError as error:
        raise StoreUnavailable(str(error)) from error
    try:
        found = await obstore.get_async(location.store, location.address.key)
        if found.meta["size"] > most:
            raise InputError(f"{field} {uri!r}: {found.meta['size']} bytes are too many; {most} are allowed")
        return bytes(await found.bytes_async())
    except FileNotFoundError:
        return None
    except FAILURES as error:
        # Whoever mends a store's permissions need not do the same again for what was refused meanwhile.
        raise StoreUnavailable(f"{uri}: {store_failure(error)}") from error


def _chunks(location: Location, file: StoredFile) -> Iterator[bytes]:
    if location.address.scheme != "file":
        for chunk in obstore.get(location.store, file.key).stream(min_chunk_size=_CHUNK_BYTES):
            yield bytes(chunk)
        return
    path = Path("/", file.key)
    if not path.is_file():
        raise FileNotFoundError("it is no file")
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


def _listed(location: Location) -> Iterator[StoredFile]:
    address = location.address
    prefix = address.key + "/"
    try:
        head = obstore.head(location.store, address.key)
    except FileNotFoundError:
        for batch in obstore.list(location.store, prefix=prefix):
            for meta in batch:
                # Object stores show an empty folder as an object of no bytes whose name ends with a slash.
                if path := meta["path"].removeprefix(prefix):
                    yield StoredFile(meta["path"], path, meta["size"], meta["last_modified"].timestamp())
    except obstore.exceptions.BaseError as error:
        # An answer to HEAD has no body: what is asked again by GET fails with a reason.
        if not is_outage(error):
            next(iter(obstore.list(location.store, prefix=prefix, chunk_size=1)), None)
        raise
    else:
        yield StoredFile(address.key, address.name, head["size"], head["last_modified"].timestamp())
