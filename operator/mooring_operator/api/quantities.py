"""Amounts of a resource, as Kubernetes writes and compares them.

Source: apimachinery, pkg/api/resource, Quantity.
"""

import re
from decimal import ROUND_UP, Context, Decimal

_PARTS = re.compile(r"([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([numkMGTPE]?|[KMGTPE]i|[eE][-+]?[0-9]{1,3})")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_THOUSANDTH = Decimal("0.001")
_LARGEST_BINARY = Decimal(2**63 - 1)
# Far more digits than any quantity has.
_EXACT = Context(prec=2000)


def parse_quantity(text: str) -> Decimal:
    """Read a quantity as a pod has it: rounded up to thousandths, and 2^63-1 at most where it ends in Ki to Ei.

    Raises:
        ValueError: it is none.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r:.80} is no quantity")
    number, unit = Decimal(parts[1]), parts[2]
    if unit in _BINARY:
        return _rounded(min(_EXACT.multiply(number, 2 ** _BINARY[unit]), _LARGEST_BINARY))
    exponent = _DECIMAL[unit] if unit in _DECIMAL else int(unit[1:])
    return _rounded(_EXACT.scaleb(number, exponent))


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(_THOUSANDTH, rounding=ROUND_UP, context=_EXACT)
