"""Parquet files that strangers wrote: found, fetched and opened within bounds.

A file of some hundred bytes can say that it holds 2**40 rows, or hold a thousand times the same long string. What it
says is compared with the memory that there is; what it is, decoded, is limited by `limited_memory`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.parquet as pq
from mooring_artifacts.data_versions.references import FORM, is_reference, parse_reference
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.digests import ManifestEntry
from mooring_artifacts.errors import InputError, StoreUnavailable, first_line
from mooring_artifacts.local_files import StoredFile
from mooring_artifacts.storage import Location, list_files, locate, read_entry, stream

from mooring_components.formats import SUFFIXES, kind_of_file

MOST_COLUMNS = 10_000
LONGEST_NAME = 1000
# Parsed, a footer takes twenty times its size and more.
_LARGEST_FOOTER = 16 << 20
_TAIL_BYTES = 8


class TooLarge(InputError):
    """More than the memory that there is, or than anybody compares."""


@dataclass(frozen=True)
class FoundFiles:
    """The files of rows at an address; `source` is what messages call them.

    sha256: what each file must hold, by path, where that is known before it is read.
    """

    source: str
    location: Location
    files: Sequence[StoredFile]
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(file.size for file in self.files)

    def fetch(self, file: StoredFile) -> bytearray:
        """The content of one of them.

        Raises:
            InputError: it cannot be read.
        """
        content = bytearray()  # grows in place, where joined chunks would be there twice
        if not self.sha256:
            for chunk in stream(self.location, file):
                content += chunk
            return content
        self.copy(file, content.extend)
        return content

    def copy(self, file: StoredFile, take: Callable[[bytes], object]) -> ManifestEntry:
        """Give the content of one of them to `take`, chunk by chunk, and say what it was.

        Raises:
            InputError: it cannot be read, or holds something else than is known.
        """
        entry = read_entry(self.location, file, take)
        if self.sha256 and entry.sha256 != self.sha256[file.path]:
            raise InputError(f"{self.source}: the store is damaged: {file.path!r} holds something else")
        return entry


def find_files(uri: str, field: str, kinds: Collection[str] = ("parquet",)) -> FoundFiles:
    """The file at `uri`, or every file of that folder, or version of a dataset, whose name tells one of these kinds.

    Raises:
        InputError: there is none, or it cannot be read.
        StoreUnavailable: the store does not answer.
    """
    source = f"{field} {uri!r}"
    if is_reference(uri):
        return _chosen(_version(uri, field, source), kinds, "version")
    location = locate(uri, field)
    try:
        found = FoundFiles(source, location, list_files(location, field))
    except InputError as error:
        if "@" not in location.address.name:
            raise
        raise InputError(f"{error}; a version of a dataset is written {FORM}") from error
    if location.is_file(found.files):
        return found
    return _chosen(found, kinds, "folder")


def _version(uri: str, field: str, source: str) -> FoundFiles:
    reference = parse_reference(uri, field)
    try:
        store = DataStore(reference.dataset.store)
        manifest = store.manifest(store.find(reference, field).version)
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{source} cannot be read: {error}") from error
    location, files = store.files(manifest)
    return FoundFiles(source, location, files, {file.path: file.sha256 for file in manifest.files})


def _chosen(found: FoundFiles, kinds: Collection[str], place: str) -> FoundFiles:
    files = [file for file in found.files if kind_of_file(file.path) in kinds]
    if not files:
        named = ", ".join(suffix for suffix, kind in SUFFIXES.items() if kind in kinds)
        raise InputError(f"{found.source} is a {place} without files of rows: {named}")
    return replace(found, files=files)


def open_parquet(
    content: bytearray | bytes, source: str, dictionaries: Sequence[str] | None = None
) -> pq.ParquetFile:
    """The file in `content`; columns of `dictionaries` are read as its pages have them, each value once.

    Raises:
        InputError: it is no Parquet, or has names that no message could hold.
        TooLarge: it has more columns than anybody compares.
    """
    footer = int.from_bytes(content[-_TAIL_BYTES:-4], "little")
    if content[-4:] == b"PAR1" and footer > _LARGEST_FOOTER:
        raise TooLarge(
            f"{source} has a footer of {footer} bytes; {_LARGEST_FOOTER} are allowed: give it fewer columns and row "
            "groups"
        )
    try:
        # Not read_table: it imports pyarrow.dataset and with it pandas, which takes a second.
        file = pq.ParquetFile(
            pa.BufferReader(pa.py_buffer(content)),
            read_dictionary=dictionaries,
            # Damaged numbers are numbers: only a checksum, where the writer has made one, tells them from others.
            page_checksum_verification=True,
        )
        names = file.schema_arrow.names
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{source} is not Parquet: {first_line(error)}") from error
    if file.metadata.num_columns > MOST_COLUMNS:
        raise _too_many(file.metadata.num_columns, source)
    if file.metadata.num_rows < 0:
        raise InputError(f"{source} is not Parquet: it says that it has {file.metadata.num_rows} rows")
    check_names(names, source)
    return file


def check_names(names: Sequence[str], source: str) -> None:
    """Refuse columns that cannot be told apart, or that no message could name.

    Raises:
        InputError: two have one name, or one has a very long one.
        TooLarge: there are more than anybody compares.
    """
    if len(names) > MOST_COLUMNS:
        raise _too_many(len(names), source)
    if len(set(names)) < len(names):
        raise InputError(f"{source} has two columns of one name")
    if any(len(name) > LONGEST_NAME for name in names):
        raise InputError(f"{source} has a column whose name is longer than {LONGEST_NAME} characters")


def _too_many(columns: int, source: str) -> TooLarge:
    return TooLarge(f"{source} has {columns} columns; {MOST_COLUMNS} are allowed")


def exceeds(source: str, needed: str, memory: int) -> TooLarge:
    """The error for `source` taking `needed` bytes, as words, of `memory`."""
    return TooLarge(
        f"{source} takes {needed} of memory, and there are {max(memory, 0) >> 20} MiB: give it fewer rows or columns, "
        "or the run a higher memory limit"
    )
