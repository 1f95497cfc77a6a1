"""The command line of ``score``, and what it says: a job for a loaded model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.flags.parser import make_parser, underscored
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.score.convert import Nulls
from mooring_inference.score.folders import Folder, StoredFile
from mooring_inference.score.job import Job, pick_files
from mooring_inference.score.mapping import Choice
from mooring_inference.score.table import GROUPS

PROG = "mooring-inference score"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; SystemExit where they are wrong."""
    parser = make_parser(
        PROG,
        GROUPS,
        os.environ,
        usage=f"{PROG} --input URI --output URI [--model_dir PATH] [options]",
        description="Score files of rows with a model: Parquet, CSV or JSON lines in, Parquet out. Run the same "
        "command again to go on after an interruption.",
        epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 bad rows with --fail_on_bad_rows.",
    )
    return parser.parse_args(underscored(argv))


def load_backend(args: argparse.Namespace, threads: int) -> Backend:
    """Load the model; raises ModelLoadError."""
    return load_model(
        args.model_dir, LoadOptions(threads=threads, device=args.device, digest=args.model_digest)
    )


def make_job(args: argparse.Namespace, source: Folder, found: Sequence[StoredFile], target: Folder) -> Job:
    """Return the job that arguments ask for.

    Raises:
        ScoreError: none of the files that were found holds rows.
    """
    shard, shards = args.shard
    kind = None if args.format == "auto" else args.format
    return Job(
        source=source,
        files=pick_files(found, kind),
        target=target,
        kind=kind,
        choice=Choice(args.columns, id_column=args.id_column),
        outputs=args.outputs,
        batch_size=args.batch_size,
        part_rows=args.max_rows_per_file,
        shard=shard,
        shards=shards,
        flatten=args.flatten,
        nulls=Nulls(args.nulls),
    )


def with_features(job: Job, model_dir: Path, backend: Backend) -> Job:
    """Return the job with the names of features that came with the model."""
    return replace(job, choice=replace(job.choice, features=read_feature_names(model_dir, backend.signature)))
