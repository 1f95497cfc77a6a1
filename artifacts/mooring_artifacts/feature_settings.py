"""What a monitor declares of features: what their values are, whatever they are stored as, and what matters of them.

    [{"match": "zip*", "type": "Category"}, {"match": "x[0]", "distance": 0.1}, {"match": "debug_*", "type": "Ignored"}]

In a pattern `*` is any characters and `?` is one; brackets stand for themselves, for columns are called `x[0]`.
Of each setting the first counts whose pattern fits and that says something of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import translate
from functools import cached_property
from typing import Annotated, Literal, get_args

from pydantic import Field

from mooring_artifacts.document_parts import Part
from mooring_artifacts.errors import InputError

FeatureType = Literal["Number", "Category", "Boolean", "Timestamp", "Text", "Ignored"]
AS_CATEGORIES = frozenset({"Category", "Boolean"})
"""Types whose values are equal or not, and neither more nor less."""
MOST_SETTINGS = 200
LONGEST_MATCH = 253


class FeatureSetting(Part):
    """What is declared of the features that a pattern fits.

    distance: of the distributions of baseline and window, from which it matters.
    """

    match: Annotated[str, Field(min_length=1, max_length=LONGEST_MATCH)]
    type: FeatureType | None = None
    distance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=False)] | None = None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Atomic groups keep it linear in the length of names, however many stars there are.
        return re.compile(translate(self.match.replace("[", "[[]")))

    def fits(self, name: str) -> bool:
        """Whether the pattern fits the name of a column."""
        return self._pattern.match(name) is not None


class FeatureSettings:
    """All that is declared, in the order in which it was."""

    def __init__(self, settings: Iterable[FeatureSetting] = (), categories: Collection[str] = ()) -> None:
        """Take settings, and names of columns that are categories where no setting has a type for them."""
        self._settings, self._categories = tuple(settings), frozenset(categories)

    @cached_property
    def named(self) -> frozenset[str]:
        """The features that settings name, and do not only fit."""
        return frozenset(one.match for one in self._settings if not set(one.match) & {"*", "?"})

    def type_of(self, name: str) -> FeatureType | None:
        """What a feature is declared as; None: nothing."""
        for setting in self._settings:
            if setting.type is not None and setting.fits(name):
                return setting.type
        return "Category" if name in self._categories else None

    def distance_of(self, name: str) -> float | None:
        """From where on the distance of a feature matters; None: as for all."""
        for setting in self._settings:
            if setting.distance is not None and setting.fits(name):
                return setting.distance
        return None

    def exactly(self, name: str) -> FeatureSettings:
        """What is declared of a feature by its name, and not by a pattern that fits."""
        return FeatureSettings(one for one in self._settings if one.match == name)

    def kept(self, names: Iterable[str]) -> list[str]:
        """Those of some names that are not ignored."""
        return [name for name in names if self.type_of(name) != "Ignored"]

    def unused(self, names: Sequence[str]) -> tuple[int, str] | None:
        """The place and the pattern of the first setting that fits none of all columns' names; None: each fits one."""
        for place, setting in enumerate(self._settings):
            if not any(map(setting.fits, names)):
                return place, setting.match
        return None


NOTHING_DECLARED = FeatureSettings()


def parse_setting(text: str) -> FeatureSetting:
    """The setting that is written as `MATCH=TYPE` or `MATCH=DISTANCE`.

    Raises:
        InputError: it is neither.
    """
    match, _, value = text.rpartition("=")
    if not 1 <= len(match) <= LONGEST_MATCH:
        raise InputError(f"{text!r} is not allowed: write MATCH=TYPE or MATCH=DISTANCE, like 'zip*=Category'")
    if value in get_args(FeatureType):
        return FeatureSetting.model_validate({"match": match, "type": value})
    try:
        return FeatureSetting(match=match, distance=float(value))
    except ValueError as error:
        raise InputError(
            f"{value!r} of {text!r} is not allowed: {', '.join(get_args(FeatureType))}, or a distance from 0 to 1"
        ) from error
