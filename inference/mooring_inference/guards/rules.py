"""What ``guards.json`` says, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Policy = Literal["allow", "flag", "reject", "clip"]


@dataclass(frozen=True, slots=True)
class Feature:
    """What one feature may be; None where nothing is said.

    Attributes:
        name: for messages.
        minimum, maximum: inclusive bounds of a number.
        categories: the values allowed, strings for BYTES, else numbers.
        default: what an unknown category becomes under ``clip``.
        median, iqr: of the baseline, in the feature's unit.
        policy: what happens to a value outside bounds or categories.
    """

    policy: Policy
    name: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str | float, ...] | None = None
    default: str | float | None = None
    median: float | None = None
    iqr: float | None = None

    def bounded(self) -> bool:
        """Return whether it has a minimum or a maximum."""
        return self.minimum is not None or self.maximum is not None

    def allowed(self) -> str:
        """Return what is allowed, for messages."""
        if self.categories is not None:
            return f"one of {list(self.categories)}"
        low = "-inf" if self.minimum is None else f"{self.minimum:g}"
        high = "inf" if self.maximum is None else f"{self.maximum:g}"
        return f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class InputRules:
    """The rules of one input.

    Attributes:
        non_finite: what happens to NaN and infinities.
        features: one for each element of the last axis; one for every element where ``uniform``.
        uniform: whether the one feature stands for all elements.
    """

    non_finite: Policy
    features: tuple[Feature, ...]
    uniform: bool
