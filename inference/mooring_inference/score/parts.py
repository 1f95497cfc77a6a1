"""Parts of the output: finished at once, and recognised when they are there already.

A part is a Parquet file that says in its own footer what it was made from, so that there is no moment at
which one of the two is there without the other.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mooring_inference.score.blocks import BadRow
from mooring_inference.score.folders import Folder

ROW_COLUMN = "row_number"
BAD_FOLDER = "_bad"
_FOOTER_KEY = b"mooring.score"
_SUFFIX = ".parquet"
# A row group is written at whichever comes first.
_GROUP_ROWS = 1 << 16
_GROUP_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a part was made from, and what is in it.

    Attributes:
        fingerprint: of the input file, the model and the settings; a part of another one is done anew.
        source: the input file.
        first_row: number of its first row there.
        input_rows: rows that were read.
        good_rows: rows of output.
        bad_rows: rows in the side file.
    """

    fingerprint: str
    source: str
    first_row: int
    input_rows: int
    good_rows: int
    bad_rows: int


def fingerprint(*parts: object) -> str:
    """Return a digest of values that JSON has."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def part_path(source: str, number: int) -> str:
    """Return where part ``number`` of an input file goes: beside its namesake, so that partition folders stay."""
    return f"{source}-part-{number:05d}{_SUFFIX}"


def bad_path(part: str) -> str:
    """Return where the bad rows of a part go."""
    return f"{BAD_FOLDER}/{part.removesuffix(_SUFFIX)}.jsonl"


def read_manifest(folder: Folder, part: str) -> Manifest | None:
    """Return the manifest in a part's footer; None where there is no such part, or it is not one of ours."""
    try:
        with folder.open(part) as source:
            metadata = pq.read_metadata(source).metadata or {}
        return Manifest(**json.loads(metadata[_FOOTER_KEY]))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


class PartWriter:
    """Writes one part and its bad rows to unfinished files, and publishes both."""

    def __init__(self, folder: Folder, workspace: Path, part: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._part = part
        self._schema = schema
        name = uuid.uuid4().hex
        self._rows_file = workspace / f"{name}.parquet"
        self._bad_file = workspace / f"{name}.jsonl"
        self._writer = pq.ParquetWriter(
            self._rows_file, schema, compression="zstd", use_dictionary=_repeating(schema)
        )
        self._bad = self._bad_file.open("wb")
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._good_rows = self._bad_rows = 0

    def add(self, columns: list[pa.Array]) -> None:
        """Add rows, in order."""
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._good_rows += batch.num_rows
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= _GROUP_ROWS or self._waiting_bytes >= _GROUP_BYTES:
            self._write_group()

    def add_bad(self, source: str, bad: BadRow) -> None:
        """Add a bad row to the side file."""
        self._bad_rows += 1
        line = {"source": source, "row": bad.row, "reason": bad.reason, "data": bad.data}
        self._bad.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))

    def count(self) -> int:
        """Return the rows so far, good and bad."""
        return self._good_rows + self._bad_rows

    def publish(self, mark: str, source: str, first_row: int) -> Manifest:
        """Make the part visible; the bad rows first, since the part says that both are done."""
        manifest = Manifest(mark, source, first_row, self.count(), self._good_rows, self._bad_rows)
        self._write_group()
        self._writer.add_key_value_metadata({_FOOTER_KEY: json.dumps(asdict(manifest)).encode()})
        self.close()
        if self._bad_rows:
            self._folder.publish(self._bad_file, bad_path(self._part))
        else:
            self._folder.delete(bad_path(self._part))
        self._folder.publish(self._rows_file, self._part)
        return manifest

    def close(self) -> None:
        """Close the files; what was not published stays unfinished."""
        self._writer.close()
        self._bad.close()

    def _write_group(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            self._waiting = []
            self._waiting_rows = self._waiting_bytes = 0


def _repeating(schema: pa.Schema) -> list[str]:
    """Return the paths of columns that a dictionary makes smaller.

    Floats and row numbers are all different: without one, writing them takes a third of the time, and less room.
    """
    leaves = (_leaf(field) for field in schema if field.name != ROW_COLUMN)
    return [path for path, kind in leaves if not pa.types.is_floating(kind)]


def _leaf(field: pa.Field) -> tuple[str, pa.DataType]:
    """Return the path of a column's values in Parquet, and their type."""
    path, kind = field.name, field.type
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        path, kind = f"{path}.list.element", kind.value_type
    return path, kind
