"""The command ``mooring-inference profile``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mooring_artifacts.feature_names import FILE as FEATURES
from mooring_artifacts.window_states.files import FILE as PROFILE

from mooring_inference.backends.base import LoadOptions, only_a_server_may
from mooring_inference.backends.loading import load_model
from mooring_inference.errors import ModelLoadError
from mooring_inference.flags.complaints import complain
from mooring_inference.flags.parser import make_parser, underscored
from mooring_inference.guards import parse_guards
from mooring_inference.guards.document import FILE_NAME as GUARDS
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.profile.baseline import read_baseline
from mooring_inference.profile.guards import guards_of
from mooring_inference.profile.table import GROUPS
from mooring_inference.profile.windows import profile_of
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.folders import local_folder, open_input
from mooring_inference.score.job import Job, pick_files
from mooring_inference.score.mapping import Choice
from mooring_inference.tensors import Signature

_PROG = "mooring-inference profile"


def main(argv: Sequence[str]) -> int:
    """Write what a model was trained on; return 0, 1 after an error, 2 for wrong usage."""
    args = _parse(argv)
    try:
        said = _profile(args)
    except UsageError as exc:
        return complain(_PROG, exc, 2)
    except (ScoreError, ModelLoadError, OSError) as exc:
        return complain(_PROG, exc, 1)
    sys.stdout.write(f"{said}\n")
    return 0


def _profile(args: argparse.Namespace) -> str:
    folder = args.output or (args.model_dir if args.model_dir.is_dir() else args.model_dir.parent)
    # Names that came with the model decide about the columns, and are then no news.
    kept = [name for name in (GUARDS, FEATURES, PROFILE) if (folder / name).exists()]
    if GUARDS in kept and not args.replace:
        raise UsageError(f"{folder / GUARDS} is there already; --replace writes over it")
    backend = load_model(args.model_dir, LoadOptions(device="cpu", how_to_allow=only_a_server_may))
    try:
        signature = backend.signature
    finally:
        backend.close()
    baseline = read_baseline(_job(args, signature), signature)
    for name, features in baseline.names.items():
        if twice := [feature for feature in features if features.count(feature) > 1]:
            raise UsageError(
                f"column {twice[0]} is there twice for input {name}: its features need names of their own"
            )
    guards = guards_of(
        baseline.arrays,
        baseline.names,
        non_finite=args.non_finite,
        outside=args.range,
        outlier_score=args.outlier_score,
    )
    # What would not load is not written.
    parse_guards(guards, signature)
    folder.mkdir(parents=True, exist_ok=True)
    written = [_write(folder / GUARDS, guards)]
    if baseline.names and (args.replace or FEATURES not in kept):
        written.append(_write(folder / FEATURES, baseline.names))
    profile = profile_of(baseline, signature)
    if profile is not None and (args.replace or PROFILE not in kept):
        written.append(_put(folder / PROFILE, profile.content))
    return f"{baseline.rows} rows; {_listed(written)} written"


def _listed(paths: Sequence[Path]) -> str:
    *first, last = map(str, paths)
    return f"{', '.join(first)} and {last}" if first else last


def _job(args: argparse.Namespace, signature: Signature) -> Job:
    source, found = open_input(args.baseline)
    kind = None if args.format == "auto" else args.format
    names = read_feature_names(args.model_dir, signature)
    return Job(source, pick_files(found, kind), local_folder(Path()), kind, Choice(args.columns, names))


def _write(path: Path, content: Mapping[str, object]) -> Path:
    """Replace a file at once."""
    return _put(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _put(path: Path, content: bytes) -> Path:
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_bytes(content)
    unfinished.replace(path)
    return path


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(
        _PROG,
        GROUPS,
        os.environ,
        usage=f"{_PROG} --baseline URI [--model_dir PATH] [options]",
        description="Write guards.json, features.json and profile.bin from rows that a model was trained on: ranges, "
        "middles and categories of its features, their names, and the slots that requests are counted in.",
        epilog="Exit codes: 0 done, 1 error, 2 wrong usage.",
    )
    return parser.parse_args(underscored(argv))
