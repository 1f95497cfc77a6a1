"""Which features move a model, by some rows of its test data."""

from __future__ import annotations

from typing import Annotated

from pydantic import FailFast, Field

from mooring_artifacts.document_parts import Count, Name, Part
from mooring_artifacts.gates import Number

MOST_EXPLAINED = 64
"""Rows by which features are ranked: as many as the runtime's `:explain` takes at once."""
MOST_RANKED = 20


class Feature(Part):
    """A feature: the mean size of its attributions, in the output's unit, and its share of all features'."""

    name: Name
    size: Number
    share: Number


class Importances(Part):
    """The features that move the model most, the strongest first, by `rows` rows; `problem` is why there are none.

    output: what they move. left_out: the number of features beyond those that are listed.
    """

    rows: Count
    output: Name = ""
    features: Annotated[list[Feature], Field(max_length=MOST_RANKED), FailFast()] = []
    left_out: Count = 0
    problem: Name = ""
