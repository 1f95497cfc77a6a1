"""What capture has done, as plain numbers that a metrics page reads."""

from __future__ import annotations

import threading

# Why rows were not kept:
#   full: the buffer had no room; too_large: one request alone takes more than a fair share of it
#   disk: the local file could not be written; upload: the object store was away and the spool is full
#   shape: inputs whose rows do not match; closed: after or during the close; error: a fault of capture itself
REASONS = ("full", "too_large", "disk", "upload", "shape", "closed", "error")


class CaptureCounters:
    """Counts since the start.

    Attributes:
        rows_total: rows of requests in files that are complete.
        labels_total: the same of labels.
        dropped: rows (requests' and labels') that were not kept, by reason.
        sampled_out_total: requests and labels that the sample leaves out.
        without_predictions_total: rows kept without outputs that do not match the request's rows.
        files_total, bytes_total: complete files, and their size.
        uploads_total, upload_errors_total: files that reached the object store, and attempts that failed.
        deleted_total: files deleted because of their age.
        pending_rows: taken by the writer and not yet in a complete file.
        spooled_files, spooled_bytes: complete and not yet in the object store.
        writer_cpu_seconds: CPU time of the thread that writes.
    """

    def __init__(self) -> None:
        self.rows_total = 0
        self.labels_total = 0
        self.dropped = dict.fromkeys(REASONS, 0)
        self.sampled_out_total = 0
        self.without_predictions_total = 0
        self.files_total = 0
        self.bytes_total = 0
        self.uploads_total = 0
        self.upload_errors_total = 0
        self.deleted_total = 0
        self.pending_rows = 0
        self.spooled_files = 0
        self.spooled_bytes = 0
        self.writer_cpu_seconds = 0.0
        self._lock = threading.Lock()

    def drop(self, reason: str, rows: int) -> None:
        """Count rows that are not kept."""
        with self._lock:
            self.dropped[reason] += rows

    def state(self) -> dict[str, float]:
        """The counts by name, as ``observability.capture_metrics`` shows them."""
        state = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
        return state | {f"dropped:{reason}": rows for reason, rows in tuple(self.dropped.items())}

    @property
    def dropped_total(self) -> int:
        """All rows that were not kept."""
        return sum(self.dropped.values())
