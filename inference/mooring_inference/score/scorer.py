"""Blocks of rows through a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from mooring_artifacts.errors import first_line

from mooring_inference.backends.base import Backend
from mooring_inference.score.blocks import BadRow, Block, Rows
from mooring_inference.score.convert import Nulls, Piece, convert_feed, convert_rows
from mooring_inference.score.errors import ScoreError
from mooring_inference.score.layout import OutputLayout
from mooring_inference.score.mapping import Feed
from mooring_inference.tensors import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of a block.

    Attributes:
        rows: numbers of the rows that were scored, ascending.
        places: where they are in the block's columns.
        columns: the outputs of these rows.
        bad: all other rows, ascending.
    """

    rows: Rows
    places: Rows
    columns: list[pa.Array]
    bad: list[BadRow]


class Scorer:
    """A model with all that says how rows go in and come out."""

    def __init__(
        self,
        backend: Backend,
        feeds: Sequence[Feed],
        outputs: Sequence[TensorSpec],
        layout: OutputLayout,
        *,
        nulls: Nulls,
        one_row: bool = False,
        batch_size: int | None = None,
    ) -> None:
        """A model with all that says how rows go in and come out.

        Args:
            backend: the model.
            feeds, outputs: what goes in, and what of its outputs is wanted.
            layout: the columns of the outputs.
            nulls: what becomes of values that are not there.
            one_row: whether the model works for one row at a time only.
            batch_size: rows of one call, at most; None: all of a block.
        """
        self._backend = backend
        self._feeds = feeds
        self._outputs = [spec.name for spec in outputs]
        self._layout = layout
        self._nulls = nulls
        fixed = next((feed.spec.shape[0] for feed in feeds if feed.spec.shape[0] is not None), None)
        self._fixed = 1 if one_row else fixed
        self._batch_size = batch_size
        self._worked = False

    def score(self, block: Block) -> Scored:
        """Run the model on a block.

        Raises:
            ScoreError: the model fails on every row, or its outputs have other rows than its inputs.
        """
        bad = list(block.unreadable)
        places: list[Rows] = []
        columns: list[list[pa.Array]] = []
        groups: dict[tuple[tuple[int, ...], ...], list[Piece]] = {}
        for piece in convert_rows(len(block.rows), lambda start, stop: self._convert(block, start, stop)):
            if isinstance(piece.arrays, str):
                bad.append(_refuse(block, piece.start, piece.arrays))
            else:
                groups.setdefault(tuple(array.shape[1:] for array in piece.arrays), []).append(piece)
        for pieces in groups.values():
            where = np.concatenate([np.arange(piece.start, piece.stop, dtype=np.int64) for piece in pieces])
            self._run(block, where, _join(pieces), places, columns, bad)
        return self._in_order(block, places, columns, bad)

    def _convert(self, block: Block, start: int, stop: int) -> list[Array]:
        return [
            convert_feed(
                feed,
                [block.columns[name][start:stop] for name in feed.columns],
                nulls=self._nulls,
            )
            for feed in self._feeds
        ]

    def _run(
        self,
        block: Block,
        where: Rows,
        arrays: list[Array],
        places: list[Rows],
        columns: list[list[pa.Array]],
        bad: list[BadRow],
    ) -> None:
        size = self._batch_size or len(where)
        for start in range(0, len(where), size):
            stop = start + size
            self._run_batch(
                block, where[start:stop], [array[start:stop] for array in arrays], places, columns, bad
            )

    def _run_batch(
        self,
        block: Block,
        where: Rows,
        arrays: list[Array],
        places: list[Rows],
        columns: list[list[pa.Array]],
        bad: list[BadRow],
    ) -> None:
        """Predict, by halves where the model fails, down to the rows that it cannot take."""
        waiting = [(0, len(where))]
        failed: list[BadRow] = []
        while waiting:
            start, stop = waiting.pop()
            try:
                outputs = self._predict([array[start:stop] for array in arrays])
            except ScoreError:
                raise
            except Exception as exc:  # what a model raises is up to it
                if stop - start == 1:
                    failed.append(_refuse(block, int(where[start]), f"the model failed: {first_line(exc)}"))
                    continue
                middle = (start + stop) // 2
                waiting += [(middle, stop), (start, middle)]
                continue
            self._worked = True
            places.append(where[start:stop])
            columns.append(self._layout.columns(outputs))
        if not self._worked and failed:
            raise ScoreError(f"none of the first {len(failed)} rows can be scored: {failed[0].reason}")
        bad += failed

    def _predict(self, arrays: list[Array]) -> list[Array]:
        rows = len(arrays[0])
        if self._fixed is None:
            return self._predict_once(arrays, rows)
        size = self._fixed
        chunks = [
            self._predict_once([_fill(array[start : start + size], size) for array in arrays], size)
            for start in range(0, rows, size)
        ]
        return [np.concatenate(parts)[:rows] for parts in zip(*chunks, strict=True)]

    def _predict_once(self, arrays: list[Array], rows: int) -> list[Array]:
        inputs = {feed.spec.name: array for feed, array in zip(self._feeds, arrays, strict=True)}
        outputs = self._backend.predict(inputs, self._outputs)
        for name, output in zip(self._outputs, outputs, strict=True):
            if output.ndim == 0 or len(output) != rows:
                raise ScoreError(
                    f"output {name} has shape {list(output.shape)} for {rows} rows: not one for each row; "
                    "leave it out with --outputs"
                )
        return outputs

    def _in_order(
        self, block: Block, places: list[Rows], columns: list[list[pa.Array]], bad: list[BadRow]
    ) -> Scored:
        bad.sort(key=lambda row: row.row)
        if not places:
            nothing = np.empty(0, np.int64)
            return Scored(nothing, nothing, [pa.array([], field.type) for field in self._layout.fields], bad)
        where = np.concatenate(places)
        joined = [pa.concat_arrays(parts) for parts in zip(*columns, strict=True)]
        if (np.diff(where) < 0).any():
            order = np.argsort(where)
            where, joined = where[order], [column.take(pa.array(order)) for column in joined]
        return Scored(block.rows[where], where, joined, bad)


def _refuse(block: Block, place: int, reason: str) -> BadRow:
    return BadRow(int(block.rows[place]), reason, block.describe(place))


def _join(pieces: list[Piece]) -> list[Array]:
    arrays = [piece.arrays for piece in pieces if not isinstance(piece.arrays, str)]
    return arrays[0] if len(arrays) == 1 else [np.concatenate(parts) for parts in zip(*arrays, strict=True)]


def _fill(array: Array, size: int) -> Array:
    """Return the array with its last row repeated up to ``size`` rows."""
    return (
        array if len(array) == size else np.concatenate([array, np.repeat(array[-1:], size - len(array), 0)])
    )
