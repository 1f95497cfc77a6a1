"""Whole files of rows as one table: Parquet and Arrow as they are, CSV and JSON lines by what their values are.

A column of CSV is of integers, numbers or truth values where all its values are; else it is text, dates too, and so
are numbers with leading zeros, which are names. An empty cell is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.ipc as arrow_ipc
import pyarrow.json as arrow_json
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.text import in_a_line

from mooring_components.formats import kind_of_file, not_in_utf_8
from mooring_components.parquet import check_names, open_parquet

_BOM = b"\xef\xbb\xbf"
# The types that text is tried as, and what all values must look like.
_LOOKS = (
    (pa.int64(), r"^[+-]?(0|[1-9][0-9]{0,17})$"),
    (
        pa.float64(),
        r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(?i:nan|inf|infinity)$",
    ),
    (pa.bool_(), r"^(?i:true|false)$"),
)


def read_table(contents: Mapping[str, bytearray], source: str) -> pa.Table:
    """Decode files, by path, that have the same columns; a name that tells no format is that of Parquet.

    Raises:
        InputError: a file is of another format, or their columns differ.
    """
    typed, texts, lines = [], [], bytearray()
    for path, content in contents.items():
        kind, place = kind_of_file(path), f"{source}: {path!r}"
        with _told(place, kind or "parquet"):
            if kind == "csv":
                texts.append(_csv(content, place))
            elif kind == "jsonl":
                lines += content.removeprefix(_BOM) + b"\n"
            elif kind == "arrow":
                typed.append(_checked(arrow_ipc.open_file(pa.BufferReader(content)).read_all(), place))
            else:
                typed.append(open_parquet(content, place).read(use_threads=False))
    if lines:
        typed.append(_json_lines(lines, source))
    if texts:
        typed.append(_by_values(_together(texts, source)))
    return _together([table.replace_schema_metadata(None) for table in typed], source)


def _csv(content: bytearray, place: str) -> pa.Table:
    if not content.strip():
        raise InputError(f"{place} is empty: a CSV file begins with the names of its columns")
    text = content.removeprefix(_BOM)
    # One block: what begins in one and ends in another is not known before all is read.
    read = arrow_csv.ReadOptions(use_threads=False, block_size=len(text) + 1)
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    with arrow_csv.open_csv(pa.BufferReader(text), read_options=read, parse_options=parse) as header:
        names = header.schema.names
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return _checked(
        arrow_csv.read_csv(
            pa.BufferReader(text), read_options=read, parse_options=parse, convert_options=convert
        ),
        place,
    )


def _json_lines(content: bytearray, source: str) -> pa.Table:
    options = arrow_json.ReadOptions(use_threads=False, block_size=len(content) + 1)
    with _told(source, "jsonl"):
        return _checked(arrow_json.read_json(pa.BufferReader(content), read_options=options), source)


@contextmanager
def _told(place: str, kind: str) -> Iterator[None]:
    """Say of what cannot be decoded where it is, and what it was taken for."""
    try:
        yield
    except MemoryError:
        raise
    except UnicodeDecodeError as error:
        raise not_in_utf_8(place, error) from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{place} cannot be read as {kind}: {in_a_line(first_line(error), 500)}") from error


def _checked(table: pa.Table, place: str) -> pa.Table:
    check_names(table.column_names, place)
    return table


def _by_values(table: pa.Table) -> pa.Table:
    for index, name in enumerate(table.column_names):
        table = table.set_column(index, name, typed_by_values(table[name]))
    return table


def typed_by_values(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give a column of text as integers, numbers or truth values, where all its values are."""
    for kind, looks in _LOOKS:
        # All of nothing is nothing: a column without values stays text.
        if pc.all(pc.match_substring_regex(text, looks)).as_py():
            return text.cast(kind)
    return text


def _together(tables: list[pa.Table], source: str) -> pa.Table:
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException as error:
        raise InputError(f"{source}: its files have different columns: {first_line(error)}") from error
