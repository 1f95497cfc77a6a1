"""Worker processes as the run sees them: each has the model loaded once, and scores one part after another."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

from mooring_inference.score.errors import ScoreError
from mooring_inference.score.messages import ERRORS, read_part, receive, send
from mooring_inference.score.part_scorer import ScoredPart
from mooring_inference.score.worker_place import WorkerPlace

_MODULE = "mooring_inference.score.worker"


class WorkerProcess:
    """A process with a loaded model; it ends when this process does, however that happens."""

    def __init__(self, place: WorkerPlace, count_rows: Callable[[int, int], None]) -> None:
        """Start the process; its model is there once ``settings`` has been asked for.

        Args:
            place: what it needs to know.
            count_rows: is told of rows as they are done, good and bad ones; from any thread.
        """
        self._count_rows = count_rows
        self._settings: str | None = None
        # It reads standard input, and ends where that does.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._requests = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)
        self._send(place.to_message())

    @property
    def settings(self) -> str:
        """A fingerprint of the model and of all settings that show in the results; waits for the model."""
        if self._settings is None:
            self._settings = str(self._receive()["settings"])
        return self._settings

    def count_parts(self, index: int) -> int | None:
        """Return how many parts a file has; None where only reading all of it tells."""
        count: int | None = self._ask({"count": index})["count"]
        return count

    def score_part(self, index: int, number: int) -> ScoredPart | None:
        """Score a part, unless it is there already; None for one after the first that would be empty."""
        return read_part(self._ask({"score": [index, number]}))

    def stop(self) -> None:
        """End the process at once, whatever it does; parts that are done stay."""
        self._process.kill()

    def end(self) -> None:
        """Wait until the process, which is idle or was killed, has ended."""
        with suppress(BrokenPipeError):  # what could not be sent is of no use to it
            self._requests.close()
        self._process.wait()
        self._answers.close()

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        self._send(request)
        return self._receive()

    def _send(self, message: dict[str, object]) -> None:
        try:
            send(self._requests, message)
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> dict[str, Any]:
        while (answer := receive(self._answers)) is not None:
            if "rows" in answer:
                self._count_rows(*answer["rows"])
            elif "error" in answer:
                raise ERRORS[answer["error"]](answer["text"])
            else:
                return answer
        raise self._ended()

    def _ended(self) -> ScoreError:
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = ", for lack of memory perhaps: try fewer --workers" if code == -signal.SIGKILL else ""
        return ScoreError(f"a worker process {how}{why}; the same command goes on from here")


@contextmanager
def start_workers(
    place: WorkerPlace, count: int, count_rows: Callable[[int, int], None]
) -> Iterator[list[WorkerProcess]]:
    """Yield ``count`` processes, all of which have ended when this is left.

    Raises:
        ScoreError, ModelLoadError: some worker cannot begin.
    """
    workers: list[WorkerProcess] = []
    try:
        for _ in range(count):
            workers.append(WorkerProcess(place, count_rows))
        for worker in workers:
            _ = worker.settings
        yield workers
    except BaseException:
        for worker in workers:
            worker.stop()
        raise
    finally:
        for worker in workers:
            worker.end()
