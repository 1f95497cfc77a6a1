"""A store of datasets, in a folder or a bucket: read by anybody, written by several at once.

Files go to where their content says, manifests likewise, and a version counts from when its record is there. A record
is created under the next number, or not at all where another writer was faster; then the number behind that is tried.
A version that was pruned leaves a note in its record's place, so that its number is never given again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO

from mooring_artifacts.data_versions.documents import (
    LARGEST_MANIFEST,
    LARGEST_RECORD,
    DataFile,
    Manifest,
    PrunedRecord,
    Record,
    find_same,
    make_record,
    parse_manifest,
    parse_record,
    select,
)
from mooring_artifacts.data_versions.objects import Objects
from mooring_artifacts.data_versions.references import LATEST, Dataset, Reference
from mooring_artifacts.errors import InputError
from mooring_artifacts.local_files import StoredFile
from mooring_artifacts.storage import Location
from mooring_artifacts.uris import Address

MOST_RECORDS = 100_000
_AT_ONCE = 16
_CHUNK_BYTES = 1 << 20
_SMALL_BYTES = 5 << 20


@dataclass(frozen=True)
class Pushed:
    """A dataset's version with some content, and whether it is new there; else it was recorded before."""

    record: Record
    new: bool


@dataclass
class DataStore:
    """The store at an address."""

    address: Address
    objects: Objects = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.objects = Objects(self.address)

    def names(self) -> list[str]:
        """The names of its datasets, in order.

        Raises:
            StoreUnavailable: it does not answer.
        """
        return self.objects.folders("names")

    def records(self, name: str, known: Sequence[Record] = ()) -> list[Record]:
        """The versions of a dataset, by number; none where it has none. `known` are not read again.

        Raises:
            InputError: a record is damaged, or there are too many.
            StoreUnavailable: the store does not answer.
        """
        return self._read_records(name, self._numbers(name), {record.number: record for record in known})

    def find(self, reference: Reference, label: str = "uri") -> Record:
        """The version that a reference names; `label` is what an error calls it.

        Raises:
            InputError: there is none.
            StoreUnavailable: the store does not answer.
        """
        name, selector = reference.dataset.name, reference.selector
        before: list[int] = []
        while True:
            numbers = self._numbers(name)
            if selector == LATEST:
                wanted = numbers[-1:]
            else:
                # A digest may be any one's; a number tells which record to read.
                wanted = (
                    numbers if selector.startswith("sha256:") else [n for n in numbers if n == int(selector)]
                )
            found = select(selector, self._read_records(name, wanted))
            # The newest is never pruned: where it was, there is a newer one by now.
            if found is not None or selector != LATEST or numbers == before:
                break
            before = numbers
        if found is None:
            what = f"it has {len(numbers)}, the latest is {numbers[-1]}" if numbers else "it has none"
            if wanted and not selector.startswith("sha256:"):
                what = f"{wanted[0]} was pruned, the latest is {numbers[-1]}"
            raise InputError(f"{label} {str(reference)!r}: there is no such version of {name!r}: {what}")
        return found

    def manifest(self, version: str) -> Manifest:
        """The files of a version.

        Raises:
            InputError: there is no such version, or its manifest is damaged.
            StoreUnavailable: the store does not answer.
        """
        key = self._manifest_key(version)
        content = self.objects.read(key, LARGEST_MANIFEST)
        if content is None:
            raise InputError(f"{self.objects.named(key)} is missing: the store of {version} is damaged")
        return parse_manifest(content, version, self.objects.named(key))

    def files(self, manifest: Manifest) -> tuple[Location, list[StoredFile]]:
        """Where the files of a version lie, under the paths that they have in it."""
        place = Location(self.address, self.objects.store)
        return place, [
            StoredFile(self._blob_key(file.sha256), file.path, file.size) for file in manifest.files
        ]

    def has(self, manifest: Manifest) -> bool:
        """Whether the content of a version was pushed here before, under whatever name."""
        return self.objects.size(self._manifest_key(manifest.version)) is not None

    def put_file(self, file: DataFile, path: Path) -> bool:
        """Store the content of a file, unless it is there; whether it was not.

        Raises:
            InputError: the file cannot be read, or is not what it was when `file` was made.
            StoreUnavailable: the store does not answer.
        """
        key = self._blob_key(file.sha256)
        if self.objects.size(key) == file.size:
            return False
        try:
            with path.open("rb") as content:
                body = checked(content, file)
                # In one request where it is small, else in parts; a part that is refused ends all of them.
                whole = b"".join(body) if file.size <= _SMALL_BYTES else None
                self.objects.write(key, body if whole is None else whole)
        except OSError as error:
            raise InputError(f"{file.path!r:.200} cannot be read: {error.strerror}") from None
        return True

    def append(self, name: str, manifest: Manifest, now: datetime, description: str = "") -> Pushed:
        """Record a version, whose files are there, as the next of a dataset, or find that it has that content.

        Raises:
            InputError: the store cannot create what is not there, a record is damaged, or there are too many.
            StoreUnavailable: the store does not answer.
        """
        known: list[Record] = []
        while True:
            numbers = self._numbers(name)
            known = self._read_records(name, numbers, {record.number: record for record in known})
            if (same := find_same(manifest, known)) is not None:
                return Pushed(same, new=False)
            self.objects.create(self._manifest_key(manifest.version), manifest.to_json(), LARGEST_MANIFEST)
            record = make_record(manifest, numbers[-1] + 1 if numbers else 1, now, description)
            key = self._record_key(name, record.number)
            if self.objects.create(key, record.to_json(), LARGEST_MANIFEST):
                return Pushed(record, new=True)

    def forget(self, name: str, record: Record, now: datetime) -> None:
        """Note in the record's place that its version was pruned; nothing but that is written."""
        note = PrunedRecord(number=record.number, pruned_at=now)
        self.objects.write(self._record_key(name, record.number), note.to_json())

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
        numbers = []
        for found in self.objects.listed("names", name):
            stem, dot, suffix = found.name.partition(".")
            if dot and suffix == "json" and stem.isascii() and stem.isdigit() and int(stem):
                numbers.append(int(stem))
            if len(numbers) > MOST_RECORDS:
                raise InputError(f"{name!r} has more than {MOST_RECORDS} versions, which is the limit")
        return sorted(numbers)

    def _read_records(
        self, name: str, numbers: Sequence[int], known: Mapping[int, Record] = MappingProxyType({})
    ) -> list[Record]:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            read = threads.map(lambda number: known.get(number) or self._record(name, number), numbers)
            return [record for record in read if record is not None]

    def _record(self, name: str, number: int) -> Record | None:
        key = self._record_key(name, number)
        content = self.objects.read(key, LARGEST_RECORD)
        if content is None:
            raise InputError(f"{self.objects.named(key)} was deleted while it was read")
        return parse_record(content, number, self.objects.named(key))

    def _blob_key(self, sha256: str) -> str:
        return self.objects.key("blobs", "sha256", sha256)

    def _manifest_key(self, version: str) -> str:
        return self.objects.key("manifests", f"{version.removeprefix('sha256:')}.json")

    def _record_key(self, name: str, number: int) -> str:
        return self.objects.key("names", name, f"{number:06}.json")


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
