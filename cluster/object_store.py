"""An S3 server over a folder, for tests: versitygw, as a plain process on 127.0.0.1."""

from __future__ import annotations

import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.building import build
from cluster.processes import Process, Watchdog, free_ports, start, wait_until_ready

_READY_S = 30.0


class ObjectStore:
    """A server with one bucket; at the end of the ``with`` block nothing is left of it."""

    access_key, secret_key, region, bucket = "mooring-test", "mooring-secret", "us-east-1", "mooring"

    def __init__(self) -> None:
        self._process: Process | None = None
        self._watchdog = Watchdog()
        self.port = free_ports(1)[0]

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients of S3 find it."""
        return {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }

    def __enter__(self) -> Self:
        """Build it where it is missing, and start it.

        Raises:
            ProgramUnavailableError: it cannot be had here.
        """
        program = build(["versitygw"])["versitygw"]
        self._folder = Path(tempfile.mkdtemp(prefix="mooring-s3-"))
        self._watchdog.own(self._folder)
        (self._folder / "objects" / self.bucket).mkdir(parents=True)
        # Not every file system keeps the metadata of objects as attributes of files.
        (self._folder / "sidecar").mkdir()
        command: list[str | Path] = [
            program, "--port", f"127.0.0.1:{self.port}", "--access", self.access_key, "--secret", self.secret_key,
            "--region", self.region, "--quiet", "posix", "--sidecar", self._folder / "sidecar",
            self._folder / "objects",
        ]  # fmt: skip
        self._process = start("versitygw", command, log=self._folder / "log")
        self._watchdog.watch(self._process)
        wait_until_ready(self._process, self._answers, timeout=_READY_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._watchdog.dismiss()

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False
