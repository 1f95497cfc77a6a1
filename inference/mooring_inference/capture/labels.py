"""What callers say later was true for a request: decoded, and kept like requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from mooring_inference.capture.buffer import ENTRY_BYTES, CaptureBuffer, CaptureCounters
from mooring_inference.capture.sampling import Sample
from mooring_inference.capture.settings import CaptureSettings
from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.elements import json_type
from mooring_inference.protocols.v2 import LONGEST_ID

if TYPE_CHECKING:
    from mooring_inference.capture.rows import LabelRows

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


def size_of(values: Sequence[Value]) -> int:
    """Return the bytes that the values hold, about."""
    return sum(64 + len(value) if isinstance(value, str) else 64 for value in values)


class LabelStream:
    """Keeps labels of the requests that the sample has, of all where no other process can draw the same sample."""

    def __init__(
        self,
        settings: CaptureSettings,
        sample: Sample,
        counters: CaptureCounters,
        buffer: CaptureBuffer,
        clock: Callable[[], float],
    ) -> None:
        self._deployment = settings.deployment
        self._sample = sample
        self._counters = counters
        self._buffer = buffer
        self._clock = clock
        self._rows: dict[str, LabelRows] = {}

    def record(self, model: str, request_id: str, values: Sequence[Value], time: float | None = None) -> bool:
        """Keep what was true for a request; from any thread, never blocks.

        Args:
            model: name of the model.
            request_id: id of the request.
            values: one for each of its rows.
            time: when it was said, seconds since 1970; None for now.

        Returns:
            False where there is no room, and the caller should send it again later. True as well for a request
            that the sample leaves out, whose label nobody can use.
        """
        # The request may have been answered, and kept, by another process.
        if self._sample.is_shared and not self._sample.has(request_id):
            self._counters.sampled_out_total += 1
            return True
        size = ENTRY_BYTES + size_of(values)
        count = len(values)
        said = self._clock() if time is None else time
        return self._buffer.offer(
            size, count, (self._stream(model), size, count, said, model, request_id, tuple(values))
        )

    def archives(self) -> set[str]:
        """Return the folders that retention looks through."""
        return {rows.archive for rows in list(self._rows.values())}

    def _stream(self, model: str) -> LabelRows:
        deployment = self._deployment or model
        rows = self._rows.get(deployment)
        if rows is None:
            from mooring_inference.capture.rows import LabelRows

            # Where two threads come here at once, both shall use the same.
            rows = self._rows.setdefault(deployment, LabelRows(deployment, self._counters))
        return rows
