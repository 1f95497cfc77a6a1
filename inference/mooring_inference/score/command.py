"""The command ``mooring-inference score``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.cores import usable_cores
from mooring_inference.backends.loading import load_model
from mooring_inference.errors import ModelLoadError
from mooring_inference.flags.parser import make_parser, underscored
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.score.convert import Nulls
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.folders import open_input, open_output, refuse_nesting
from mooring_inference.score.mapping import Choice
from mooring_inference.score.parts import digest_of_model
from mooring_inference.score.progress import Progress
from mooring_inference.score.run import Job, Summary, pick_files, run_job
from mooring_inference.score.table import GROUPS

_PROG = "mooring-inference score"
_ENDED_BY_SIGTERM = 128 + signal.SIGTERM


def main(argv: Sequence[str]) -> int:
    """Score files of rows.

    Returns:
        0; 1 after an error; 2 for wrong usage; 3 where ``--fail_on_bad_rows`` was given and some row is bad.
    """
    args = _parse(argv)
    previous = signal.signal(signal.SIGTERM, _end)
    try:
        summary = _score(args)
    except UsageError as exc:
        return _complain(str(exc), 2)
    except (ScoreError, ModelLoadError) as exc:
        return _complain(str(exc), 1)
    except OSError as exc:
        return _complain(f"{exc.filename or ''} {exc.strerror or exc}".strip(), 1)
    except KeyboardInterrupt:
        return _complain("stopped; the same command goes on from here", 128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, previous)
    _report(summary, args.output)
    return 3 if summary.bad_rows and args.fail_on_bad_rows else 0


def _score(args: argparse.Namespace) -> Summary:
    digest = digest_of_model(args.model_dir)
    refuse_nesting(args.input, args.output)
    source, found = open_input(args.input)
    target = open_output(args.output)
    kind = None if args.format == "auto" else args.format
    files = pick_files(found, kind)
    shard, shards = args.shard
    backend = load_model(
        args.model_dir, LoadOptions(threads=args.threads or usable_cores(), device=args.device)
    )
    try:
        job = Job(
            source=source,
            files=files,
            target=target,
            kind=kind,
            choice=Choice(
                args.columns, read_feature_names(args.model_dir, backend.signature), args.id_column
            ),
            outputs=args.outputs,
            batch_size=args.batch_size,
            part_rows=args.max_rows_per_file,
            shard=shard,
            shards=shards,
            flatten=args.flatten,
            nulls=Nulls(args.nulls),
        )
        with Progress(len(job.files)) as progress:
            return run_job(job, backend, digest, progress)
    finally:
        backend.close()


def _report(summary: Summary, output: str) -> None:
    kept = f", {summary.reused_parts} of them done before" if summary.reused_parts else ""
    rest = "" if summary.complete else "; other shards are not done yet"
    sys.stdout.write(
        f"{summary.input_rows} rows in, {summary.good_rows} scored, {summary.bad_rows} bad; "
        f"{summary.parts} files in {output}{kept}{rest}\n"
    )


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(
        _PROG,
        GROUPS,
        os.environ,
        usage=f"{_PROG} --input URI --output URI [--model_dir PATH] [options]",
        description="Score files of rows with a model: Parquet, CSV or JSON lines in, Parquet out. Run the same "
        "command again to go on after an interruption.",
        epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 bad rows with --fail_on_bad_rows.",
    )
    return parser.parse_args(underscored(argv))


def _end(signum: int, frame: FrameType | None) -> None:
    # Unwinding removes unfinished files; a kill leaves them to the next run.
    raise SystemExit(_ENDED_BY_SIGTERM)


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"{_PROG}: {' '.join(message.split())}\n")
    return code
