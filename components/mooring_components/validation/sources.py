"""Files of rows as batches of columns: Parquet, Arrow, CSV and JSON lines, a few MB at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.ipc as arrow_ipc
import pyarrow.parquet as arrow_parquet
from mooring_artifacts.errors import InputError, first_line

from mooring_components.formats import SUFFIXES, kind_of_file, not_in_utf_8

_BLOCK_BYTES = 8 << 20
_LINES = 20_000
_ROWS = 65_536
_LONGEST = 100
_EXAMPLES = 5
# Of rows beyond these, the numbers are those among the readable ones.
_REMEMBERED = 10_000


@dataclass
class Broken:
    """Rows that could not be read: how many, and where the first are, with the reason."""

    count: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def add(self, row: int, why: str) -> None:
        """Count one."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append((row, why))
        if len(self.rows) < _REMEMBERED:
            self.rows.append(row)

    def number(self, place: int) -> int:
        """The number in the file of the row that is the `place`-th that could be read, both from 0."""
        for row in self.rows:
            if row > place:
                break
            place += 1
        return place


@dataclass
class Source:
    """One file; its rows count from 0, those that cannot be read too.

    text: every value is text that is yet to be read as its type.
    broken: rows that could not be read, so far. encoding: values that were not UTF-8, by column.
    """

    path: Path
    kind: str
    names: Sequence[str]
    types: dict[str, pl.DataType]
    text: bool
    broken: Broken = field(default_factory=Broken)
    encoding: dict[str, Broken] = field(default_factory=dict)

    def batches(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the columns of these names, in the order of the rows.

        Raises:
            InputError: the file is damaged.
        """
        reader = {"parquet": _parquet, "arrow": _arrow, "csv": _csv, "jsonl": _jsonl}[self.kind]
        try:
            yield from reader(self, names)
        except (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.path.name} cannot be read as {self.kind}: {first_line(error)}"
            ) from error


def open_source(path: Path) -> Source:
    """Look at a file's columns.

    Raises:
        InputError: its name tells no format, or it has another one.
    """
    kind = kind_of_file(path.name)
    if kind is None:
        raise InputError(f"{path.name!r:.200} is none of {', '.join(sorted(SUFFIXES))}")
    try:
        types = _types(path, kind)
    except UnicodeDecodeError as error:
        raise not_in_utf_8(path.name, error) from error
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path.name} cannot be read as {kind}: {first_line(error)}") from error
    if len(set(types)) < len(types):
        twice = next(name for i, (name, _) in enumerate(types) if name in [n for n, _ in types[:i]])
        raise InputError(f"{path.name} has two columns of the name {twice!r:.200}")
    return Source(path, kind, [name for name, _ in types], dict(types), kind in ("csv", "jsonl"))


def _types(path: Path, kind: str) -> list[tuple[str, pl.DataType]]:
    if kind == "parquet":
        return list(pl.read_parquet_schema(path).items())
    if kind == "arrow":
        with pa.memory_map(str(path)) as file:
            schema = arrow_ipc.open_file(file).schema
        empty = pl.from_arrow(schema.empty_table())
        assert isinstance(empty, pl.DataFrame)
        return list(empty.schema.items())
    if kind == "csv":
        if not path.stat().st_size:
            raise InputError(f"{path.name} is empty: a CSV file begins with the names of its columns")
        with _open_csv(path, [], lambda _: "skip") as reader:
            names = reader.schema.names
        return [(name.removeprefix("\ufeff"), pl.String()) for name in names]
    names = dict[str, None]()
    with path.open("rb") as file:
        for line in islice(file, 100):
            row = _object(line)
            names.update(dict.fromkeys(row or ()))
    return [(name, pl.String()) for name in names]


def _parquet(source: Source, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    # By Arrow, for polars reads ahead: 2 GB of a file of 4 million rows of 50 columns, where this takes 0.4.
    with arrow_parquet.ParquetFile(source.path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(names)):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame


def _arrow(source: Source, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    with pa.memory_map(str(source.path)) as file:
        reader = arrow_ipc.open_file(file)
        for i in range(reader.num_record_batches):
            batch = pl.from_arrow(reader.get_batch(i).select(names))
            assert isinstance(batch, pl.DataFrame)
            yield batch


def _csv(source: Source, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    def note(row: Any) -> str:
        # The header is row 1 to Arrow.
        source.broken.add(row.number - 2, f"{row.actual_columns} cells, expected {row.expected_columns}")
        return "skip"

    first = 0
    with _open_csv(source.path, source.names, note) as reader:
        for batch in reader:
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            frame.columns = list(source.names)
            yield pl.DataFrame([_decoded(source, frame[name], first) for name in names])
            first += frame.height


def _decoded(source: Source, column: pl.Series, first: int) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts: list[str | None] = []
        for place, value in enumerate(column.to_list()):
            text = None if value is None else value.decode("utf-8", "replace")
            if text is not None and text.encode() != value:
                number = source.broken.number(first + place)
                source.encoding.setdefault(column.name, Broken()).add(number, text[:_LONGEST])
            texts.append(text)
        return pl.Series(column.name, texts, dtype=pl.String)


def _open_csv(path: Path, names: Sequence[str], note: Any) -> Any:
    return arrow_csv.open_csv(
        path,
        # Without threads Arrow knows the numbers of the rows that it cannot read.
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=arrow_csv.ParseOptions(
            newlines_in_values=True,
            invalid_row_handler=note,
            # In a file of one column a blank line is a value that is missing.
            ignore_empty_lines=len(names) != 1,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys([*names, *(f"\ufeff{name}" for name in names[:1])], pa.binary()),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _jsonl(source: Source, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    row = 0
    with source.path.open("rb") as file:
        while lines := list(islice(file, _LINES)):
            columns: dict[str, list[str | None]] = {name: [] for name in names}
            for line in lines:
                found = _object(line)
                if found is None:
                    source.broken.add(row, "no JSON object")
                else:
                    for name, values in columns.items():
                        values.append(_text(found.get(name)))
                row += 1
            yield pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
