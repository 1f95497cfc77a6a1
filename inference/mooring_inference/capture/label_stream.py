"""Takes labels as callers send them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mooring_inference.capture.buffer import CaptureBuffer
from mooring_inference.capture.counters import CaptureCounters
from mooring_inference.capture.held_bytes import ENTRY_BYTES
from mooring_inference.capture.labels import Value, size_of
from mooring_inference.capture.sampling import Sample
from mooring_inference.capture.settings import CaptureSettings

if TYPE_CHECKING:
    from mooring_inference.capture.label_rows import LabelRows


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
        """Folders that retention looks through."""
        return {rows.archive for rows in list(self._rows.values())}

    def _stream(self, model: str) -> LabelRows:
        deployment = self._deployment or model
        rows = self._rows.get(deployment)
        if rows is None:
            from mooring_inference.capture.label_rows import LabelRows

            # Where two threads come here at once, both shall use the same.
            rows = self._rows.setdefault(deployment, LabelRows(deployment, self._counters))
        return rows
