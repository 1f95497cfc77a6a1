"""One run: the parts of one shard that are not done yet, shared by workers, and the end of it all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from mooring_inference.score.completion import Completion
from mooring_inference.score.job import Job
from mooring_inference.score.part_scorer import ScoredPart
from mooring_inference.score.parts import Manifest, fingerprint, part_path
from mooring_inference.score.progress import Progress
from mooring_inference.score.schedule import Schedule, Task


class Worker(Protocol):
    """A loaded model, in this process or in another one; see ``PartScorer``."""

    @property
    def settings(self) -> str:
        """A fingerprint of the model and of all settings that show in the results."""
        ...

    def count_parts(self, index: int) -> int | None:
        """Return how many parts a file has; None where only reading all of it tells."""
        ...

    def score_part(self, index: int, number: int) -> ScoredPart | None:
        """Score a part, unless it is there already; None for one after the first that would be empty."""
        ...

    def stop(self) -> None:
        """Make a call that is under way in another thread end early, by an error."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of one shard; ``reused_parts`` were there already."""

    parts: int
    reused_parts: int
    input_rows: int
    good_rows: int
    bad_rows: int
    complete: bool


def run_job(job: Job, workers: Sequence[Worker], progress: Progress) -> Summary:
    """Score one shard.

    Args:
        job: what to score.
        workers: who does it, at least one.
        progress: is told of finished files.

    Raises:
        ScoreError: the run cannot go on; what was finished before stays.
    """
    mark = fingerprint(workers[0].settings, [[file.path, file.tag] for file in job.files], job.shards)
    completion = Completion(job.target, mark, job.shards)
    completion.withdraw()
    shared = _SharedWork(job, progress)
    if len(workers) == 1:
        shared.do(0, workers[0])
    else:
        _do_together(shared, workers)
    complete = completion.finish(job.shard, shared.parts, len(job.files))
    parts = shared.parts.values()
    return Summary(
        parts=len(parts),
        reused_parts=shared.reused,
        input_rows=sum(part.input_rows for part in parts),
        good_rows=sum(part.good_rows for part in parts),
        bad_rows=sum(part.bad_rows for part in parts),
        complete=complete,
    )


def _do_together(shared: _SharedWork, workers: Sequence[Worker]) -> None:
    with ThreadPoolExecutor(len(workers)) as threads:
        try:
            running = [threads.submit(shared.do, index, worker) for index, worker in enumerate(workers)]
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            # Without this the threads would be waited for until their parts are done.
            shared.stop()
            for worker in workers:
                worker.stop()
            raise


class _SharedWork:
    """The schedule and the results, for one thread for each worker."""

    def __init__(self, job: Job, progress: Progress) -> None:
        self.parts: dict[str, Manifest] = {}
        self.reused = 0
        self._job = job
        self._progress = progress
        self._schedule = Schedule([job.is_divisible(file) for file in job.files], job.shard, job.shards)
        self._left: dict[int, int] = {}
        self._stopped = False
        self._changed = threading.Condition()

    def do(self, index: int, worker: Worker) -> None:
        """Give a worker tasks until there are none."""
        while (task := self._take(index)) is not None:
            if task.number is not None:
                self._note(task.file, worker.score_part(task.file, task.number))
            elif (count := worker.count_parts(task.file)) is not None:
                self._plan(index, task, count)
            else:
                self._score_file(index, task.file, worker)

    def stop(self) -> None:
        """Give nobody any more tasks."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _take(self, index: int) -> Task | None:
        with self._changed:
            while not self._stopped:
                task = self._schedule.take(index)
                if task is not None or self._schedule.is_done:
                    return task
                self._changed.wait()
            return None

    def _plan(self, index: int, task: Task, count: int) -> None:
        with self._changed:
            self._left[task.file] = self._schedule.add_parts(index, task.file, count)
            if not self._left[task.file]:
                self._progress.finish_file()
            self._changed.notify_all()

    def _score_file(self, index: int, file: int, worker: Worker) -> None:
        number = 0
        while not self._stopped and (scored := worker.score_part(file, number)) is not None:
            number += 1
            self._keep(file, scored.manifest, reused=scored.reused)
            if scored.manifest.input_rows < self._job.part_rows:
                break
        with self._changed:
            self._schedule.end_file(index)
            self._progress.finish_file()
            self._changed.notify_all()

    def _note(self, file: int, scored: ScoredPart | None) -> None:
        if scored is not None:
            self._keep(file, scored.manifest, reused=scored.reused)
        with self._changed:
            self._left[file] -= 1
            if not self._left[file]:
                self._progress.finish_file()

    def _keep(self, file: int, manifest: Manifest, *, reused: bool) -> None:
        part = part_path(self._job.files[file].path, manifest.first_row // self._job.part_rows)
        with self._changed:
            self.parts[part] = manifest
            self.reused += reused
