"""Compares a manifest that runs with one that would be made, place by place."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mooring_operator.api.quantities import parse_quantity

_QUANTITIES = ("requests", "limits")


def differences(before: Any, after: Any, path: str) -> Iterator[str]:
    """Yield in a line each what of `before` is missing from `after`, is another there, or is new.

    Quantities are equal by value. Lists of things with names, such as variables, are compared by name.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            place = f"{path}.{key}"
            if key not in after:
                yield from _lost(before[key], place)
            elif key not in before:
                if after[key] not in ({}, [], None):
                    yield (
                        f"{place}: is new" if _is_variable(place) else f"{place}: {_shown(after[key])} is new"
                    )
            elif path.rpartition(".")[2] not in _QUANTITIES or not _is_as_much(before[key], after[key]):
                yield from differences(before[key], after[key], place)
    elif _is_named(before) and _is_named(after):
        yield from differences(_by_name(before), _by_name(after), path)
    elif before != after:
        hidden = ".env." in path
        yield f"{path}: becomes another" if hidden else f"{path}: {_shown(before)} becomes {_shown(after)}"


def _lost(value: Any, place: str) -> Iterator[str]:
    """Say what a place held, but for the values of variables, which may be secrets."""
    if place.endswith(".env"):
        yield from (f"{place}.{name}" for name in (_by_name(value) if _is_named(value) else ()))
    elif _is_variable(place):
        yield place
    elif value not in ({}, [], None, ""):
        yield f"{place}: {_shown(value)}"


def _is_variable(place: str) -> bool:
    """Whether a place is a variable, whose value may be a secret."""
    return bool(re.search(r"\.env\.[^.]+$", place))


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _is_named(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in value)
    )


def _by_name(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # A value that is not written is empty.
    return {
        item["name"]: {"value": "", **item} if set(item) <= {"name", "value"} else dict(item)
        for item in items
    }


def _is_as_much(one: Any, other: Any) -> bool:
    try:
        return bool(parse_quantity(str(one)) == parse_quantity(str(other)))
    except ValueError:
        return bool(one == other)
