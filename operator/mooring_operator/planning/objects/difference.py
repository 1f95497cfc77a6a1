"""Tells whether an object already says what is wanted of it."""

from typing import Any

from mooring_operator.api.quantities import parse_quantity

_QUANTITIES = frozenset({"requests", "limits"})


def covers(seen: Any, wanted: Any) -> bool:
    """Whether `seen` has all of `wanted`; what others added, defaults above all, does not matter.

    Quantities compare by value: a webhook that rewrites 1000m as 1 has changed nothing.
    """
    if isinstance(wanted, dict):
        if not isinstance(seen, dict):
            return False
        return all(
            _same_quantities(seen.get(key), value) if key in _QUANTITIES else covers(seen.get(key), value)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(seen, list)
            and len(seen) == len(wanted)
            and all(covers(there, here) for there, here in zip(seen, wanted, strict=True))
        )
    return bool(seen == wanted)


def _same_quantities(seen: Any, wanted: dict[str, str]) -> bool:
    if not isinstance(seen, dict):
        return not wanted
    return all(key in seen and _is_as_much(str(seen[key]), value) for key, value in wanted.items())


def _is_as_much(seen: str, wanted: str) -> bool:
    try:
        return parse_quantity(seen) == parse_quantity(wanted)
    except ValueError:
        # Somebody wrote what is no quantity there.
        return seen == wanted
