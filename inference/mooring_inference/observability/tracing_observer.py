"""Answered inferences as spans."""

from __future__ import annotations

import time

from mooring_inference.observability.observing import Answered
from mooring_inference.observability.tracing import RequestTrace, Tracing, parse_traceparent


class TracingObserver:
    """Records the spans of requests that come with a sampled ``traceparent``."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def answered(self, inference: Answered) -> None:
        """Record the spans of an inference that was answered."""
        header = inference.headers.get(b"traceparent")
        if header is None:
            return
        parent = parse_traceparent(header.decode("latin-1"))
        if parent is None or not parent.sampled:
            return
        call, end = inference.call, time.time_ns()
        state = inference.headers.get(b"tracestate")
        self._tracing.record(
            parent,
            RequestTrace(
                model=inference.model.name,
                revision=inference.model.version,
                protocol=inference.protocol,
                start_ns=end - int(inference.seconds * 1e9),
                end_ns=end,
                status=inference.status,
                batch_size=call.batch_rows if call is not None else 0,
                stages={"queue": call.queue_seconds, "compute": call.compute_seconds}
                if call is not None and call.has_results
                else {},
            ),
            state.decode("latin-1") if state is not None else None,
        )
