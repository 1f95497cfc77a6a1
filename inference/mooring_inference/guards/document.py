"""``guards.json`` into guards, with an error for everything in it that cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mooring_artifacts.errors import InputError
from mooring_artifacts.small_files import read_json

from mooring_inference.errors import ModelLoadError
from mooring_inference.guards.check import Guards
from mooring_inference.guards.rules import Feature, InputRules, Policy
from mooring_inference.protocols.elements import json_type
from mooring_inference.tensors import Signature, TensorSpec

FILE_NAME = "guards.json"
# Categories of many features may be long lists.
_LARGEST_BYTES = 4 << 20

_NON_FINITE: dict[str, Policy] = {"allow": "allow", "flag": "flag", "reject": "reject", "clip": "clip"}
_RANGE: dict[str, Policy] = {"flag": "flag", "reject": "reject", "clip": "clip"}
_FEATURE_KEYS = ("name", "min", "max", "categories", "default", "median", "iqr", "range")


def load_guards(path: Path, signature: Signature) -> Guards:
    """Return the guards that a file describes.

    Raises:
        ModelLoadError: the file cannot be read or does not fit the signature; the message names the field.
    """
    try:
        document = read_json(path, _LARGEST_BYTES)
    except InputError as exc:
        raise ModelLoadError(str(exc)) from None
    try:
        return parse_guards(document, signature)
    except ModelLoadError as exc:
        raise ModelLoadError(f"{path.name}: {exc}") from None


def parse_guards(document: object, signature: Signature) -> Guards:
    """Return the guards that a document describes; ``mooring_inference.guards`` says what may stand in it.

    Args:
        document: the parsed JSON.
        signature: of the model that the guards are for.

    Raises:
        ModelLoadError: the message names the field, its value and what is allowed.
    """
    top = _object("document", document, ("non_finite", "range", "max_rows", "outlier_score", "inputs"))
    non_finite = _policy("non_finite", top.get("non_finite", "allow"), _NON_FINITE)
    outside = _policy("range", top.get("range", "flag"), _RANGE)
    entries = _object("inputs", top.get("inputs", {}), None)
    specs = {spec.name: spec for spec in signature.inputs}
    for name in entries:
        if name not in specs:
            raise _wrong("inputs", f"inputs of the model, {sorted(specs)}", name)
    rules = {
        name: _input(f"inputs.{name}", entries.get(name, {}), spec, non_finite, outside)
        for name, spec in specs.items()
    }
    scored = top.get("outlier_score", False)
    if not isinstance(scored, bool):
        raise _wrong("outlier_score", "true or false", scored)
    if scored and not any(f.iqr and f.median is not None for r in rules.values() for f in r.features):
        raise _wrong("outlier_score", "a feature with median and a positive iqr", "none")
    return Guards(signature, rules, max_rows=_max_rows(top.get("max_rows")), outlier_score=scored)


def _input(field: str, entry: object, spec: TensorSpec, non_finite: Policy, outside: Policy) -> InputRules:
    fields = _object(field, entry, ("non_finite", "range", "features", "all"))
    non_finite = _policy(f"{field}.non_finite", fields.get("non_finite", non_finite), _NON_FINITE)
    outside = _policy(f"{field}.range", fields.get("range", outside), _RANGE)
    if "features" in fields and "all" in fields:
        raise _wrong(field, "either features or all", "both")
    uniform = "features" not in fields
    if uniform:
        features: tuple[Feature, ...] = (_feature(f"{field}.all", fields.get("all", {}), spec, outside),)
    else:
        features = _features(f"{field}.features", fields["features"], spec, outside)
    if non_finite == "clip" and spec.datatype.dtype.kind == "f" and any(f.median is None for f in features):
        raise _wrong(field, "a median for every feature, as non_finite is clip", "features without")
    return InputRules(non_finite, features, uniform)


def _features(field: str, entries: object, spec: TensorSpec, outside: Policy) -> tuple[Feature, ...]:
    if not isinstance(entries, list) or not entries:
        raise _wrong(field, "a list of features", entries)
    width = spec.shape[-1] if len(spec.shape) > 1 else 1
    if width is not None and len(entries) != width:
        raise _wrong(field, f"{width} features, as many as the model's input has", len(entries))
    return tuple(_feature(f"{field}[{i}]", entry, spec, outside) for i, entry in enumerate(entries))


def _feature(field: str, entry: object, spec: TensorSpec, outside: Policy) -> Feature:
    fields = _object(field, entry, _FEATURE_KEYS)
    name = fields.get("name")
    if name is not None and not isinstance(name, str):
        raise _wrong(f"{field}.name", "a string", name)
    numeric = spec.datatype.dtype.kind in "iuf"
    numbers = {key: _number(f"{field}.{key}", fields.get(key)) for key in ("min", "max", "median", "iqr")}
    for key, value in numbers.items():
        if value is not None and not numeric:
            raise _wrong(f"{field}.{key}", f"nothing, as the input is {spec.datatype.name}", value)
    low, high = numbers["min"], numbers["max"]
    _require_room(field, spec, low, high)
    if numbers["iqr"] is not None and numbers["iqr"] < 0:
        raise _wrong(f"{field}.iqr", "0 or more", numbers["iqr"])
    policy = _policy(f"{field}.range", fields.get("range", outside), _RANGE)
    categories = _categories(f"{field}.categories", fields.get("categories"), spec)
    if categories is not None and (low is not None or high is not None):
        raise _wrong(field, "either categories or min and max", "both")
    default = fields.get("default")
    if categories is not None and (default is not None or policy == "clip") and default not in categories:
        raise _wrong(f"{field}.default", f"one of {list(categories)}", default)
    return Feature(policy, name, low, high, categories, default, numbers["median"], numbers["iqr"])


def _require_room(field: str, spec: TensorSpec, low: float | None, high: float | None) -> None:
    """Raise where no value of the datatype lies between the bounds."""
    lowest: float = -math.inf if low is None else low
    highest: float = math.inf if high is None else high
    dtype: np.dtype[Any] = spec.datatype.dtype
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        lowest = max(info.min, math.ceil(lowest) if low is not None else info.min)
        highest = min(info.max, math.floor(highest) if high is not None else info.max)
    if lowest > highest:
        raise _wrong(
            field, f"a min and a max with values of {spec.datatype.name} between", f"{low} and {high}"
        )


def _categories(field: str, value: object, spec: TensorSpec) -> tuple[str | float, ...] | None:
    if value is None:
        return None
    dtype: np.dtype[Any] = spec.datatype.dtype
    kind = dtype.kind
    if not isinstance(value, list) or not value:
        raise _wrong(field, "a list of values", value)
    for index, each in enumerate(value):
        fits = {"O": isinstance(each, str), "b": isinstance(each, bool)}.get(
            kind, isinstance(each, int | float) and not isinstance(each, bool)
        )
        info = np.iinfo(dtype) if kind in "iu" else None
        if fits and info is not None:
            fits = isinstance(each, int) and info.min <= each <= info.max
        if not fits:
            raise _wrong(f"{field}[{index}]", f"a value of {spec.datatype.name}", each)
    return tuple(value)


def _max_rows(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong("max_rows", "a whole number of 1 or more", value)
    return value


def _policy(field: str, value: object, allowed: Mapping[str, Policy]) -> Policy:
    if not isinstance(value, str) or value not in allowed:
        raise _wrong(field, f"one of {sorted(allowed)}", value)
    return allowed[value]


def _number(field: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(field, "a finite number", value)
    return value


def _object(field: str, value: object, allowed: Iterable[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(field, "an object", json_type(value))
    if allowed is not None and (unknown := sorted(value.keys() - set(allowed))):
        raise _wrong(field, f"keys out of {sorted(allowed)}", ", ".join(map(str, unknown)))
    return value


def _wrong(field: str, expected: str, got: object) -> ModelLoadError:
    shown = got if isinstance(got, str) else repr(got)
    return ModelLoadError(f"{field}: expected {expected}, got {shown[:120]}")
