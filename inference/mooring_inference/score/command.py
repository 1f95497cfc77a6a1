"""The command ``mooring-inference score``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.cores import usable_cores
from mooring_inference.backends.loading import load_model
from mooring_inference.errors import ModelLoadError
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.score.convert import Nulls
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.folders import open_input, open_output, refuse_nesting
from mooring_inference.score.mapping import Choice
from mooring_inference.score.parts import digest_of_model
from mooring_inference.score.progress import Progress
from mooring_inference.score.readers import FORMATS
from mooring_inference.score.run import Job, Summary, pick_files, run_job

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
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description="Score files of rows with a model: Parquet, CSV or JSON lines in, Parquet out. Run the same "
        "command again to go on after an interruption.",
        epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 bad rows with --fail_on_bad_rows.",
    )

    def flag(name: str, **options: object) -> None:
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        parser.add_argument(*spellings, dest=name, **options)  # type: ignore[arg-type]

    flag("model_dir", type=Path, default=Path("/mnt/models"), help="the model's folder or file")
    flag("input", required=True, help="a file or folder: path, file://, s3://, gs:// or az://")
    flag("output", required=True, help="the folder for the results: path or URI as above")
    flag("format", choices=("auto", *FORMATS), default="auto", help="auto: by each file's name")
    flag(
        "columns", type=_names, default=(), help="a,b,c in the model's order; INPUT=COLUMN for several inputs"
    )
    flag("id_column", default=None, help="a column that is copied to the output, to join by")
    flag("outputs", type=_names, default=(), help="which outputs of the model; default all")
    flag("flatten", action="store_true", help="a column for each element of an output, not a list")
    flag(
        "nulls",
        choices=[choice.value for choice in Nulls],
        default=Nulls.NAN.value,
        help="nan: null is NaN to inputs of floats; missing: so is a key that a line of JSON lacks; reject: neither",
    )
    flag("batch_size", type=_positive, default=1024, help="rows of one call of the model, at most")
    flag(
        "max_rows_per_file", type=_positive, default=1_000_000, help="input rows of one output file, at most"
    )
    flag("shard", type=_shard, default=(0, 1), metavar="I/N", help="do share I, from 0, of N; default 0/1")
    flag("fail_on_bad_rows", action="store_true", help="exit with 3 if some row could not be scored")
    flag("device", default="auto", help="cpu, cuda, cuda:N or auto")
    flag("threads", type=_positive, default=None, help="default: the container's CPU limit")
    return parser.parse_args(argv)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be positive")
    return value


def _shard(text: str) -> tuple[int, int]:
    index, slash, total = text.partition("/")
    if not (slash and index.isdigit() and total.isdigit() and int(index) < int(total)):
        raise argparse.ArgumentTypeError("expected I/N with I from 0 to N-1")
    return int(index), int(total)


def _end(signum: int, frame: FrameType | None) -> None:
    # Unwinding removes unfinished files; a kill leaves them to the next run.
    raise SystemExit(_ENDED_BY_SIGTERM)


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"{_PROG}: {' '.join(message.split())}\n")
    return code
