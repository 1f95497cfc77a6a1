"""A network of its own for one thread and the programs that it starts: root only, Linux only.

Kubernetes takes no address of 127.0.0.0/8 for an endpoint, and the machine's own addresses are nobody's business:
in here all of ``own_network.ADDRESSES`` are the loopback interface's.
"""

from __future__ import annotations

import ctypes
import os
from types import TracebackType
from typing import Self

from cluster import own_network
from cluster.programs import ProgramUnavailableError

_OWN = "/proc/thread-self/ns/net"


class NetworkNamespace:
    """In the ``with`` block this thread, and what it starts, is in a network that nobody else is in."""

    def __enter__(self) -> Self:
        """Enter a fresh one.

        Raises:
            ProgramUnavailableError: it cannot be made here.
        """
        self._before = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            own_network.unshare()
        except OSError as error:
            os.close(self._before)
            raise ProgramUnavailableError(
                f"a network namespace cannot be made here, which needs root: {error}"
            ) from error
        try:
            own_network.set_up_loopback()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).setns(self._before, own_network.CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(self._before)
