"""A network of its own for one thread and the programs that it starts: root only, Linux only.

Kubernetes takes no address of 127.0.0.0/8 for an endpoint, and the machine's own addresses are nobody's business:
in here the loopback interface has as many as wanted.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from cluster.programs import ProgramUnavailableError

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"


class NetworkNamespace:
    """In the ``with`` block this thread, and what it starts, is in a network that nobody else is in."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        self._addresses = list(addresses)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self) -> Self:
        """Enter a fresh one.

        Raises:
            ProgramUnavailableError: it cannot be made here.
        """
        self._ip_program = shutil.which("ip")
        if self._ip_program is None:
            raise ProgramUnavailableError("there is no program ip (iproute2) to give a network its addresses")
        self._before = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        if self._libc.unshare(_CLONE_NEWNET) != 0:
            os.close(self._before)
            reason = os.strerror(ctypes.get_errno())
            raise ProgramUnavailableError(
                f"a network namespace cannot be made here, which needs root: {reason}"
            )
        try:
            self._ip("link", "set", "lo", "up")
            for address in self._addresses:
                self._ip("address", "add", f"{address}/32", "dev", "lo")
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
            if self._libc.setns(self._before, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(self._before)

    def _ip(self, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._ip_program), *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ProgramUnavailableError(f"ip {' '.join(arguments)} failed: {done.stderr.strip()}")
