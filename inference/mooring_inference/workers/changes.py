"""Loading and unloading models on all workers.

The worker that is asked changes itself first: what fails there has changed nothing anywhere. The others follow while
it holds a lock, and a worker that starts takes what is served from a file, under the same lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from mooring_inference.errors import RequestError
from mooring_inference.models.repository import Repository
from mooring_inference.workers.place import WorkerPlace

log = logging.getLogger(__name__)

_LOCK_SECONDS = 0.02
_ACTIONS = ("load", "unload")


class WorkerChanges:
    """Changes the models of all workers of a server."""

    def __init__(self, repository: Repository, place: WorkerPlace) -> None:
        self._repository = repository
        self._place = place
        self._served = place.folder / "served.json"

    async def load(self, name: str) -> None:
        """Load a model everywhere; raises RequestError as ``Repository.load`` does, or 500 where others fail."""
        await self._change("load", name)

    async def unload(self, name: str) -> None:
        """Unload a model everywhere; raises RequestError as ``load`` does."""
        await self._change("unload", name)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow what other workers ask for."""
        path = self._socket_of(self._place.index)
        # That of a worker that was killed in this place.
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._follow, path)
        try:
            yield
        finally:
            server.close()

    async def start(self) -> None:
        """Load what the others serve; raises ModelLoadError."""
        async with self._locked(fcntl.LOCK_SH):
            served = json.loads(self._served.read_text()) if self._served.exists() else None
            await self._repository.start(served)
            self._place.announce_ready()

    async def _change(self, action: str, name: str) -> None:
        async with self._locked(fcntl.LOCK_EX):
            await self._apply(action, name)
            # Before the others follow: one that is started again meanwhile must know.
            self._write_served()
            others = [path for path in self._place.folder.glob("worker-*.sock") if path != self._own]
            failures = [one for one in await asyncio.gather(*(_ask(o, action, name) for o in others)) if one]
        if failures:
            raise RequestError(
                f"model {name}: {len(failures)} of {len(others) + 1} workers did not {action} it: {failures[0]}",
                status=500,
            )

    async def _apply(self, action: str, name: str) -> None:
        await (self._repository.load if action == "load" else self._repository.unload)(name)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reason = ""
        try:
            action, name = json.loads(await reader.readline())
            await self._apply(action, name)
        except RequestError as error:
            # What is not there need not be unloaded.
            reason = "" if action == "unload" and error.status == 404 else error.message
        except Exception:
            log.exception("a change of models failed")
            reason = "internal error"
        with contextlib.suppress(OSError):
            writer.write(json.dumps(reason).encode() + b"\n")
            await writer.drain()
        writer.close()

    def _write_served(self) -> None:
        new = self._served.with_suffix(".new")
        new.write_text(json.dumps(self._repository.names()))
        new.rename(self._served)

    @property
    def _own(self) -> Path:
        return self._socket_of(self._place.index)

    def _socket_of(self, index: int) -> Path:
        return self._place.folder / f"worker-{index}.sock"

    @contextlib.asynccontextmanager
    async def _locked(self, kind: int) -> AsyncIterator[None]:
        with (self._place.folder / "changes.lock").open("a") as file:
            # Not by waiting in a thread: a server that stops would wait for it.
            while True:
                try:
                    fcntl.flock(file, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_LOCK_SECONDS)
            yield


async def _ask(path: Path, action: str, name: str) -> str:
    """Have another worker make a change; return why it did not. One that has ended starts with the change."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return ""
    try:
        writer.write(json.dumps([action, name]).encode() + b"\n")
        answer = await reader.readline()
        return str(json.loads(answer)) if answer else ""
    except OSError:
        return ""
    finally:
        writer.close()
