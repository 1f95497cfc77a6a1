"""Files of rows as versions of a dataset: looked at, and pushed to a store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.ipc as arrow_ipc
import pyarrow.parquet as arrow_parquet
from mooring_artifacts.data_versions.documents import (
    LONGEST_DESCRIPTION,
    LONGEST_TYPE,
    Column,
    DataFile,
    Manifest,
)
from mooring_artifacts.data_versions.references import Dataset, Reference, is_reference
from mooring_artifacts.data_versions.store import DataStore, Pushed
from mooring_artifacts.data_versions.under_way import pushing
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.storage import list_files, locate

from mooring_components.formats import SUFFIXES, kind_of_file
from mooring_components.parquet import FoundFiles, check_names, find_files
from mooring_components.validation.sources import Source, open_source

_TEXT = "text"
Told = Callable[[str], object]


@dataclass(frozen=True)
class Push:
    """What came of a push.

    left_out: files of the folder that are no rows. uploaded: bytes that the store did not have.
    elsewhere: other datasets that have this very version.
    """

    dataset: Dataset
    pushed: Pushed
    manifest: Manifest
    left_out: Sequence[str]
    uploaded: int
    elsewhere: Sequence[Reference]


def push(
    uri: str, dataset: Dataset, now: datetime, description: str = "", tell: Told = lambda _: None
) -> Push:
    """Make the file at `uri`, or all files of rows in that folder, a version of `dataset`; `tell` hears of each file.

    Raises:
        InputError: there are no rows, a file is no table or has other columns, or changes meanwhile.
        StoreUnavailable: the store does not answer.
    """
    if len(description) > LONGEST_DESCRIPTION or not description.isprintable():
        raise InputError(f"the description is not one line of at most {LONGEST_DESCRIPTION} characters")
    store = DataStore(dataset.store)
    with TemporaryDirectory() as place:
        files, left_out = _plain_files(uri, Path(place))
        manifest = describe(files, tell)
        with pushing(store.objects, manifest, tell) as note:
            known, uploaded = store.has(manifest), 0
            for file in manifest.files:
                tell(f"storing {file.path}")
                uploaded += file.size if store.put_file(file, files[file.path]) else 0
                note.renew()
            pushed = store.append(dataset.name, manifest, now, description)
    elsewhere = store.same_elsewhere(manifest, dataset.name) if known else []
    return Push(dataset, pushed, manifest, left_out, uploaded, elsewhere)


def describe(files: dict[str, Path], tell: Told = lambda _: None) -> Manifest:
    """The manifest of files by their path in the dataset.

    Raises:
        InputError: one is no table, their columns differ, or there are no rows.
    """
    described: list[DataFile] = []
    columns: dict[str, str] = {}
    for path in sorted(files):
        tell(f"reading {path}")
        found = open_source(files[path])
        check_names(found.names, path)
        types = {name: _TEXT if found.text else _named(found.types[name]) for name in found.names}
        if described:
            _check_same(columns, types, found.kind, f"{path!r} and {described[0].path!r}")
        columns = {
            **columns,
            **{name: kind for name, kind in types.items() if columns.get(name, _TEXT) == _TEXT},
        }
        described.append(
            DataFile(
                path=path, sha256=_sha256(files[path]), size=files[path].stat().st_size, rows=_rows(found)
            )
        )
    manifest = Manifest(
        files=tuple(described), columns=tuple(Column(name=name, type=kind) for name, kind in columns.items())
    )
    if not manifest.rows:
        raise InputError(f"{', '.join(map(repr, sorted(files)[:4]))}: there are no rows")
    return manifest


def _plain_files(uri: str, place: Path) -> tuple[dict[str, Path], list[str]]:
    """Files of rows by path, copied to `place` where they are in a store, and the paths of the other files."""
    if is_reference(uri):
        found, left_out = find_files(uri, "ROWS", set(SUFFIXES.values())), list[str]()
    else:
        location = locate(uri, "ROWS")
        listed = list_files(location, "ROWS")
        single = location.is_file(listed)
        left_out = [] if single else [file.path for file in listed if kind_of_file(file.path) is None]
        found = FoundFiles(
            f"ROWS {uri!r}", location, [file for file in listed if file.path not in set(left_out)]
        )
    files = {}
    for file in found.files:
        if found.location.address.scheme == "file" and not found.sha256:
            files[file.path] = Path("/", file.key)
            continue
        files[file.path] = target = place / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            found.copy(file, out.write)
    if not files:
        raise InputError(f"ROWS {uri!r:.200} is a folder without files of rows: {', '.join(SUFFIXES)}")
    return files, left_out


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _rows(source: Source) -> int:
    try:
        if source.kind == "parquet":
            with arrow_parquet.ParquetFile(source.path, pre_buffer=False) as file:
                return int(file.metadata.num_rows)
        if source.kind == "arrow":
            with pa.memory_map(str(source.path)) as mapped:
                reader = arrow_ipc.open_file(mapped)
                return sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{source.path.name} cannot be read as {source.kind}: {first_line(error)}"
        ) from error
    rows = sum(batch.height for batch in source.batches(source.names[:1]))
    if source.broken.count:
        row, why = source.broken.examples[0]
        raise InputError(f"{source.path.name}: row {row} cannot be read: {why}")
    return rows


def _named(kind: object) -> str:
    """What a type is called; one that is too long ends with what tells it from others."""
    name = str(kind)
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return name if len(name) <= LONGEST_TYPE else f"{name[: LONGEST_TYPE - 16]}... {digest}"


def _check_same(before: dict[str, str], after: dict[str, str], kind: str, places: str) -> None:
    for name in [*before, *after]:
        old, new = before.get(name), after.get(name)
        # An object of JSON names the columns that it has; and text is yet to be read as a type.
        missing = kind != "jsonl" and (old is None or new is None)
        if missing or (old != new and not {old, new} & {_TEXT, None}):
            raise InputError(
                f"{places} have different columns: {name!r:.200} is {new or 'missing'} and {old or 'missing'}"
            )
