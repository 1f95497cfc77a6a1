"""What a store of datasets holds beside the files: manifests and records, as JSON. Schema version 1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from mooring_artifacts.digests import DIGEST_PATTERN, ManifestEntry, manifest_digest
from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import LONGEST, find_fault

LARGEST_RECORD = 16 << 10
LARGEST_MANIFEST = 16 << 20
LONGEST_DESCRIPTION = 1000
LONGEST_TYPE = 200
MOST_FILES = 10_000
MOST_COLUMNS = 10_000

_Count = Annotated[int, Field(ge=0)]
_Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )


class Column(_Part):
    """A column, and its type as the files tell it; that of CSV and JSON lines is `text`."""

    name: Annotated[str, Field(max_length=1000)]
    type: Annotated[str, Field(max_length=LONGEST_TYPE)]


class DataFile(_Part):
    """One file: its path in the dataset, its sha256 as 64 hex digits, its size in bytes, and how many rows it has."""

    path: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: _Count
    rows: _Count


class _Document(_Part):
    schema_version: Literal[1] = 1

    def to_json(self) -> bytes:
        """The document as it is stored."""
        return self.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


class Manifest(_Document):
    """The files of a version, by path, and the columns that all of them have."""

    files: Annotated[tuple[DataFile, ...], Field(min_length=1, max_length=MOST_FILES)]
    columns: Annotated[tuple[Column, ...], Field(max_length=MOST_COLUMNS)]

    @property
    def version(self) -> str:
        """The digest of the files: their paths, sizes and contents."""
        return manifest_digest(ManifestEntry(file.path, file.size, file.sha256) for file in self.files)

    @property
    def content(self) -> str:
        """The digest of what is in the files, whatever they are called."""
        listed = "\n".join(sorted(file.sha256 for file in self.files))
        return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()

    @property
    def rows(self) -> int:
        """How many rows all files have."""
        return sum(file.rows for file in self.files)

    @property
    def size(self) -> int:
        """How many bytes all files have."""
        return sum(file.size for file in self.files)


class Record(_Document):
    """One version of a dataset by its number there; `content` is its manifest's."""

    number: Annotated[int, Field(ge=1)]
    version: _Digest
    content: _Digest
    pushed_at: datetime
    description: Annotated[str, Field(max_length=LONGEST_DESCRIPTION)] = ""
    files: _Count
    rows: _Count
    columns: _Count
    size: _Count


class PrunedRecord(_Document):
    """What is left in a record's place: its number, which is never given again, and when it was pruned."""

    number: Annotated[int, Field(ge=1)]
    pruned_at: datetime


def make_record(manifest: Manifest, number: int, now: datetime, description: str = "") -> Record:
    """The record of `manifest` as a dataset's version `number`."""
    return Record(
        number=number,
        version=manifest.version,
        content=manifest.content,
        pushed_at=now,
        description=description,
        files=len(manifest.files),
        rows=manifest.rows,
        columns=len(manifest.columns),
        size=manifest.size,
    )


def find_same(manifest: Manifest, records: Iterable[Record]) -> Record | None:
    """The first version that has this content, be its files called as they may."""
    return next((record for record in records if record.content == manifest.content), None)


def select(selector: str, records: Sequence[Record]) -> Record | None:
    """The version that a reference's selector means among those of its dataset, by number; None where it is none.

    Raises:
        InputError: it is the start of several digests.
    """
    if selector == "latest":
        return records[-1] if records else None
    if not selector.startswith("sha256:"):
        return next((record for record in records if record.number == int(selector)), None)
    found = [record for record in records if record.version.startswith(selector)]
    if len(found) > 1:
        numbers = ", ".join(str(record.number) for record in found[:8])
        raise InputError(f"{selector} is the start of several versions: {numbers}")
    return found[0] if found else None


_Found = TypeVar("_Found", bound=_Document)


def parse_manifest(content: bytes, version: str, source: str) -> Manifest:
    """The manifest of `version`; `source` is what an error calls it.

    Raises:
        InputError: it is none, or that of another version, or a file's path leads elsewhere.
    """
    manifest = _parse(content, Manifest, source)
    for file in manifest.files:
        if fault := find_fault(file.path):
            raise InputError(f"{source} is damaged: {file.path!r:.200} is no path of a file: {fault}")
    if len({file.path for file in manifest.files}) < len(manifest.files):
        raise InputError(f"{source} is damaged: a file is listed twice")
    if manifest.version != version:
        raise InputError(f"{source} is damaged: its files make up {manifest.version}")
    return manifest


def parse_record(content: bytes, number: int, source: str) -> Record | None:
    """The record of a dataset's version `number`; None where that was pruned.

    Raises:
        InputError: it is none, or that of another number.
    """
    kind: type[Record | PrunedRecord] = PrunedRecord if _is_pruned(content) else Record
    record = _parse(content, kind, source)
    if record.number != number:
        raise InputError(f"{source} is damaged: it is the record of number {record.number}")
    return record if isinstance(record, Record) else None


def _is_pruned(content: bytes) -> bool:
    try:
        document = from_json(content)
    except ValueError:
        return False
    return isinstance(document, dict) and "prunedAt" in document


def _parse(content: bytes, kind: type[_Found], source: str) -> _Found:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        raise InputError(f"{source} is damaged: {field:.200}: {first['msg']:.200}") from None
