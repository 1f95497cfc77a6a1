"""Says how far a run is: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import importlib.util
import sys
import time
from types import TracebackType
from typing import Any, Self

_LINE_SECONDS = 10.0


class Progress:
    """Counts rows and files; writes to standard error."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._done = 0
        self._rows = self._bad = 0
        self._started = self._said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
            self._bar, self._task = _make_bar(files)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add_rows(self, good: int, bad: int) -> None:
        """Count rows that were scored or refused."""
        self._rows += good + bad
        self._bad += bad
        self._show()

    def finish_file(self) -> None:
        """Count a file."""
        self._done += 1
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        rate = self._rows / max(now - self._started, 1e-9)
        words = f"{self._rows} rows, {self._bad} bad, {rate:.0f} rows/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, words=words)
        elif now - self._said >= _LINE_SECONDS:
            self._said = now
            sys.stderr.write(f"file {min(self._done + 1, self._files)} of {self._files}: {words}\n")
            sys.stderr.flush()


def _make_bar(files: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("files"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    return bar, bar.add_task("score", total=files, words="")
