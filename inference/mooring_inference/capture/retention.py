"""Deletes files of hours that are too long ago."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any

import obstore
import obstore.exceptions

from mooring_inference.capture.paths import SUFFIXES, span_of

log = logging.getLogger(__name__)

_ROUND_SECONDS = 600.0
# A clock that jumps by more than this is not believed until it has run evenly for so long.
_JUMP_SECONDS = 300.0
_TRUST_SECONDS = 3600.0


def find_expired(store: Any, folder: str, end: datetime) -> Iterator[str]:
    """Yield paths of files below ``folder`` in ``date=YYYY-MM-DD/hour=HH`` of hours that ended by ``end``.

    Folders of later dates and hours are not listed.

    Raises:
        obstore.exceptions.BaseError, OSError: the store cannot be read.
    """
    listing = obstore.list_with_delimiter(store, folder)
    for path in listing["common_prefixes"]:
        found = span_of(path)
        if found is None or found.start < end:
            yield from find_expired(store, path, end)
    hour = span_of(folder)
    if hour is not None and hour.is_hour and hour.start <= end - timedelta(hours=1):
        yield from (meta["path"] for meta in listing["objects"] if PurePath(meta["path"]).suffix in SUFFIXES)


class TrustedClock:
    """A wall clock that is asked only while it runs as evenly as a clock that nobody sets.

    A clock that is years ahead for a moment must not delete everything.
    """

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._last = clock(), monotonic()
        self._distrusted_until = float("-inf")

    def now(self) -> datetime | None:
        """Return the time; None where the clock has jumped lately."""
        wall, steady = self._clock(), self._monotonic()
        jump = (wall - self._last[0]) - (steady - self._last[1])
        self._last = wall, steady
        if abs(jump) > _JUMP_SECONDS:
            self._distrusted_until = steady + _TRUST_SECONDS
        return None if steady < self._distrusted_until else datetime.fromtimestamp(wall, UTC)


class Retention:
    """A thread that looks every ten minutes."""

    def __init__(
        self,
        places: Iterable[tuple[Any, str]],
        folders: Callable[[], Iterable[str]],
        *,
        hours: float,
        clock: TrustedClock,
        on_deleted: Callable[[int], None],
    ) -> None:
        """Retention that is not started yet.

        Args:
            places: stores, and the prefix below which ``folders`` are in each.
            folders: what to look through, such as ``deployment=iris``.
            hours: how long files are kept after the end of their hour.
            clock: what time it is.
            on_deleted: is told how many files were deleted.
        """
        self._places = tuple(places)
        self._folders = folders
        self._keep = timedelta(hours=hours)
        self._clock = clock
        self._on_deleted = on_deleted
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture-retention", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(seconds)

    def look(self) -> None:
        """Delete what is too old."""
        now = self._clock.now()
        if now is None:
            return
        for store, prefix in self._places:
            for folder in self._folders():
                try:
                    for path in list(find_expired(store, f"{prefix}{folder}", now - self._keep)):
                        self._delete(store, path)
                except (obstore.exceptions.BaseError, OSError) as error:
                    log.warning(
                        "capture: old files cannot be deleted",
                        extra={"fields": {"folder": folder, "error": str(error).split("\n", 1)[0]}},
                    )

    def _delete(self, store: Any, path: str) -> None:
        try:
            obstore.delete(store, path)
        except FileNotFoundError:
            return  # another replica was faster
        self._on_deleted(1)

    def _run(self) -> None:
        while not self._closing.wait(_ROUND_SECONDS):
            self.look()
