"""Tells whether an object already says what is wanted of it, and how it comes to say nothing else."""

from typing import Any

from mooring_operator.api.quantities import parse_quantity

_QUANTITIES = frozenset({"requests", "limits", "overhead"})
_QUANTITY = frozenset({"divisor", "sizeLimit"})


def covers(seen: Any, wanted: Any) -> bool:
    """Whether `seen` has all of `wanted`; what others added, defaults above all, does not matter.

    Quantities compare by value: a webhook that rewrites 1000m as 1 has changed nothing.
    """
    if isinstance(wanted, dict):
        if not isinstance(seen, dict):
            return False
        return all(_covers_field(key, seen.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(seen, list)
            and len(seen) == len(wanted)
            and all(covers(there, here) for there, here in zip(seen, wanted, strict=True))
        )
    return bool(seen == wanted)


def merge_patch(seen: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Give the patch that makes `seen` say what is wanted and no more; empty where it does.

    Source: RFC 7396, JSON merge patch: null takes a field away, and lists are replaced.
    """
    patch: dict[str, Any] = {name: None for name in seen if name not in wanted}
    for name, value in wanted.items():
        there = seen.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            if below := merge_patch(there, value):
                patch[name] = below
        elif there != value:
            patch[name] = value
    return patch


def _covers_field(name: str, seen: Any, wanted: Any) -> bool:
    if name in _QUANTITIES and isinstance(wanted, dict):
        return _same_quantities(seen, wanted)
    if name in _QUANTITY and not isinstance(wanted, dict | list):
        return seen is not None and _is_as_much(str(seen), str(wanted))
    return covers(seen, wanted)


def _same_quantities(seen: Any, wanted: dict[str, Any]) -> bool:
    if not isinstance(seen, dict):
        return not wanted
    return all(key in seen and _is_as_much(str(seen[key]), str(value)) for key, value in wanted.items())


def _is_as_much(seen: str, wanted: str) -> bool:
    try:
        return parse_quantity(seen) == parse_quantity(wanted)
    except ValueError:
        # Somebody wrote what is no quantity there.
        return seen == wanted
