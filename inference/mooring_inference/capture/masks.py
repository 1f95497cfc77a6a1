"""What can be done to a column before it leaves the process. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Drop:
    """The column is not written."""


@dataclass(frozen=True, slots=True)
class Hmac:
    """Each value becomes the first 128 bits of HMAC-SHA256 (RFC 2104) of its text, as 32 hexadecimal digits.

    The text of a number is Python's shortest that reads back the same; equal values have equal digests in all
    columns, models and replicas that share the key, and nobody without the key can try values out.
    """


@dataclass(frozen=True, slots=True)
class Bucket:
    """Each number becomes the interval that it lies in, as text: ``<1``, ``[1,5)``, ``>=5``.

    Attributes:
        edges: finite and rising.
        labels: one more than there are edges.
    """

    edges: tuple[float, ...]
    labels: tuple[str, ...]


Mask = Drop | Hmac | Bucket


def parse_bucket(text: str) -> Bucket | None:
    """``1,5,10``; None where these are not finite, rising numbers."""
    words = [word.strip() for word in text.split(",")]
    try:
        edges = tuple(float(word) for word in words)
    except ValueError:
        return None
    if not all(map(math.isfinite, edges)) or any(low >= high for low, high in pairwise(edges)):
        return None
    inner = (f"[{low},{high})" for low, high in pairwise(words))
    return Bucket(edges, (f"<{words[0]}", *inner, f">={words[-1]}"))
