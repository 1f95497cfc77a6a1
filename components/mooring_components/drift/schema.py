"""Which columns are compared, and what has changed about the others.

A schema change says how rows are written. It is told, and it is no drift: a label that only the baseline has, a
date that another program writes as text, and a broken client look the same from here, and no earlier revision of
a model gets its columns back. The columns that both sides have are judged all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
from mooring_artifacts.feature_settings import (
    AS_CATEGORIES,
    NOTHING_DECLARED,
    FeatureSettings,
    FeatureType,
)

from mooring_components.drift import columns
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.precision import Precision, common_precision

# The runtime's capture adds these to the features; a baseline of training rows has none of them.
_PREDICTION = "prediction."
_SHOWN_COLUMNS = 10
_LONGEST_TYPE = 100
_KINDS: dict[FeatureType, tuple[str, ...]] = {
    "Number": (columns.NUMBER,),
    "Category": (columns.NUMBER, columns.CATEGORY),
    "Boolean": (columns.NUMBER, columns.CATEGORY),
    "Timestamp": (columns.TIME,),
}
"""What the values of both sides may be together, to be compared as what was declared."""


@dataclass(frozen=True)
class SchemaChange:
    """A column that cannot be compared: its types in baseline and window, None where it is missing."""

    name: str
    change: Literal["TypeChanged", "Vanished", "New"]
    baseline: str | None
    window: str | None


@dataclass(frozen=True)
class Compared:
    """A column that is compared, as what, and at which precision.

    codes: whether its numbers are codes of categories. sure: whether somebody said what it is, so that its numbers are
        not compared as if they were codes, too. distance: from which on it matters; None: as of all.
    """

    name: str
    kind: str
    precision: Precision
    codes: bool = False
    sure: bool = False
    distance: float | None = None


def match_columns(
    baseline: pa.Schema,
    window: pa.Schema,
    features: Sequence[str] | None,
    settings: FeatureSettings = NOTHING_DECLARED,
) -> tuple[list[Compared], list[SchemaChange]]:
    """Match the columns of both sides: those named, or all that hold numbers or categories.

    Times move on by themselves: they are compared where they are named or declared. Numbers are categories where
    `settings` say so, or, where these say nothing, a side has them as a dictionary.

    Raises:
        EvaluationError: FeatureMissing, where neither side has a column that is named, or there is none that
            could be compared; TypeUnsupported, where nothing compares a column that is named.
    """
    first, second = ({field.name: field.type for field in schema} for schema in (baseline, window))
    every = list(dict.fromkeys([*first, *second]))
    if (unused := settings.unused(every)) is not None:
        raise unused_setting(*unused, every)
    compared, changes = [], []
    for name in settings.kept(every if features is None else dict.fromkeys(features)):
        declared = settings.type_of(name)
        found = _match(name, first.get(name), second.get(name), declared)
        if found is None and (features is not None or name in settings.named):
            raise _refusal(name, first, second)
        if isinstance(found, SchemaChange):
            if features is not None or not (found.change == "New" and name.startswith(_PREDICTION)):
                changes.append(found)
        elif found is not None and (
            features is not None or found.kind != columns.TIME or declared is not None
        ):
            compared.append(replace(found, distance=settings.distance_of(name)))
    if not compared and not changes:
        raise EvaluationError(
            "FeatureMissing", "baseline and window have no column of numbers or categories in common"
        )
    return compared, changes


def _match(
    name: str, before: pa.DataType | None, now: pa.DataType | None, declared: FeatureType | None
) -> Compared | SchemaChange | None:
    if all(
        kind is None or (columns.kind(kind) is None and not pa.types.is_union(kind)) for kind in (before, now)
    ):
        return None
    if before is None or now is None:
        change: Literal["Vanished", "New"] = "New" if before is None else "Vanished"
        return SchemaChange(name, change, _written(before), _written(now))
    precision = _precision(before, now, declared)
    if precision is None:
        return SchemaChange(name, "TypeChanged", _written(before), _written(now))
    kind = columns.kind(precision.type) or columns.MISSING
    if declared is not None and kind not in (*_KINDS[declared], columns.MISSING):
        raise EvaluationError(
            "TypeUnsupported",
            f"spec.featureSettings: {name!r} is {_written(before)} in the baseline, which cannot be compared as "
            f"{declared}",
        )
    told = declared in AS_CATEGORIES or (
        declared is None and (columns.are_codes(before) or columns.are_codes(now))
    )
    codes = kind == columns.NUMBER and told
    return Compared(name, columns.CATEGORY if codes else kind, precision, codes, sure=declared is not None)


def _precision(before: pa.DataType, now: pa.DataType, declared: FeatureType | None) -> Precision | None:
    kinds = {columns.kind(before), columns.kind(now)}
    if declared == "Category" and kinds == {columns.NUMBER, columns.CATEGORY}:
        return Precision(columns.CATEGORIES.value_type)
    return None if None in kinds else common_precision(before, now)


def unused_setting(place: int, pattern: str, names: Sequence[str]) -> EvaluationError:
    """The error of a setting whose pattern fits none of all columns."""
    return EvaluationError(
        "FeatureMissing",
        f"spec.featureSettings[{place}].match: {pattern!r} fits no column; there are {_some(names)}",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:_SHOWN_COLUMNS], *(["..."] if len(names) > _SHOWN_COLUMNS else [])])


def _refusal(name: str, first: dict[str, pa.DataType], second: dict[str, pa.DataType]) -> EvaluationError:
    if name in first or name in second:
        where, of = ("baseline", first[name]) if name in first else ("window", second[name])
        return EvaluationError(
            "TypeUnsupported",
            f"{name!r} is {_written(of)} in the {where}; numbers, booleans, strings and times can be compared",
        )
    return EvaluationError(
        "FeatureMissing",
        f"spec.features: {name!r} is no column of the baseline; it has {_some(list(first))}",
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
