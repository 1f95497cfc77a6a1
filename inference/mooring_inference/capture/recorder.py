"""Keeps answered requests as Parquet files."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mooring_inference.capture.buffer import (
    ENTRY_BYTES,
    LARGE,
    CaptureBuffer,
    CaptureCounters,
    compact,
    measure,
)
from mooring_inference.capture.labels import LabelStream
from mooring_inference.capture.layout import plan_layout
from mooring_inference.capture.sampling import Sample, read_key
from mooring_inference.capture.settings import ROUTES, SAMPLE_KEY_VARIABLE, CaptureSettings, Hmac
from mooring_inference.observability.observing import Answered
from mooring_inference.tensors import Array, Signature, TensorSpec

if TYPE_CHECKING:
    from mooring_artifacts.window_states import Profile

    from mooring_inference.capture.rows import Stream

log = logging.getLogger(__name__)


class Capture:
    """Keeps answered requests as Parquet files.

    One for each process, made after it was forked: it has threads.

    Attributes:
        counters: what was done, for the metrics.
        labels: takes what callers say later.
        route: what ``--route`` says.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Start to capture.

        Raises:
            CaptureSettingsError: a key is missing or too short, or the folder cannot be opened.
        """
        # Arrow takes 40 MB, which only those who capture shall pay.
        from mooring_inference.capture import columns, retention, target, writer

        self.counters = CaptureCounters()
        self.route = settings.route
        self._settings = settings
        self._clock = clock
        self._sample = Sample(
            settings.sample, read_key("capture_key_file", settings.key_file, SAMPLE_KEY_VARIABLE, environ)
        )
        self._keeps_all = self._sample.keeps_all
        needs_key = any(isinstance(mask, Hmac) for mask in settings.masks.values())
        self._key = columns.read_hmac_key(settings.hmac_key_file, environ) if needs_key else None
        self._streams: dict[tuple[str, str], tuple[Stream, bool]] = {}
        self._buffer = CaptureBuffer(
            self.counters, max_bytes=settings.buffer_bytes, max_rows=settings.buffer_rows
        )
        self._offer = self._buffer.offer
        self.labels = LabelStream(settings, self._sample, self.counters, self._buffer, clock)
        self._target = target.Target(
            settings, self.counters, folders=self._archives, clock=retention.TrustedClock(clock, monotonic)
        )
        self._writer = writer.CaptureWriter(
            self._buffer,
            self._target,
            self.counters,
            flush_seconds=settings.flush_seconds,
            group_bytes=settings.buffer_bytes // 2,
            monotonic=monotonic,
            clock=clock,
        )
        self._target.start()
        self._writer.start()

    def register(
        self,
        model: str,
        revision: str,
        signature: Signature,
        feature_names: Mapping[str, Sequence[str]] | None = None,
        profile: Profile | None = None,
        *,
        form: str | None = None,
    ) -> None:
        """Make a revision known; its requests are captured from then on.

        Args:
            model: its name.
            revision: what ``record`` will say.
            signature: of the model.
            feature_names: names of the elements of a row, by input.
            profile: of the rows that it was trained on, in whose slots its requests are counted.
            form: what ``record`` will say instead of the revision, where that has several signatures.

        Raises:
            CaptureSettingsError: the settings or ``feature_names`` name what the model does not have.
        """
        from mooring_inference.capture.rows import RequestStream

        layout = plan_layout(signature, self._settings, feature_names)
        has_text = any(spec.datatype.name == "BYTES" for spec in (*signature.inputs, *signature.outputs))
        stream = RequestStream(
            deployment=self._settings.deployment or model,
            model=model,
            revision=revision,
            layout=layout,
            key=self._key,
            counters=self.counters,
            profile=profile,
        )
        self._streams[model, form or revision] = stream, has_text

    def record(
        self,
        request_id: str,
        model: str,
        revision: str,
        route: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[tuple[TensorSpec, Array]] | None,
        seconds: float,
        status: int,
    ) -> None:
        """Keep an answered request, if the sample has it and there is room; from any thread, never blocks.

        Args:
            request_id: its id; the sample is drawn by it.
            model: name of the model.
            revision: which revision has answered; requests of one that is not registered are not kept.
            route: ``stable``, ``candidate`` or ``shadow``.
            inputs: what the model was given; must not be written to afterwards. Empty: not kept.
            outputs: what it gave; None where it failed.
            seconds: how long that took.
            status: of the answer, as HTTP has it.
        """
        if not self._keeps_all and not self._sample.has(request_id):
            self.counters.sampled_out_total += 1
            return
        known = self._streams.get((model, revision))
        if known is None or not inputs:
            return
        stream, has_text = known
        rows = -1
        size = ENTRY_BYTES
        try:
            for array in inputs.values():
                size += getattr(array.base, "nbytes", array.nbytes)
                if rows < 0:
                    rows = len(array)
            if outputs is not None:
                for _, array in outputs:
                    size += getattr(array.base, "nbytes", array.nbytes)
        except (AttributeError, TypeError):  # no dimension, or a view of bytes
            size, rows = measure(inputs, outputs)
        if size > LARGE or has_text:
            inputs, outputs, size = compact(inputs, outputs)
        if rows:
            clock = self._clock
            self._offer(
                size, rows, (stream, size, rows, clock(), request_id, route, status, seconds, inputs, outputs)
            )

    def buffered(self) -> tuple[int, int]:
        """Return the rows and bytes that were recorded and not yet taken by the writer."""
        return self._buffer.held_rows, self._buffer.held_bytes

    def flush(self, seconds: float) -> bool:
        """Complete the files of all that was recorded before; whether that was done within so many seconds."""
        return self._writer.flush(seconds)

    def close(self, deadline_seconds: float) -> bool:
        """Complete the files of all that was recorded, and upload them; what is recorded later is dropped.

        Returns:
            Whether all that was done in time. Files that were not uploaded stay in the spool, for a later process.
        """
        deadline = time.monotonic() + deadline_seconds
        self._buffer.close()
        is_written = self._writer.close(deadline_seconds)
        is_uploaded = self._target.close(max(0.0, deadline - time.monotonic()))
        if not (is_written and is_uploaded):
            left = {"pending_rows": self.counters.pending_rows, "spooled_files": self.counters.spooled_files}
            log.warning("capture: not all was written and uploaded in time", extra={"fields": left})
        return is_written and is_uploaded

    def _archives(self) -> set[str]:
        streams = [stream for stream, _ in list(self._streams.values())]
        return {stream.archive for stream in streams} | self.labels.archives()


ROUTE_HEADER = b"x-mooring-route"
_ROUTES = {route.encode(): route for route in ROUTES}


class CaptureObserver:
    """Records features, predictions and what became of requests."""

    def __init__(self, capture: Capture) -> None:
        self._record = capture.record
        self._route = capture.route

    def answered(self, inference: Answered) -> None:
        """Record an inference that was answered."""
        headers = inference.headers
        route = _ROUTES.get(headers[ROUTE_HEADER], self._route) if ROUTE_HEADER in headers else self._route
        self._record(
            inference.request_id,
            inference.model.name,
            inference.model.version,
            route,
            inference.inputs,
            inference.outputs,
            inference.seconds,
            inference.status,
        )
