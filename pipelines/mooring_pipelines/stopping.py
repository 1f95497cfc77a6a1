"""A run that is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType


class Stopped(BaseException):
    """The run was asked to end; no pipeline's own handlers catch it."""


class StopSignals:
    """Raises `Stopped` in the main thread at the first SIGTERM or SIGINT; later ones are ignored.

    Attributes:
        received: which it was; None so far.
        before: called first, to end what would go on; it may raise `Stopped` itself, or later.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.before: Callable[[], bool] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def ignore(self) -> None:
        """From here on there is nothing to end any more."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.ignore()
        self.received = signal.Signals(number)
        if self.before is None or self.before():
            raise Stopped
