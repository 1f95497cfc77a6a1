"""The command line of ``score``, and what it says: a job for a loaded model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_artifacts.loaded_files import HashedFiles, hash_loaded

from mooring_inference.backends.base import Backend, LoadOptions, only_a_server_may
from mooring_inference.backends.loading import check_tested, load_model
from mooring_inference.errors import ModelLoadError
from mooring_inference.flags.parser import make_parser, underscored
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.score.convert import Nulls
from mooring_inference.score.errors import ScoreError
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


def hash_model(args: argparse.Namespace) -> HashedFiles:
    """Hash the model's files, once for the run: for what it says of its parts, and against the digest it may be told.

    Raises:
        ScoreError: there is no model, or its files cannot be read.
        ModelLoadError: it is not the model that was tested.
    """
    if not args.model_dir.exists():
        raise ScoreError(f"model_dir {args.model_dir} does not exist")
    if args.model_digest:
        return check_tested(args.model_dir, args.model_digest)
    try:
        return hash_loaded(args.model_dir)
    except InputError as exc:
        raise ScoreError(f"model_dir {exc}") from None


def load_backend(args: argparse.Namespace, threads: int) -> Backend:
    """Load the model; raises ModelLoadError."""
    options = LoadOptions(threads=threads, device=args.device, how_to_allow=only_a_server_may)
    return load_model(args.model_dir, options)


def check_unchanged(args: argparse.Namespace, hashed: HashedFiles) -> None:
    """Do nothing where the files that have been loaded are those that were hashed.

    Workers do not hash them again. They look after they have read all of it: whatever was written since the run began
    shows in the stamps, whenever they read it.

    Raises:
        ModelLoadError: somebody has written one of them.
    """
    if changed := hashed.changed(args.model_dir):
        raise ModelLoadError(f"{changed} in {args.model_dir} was changed while the run began; start it again")


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
