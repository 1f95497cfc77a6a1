"""A log line for each inference; off by default, for it costs more than many models."""

from __future__ import annotations

import logging

from mooring_inference.observability.observing import Answered

log = logging.getLogger(__name__)


class RequestLog:
    """Logs what became of requests, and nothing of their content."""

    def answered(self, inference: Answered) -> None:
        """Log an inference that was answered."""
        call = inference.call
        log.info(
            "answered",
            extra={
                "fields": {
                    "request_id": inference.request_id,
                    "model": inference.model.name,
                    "revision": inference.model.version,
                    "protocol": inference.protocol,
                    "status": inference.status,
                    "seconds": round(inference.seconds, 6),
                    "batch_rows": call.batch_rows if call is not None else 0,
                }
            },
        )
