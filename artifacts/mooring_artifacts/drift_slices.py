"""Parts of the rows that a monitor compares by themselves, beside the whole: those with certain values in a column.

    [{"name": "dach", "column": "country", "values": ["DE", "AT", "CH"]},
     {"name": "new", "column": "is_new", "values": ["true"]}]

Values are written as text, whatever the column holds: `35` is the number 35 of a column of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mooring_artifacts.document_parts import Part
from mooring_artifacts.errors import InputError

MOST_SLICES = 10
MOST_VALUES = 20
LONGEST = 253

_Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class DriftSlice(Part):
    """The rows that have one of some values in a column, on both sides."""

    name: _Text
    column: _Text
    values: Annotated[list[_Text], Field(min_length=1, max_length=MOST_VALUES)]


def title_of(feature: str, part: str) -> str:
    """What people are told that a feature of a slice is called; `part` is empty where it is one of the whole."""
    return f"{feature} in slice {part}" if part else feature


def refuse_twice(slices: Sequence[DriftSlice]) -> None:
    """Refuse slices of which two have one name.

    Raises:
        InputError: two have.
    """
    names = [one.name for one in slices]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(
                f"slices[{place}].name: {name!r} is the name of slices[{names.index(name)}], too: each has its own"
            )


def parse_slices(texts: Sequence[str]) -> list[DriftSlice]:
    """The slices that are written as `COLUMN=VALUE[,VALUE]`, each of which is its own name.

    Raises:
        InputError: one is not, or is there twice, or there are too many.
    """
    if len(texts) > MOST_SLICES:
        raise InputError(f"{len(texts)} slices; {MOST_SLICES} are allowed")
    slices = [_parse(text) for text in texts]
    refuse_twice(slices)
    return slices


def _parse(text: str) -> DriftSlice:
    column, _, listed = text.partition("=")
    values = listed.split(",")
    if not column or not all(values):
        raise InputError(
            f"{text!r} is not allowed: write COLUMN=VALUE or COLUMN=VALUE,VALUE, like 'country=DE,AT'"
        )
    if len(text) > LONGEST or len(values) > MOST_VALUES:
        raise InputError(
            f"{text[:60]!r}... is not allowed: at most {MOST_VALUES} values, and {LONGEST} characters in all"
        )
    return DriftSlice(name=text, column=column, values=values)
