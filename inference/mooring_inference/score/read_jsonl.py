"""JSON lines as blocks of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import numpy as np
import orjson
import pyarrow as pa

from mooring_inference.protocols.json_body import load_json
from mooring_inference.score.blocks import MISSING, BadRow, Block

_CHUNK_BYTES = 1 << 20
# One line without an end must not take all memory.
_LONGEST_LINE = 64 << 20
# Rows that are looked at to learn which columns there are.
_SAMPLE_ROWS = 100


class JsonLinesReader:
    """Reads from the start; lines that are not JSON objects are unreadable, the others go on.

    Rows are counted without blank lines.
    """

    typed = False
    total: int | None = None

    def __init__(self, open_again: Callable[[], pa.NativeFile], batch_size: int) -> None:
        self._open_again = open_again
        self._batch_size = batch_size
        self._source = open_again()
        self.kinds: Mapping[str, str] = _kinds(islice(_lines(self._source), _SAMPLE_ROWS))

    def read(self, first: int, columns: list[str]) -> Iterator[Block]:
        """Yield blocks from row 0: lines have no index to seek by."""
        self.close()
        self._source = self._open_again()
        lines = enumerate(_lines(self._source))
        while batch := list(islice(lines, self._batch_size)):
            yield _block(batch, columns)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _block(batch: list[tuple[int, bytes]], columns: list[str]) -> Block:
    rows: list[int] = []
    texts: list[bytes] = []
    documents: list[dict[str, object]] = []
    unreadable: list[BadRow] = []
    for row, line in batch:
        document = _parse(line)
        if isinstance(document, str):
            unreadable.append(BadRow(row, document, line[:10_000].decode("utf-8", "replace")))
        else:
            rows.append(row)
            texts.append(line)
            documents.append(document)
    values = {name: [document.get(name, MISSING) for document in documents] for name in columns}
    return Block(np.array(rows, np.int64), values, unreadable, texts)


def _parse(line: bytes) -> dict[str, object] | str:
    """Return the object on a line, or why there is none."""
    if len(line) >= _LONGEST_LINE:
        return f"a line of more than {_LONGEST_LINE} bytes"
    try:
        document = load_json(line)
    except orjson.JSONDecodeError as exc:
        return f"not JSON: {exc}"
    return document if isinstance(document, dict) else "not a JSON object"


def _lines(source: pa.NativeFile) -> Iterator[bytes]:
    """Yield lines that are not blank, without their ends; what is too long is cut."""
    rest = b""
    while chunk := source.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:_LONGEST_LINE]
        yield from (line for line in lines if line.strip())
    if rest.strip():
        yield rest


def _kinds(lines: Iterator[bytes]) -> dict[str, str]:
    """Return the most frequent kind of each column; single wrong values do not count, and null is of any kind."""
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        document = _parse(line)
        if isinstance(document, dict):
            for name, value in document.items():
                count = counts.setdefault(name, Counter())
                if value is not None:
                    count[_kind_of(value)] += 1
    # Of nulls alone it can be no more than numbers that are not there.
    return {name: count.most_common(1)[0][0] if count else "number" for name, count in counts.items()}


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "other"
