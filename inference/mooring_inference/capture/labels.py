"""What callers say later about a request: what was true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.elements import json_type
from mooring_inference.protocols.v2 import LONGEST_ID

Value = float | int | bool | str

MAX_BODY_BYTES = 1 << 20
MAX_VALUES = 10_000
_LONGEST_TEXT = 1024


@dataclass(frozen=True, slots=True)
class Label:
    """What was true for one request.

    Attributes:
        id: the request's.
        values: one for each of its rows.
    """

    id: str
    values: tuple[Value, ...]


def decode_labels(body: bytes) -> list[Label]:
    """Decode ``{"id": ID, "value": VALUE}`` or ``{"labels": [{"id": ID, "value": VALUE}, ...]}``.

    A value is a number, a boolean or a string; for a request of several rows, an array with one for each row.

    Raises:
        RequestError: 413 for a body over 1 MiB, else 400 with the field that is wrong.
    """
    if len(body) > MAX_BODY_BYTES:
        raise RequestError(
            f"body: expected at most {MAX_BODY_BYTES} bytes, got {len(body)}",
            status=413,
            field="body",
            expected=f"at most {MAX_BODY_BYTES} bytes",
            got=f"{len(body)} bytes",
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_field("body", "JSON", f"no JSON: {error}") from None
    if not isinstance(document, dict):
        raise bad_field("body", "object", json_type(document))
    entries, paths = _entries(document)
    labels = [_label(path, entry) for path, entry in zip(paths, entries, strict=True)]
    count = sum(len(label.values) for label in labels)
    if count > MAX_VALUES:
        raise bad_field("labels", f"at most {MAX_VALUES} values", f"{count} values")
    return labels


def _entries(document: dict[str, object]) -> tuple[list[object], list[str]]:
    if "labels" not in document:
        return [document], [""]
    if len(document) > 1:
        raise bad_field("body", "labels, or id and value", f"{', '.join(sorted(document))}")
    entries = document["labels"]
    if not isinstance(entries, list):
        raise bad_field("labels", "array", json_type(entries))
    return entries, [f"labels[{index}]." for index in range(len(entries))]


def _label(path: str, entry: object) -> Label:
    if not isinstance(entry, dict):
        raise bad_field(path.removesuffix("."), "object", json_type(entry))
    for name in entry:
        if name not in ("id", "value"):
            raise bad_field(f"{path}{str(name)[:LONGEST_ID]}", "id and value only", "another field")
    request_id = entry.get("id")
    if not isinstance(request_id, str):
        raise bad_field(f"{path}id", "string", json_type(request_id))
    if not 0 < len(request_id) <= LONGEST_ID:
        raise bad_field(f"{path}id", f"1 to {LONGEST_ID} characters", f"{len(request_id)} characters")
    value = entry.get("value")
    if isinstance(value, list):
        if not value:
            raise bad_field(f"{path}value", "one value for each row", "an empty array")
        return Label(request_id, tuple(_value(f"{path}value[{i}]", item) for i, item in enumerate(value)))
    return Label(request_id, (_value(f"{path}value", value),))


def _value(field: str, value: object) -> Value:
    if not isinstance(value, bool | int | float | str):
        raise bad_field(field, "number, boolean or string", json_type(value))
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise bad_field(field, f"at most {_LONGEST_TEXT} characters", f"{len(value)} characters")
    return value


def number_of(value: Value) -> float | None:
    """The value as a number; None for a string."""
    return None if isinstance(value, str) else float(value)


def text_of(value: Value) -> str:
    """The value as text, as JSON has it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def size_of(values: Sequence[Value]) -> int:
    """Bytes that the values hold, about."""
    return sum(64 + len(value) if isinstance(value, str) else 64 for value in values)
