"""How broken rules are told: as an error, or as a flag in a response header."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mooring_inference.errors import RequestError
from mooring_inference.guards.rules import Feature
from mooring_inference.tensors import Array

# How much of a wrong string goes into an error message, characters.
_SHOWN = 60

Mask = npt.NDArray[np.bool_]


class Place:
    """One input of a model, for the messages about its elements."""

    __slots__ = ("_features", "_name", "_uniform")

    def __init__(self, name: str, features: tuple[Feature, ...], uniform: bool) -> None:
        self._name, self._features, self._uniform = name, features, uniform

    def reject_first(self, index: int, array: Array, wrong: Mask, allowed: str | None) -> None:
        """Raise for the first element of ``wrong``, if there is any.

        Args:
            index: the input's position in the request.
            array: the input.
            wrong: which elements break a rule; the array's shape.
            allowed: what is allowed there; None: what the feature says.

        Raises:
            RequestError: 400.
        """
        found = np.flatnonzero(wrong)
        if not found.size:
            return
        position = int(found[0])
        column = 0 if self._uniform else position % len(self._features)
        feature = self._features[column]
        label = feature.name if feature.name is not None else self.flag(column).removeprefix("inputs.")
        row = position // (array.size // array.shape[0]) if array.ndim else 0
        expected, got = allowed or feature.allowed(), _shown(array.reshape(-1)[position])
        field = f"inputs[{index}].data[{position}]"
        raise RequestError(
            f"{field}: expected {expected} for feature {label!r} of input {self._name!r} in row {row}, got {got}",
            field=field,
            expected=expected,
            got=got,
        )

    def flag_columns(self, wrong: Mask, rule: str, flags: list[str]) -> None:
        """Add a flag for each feature with an element in ``wrong``."""
        if self._uniform:
            if wrong.any():
                flags.append(f"{self.flag(0)}:{rule}")
            return
        columns = wrong.reshape(-1, len(self._features)).any(axis=0)
        flags.extend(f"{self.flag(int(column))}:{rule}" for column in np.flatnonzero(columns))

    def flag(self, column: int) -> str:
        """Return the name of a feature in flags, such as ``inputs.x[3]``."""
        return f"inputs.{self._name}" if self._uniform else f"inputs.{self._name}[{column}]"


def _shown(value: object) -> object:
    """Return a value as JSON can say it, and not too long."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, str) and len(value) > _SHOWN:
        return value[:_SHOWN] + "..."
    return value
