"""Slices of a ``DriftMonitor``: parts of the rows that are compared by themselves, beside the whole."""

from typing import Annotated

from mooring_artifacts.drift_slices import MOST_SLICES, MOST_VALUES
from pydantic import Field

from mooring_operator.api import forms
from mooring_operator.api.types import Model, Note, StatusModel


class Slice(Model):
    """The rows that have one of some values in a column, on both sides."""

    name: Annotated[str, forms.LABEL.field, Field(description="What it is called in status and report.")]
    column: Annotated[
        str,
        forms.COLUMN.field,
        Field(description="Column of numbers, booleans or text that both sides have."),
    ]
    values: Annotated[
        list[Annotated[str, forms.CELL.field]],
        Field(
            description="Values that its rows have, written as text: DE, 35, true.",
            min_length=1,
            max_length=MOST_VALUES,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ]


Slices = Annotated[
    list[Slice],
    Field(
        description="Parts of the rows that are compared by themselves, beside the whole. Drift in one is drift.",
        max_length=MOST_SLICES,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]


class SliceFound(StatusModel):
    """What was found of a slice."""

    name: Annotated[Note, Field(description="Its name.")]
    baseline_rows: Annotated[int, Field(description="Its rows in the baseline.")] = 0
    window_rows: Annotated[int, Field(description="Its rows in the window.")] = 0
    features_drifted: Annotated[int, Field(description="Number of features that drifted in it.")] = 0
    message: Annotated[Note, Field(description="Why it was not compared; empty where it was.")] = ""
