"""All guards of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.guards.categories import CategoryCheck
from mooring_inference.guards.numbers import NumberCheck
from mooring_inference.guards.outliers import OutlierScore
from mooring_inference.guards.rules import InputRules
from mooring_inference.guards.violations import Place
from mooring_inference.tensors import Array, Signature, TensorSpec

FLAGS_HEADER = "x-mooring-flags"
SCORE_HEADER = "x-mooring-outlier-score"

# More flags than these are counted, not named: response headers are limited to some kilobytes.
_NAMED_FLAGS = 32


class GuardResult(NamedTuple):
    """What came of a check.

    Attributes:
        inputs: what the model gets: the request's own arrays, or corrected copies.
        flags: feature and rule, such as ``inputs.x[3]:range``.
        outlier_score: in interquartile ranges; None where it is not asked for.
    """

    inputs: Mapping[str, Array]
    flags: tuple[str, ...] = ()
    outlier_score: float | None = None

    def headers(self) -> list[tuple[str, str]]:
        """Return response headers, ASCII; flags are separated by ``,`` and percent-encoded where they must be."""
        headers: list[tuple[str, str]] = []
        if self.flags:
            named = [quote(flag, safe=":[]-_.") for flag in self.flags[:_NAMED_FLAGS]]
            if len(self.flags) > _NAMED_FLAGS:
                named.append(f"+{len(self.flags) - _NAMED_FLAGS}")
            headers.append((FLAGS_HEADER, ",".join(named)))
        if self.outlier_score is not None:
            headers.append((SCORE_HEADER, f"{self.outlier_score:.4g}"))
        return headers


class _InputGuard:
    """The checks of one input."""

    __slots__ = ("_axis", "_checks", "_name", "_width", "score")

    def __init__(self, spec: TensorSpec, rules: InputRules, *, scored: bool) -> None:
        dtype = spec.datatype.dtype
        numeric = dtype.kind in "iuf"
        place = Place(spec.name, rules.features, rules.uniform)
        checks: list[NumberCheck | CategoryCheck] = []
        policed = rules.non_finite != "allow" and dtype.kind == "f"
        if numeric and (policed or any(feature.bounded() for feature in rules.features)):
            checks.append(NumberCheck(place, rules, dtype))
        if any(feature.categories is not None for feature in rules.features):
            checks.append(CategoryCheck(place, rules, dtype))
        self._name = spec.name
        self._checks = tuple(checks)
        self._width = None if rules.uniform else len(rules.features)
        with_spread = any(f.iqr and f.median is not None for f in rules.features)
        self.score = OutlierScore(rules, dtype) if scored and numeric and with_spread else None

    def needed(self) -> bool:
        return bool(self._checks) or self._width is not None or self.score is not None

    def check(self, index: int, array: Array, flags: list[str]) -> Array:
        if self._width is not None and (array.shape[-1] if array.ndim > 1 else 1) != self._width:
            raise bad_field(
                f"inputs[{index}].shape", f"{self._width} features on the last axis", list(array.shape)
            )
        for each in self._checks:
            array = each.check(index, array, flags)
        return array


class Guards:
    """The guards of one model; ``check`` may be called from any thread."""

    __slots__ = ("_inputs", "_max_rows")

    def __init__(
        self,
        signature: Signature,
        rules: Mapping[str, InputRules],
        *,
        max_rows: int | None = None,
        outlier_score: bool = False,
    ) -> None:
        """Prepare the checks.

        Args:
            signature: of the model.
            rules: by input name; inputs without rules pass.
            max_rows: rows of one request; None: any number.
            outlier_score: whether results carry the score.
        """
        self._max_rows = max_rows
        guards = {
            spec.name: _InputGuard(spec, rules[spec.name], scored=outlier_score)
            for spec in signature.inputs
            if spec.name in rules
        }
        self._inputs = {name: guard for name, guard in guards.items() if guard.needed()}

    def check(self, inputs: Mapping[str, Array]) -> GuardResult:
        """Check the inputs of one request.

        Args:
            inputs: decoded arrays by input name, in the request's order; dtypes fit the signature. They are
                not written to.

        Raises:
            RequestError: 400 for a value that a rule rejects, 413 for too many rows.
        """
        flags: list[str] = []
        score: float | None = None
        changed: dict[str, Array] = {}
        for index, (name, array) in enumerate(inputs.items()):
            if self._max_rows is not None and array.ndim and array.shape[0] > self._max_rows:
                raise _too_many_rows(index, array.shape[0], self._max_rows)
            guard = self._inputs.get(name)
            if guard is None:
                continue
            checked = guard.check(index, array, flags)
            if guard.score is not None:
                # Of what was sent, not of what clipping made of it.
                score = max(score or 0.0, guard.score.measure(array))
            if checked is not array:
                changed[name] = checked
        if changed:
            inputs = {**inputs, **changed}
        return GuardResult(inputs, tuple(flags), score)


def _too_many_rows(index: int, rows: int, limit: int) -> RequestError:
    field = f"inputs[{index}].shape"
    return RequestError(
        f"{field}: expected at most {limit} rows, got {rows}",
        status=413,
        field=field,
        expected=f"at most {limit} rows",
        got=rows,
    )
