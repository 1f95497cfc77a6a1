"""Read ahead: the next blocks are fetched and decoded while the model works on one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_BLOCKS = 2


class _End:
    """The last thing in the queue, with what the thread ended by."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def read_ahead(source: Iterator[T], most: int = _BLOCKS) -> Iterator[Iterator[T]]:
    """Yield what a thread takes from ``source``, ``most`` elements ahead; on leaving, the thread has ended.

    What ``source`` raises is raised where its element would have come.
    """
    ready: queue.Queue[T | _End] = queue.Queue(most)
    stopped = threading.Event()

    def fill() -> None:
        error: BaseException | None = None
        try:
            for element in source:
                ready.put(element)
                if stopped.is_set():
                    return
        except BaseException as exc:  # raised again by the reader
            error = exc
        ready.put(_End(error))

    def drain() -> Iterator[T]:
        while not isinstance(element := ready.get(), _End):
            yield element
        ready.put(element)  # for whoever asks again
        if element.error is not None:
            raise element.error

    thread = threading.Thread(target=fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield drain()
    finally:
        stopped.set()
        while thread.is_alive():
            _empty(ready)
            thread.join(0.01)


def _empty(ready: queue.Queue[T | _End]) -> None:
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        return
