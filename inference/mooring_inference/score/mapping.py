"""Which columns feed which input of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mooring_inference.score.errors import UsageError
from mooring_inference.tensors import Signature, TensorSpec

# Kinds of columns that fit an input without anybody having named them.
# A column of Parquet that holds nulls alone says no more than that: to floats they are NaN, as nulls of JSON are.
_NUMERIC = {"number", "cell", "null"}
_TEXTUAL = {"text", "cell"}
_BOOLEAN = {"boolean", "cell"}


@dataclass(frozen=True, slots=True)
class Feed:
    """What one input of the model takes its rows from.

    Attributes:
        spec: the input; its first dimension is the batch.
        columns: names of columns.
        side_by_side: each column holds one number of every row; else there is one column, and it holds
            everything that a row needs: a list, or one value where a row is one value.
    """

    spec: TensorSpec
    columns: tuple[str, ...]
    side_by_side: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What the caller said of the columns.

    Attributes:
        columns: columns in the order of the model's features; or ``input=column`` for each input.
        features: names that came with the model, by input, for callers who say nothing.
        id_column: names the rows, and is no feature unless it is chosen.
    """

    columns: tuple[str, ...] = ()
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    id_column: str | None = None


def plan_feeds(signature: Signature, kinds: Mapping[str, str], choice: Choice) -> list[Feed]:
    """Decide where each input of a model takes its values from.

    One input of shape [n, k] takes, in this order of preference: the columns that the caller chose; the
    features that came with the model; the column of the input's own name; all columns of numbers (of text
    for a BYTES input) where they are as many as the input needs. Several inputs take the columns that
    ``input=column`` says, the features that came with the model, or the columns of their own names.

    Args:
        signature: the model's.
        kinds: columns of the input file, with their kinds as ``blocks.Reader`` tells them.
        choice: what was said of columns.

    Raises:
        UsageError: it cannot be decided, with what would help.
    """
    for spec in signature.inputs:
        if not spec.shape:
            raise UsageError(f"input {spec.name} of the model has no batch dimension")
    if len(signature.inputs) > 1:
        return [
            _of_columns(spec, features, kinds)
            if not choice.columns and (features := _given(spec, choice))
            else _single(spec, column, kinds)
            for spec, column in _pairs(signature, choice)
        ]
    spec = signature.inputs[0]
    chosen = choice.columns
    if any("=" in column and column not in kinds for column in chosen):
        return [_single(spec, _pairs(signature, choice)[0][1], kinds)]
    if not chosen:
        chosen = _given(spec, choice)
    if not chosen and spec.name in kinds:
        chosen = (spec.name,)
    return [_of_columns(spec, chosen or _all_fitting(spec, kinds, choice), kinds)]


def _given(spec: TensorSpec, choice: Choice) -> tuple[str, ...]:
    """Return the features of an input that came with the model, where they are as many as it takes."""
    features = choice.features.get(spec.name, ())
    return features if features and _fits(spec, len(features)) else ()


def _pairs(signature: Signature, choice: Choice) -> list[tuple[TensorSpec, str]]:
    """Pair each input with its column."""
    named: dict[str, str] = {}
    for column in choice.columns:
        name, equals, value = column.partition("=")
        if not equals:
            names = ", ".join(spec.name for spec in signature.inputs)
            raise UsageError(f"--columns {column}: the model has inputs {names}; write INPUT=COLUMN for each")
        named[name] = value
    known = {spec.name for spec in signature.inputs}
    if unknown := sorted(named.keys() - known):
        raise UsageError(f"--columns names input {unknown[0]}; the model has {', '.join(sorted(known))}")
    return [(spec, named.get(spec.name, spec.name)) for spec in signature.inputs]


def _of_columns(spec: TensorSpec, columns: tuple[str, ...], kinds: Mapping[str, str]) -> Feed:
    if len(columns) == 1 and (len(spec.shape) != 2 or kinds.get(columns[0]) == "list" or spec.shape[1] != 1):
        return _single(spec, columns[0], kinds)
    if len(spec.shape) != 2:
        raise UsageError(
            f"input {spec.name} has shape {spec.open_shape()}: name one column that holds it, not {len(columns)}"
        )
    if not _fits(spec, len(columns)):
        raise UsageError(f"{len(columns)} columns for input {spec.name}, which needs {spec.shape[1]}")
    _check_present(columns, kinds)
    return Feed(spec, columns, side_by_side=True)


def _single(spec: TensorSpec, column: str, kinds: Mapping[str, str]) -> Feed:
    _check_present((column,), kinds)
    scalar_rows = all(size == 1 for size in spec.shape[1:])
    if kinds[column] != "list" and not scalar_rows:
        if len(spec.shape) == 2 and spec.shape[1] is None:
            return Feed(spec, (column,), side_by_side=True)
        raise UsageError(
            f"column {column} holds single values; input {spec.name} has shape {spec.open_shape()}"
        )
    if kinds[column] == "list" and len(spec.shape) == 1:
        raise UsageError(
            f"column {column} holds lists; input {spec.name} has shape {spec.open_shape()}, one value a row"
        )
    return Feed(spec, (column,), side_by_side=False)


def check_file(feeds: Sequence[Feed], kinds: Mapping[str, str], *, typed: bool) -> None:
    """Make sure that a file, whose columns have one type each if ``typed``, can feed the model.

    Raises:
        UsageError: a column is missing, or of a type that its input cannot take.
    """
    if not typed:
        return
    for feed in feeds:
        _check_present(feed.columns, kinds)
        for column in feed.columns:
            kind = kinds[column]
            allowed = _kinds_for(feed.spec) | {"null"} | ({"boolean"} if feed.spec.datatype.pack else set())
            if kind not in allowed and (feed.side_by_side or kind != "list"):
                raise UsageError(
                    f"column {column} is of kind {kind}; input {feed.spec.name} needs {feed.spec.datatype.name}"
                )


def _kinds_for(spec: TensorSpec) -> set[str]:
    return {"BYTES": _TEXTUAL, "BOOL": _BOOLEAN}.get(spec.datatype.name, _NUMERIC)


def _all_fitting(spec: TensorSpec, kinds: Mapping[str, str], choice: Choice) -> tuple[str, ...]:
    wanted = _kinds_for(spec)
    found = tuple(name for name, kind in kinds.items() if kind in wanted and name != choice.id_column)
    if len(spec.shape) > 2 or not found or not _fits(spec, len(found)):
        shape = spec.open_shape()
        raise UsageError(
            f"which columns feed input {spec.name} of shape {shape}? {len(found)} fit by type: "
            f"{_some(found)}; name them with --columns"
        )
    return found


def _check_present(columns: Sequence[str], kinds: Mapping[str, str]) -> None:
    for column in columns:
        if column not in kinds:
            raise UsageError(f"there is no column {column}; there are {_some(tuple(kinds))}")


def _fits(spec: TensorSpec, count: int) -> bool:
    needed = 1 if len(spec.shape) == 1 else spec.shape[1]
    return needed is None or needed == count


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:10]) or "none"
    return f"{shown}, ..." if len(names) > 10 else shown
