"""JSON documents from bytes."""

from __future__ import annotations

import orjson

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.elements import json_type

_BOM = b"\xef\xbb\xbf"


def load_json(content: bytes | memoryview) -> object:
    """Return what JSON in UTF-8 holds, with or without a byte order mark; of a key that is there twice, the last.

    Raises:
        orjson.JSONDecodeError: it is not JSON.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if content[: len(_BOM)] != _BOM:
            raise
    return orjson.loads(content[len(_BOM) :])


def parse_object(body: bytes | memoryview) -> dict[str, object]:
    """Return a JSON object from bytes, or a 400."""
    try:
        document = load_json(body)
    except orjson.JSONDecodeError as exc:
        raise RequestError(
            f"body: not JSON: {exc}",
            field="body",
            expected="a JSON object",
            got=f"{len(body)} bytes that are not JSON",
        ) from None
    return need_object("body", document)


def need_object(field: str, value: object) -> dict[str, object]:
    """Return a value that must be an object, or raise RequestError, 400."""
    if not isinstance(value, dict):
        raise bad_field(field, "object", json_type(value))
    return value
