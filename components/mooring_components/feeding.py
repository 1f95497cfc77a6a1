"""Which columns of test data feed which input of a model, and what the model makes of them.

Columns are mapped and converted by the code that scores files offline, so that a row means here what it means there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.errors import InputError, first_line
from mooring_inference.score.blocks import Block
from mooring_inference.score.convert import Misfit, Nulls, convert_feed
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.layout import OutputLayout
from mooring_inference.score.mapping import Choice, Feed, check_file, plan_feeds
from mooring_inference.score.read_parquet import kind_of
from mooring_inference.score.scorer import Scorer
from mooring_inference.tensors import Array, Signature, TensorSpec

from mooring_components.datasets import TestData, name_some
from mooring_components.models import Model, ModelNeedsMemory

BATCH_ROWS = 256
_FIELD = "spec.ci.testData.inputs"
# What one column made of several is called; no file has such a name, for it cannot be written.
_PACKED = "\0"


@dataclass(frozen=True)
class FedModel:
    """A model with the columns that feed it."""

    model: Model
    feeds: Sequence[Feed]
    columns: Mapping[str, pa.Array]
    rows: int
    source: str

    def predict(self, outputs: Sequence[TensorSpec]) -> list[Array]:
        """Run the model on all rows: for each of `outputs` an array (rows,) or (rows, ...).

        Raises:
            InputError: some row does not fit, or the model fails on it.
            MemoryError: the model takes more memory than there is.
        """
        scorer = Scorer(
            self.model.backend, self.feeds, outputs, OutputLayout(outputs, flatten=False), nulls=Nulls.NAN
        )
        parts: list[list[pa.Array]] = []
        for start in range(0, self.rows, BATCH_ROWS):
            stop = min(start + BATCH_ROWS, self.rows)
            columns = {name: column.slice(start, stop - start) for name, column in self.columns.items()}
            try:
                scored = scorer.score(Block(np.arange(start, stop, dtype=np.int64), columns))
            except ModelNeedsMemory as error:
                raise MemoryError(str(error)) from error
            except ScoreError as error:
                raise InputError(f"{self.source}: {error}") from error
            if scored.bad:
                first = scored.bad[0]
                raise InputError(f"{self.source}: row {first.row} cannot be scored: {first.reason}")
            parts.append(scored.columns)
        return [_array([columns[i] for columns in parts], self.rows, spec) for i, spec in enumerate(outputs)]

    @property
    def takes_several_rows(self) -> bool:
        """Whether each input has as many rows as somebody asks for; the model may still fail on them."""
        return all(spec.shape[:1] == (None,) for spec in self.model.signature.inputs)

    def spread_rows(self, most: int) -> list[int]:
        """At most so many rows from all over the data, in order."""
        places: list[int] = np.unique(
            np.linspace(0, self.rows - 1, min(most, self.rows)).astype(int)
        ).tolist()
        return places

    def single_rows(self, most: int) -> list[dict[str, Array]]:
        """The inputs of requests of one row each; a model of a fixed batch size gets the row repeated.

        Raises:
            InputError: a row does not fit.
        """
        return self.requests(range(min(most, self.rows)))

    def requests(self, rows: Sequence[int]) -> list[dict[str, Array]]:
        """The inputs of requests of one of these rows each.

        Raises:
            InputError: a row does not fit.
        """
        return [self._request(row) for row in rows]

    def answer(self, request: Mapping[str, Array]) -> list[Array]:
        """Give all outputs for one request.

        Raises:
            InputError: the model fails.
            MemoryError: it takes more memory than there is.
        """
        try:
            return self.model.backend.predict(request, self.model.signature.output_names)
        except ModelNeedsMemory as error:
            raise MemoryError(str(error)) from error
        except Exception as error:  # what a model raises is up to it
            rows = count_rows(request)
            asked = "one row" if rows == 1 else f"{rows} rows"
            raise InputError(f"the model fails on a request of {asked}: {first_line(error)}") from error

    def _request(self, row: int) -> dict[str, Array]:
        inputs = {}
        for feed in self.feeds:
            columns = [self.columns[name].slice(row, 1) for name in feed.columns]
            try:
                array = convert_feed(feed, columns, nulls=Nulls.NAN)
            except Misfit as error:
                raise InputError(f"{self.source}: row {row} cannot be scored: {error}") from error
            inputs[feed.spec.name] = np.repeat(array, feed.spec.shape[0] or 1, axis=0)
        return inputs


def count_rows(request: Mapping[str, Array]) -> int:
    """How many rows a request asks for."""
    return len(next(iter(request.values()), ()))


def join_requests(requests: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """One request of the rows of several.

    Raises:
        InputError: they differ in more than the number of rows.
    """
    try:
        return {name: np.concatenate([each[name] for each in requests]) for name in requests[0]}
    except ValueError as error:
        raise InputError("rows of several sizes cannot be asked at once") from error


def feed_model(
    model: Model, data: TestData, inputs: Mapping[str, Sequence[str]], slices: Sequence[str] = ()
) -> FedModel:
    """Decide which columns feed each input of `model`: those of `inputs`, those of `features.json` beside the model,
    the column of the input's own name, or for a model of one input all columns of its kind, without those of `slices`
    where it takes no such number.

    Raises:
        InputError: it cannot be decided, or a column is missing or of another type.
    """
    specs = model.signature.inputs
    if unknown := sorted(inputs.keys() - {spec.name for spec in specs}):
        known = ", ".join(spec.name for spec in specs)
        raise InputError(f"{_FIELD} names input {unknown[0]!r:.100}; the model has {known}")
    kinds = {name: kind_of(column.type) for name, column in data.columns.items()}
    feeds, columns = [], dict(data.columns)
    for spec in specs:
        chosen = _choose(spec, tuple(inputs.get(spec.name, ())), model, kinds, slices, alone=len(specs) == 1)
        if missing := [name for name in chosen if name not in kinds]:
            raise InputError(
                f"{data.source}: input {spec.name!r} of the model takes column {missing[0]!r}, which is not there; "
                f"there are {name_some(list(kinds))}"
            )
        if _flattens(spec, len(chosen)):
            packed = _PACKED + spec.name
            columns[packed], kinds[packed] = _pack([columns[name] for name in chosen]), "list"
            chosen = (packed,)
        feeds.append(_plan(spec, chosen, kinds, data.source))
    used = {name for feed in feeds for name in feed.columns}
    return FedModel(model, feeds, {name: columns[name] for name in used}, len(data), data.source)


def _choose(
    spec: TensorSpec,
    named: tuple[str, ...],
    model: Model,
    kinds: Mapping[str, str],
    slices: Sequence[str],
    *,
    alone: bool,
) -> tuple[str, ...]:
    """The columns of an input, in order."""
    if named or (named := model.features.get(spec.name, ())):
        return named
    if spec.name in kinds:
        return (spec.name,)
    if not alone:
        raise InputError(
            f"there is no column {spec.name!r} for the model's input of that name; there are "
            f"{name_some(list(kinds))}: name its columns in {_FIELD}"
        )
    wanted = ("text",) if spec.datatype.name == "BYTES" else ("number", "boolean")
    fitting = tuple(name for name, kind in kinds.items() if kind in wanted)
    others = tuple(name for name in fitting if name not in slices)
    if others and not _takes(spec, len(fitting)) and _takes(spec, len(others)):
        return others
    lists = tuple(name for name, kind in kinds.items() if kind == "list")
    if len(lists) == 1 and not (fitting and _takes(spec, len(fitting))):
        return lists
    if not fitting or not _takes(spec, len(fitting)):
        raise InputError(
            f"test_data_uri has {len(fitting)} columns of kind {wanted[0]} ({name_some(fitting)}); the model's input "
            f"{spec.name!r} takes {_count(spec)} (shape {spec.open_shape()}): name its columns in {_FIELD}"
        )
    return fitting


def _plan(spec: TensorSpec, columns: tuple[str, ...], kinds: Mapping[str, str], source: str) -> Feed:
    try:
        feeds = plan_feeds(Signature((spec,), ()), kinds, Choice(columns=columns))
        check_file(feeds, kinds, typed=True)
    except UsageError as error:
        raise InputError(f"{source}: {error}".replace("--columns", _FIELD).replace(_PACKED, "")) from error
    return feeds[0]


def _count(spec: TensorSpec) -> int | str:
    sizes = [size for size in spec.shape[1:] if size is not None]
    return prod(sizes) if len(sizes) == len(spec.shape) - 1 else "any number"


def _takes(spec: TensorSpec, count: int) -> bool:
    if len(spec.shape) < 2:
        return count == 1
    needed = _count(spec)
    return needed == count or (len(spec.shape) == 2 and isinstance(needed, str))


def _flattens(spec: TensorSpec, count: int) -> bool:
    """Whether single values, side by side, fill an input of more dimensions, such as the pixels of an image."""
    return len(spec.shape) > 2 and count > 1 and _count(spec) == count


def _pack(columns: Sequence[pa.Array]) -> pa.Array:
    """One column of lists that hold what `columns` hold side by side, in float64, where null is NaN."""
    wide = [pc.cast(column, pa.float64(), safe=False) for column in columns]
    values = np.stack([column.to_numpy(zero_copy_only=False) for column in wide], axis=1)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), len(columns))


def _array(parts: Sequence[pa.Array], rows: int, spec: TensorSpec) -> Array:
    values, sizes = list(parts), list[int]()
    while pa.types.is_list(values[0].type):
        lengths = {int(size) for size in _lengths(values)}
        if len(lengths) > 1:
            raise InputError(
                f"output {spec.name!r} of the model has rows of {min(lengths)} and of {max(lengths)} values; "
                "they cannot be compared with labels"
            )
        sizes.append(lengths.pop() if lengths else 0)
        values = [part.flatten() for part in values]
    flat = np.concatenate([_plain(part) for part in values])
    return flat.reshape(rows, *sizes)


def _lengths(parts: Sequence[pa.Array]) -> Iterator[int]:
    for part in parts:
        yield from pc.unique(pc.list_value_length(part)).to_pylist()


def _plain(part: pa.Array) -> Array:
    if pa.types.is_string(part.type):
        return np.array(part.to_pylist(), dtype=object)
    values: Array = part.to_numpy(zero_copy_only=False)
    return values
