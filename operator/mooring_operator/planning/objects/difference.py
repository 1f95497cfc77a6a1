"""Tells whether an object already says what is wanted of it."""

from decimal import Decimal
from typing import Any

_SUFFIXES = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
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


def quantity(text: str) -> Decimal:
    """Read a Kubernetes quantity.

    Raises:
        ValueError: it is none.
    """
    digits = text.rstrip("mkKMGTPEi")
    try:
        return Decimal(digits) * _SUFFIXES[text[len(digits) :]]
    except (ArithmeticError, KeyError):
        raise ValueError(f"{text!r} is no quantity") from None


def _same_quantities(seen: Any, wanted: dict[str, str]) -> bool:
    if not isinstance(seen, dict):
        return not wanted
    return all(
        key in seen and quantity(str(seen[key])) == quantity(str(value)) for key, value in wanted.items()
    )
