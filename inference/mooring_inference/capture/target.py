"""Where files go: a folder, or an object store by way of a spool."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import obstore
import obstore.store
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import open_store
from mooring_artifacts.uris import Address

from mooring_inference.capture.buffer import CaptureCounters
from mooring_inference.capture.files import remove_unfinished
from mooring_inference.capture.retention import Retention, TrustedClock
from mooring_inference.capture.settings import CaptureSettings, CaptureSettingsError
from mooring_inference.capture.spool import Spool, Uploader

if TYPE_CHECKING:
    from obstore.store import RetryConfig

# Tried again by the uploader, which knows when to stop. No options of the client: they would replace those that the
# environment sets, such as AWS_ALLOW_HTTP.
_RETRY: RetryConfig = {"max_retries": 0}


class Target:
    """Takes complete files from ``root``.

    Attributes:
        root: the folder that the writer writes to.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        counters: CaptureCounters,
        *,
        folders: Callable[[], Iterable[str]],
        clock: TrustedClock,
    ) -> None:
        """Open it.

        Args:
            settings: the capture settings.
            counters: what is counted.
            folders: what retention looks through.
            clock: for retention.

        Raises:
            CaptureSettingsError: a folder cannot be made, or the store cannot be configured.
        """
        self._counters = counters
        self._spool: Spool | None = None
        self._uploader: Uploader | None = None
        self._retention: Retention | None = None
        self._spool_bytes = settings.spool_bytes
        places: list[tuple[Any, str]] = []
        place = settings.place
        if isinstance(place, Address):
            self._store, self._prefix = _open_store(place)
            self._spool = spool = _open_spool(settings.spool_dir)
            self.root = spool.root
            self._uploader = Uploader(
                self._upload, on_success=self._succeeded, on_error=self._failed, on_size=self._sized
            )
            places.append((self._store, self._prefix))
        else:
            self.root = _open_folder(place)
        if settings.retention_hours is not None:
            places.append((obstore.store.LocalStore(self.root, automatic_cleanup=True), ""))
            self._retention = Retention(
                places, folders, hours=settings.retention_hours, clock=clock, on_deleted=self._deleted
            )

    def start(self) -> None:
        """Clean up after processes that are no more, and begin to upload and to delete."""
        if self._spool is None:
            remove_unfinished(self.root)
        else:
            assert self._uploader is not None
            self._spool.adopt()
            for path in self._spool.files():
                self._uploader.add(path, path.stat().st_size)
            self._uploader.start()
        if self._retention is not None:
            self._retention.start()

    def has_room(self) -> bool:
        """Return whether another file may be begun."""
        return self._counters.spooled_bytes < self._spool_bytes

    def take(self, path: Path, size: int) -> None:
        """Take a file that is complete."""
        if self._uploader is not None:
            self._uploader.add(path, size)

    def close(self, seconds: float) -> bool:
        """Return whether all files have reached their place within so many seconds; the rest stays in the spool."""
        deadline = monotonic() + seconds
        is_done = self._uploader is None or self._uploader.close(seconds)
        if self._retention is not None:
            self._retention.close(max(0.0, deadline - monotonic()))
        if self._spool is not None:
            self._spool.close()
        return is_done

    def _upload(self, path: Path) -> None:
        obstore.put(self._store, self._prefix + path.relative_to(self.root).as_posix(), path)

    def _succeeded(self) -> None:
        self._counters.uploads_total += 1

    def _failed(self) -> None:
        self._counters.upload_errors_total += 1

    def _sized(self, files: int, size: int) -> None:
        self._counters.spooled_files, self._counters.spooled_bytes = files, size

    def _deleted(self, files: int) -> None:
        self._counters.deleted_total += files


def _open_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaptureSettingsError(f"--capture_uri: {path} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise CaptureSettingsError(f"--capture_uri: {path} cannot be written")
    return path


def _open_spool(base: Path | None) -> Spool:
    base = base or Path(tempfile.gettempdir(), "mooring-capture")
    try:
        return Spool(base)
    except OSError as error:
        raise CaptureSettingsError(
            f"--capture_spool_dir: {base} cannot be written: {error.strerror}"
        ) from None


def _open_store(address: Address) -> tuple[Any, str]:
    """Return the store of a bucket, and the prefix of keys, empty or with a slash at its end."""
    try:
        store = open_store(address, "--capture_uri:", _RETRY)
    except InputError as error:
        raise CaptureSettingsError(str(error)) from None
    return store, f"{address.key}/" if address.key else ""
