"""A worker process of a run: loads the model once, then does what it is told over standard input."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

import pyarrow as pa

from mooring_inference.errors import ModelLoadError
from mooring_inference.score.arguments import check_unchanged, load_backend, make_job, parse, with_features
from mooring_inference.score.errors import ScoreError
from mooring_inference.score.folders import open_folder, open_output
from mooring_inference.score.job import Job
from mooring_inference.score.messages import error_message, part_message, receive, send
from mooring_inference.score.part_scorer import PartScorer
from mooring_inference.score.worker_place import WorkerPlace


def main() -> int:
    """Serve one run; return the exit code."""
    # Whoever interrupts the run interrupts all of its group; the run itself says what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _keep_standard_output()
    requests = _read_requests(sys.stdin)
    try:
        _work(requests, answers)
    except (ScoreError, ModelLoadError) as exc:
        send(answers, error_message(exc))
        return 1
    except OSError as exc:
        send(answers, error_message(ScoreError(f"{exc.filename or ''} {exc.strerror or exc}".strip())))
        return 1
    return 0


@contextmanager
def load_worker(
    args: argparse.Namespace, job: Job, place: WorkerPlace, count_rows: Callable[[int, int], None]
) -> Iterator[PartScorer]:
    """Yield a scorer with the model loaded; both are closed on leaving.

    Raises:
        ModelLoadError: the model cannot be loaded, or is not the one that the run found.
        ScoreError: the job does not fit the model or the input.
    """
    backend = load_backend(args, place.threads)
    try:
        fed = with_features(job, args.model_dir, backend)
        check_unchanged(args, place.model)
        with closing(PartScorer(fed, backend, place.model.digest, place.workspace, count_rows)) as scorer:
            yield scorer
    finally:
        backend.close()


def _work(requests: queue.SimpleQueue[dict[str, Any]], answers: IO[str]) -> None:
    place = WorkerPlace.of_message(requests.get())
    pa.set_cpu_count(place.threads)
    args = parse(place.argv)
    job = make_job(args, open_folder(args.input), place.files, open_output(args.output))
    with load_worker(args, job, place, lambda good, bad: send(answers, {"rows": [good, bad]})) as scorer:
        send(answers, {"settings": scorer.settings})
        while True:
            request = requests.get()
            if "count" in request:
                send(answers, {"count": scorer.count_parts(request["count"])})
            else:
                send(answers, part_message(scorer.score_part(*request["score"])))


def _read_requests(pipe: IO[str]) -> queue.SimpleQueue[dict[str, Any]]:
    """Return a queue of requests. The process ends when there can be none any more, whatever it does just then."""
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        while (request := receive(pipe)) is not None:
            requests.put(request)
        # What is unfinished stays unseen, and the next run removes it.
        os._exit(0)

    threading.Thread(target=read, name="requests", daemon=True).start()
    return requests


def _keep_standard_output() -> IO[str]:
    """Return standard output for messages alone; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    raise SystemExit(main())
