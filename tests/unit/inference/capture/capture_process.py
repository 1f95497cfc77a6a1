"""A process that captures: ``python -m tests.unit.inference.capture.capture_process URI SPOOL_DIR``.

Says ``flushed`` once rows 0 to 99 are complete, then records on and says ``more`` after 100 more; on SIGTERM it
closes and says how many rows it has recorded.
"""

from __future__ import annotations

import signal
import sys

from tests.unit.inference.capture.capture_records import SECONDS, capturing, record


def main(uri, spool):
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    capture = capturing(uri, spool_dir=spool, flush_seconds="3600")
    count = 0
    for count in range(1, 101):
        record(capture, f"r{count}")
    assert capture.flush(SECONDS)
    print("flushed", flush=True)
    while not stopping:
        # Not more than fits: what is dropped here would look lost.
        if capture.buffered()[0] < 10_000:
            count += 1
            record(capture, f"r{count}")
        if count == 200:
            print("more", flush=True)
    capture.close(SECONDS)
    print(count, capture.counters.dropped_total, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
