"""What files of kept requests say of themselves, beside their rows."""

from __future__ import annotations

from collections.abc import Mapping

_REWRITTEN = b"mooring.rewritten"


def mark_rewritten(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes]:
    """The metadata of a file whose rows had been in its place before: none of them has come just now."""
    return {**(metadata or {}), _REWRITTEN: b"1"}


def was_rewritten(metadata: Mapping[bytes, bytes] | None) -> bool:
    """Whether a file was written anew with rows that had been in its place."""
    return _REWRITTEN in (metadata or {})
