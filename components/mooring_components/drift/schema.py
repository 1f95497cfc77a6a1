"""Which columns are compared, and what has changed about the others.

A schema change says how rows are written. It is told, and it is no drift: a label that only the baseline has, a
date that another program writes as text, and a broken client look the same from here, and no earlier revision of
a model gets its columns back. The columns that both sides have are judged all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from mooring_components.drift import columns
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.precision import Precision, common_precision

# The runtime's capture adds these to the features; a baseline of training rows has none of them.
_PREDICTION = "prediction."
_SHOWN_COLUMNS = 10
_LONGEST_TYPE = 100


@dataclass(frozen=True)
class SchemaChange:
    """A column that cannot be compared: its types in baseline and window, None where it is missing."""

    name: str
    change: Literal["TypeChanged", "Vanished", "New"]
    baseline: str | None
    window: str | None


@dataclass(frozen=True)
class Compared:
    """A column that is compared, as what, and at which precision; whether its numbers are codes of categories."""

    name: str
    kind: str
    precision: Precision
    codes: bool = False


def match_columns(
    baseline: pa.Schema,
    window: pa.Schema,
    features: Sequence[str] | None,
    categories: Collection[str] = (),
) -> tuple[list[Compared], list[SchemaChange]]:
    """Match the columns of both sides: those named, or all that hold numbers or categories.

    Times move on by themselves: they are compared where they are named. Numbers are categories where `categories`
    names them, or a side has them as a dictionary.

    Raises:
        EvaluationError: FeatureMissing, where neither side has a column that is named, or there is none that
            could be compared; TypeUnsupported, where nothing compares a column that is named.
    """
    first, second = ({field.name: field.type for field in schema} for schema in (baseline, window))
    names = list(dict.fromkeys([*first, *second] if features is None else features))
    compared, changes = [], []
    for name in names:
        found = _match(name, first.get(name), second.get(name), name in categories)
        if found is None and features is not None:
            raise _refusal(name, first, second)
        if isinstance(found, SchemaChange):
            if features is not None or not (found.change == "New" and name.startswith(_PREDICTION)):
                changes.append(found)
        elif found is not None and (features is not None or found.kind != columns.TIME):
            compared.append(found)
    if not compared and not changes:
        raise EvaluationError(
            "FeatureMissing", "baseline and window have no column of numbers or categories in common"
        )
    return compared, changes


def _match(
    name: str, before: pa.DataType | None, now: pa.DataType | None, named: bool
) -> Compared | SchemaChange | None:
    if all(
        kind is None or (columns.kind(kind) is None and not pa.types.is_union(kind)) for kind in (before, now)
    ):
        return None
    if before is None or now is None:
        change: Literal["Vanished", "New"] = "New" if before is None else "Vanished"
        return SchemaChange(name, change, _written(before), _written(now))
    precision = common_precision(before, now) if columns.kind(before) and columns.kind(now) else None
    if precision is None:
        return SchemaChange(name, "TypeChanged", _written(before), _written(now))
    kind = columns.kind(precision.type) or columns.MISSING
    codes = kind == columns.NUMBER and (named or columns.are_codes(before) or columns.are_codes(now))
    return Compared(name, columns.CATEGORY if codes else kind, precision, codes)


def _refusal(name: str, first: dict[str, pa.DataType], second: dict[str, pa.DataType]) -> EvaluationError:
    if name in first or name in second:
        where, of = ("baseline", first[name]) if name in first else ("window", second[name])
        return EvaluationError(
            "TypeUnsupported",
            f"{name!r} is {_written(of)} in the {where}; numbers, booleans, strings and times can be compared",
        )
    known = [*list(first)[:_SHOWN_COLUMNS], *(["..."] if len(first) > _SHOWN_COLUMNS else [])]
    return EvaluationError(
        "FeatureMissing",
        f"spec.features: {name!r} is no column of the baseline; it has {', '.join(known)}",
    )


def _written(kind: pa.DataType | None) -> str | None:
    if kind is None:
        return None
    kind = columns.value_type(kind)
    if columns.kind(kind) == columns.CATEGORY:
        return "string"  # whichever of Arrow's
    if pa.types.is_union(kind):
        parts = (_written(kind.field(place).type) or "" for place in range(kind.num_fields))
        return " or ".join(dict.fromkeys(parts))[:_LONGEST_TYPE]
    # What is inside of nested types is named by whoever wrote the file.
    return str(kind).split("<")[0] if pa.types.is_nested(kind) else str(kind)[:_LONGEST_TYPE]
