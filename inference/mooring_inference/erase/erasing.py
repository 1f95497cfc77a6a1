"""Takes rows out of captured files: each file is replaced at once, and one that is left empty is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

import obstore
import obstore.exceptions
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mooring_artifacts.captured_files import mark_rewritten
from mooring_artifacts.storage import Location

from mooring_inference.capture.paths import SUFFIX, archive_of_labels, archive_of_requests
from mooring_inference.erase.matching import Row, Sought, find_labels, find_requests, rows_of


class EraseError(Exception):
    """It cannot go on; the message is one line that a person can act on."""


@dataclass
class Erased:
    """What was found, and erased.

    Attributes:
        files: that were looked at.
        changed: files that had such rows.
        rows: of requests.
        labels: of those rows.
        revisions: that had answered them.
        columns: names that the files have.
        damaged: files that cannot be read, and may hold such rows.
    """

    files: int = 0
    changed: int = 0
    rows: int = 0
    labels: int = 0
    revisions: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    damaged: list[str] = field(default_factory=list)


def erase(
    location: Location,
    deployment: str,
    sought: Sought,
    *,
    dry_run: bool,
    note: Callable[[Erased], object] = lambda _: None,
) -> Erased:
    """Erase rows of requests, and the labels of these rows.

    Running it again after it was interrupted goes on where it was; of rows whose requests are gone already, it finds
    the labels by `sought.ids` alone.

    Args:
        location: where requests were captured.
        deployment: whose.
        sought: which rows.
        dry_run: whether nothing is changed.
        note: is told after each file.

    Raises:
        EraseError: the store cannot be read or written.
    """
    erased, rows = Erased(), set[Row]()
    try:
        # Labels first: once the rows are gone, nobody knows any more whose labels they were.
        found = list(_requests_with(location, deployment, sought, erased, rows, note))
        for path, table in _tables(location, archive_of_labels(deployment), erased, note):
            mask = find_labels(table, sought.ids, rows)
            erased.labels += _take_out(location, path, table, mask, erased, dry_run=dry_run)
        for path, table in _read(location, found, erased):
            mask = find_requests(table, sought)
            erased.rows += _take_out(location, path, table, mask, erased, dry_run=dry_run)
    except (obstore.exceptions.BaseError, OSError) as error:
        raise EraseError(f"{location}: {' '.join(str(error).split())[:300]}") from error
    return erased


def _requests_with(
    location: Location,
    deployment: str,
    sought: Sought,
    erased: Erased,
    rows: set[Row],
    note: Callable[[Erased], object],
) -> Iterator[str]:
    """Give the paths of files with such rows; name their rows and revisions."""
    for path, table in _tables(location, archive_of_requests(deployment), erased, note):
        erased.columns |= set(table.column_names)
        kept = table.filter(find_requests(table, sought))
        if kept.num_rows:
            rows.update(rows_of(kept))
            erased.revisions |= {part[9:] for part in PurePath(path).parts if part.startswith("revision=")}
            yield path


def _tables(
    location: Location, folder: str, erased: Erased, note: Callable[[Erased], object]
) -> Iterator[tuple[str, pa.Table]]:
    prefix = f"{location.address.key.rstrip('/')}/{folder}/".lstrip("/")
    paths = [
        meta["path"]
        for batch in obstore.list(location.store, prefix=prefix)
        for meta in batch
        if meta["path"].endswith(SUFFIX)
    ]
    for path in sorted(paths):
        yield from _read(location, [path], erased)
        erased.files += 1
        note(erased)


def _read(location: Location, paths: Iterable[str], erased: Erased) -> Iterator[tuple[str, pa.Table]]:
    for path in paths:
        try:
            content = obstore.get(location.store, path).bytes()
        except FileNotFoundError:
            # Retention was here first.
            continue
        try:
            rows = pa.BufferReader(content.to_bytes())
            table = pq.ParquetFile(rows, page_checksum_verification=True).read()
        except (pa.ArrowException, OSError):
            erased.damaged.append(path)
            continue
        yield path, table


def _take_out(
    location: Location, path: str, table: pa.Table, mask: pa.Array, erased: Erased, *, dry_run: bool
) -> int:
    """Replace a file by one without these rows; gives how many they are."""
    count = int(pc.sum(mask).as_py() or 0)
    if not count:
        return 0
    erased.changed += 1
    if dry_run:
        return count
    kept = table.filter(pc.invert(mask))
    if not kept.num_rows:
        obstore.delete(location.store, path)
        return count
    kept = kept.replace_schema_metadata(mark_rewritten(kept.schema.metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(kept, sink, compression="zstd", write_page_checksum=True)
    obstore.put(location.store, path, sink.getvalue().to_pybytes())
    return count
