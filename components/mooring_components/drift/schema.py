"""Which columns are compared, and what has changed about the others.

A schema change says how rows are written. It is told, and it is no drift: a label that only the baseline has, a
date that another program writes as text, and a broken client look the same from here, and no earlier revision of
a model gets its columns back. The columns that both sides have are judged all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from mooring_components.drift.texts import SUMMARIES, TYPES, text_of

# The runtime's capture adds these to the features; a baseline of training rows has none of them.
_PREDICTION = "prediction."
_SHOWN_COLUMNS = 10
_LONGEST_TYPE = 100
_KINDS: dict[FeatureType, tuple[str, ...]] = {
    "Number": (columns.NUMBER,),
    "Category": (columns.NUMBER, columns.CATEGORY),
    "Boolean": (columns.NUMBER, columns.CATEGORY),
    "Timestamp": (columns.TIME,),
    "Text": (columns.CATEGORY,),
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
        not compared as if they were codes, too. distance: from which on it matters; None: as of all. summary: what its
        numbers are, in words, where they tell of texts.
    """

    name: str
    kind: str
    precision: Precision
    codes: bool = False
    sure: bool = False
    distance: float | None = None
    summary: str = ""


def match_columns(
    baseline: pa.Schema,
    window: pa.Schema,
    features: Sequence[str] | None,
    settings: FeatureSettings = NOTHING_DECLARED,
) -> tuple[list[Compared], list[SchemaChange]]:
    """Match the columns of both sides: those named, or all that hold numbers or categories.

    Times move on by themselves: they are compared where they are named or declared. Numbers are categories where
    `settings` say so, or, where these say nothing, a side has them as a dictionary. Texts are the summaries that
    `texts` describes them by.

    Raises:
        EvaluationError: FeatureMissing, where neither side has a column that is named, or there is none that
            could be compared; TypeUnsupported, where nothing compares a column that is named.
    """
    first, second = (_undescribed(schema) for schema in (baseline, window))
    every = list(dict.fromkeys([*first, *second]))
    summaries = [field.name for schema in (baseline, window) for field in schema if text_of(field)]
    if (unused := settings.unused([*every, *summaries])) is not None:
        raise unused_setting(*unused, every)
    compared: list[Compared] = []
    changes: list[SchemaChange] = []
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
            found = replace(found, distance=settings.distance_of(name))
            compared += _summaries(found, settings) if declared == "Text" else [found]
    if not compared and not changes:
        raise EvaluationError(
            "FeatureMissing", "baseline and window have no column of numbers or categories in common"
        )
    return compared, changes


def _undescribed(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The type of each column, as it was before its texts were described."""
    found: dict[str, pa.DataType] = {}
    for field in schema:
        text = text_of(field)
        found[field.name if text is None else text] = field.type if text is None else pa.large_string()
    return found


def _summaries(text: Compared, settings: FeatureSettings) -> Iterator[Compared]:
    """The columns of a text, each as what it is declared itself where that is more."""
    for summary, words in SUMMARIES.items():
        name = f"{text.name}.{summary}"
        declared = settings.exactly(name)
        if declared.type_of(name) == "Ignored":
            continue
        own = declared.distance_of(name)
        yield Compared(
            name,
            columns.NUMBER,
            Precision(TYPES[summary]),
            sure=True,
            distance=text.distance if own is None else own,
            summary=words,
        )


def _match(
    name: str, before: pa.DataType | None, now: pa.DataType | None, declared: FeatureType | None
) -> Compared | SchemaChange | None:
    if all(
        kind is None or (columns.kind(kind) is None and not pa.types.is_union(kind)) for kind in (before, now)
    ):
        return None
    if before is None or now is None:
        change: Literal["Vanished", "New"] = "New" if before is None else "Vanished"
        return SchemaChange(name, change, written(before), written(now))
    precision = _precision(before, now, declared)
    if precision is None:
        return SchemaChange(name, "TypeChanged", written(before), written(now))
    kind = columns.kind(precision.type) or columns.MISSING
    if declared is not None and kind not in (*_KINDS[declared], columns.MISSING):
        raise EvaluationError(
            "TypeUnsupported",
            f"spec.featureSettings: {name!r} is {written(before)} in the baseline, which cannot be compared as "
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
        f"spec.featureSettings[{place}].match: {pattern!r} fits no column; there are {listed(names)}",
    )


def listed(names: Sequence[str]) -> str:
    """The first of some names, for a message."""
    return ", ".join([*names[:_SHOWN_COLUMNS], *(["..."] if len(names) > _SHOWN_COLUMNS else [])])


def _refusal(name: str, first: dict[str, pa.DataType], second: dict[str, pa.DataType]) -> EvaluationError:
    if name in first or name in second:
        where, of = ("baseline", first[name]) if name in first else ("window", second[name])
        return EvaluationError(
            "TypeUnsupported",
            f"{name!r} is {written(of)} in the {where}; numbers, booleans, strings and times can be compared",
        )
    return EvaluationError(
        "FeatureMissing",
        f"spec.features: {name!r} is no column of the baseline; it has {listed(list(first))}",
    )


def written(kind: pa.DataType | None) -> str | None:
    """A type as people are told of it; None where there is none."""
    if kind is None:
        return None
    kind = columns.value_type(kind)
    if columns.kind(kind) == columns.CATEGORY:
        return "string"  # whichever of Arrow's
    if pa.types.is_union(kind):
        parts = (written(kind.field(place).type) or "" for place in range(kind.num_fields))
        return " or ".join(dict.fromkeys(parts))[:_LONGEST_TYPE]
    # What is inside of nested types is named by whoever wrote the file.
    return str(kind).split("<")[0] if pa.types.is_nested(kind) else str(kind)[:_LONGEST_TYPE]
