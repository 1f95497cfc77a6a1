"""A store of datasets, in a folder or a bucket: read by anybody, written by several at once.

Files go to where their content says, manifests likewise, and a version counts from when its record is there. A record
is created under the next number, or not at all where another writer was faster; then the number behind that is tried.
Conditional writes are S3's `If-None-Match`, Google's and Azure's likes of it, and a hard link in a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, TypeVar

import obstore
import obstore.exceptions

from mooring_artifacts.data_versions.documents import (
    LARGEST_MANIFEST,
    LARGEST_RECORD,
    DataFile,
    Manifest,
    Record,
    find_same,
    make_record,
    parse_manifest,
    parse_record,
    select,
)
from mooring_artifacts.data_versions.references import LATEST, Dataset, Reference
from mooring_artifacts.errors import InputError, StoreUnavailable, store_failure
from mooring_artifacts.storage import Location, StoredFile, open_store
from mooring_artifacts.uris import Address

MOST_RECORDS = 100_000
_AT_ONCE = 16
_CHUNK_BYTES = 1 << 20
_SMALL_BYTES = 5 << 20
# A store that is not there is said within seconds, not minutes.
_RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}
_Answer = TypeVar("_Answer")
_FAILURES = (obstore.exceptions.BaseError, OSError)


@dataclass(frozen=True)
class Pushed:
    """A dataset's version with some content, and whether it is new there; else it was recorded before."""

    record: Record
    new: bool


