"""One model server process: started, watched, started again after a crash, drained and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from cluster.serving.backend import Backend, BackendError
from cluster.serving.predictors import Deployment, environment
from cluster.serving.scheduling import check_schedulable
from cluster.serving.status import Failure
from cluster.serving.storage import UnusablePredictorError, copy_model, model_source

log = logging.getLogger(__name__)

_LAUNCHER = Path(__file__).with_name("launcher.py")
_BACKOFF_SECONDS = (0.5, 1, 2, 4, 8, 16, 30)
# A process that has run this long starts again without delay.
_STABLE_SECONDS = 10.0
_PROBE_SECONDS = 0.05
_LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Runtime:
    """How model servers are run.

    Attributes:
        roots: folders that ``file://`` models may come from.
        scratch: folder for copies of models.
        threads: threads of one model execution.
        start_seconds: how long a process may take to be ready.
        stop_seconds: how long one may take to end.
        probe_seconds: pause between health probes, and how long one may take.
        probes: unanswered probes in a row after which a process is replaced.
        drain_seconds: how long a process takes requests after it was told to end.
    """

    roots: Sequence[Path]
    scratch: Path
    threads: int = 1
    start_seconds: float = 60.0
    stop_seconds: float = 30.0
    probe_seconds: float = 5.0
    probes: int = 3
    drain_seconds: float = 0.0


POD_PORT = 8080
"""Where a model server listens that has an address of its own."""


class Replica:
    """Keeps one process of a deployment running until ``stop``.

    ``address`` is its own; without one it listens on a free port of 127.0.0.1.
    """

    def __init__(
        self,
        model: str,
        deployment: Deployment,
        folder: Path,
        runtime: Runtime,
        on_change: Callable[[], None],
        address: str | None = None,
    ) -> None:
        self.deployment = deployment
        self.address = address
        self.name = f"{deployment.name}-{deployment.digest[:8]}-{folder.name}"
        self.backend: Backend | None = None
        self.failure: Failure | None = None
        self.pid: int | None = None
        self.restarts = 0
        self._model, self._folder, self._runtime, self._on_change = model, folder, runtime, on_change
        self._process: Process | None = None
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name=f"replica {deployment.name}")

    @property
    def ready(self) -> bool:
        """Whether requests may be sent to ``backend``."""
        return self.backend is not None and not self._stopping

    async def stop(self) -> None:
        """Take no more requests, finish those in flight, end the process."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._runtime.stop_seconds):
                if self.backend is not None:
                    await self.backend.quiet()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._end_process()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _run(self) -> None:
        attempt = 0
        while True:
            started = monotonic()
            try:
                self.failure = await self._run_once()
            except UnusablePredictorError as exc:
                self.failure = exc.failure
            except Exception as exc:
                # Whatever it is, the next attempt may do better, and status says what it was.
                log.exception("%s: cannot be run", self.deployment.name)
                self.failure = Failure("RuntimeUnhealthy", f"cannot run the model server: {exc}")
            if monotonic() - started > _STABLE_SECONDS:
                attempt = 0
            delay = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)]
            attempt += 1
            self.restarts += 1
            log.warning("%s: %s; again in %s s", self.deployment.name, self.failure.message, delay)
            self._on_change()
            await asyncio.sleep(delay)

    async def _run_once(self) -> Failure:
        check_schedulable(self.deployment.predictor)
        source = model_source(self.deployment.predictor, self._runtime.roots)
        await asyncio.to_thread(copy_model, source, self._folder)
        process = await self._spawn()
        complaints: deque[str] = deque(maxlen=20)
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        readers = [
            asyncio.create_task(_read_log(process, port)),
            asyncio.create_task(_read_complaints(process, complaints)),
        ]
        exited = asyncio.create_task(process.wait())
        became_ready = asyncio.create_task(self._become_ready(port))
        try:
            await asyncio.wait({exited, became_ready}, return_when=asyncio.FIRST_COMPLETED)
            was_ready = became_ready.done() and became_ready.result()
            if was_ready:
                await self._watch_health(exited)
            if not exited.done():
                process.kill()
                why = (
                    "does not answer"
                    if was_ready
                    else f"is not ready after {self._runtime.start_seconds:g} s"
                )
                return Failure("RuntimeUnhealthy", f"the model server {why}")
            code = await exited
            await readers[1]
            reason = complaints[-1] if complaints else f"the model server ended with exit code {code}"
            return Failure("RuntimeUnhealthy" if was_ready else "ModelLoadFailed", reason, code)
        finally:
            self.pid = None
            self._close_backend()
            for task in (*readers, exited, became_ready):
                task.cancel()

    async def _spawn(self) -> Process:
        server = [sys.executable, "-I", "-m", "mooring_inference", *self._flags()]
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *[sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *server],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(self.deployment),
            )
        )
        try:
            self._process = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            # Without its handle a process could not be ended any more.
            self._process = await spawning
            raise
        self.pid = self._process.pid
        return self._process

    def _flags(self) -> list[str]:
        flags = {
            "model_name": self._model,
            "model_dir": str(self._folder),
            "host": self.address or _LOCAL,
            "http_port": str(POD_PORT if self.address else 0),
            "threads": str(self._runtime.threads),
            # Those of the front have been finished before SIGTERM comes.
            "drain_seconds": f"{self._runtime.drain_seconds:g}",
            "grace_seconds": "5",
        }
        given = self.deployment.predictor.get("model", {}).get("args") or []
        return [*(f"--{name}={value}" for name, value in flags.items()), *map(str, given)]

    async def _become_ready(self, port: asyncio.Future[int]) -> bool:
        try:
            async with asyncio.timeout(self._runtime.start_seconds):
                backend = Backend(self.address or _LOCAL, await port)
                while not await _answers(backend):  # noqa: ASYNC110  nothing here tells when another process is ready
                    await asyncio.sleep(_PROBE_SECONDS)
        except TimeoutError:
            return False
        self.backend, self.failure = backend, None
        log.info("%s: ready, process %s, port %s", self.deployment.name, self.pid, backend.port)
        self._on_change()
        return True

    async def _watch_health(self, exited: asyncio.Task[int]) -> None:
        """Return when the process has ended or has not answered several probes in a row."""
        silent = 0
        while silent < self._runtime.probes and self.backend is not None:
            await asyncio.wait({exited}, timeout=self._runtime.probe_seconds)
            if exited.done():
                return
            answered = await _answers_within(self.backend, self._runtime.probe_seconds)
            silent = 0 if answered else silent + 1

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        self._close_backend()
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._runtime.stop_seconds):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _close_backend(self) -> None:
        backend, self.backend = self.backend, None
        if backend is not None:
            backend.close()


async def _answers(backend: Backend) -> bool:
    try:
        return (await backend.request("GET", "/v2/health/ready")).status == 200
    except BackendError:
        return False


async def _answers_within(backend: Backend, seconds: float) -> bool:
    # A connection of its own: one that waits for an answer must not hold up the next request.
    probe = Backend(backend.host, backend.port)
    try:
        async with asyncio.timeout(seconds):
            return await _answers(probe)
    except TimeoutError:
        return False
    finally:
        probe.close()


async def _read_log(process: Process, port: asyncio.Future[int]) -> None:
    """Find the port in the log, and keep reading so that the process is never blocked on its output."""
    assert process.stdout is not None
    async for line in process.stdout:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry.get("message") == "listening" and not port.done():
                port.set_result(int(entry["port"]))


async def _read_complaints(process: Process, complaints: deque[str]) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        if text := line.decode("utf-8", "replace").strip():
            complaints.append(text)


def _environment(deployment: Deployment) -> Mapping[str, str]:
    """The model's own variables over a few of ours; the agent's environment holds more than a model needs."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return {**inherited, **environment(deployment.predictor), "MOORING_REVISION": deployment.revision}
