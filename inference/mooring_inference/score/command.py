"""The command ``mooring-inference score``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from mooring_inference.backends.cores import usable_cores
from mooring_inference.errors import ModelLoadError
from mooring_inference.flags.complaints import complain
from mooring_inference.score.arguments import PROG, hash_model, make_job, parse
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.folders import open_input, open_output, refuse_nesting
from mooring_inference.score.progress import Progress
from mooring_inference.score.run import Summary, run_job
from mooring_inference.score.sizing import choose_workers, count_parts
from mooring_inference.score.worker import load_worker
from mooring_inference.score.worker_place import WorkerPlace
from mooring_inference.score.worker_process import start_workers

_ENDED_BY_SIGTERM = 128 + signal.SIGTERM


def main(argv: Sequence[str]) -> int:
    """Score files of rows.

    Returns:
        0; 1 after an error; 2 for wrong usage; 3 where ``--fail_on_bad_rows`` was given and some row is bad.
    """
    args = parse(argv)
    previous = signal.signal(signal.SIGTERM, _end)
    try:
        summary = score(args, argv)
    except UsageError as exc:
        return complain(PROG, exc, 2)
    except (ScoreError, ModelLoadError, OSError) as exc:
        return complain(PROG, exc, 1)
    except KeyboardInterrupt:
        return complain(PROG, "stopped; the same command goes on from here", 128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, previous)
    _report(summary, args.output)
    return 3 if summary.bad_rows and args.fail_on_bad_rows else 0


def score(args: argparse.Namespace, argv: Sequence[str]) -> Summary:
    """Score files of rows, as arguments say that were parsed from `argv`.

    Raises:
        UsageError: they do not fit together.
        ScoreError, ModelLoadError, OSError: it cannot be done, or not to its end.
    """
    model = hash_model(args)
    refuse_nesting(args.input, args.output)
    source, found = open_input(args.input)
    job = make_job(args, source, found, open_output(args.output))
    cores = usable_cores()
    count = args.workers or choose_workers(
        cores=cores, model_dir=args.model_dir, device=args.device, parts=lambda: count_parts(job, cores)
    )
    place = WorkerPlace(
        argv=tuple(argv),
        files=tuple(job.files),
        model=model,
        threads=args.threads or max(1, cores // count),
        workspace=job.target.make_workspace(f"{job.shard}-of-{job.shards}"),
    )
    try:
        with Progress(len(job.files)) as progress:
            if count > 1:
                with start_workers(place, count, progress.add_rows) as workers:
                    return run_job(job, workers, progress)
            with load_worker(args, job, place, progress.add_rows) as worker:
                return run_job(job, [worker], progress)
    finally:
        job.target.remove_workspace(place.workspace)


def _report(summary: Summary, output: str) -> None:
    kept = f", {summary.reused_parts} of them done before" if summary.reused_parts else ""
    rest = "" if summary.complete else "; other shards are not done yet"
    sys.stdout.write(
        f"{summary.input_rows} rows in, {summary.good_rows} scored, {summary.bad_rows} bad; "
        f"{summary.parts} files in {output}{kept}{rest}\n"
    )


def _end(signum: int, frame: FrameType | None) -> None:
    # Unwinding removes unfinished files; a kill leaves them to the next run.
    raise SystemExit(_ENDED_BY_SIGTERM)