@dataclass
class DataStore:
    """The store at an address."""

    address: Address
    _store: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._store = open_store(self.address, "STORE", _RETRIES)

    def names(self) -> list[str]:
        """The names of its datasets, in order.

        Raises:
            StoreUnavailable: it does not answer, or refuses.
        """
        prefix = self._key("names")
        found = self._ask(lambda: obstore.list_with_delimiter(self._store, prefix=prefix))
        return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

    def records(self, name: str, known: Sequence[Record] = ()) -> list[Record]:
        """The versions of a dataset, by number; none where it has none. `known` are not read again.

        Raises:
            InputError: a record is damaged, or there are too many.
            StoreUnavailable: the store does not answer, or refuses.
        """
        numbers = self._ask(lambda: self._numbers(name))
        return self._read_records(name, numbers, {record.number: record for record in known})

    def find(self, reference: Reference, label: str = "uri") -> Record:
        """The version that a reference names; `label` is what an error calls it.

        Raises:
            InputError: there is none.
            StoreUnavailable: the store does not answer, or refuses.
        """
        name, selector = reference.dataset.name, reference.selector
        numbers = self._ask(lambda: self._numbers(name))
        if selector == LATEST:
            wanted = numbers[-1:]
        else:
            # A digest may be any one's; a number tells which record to read.
            wanted = numbers if selector.startswith("sha256:") else [n for n in numbers if n == int(selector)]
        found = select(selector, self._read_records(name, wanted))
        if found is None:
            what = f"it has {len(numbers)}, the latest is {numbers[-1]}" if numbers else "it has none"
            raise InputError(f"{label} {str(reference)!r}: there is no such version of {name!r}: {what}")
        return found

    def manifest(self, version: str) -> Manifest:
        """The files of a version.

        Raises:
            InputError: there is no such version, or its manifest is damaged.
            StoreUnavailable: the store does not answer, or refuses.
        """
        key = self._manifest_key(version)
        content = self._read(key, LARGEST_MANIFEST)
        if content is None:
            raise InputError(f"{self._named(key)} is missing: the store of {version} is damaged")
        return parse_manifest(content, version, self._named(key))

    def files(self, manifest: Manifest) -> tuple[Location, list[StoredFile]]:
        """Where the files of a version lie, under the paths that they have in it."""
        place = Location(self.address, self._store)
        return place, [
            StoredFile(self._blob_key(file.sha256), file.path, file.size) for file in manifest.files
        ]

    def has(self, manifest: Manifest) -> bool:
        """Whether the content of a version was pushed here before, under whatever name."""
        return self._size(self._manifest_key(manifest.version)) is not None

    def put_file(self, file: DataFile, path: Path) -> bool:
        """Store the content of a file, unless it is there; whether it was not.

        Raises:
            InputError: the file cannot be read, or is not what it was when `file` was made.
            StoreUnavailable: the store does not answer, or refuses.
        """
        key = self._blob_key(file.sha256)
        if self._size(key) == file.size:
            return False
        try:
            with path.open("rb") as content:
                body = checked(content, file)
                # In one request where it is small, else in parts; a part that is refused ends all of them.
                whole = b"".join(body) if file.size <= _SMALL_BYTES else None
                self._ask(lambda: obstore.put(self._store, key, body if whole is None else whole))
        except OSError as error:
            raise InputError(f"{file.path!r:.200} cannot be read: {error.strerror}") from None
        return True

    def append(self, name: str, manifest: Manifest, now: datetime, description: str = "") -> Pushed:
        """Record a version, whose files are there, as the next of a dataset, or find that it has that content.

        Raises:
            InputError: the store cannot create what is not there, a record is damaged, or there are too many.
            StoreUnavailable: the store does not answer, or refuses.
        """
        records = self.records(name)
        while True:
            if (same := find_same(manifest, records)) is not None:
                return Pushed(same, new=False)
            self._create(self._manifest_key(manifest.version), manifest.to_json())
            number = records[-1].number + 1 if records else 1
            record = make_record(manifest, number, now, description)
            if self._create(self._record_key(name, number), record.to_json()):
                return Pushed(record, new=True)
            records = self.records(name, records)

    def same_elsewhere(self, manifest: Manifest, name: str) -> list[Reference]:
        """Other datasets that have this very version, each by its number there."""
        found = []
        for other in self.names():
            if other != name:
                found += [
                    Reference(Dataset(self.address, other), str(record.number))
                    for record in self.records(other)
                    if record.version == manifest.version
                ]
        return found

    def _numbers(self, name: str) -> list[int]:
        prefix, numbers = self._key("names", name), []
        for batch in obstore.list(self._store, prefix=prefix):
            for meta in batch:
                stem, dot, suffix = meta["path"].removeprefix(f"{prefix}/").partition(".")
                if dot and suffix == "json" and stem.isascii() and stem.isdigit() and int(stem):
                    numbers.append(int(stem))
            if len(numbers) > MOST_RECORDS:
                raise InputError(f"{name!r} has more than {MOST_RECORDS} versions, which is the limit")
        return sorted(numbers)

    def _read_records(
        self, name: str, numbers: Sequence[int], known: Mapping[int, Record] = MappingProxyType({})
    ) -> list[Record]:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda number: known.get(number) or self._record(name, number), numbers))

    def _record(self, name: str, number: int) -> Record:
        key = self._record_key(name, number)
        content = self._read(key, LARGEST_RECORD)
        if content is None:
            raise InputError(f"{self._named(key)} was deleted while it was read")
        return parse_record(content, number, self._named(key))

    def _create(self, key: str, content: bytes) -> bool:
        """Write what is not there yet; whether it is ours that is there now."""
        try:
            obstore.put(self._store, key, content, mode="create")
        except NotImplementedError as error:
            raise InputError(
                f"{self.address} cannot create a file only where there is none, which keeps two writers apart: "
                f"{store_failure(error)}"
            ) from error
        except _FAILURES as error:
            # The loser of a race may see its connection closed, and the winner its answer lost.
            found = self._read(key, LARGEST_MANIFEST)
            if found is None:
                raise StoreUnavailable(f"{self._named(key)}: {store_failure(error)}") from error
            return found == content
        return True

    def _read(self, key: str, most: int) -> bytes | None:
        def read() -> bytes:
            found = obstore.get(self._store, key)
            if (size := found.meta["size"]) > most:
                raise InputError(f"{self._named(key)} has {size} bytes; {most} are allowed")
            return bytes(found.bytes())

        try:
            return self._ask(read)
        except FileNotFoundError:
            return None

    def _size(self, key: str) -> int | None:
        try:
            size: int = self._ask(lambda: obstore.head(self._store, key))["size"]
        except FileNotFoundError:
            return None
        return size

    def _ask(self, request: Callable[[], _Answer]) -> _Answer:
        try:
            return request()
        except FileNotFoundError:
            raise
        except _FAILURES as error:
            raise StoreUnavailable(f"{self.address}: {store_failure(error)}") from error

    def _key(self, *segments: str) -> str:
        return "/".join([*([self.address.key] if self.address.key else []), *segments])

    def _blob_key(self, sha256: str) -> str:
        return self._key("blobs", "sha256", sha256)

    def _manifest_key(self, version: str) -> str:
        return self._key("manifests", f"{version.removeprefix('sha256:')}.json")

    def _record_key(self, name: str, number: int) -> str:
        return self._key("names", name, f"{number:06}.json")

    def _named(self, key: str) -> str:
        return repr(str(Address(self.address.scheme, self.address.bucket, key)))


def checked(content: IO[bytes], file: DataFile) -> Iterator[bytes]:
    """The content of a file in chunks, but for the last where it is not what `file` says.

    Raises:
        InputError: it is not; nothing is stored of what was only partly given.
    """
    sha256, size, held = hashlib.sha256(), 0, b""
    while chunk := content.read(_CHUNK_BYTES):
        sha256.update(chunk)
        size += len(chunk)
        if held:
            yield held
        held = chunk
    if (sha256.hexdigest(), size) != (file.sha256, file.size):
        raise InputError(f"{file.path!r:.200} was changed while it was read: push again")
    if held:
        yield held
