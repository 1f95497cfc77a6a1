"""The command ``mooring-inference erase``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import Location, locate

from mooring_inference.capture.sampling import read_key
from mooring_inference.capture.settings import HMAC_KEY_VARIABLE, CaptureSettingsError
from mooring_inference.erase.erasing import Erased, EraseError, erase
from mooring_inference.erase.matching import Sought
from mooring_inference.erase.table import GROUPS
from mooring_inference.flags.complaints import complain
from mooring_inference.flags.parser import make_parser, underscored

_PROG = "mooring-inference erase"


class _UsageError(Exception):
    """What was asked for makes no sense."""


def main(argv: Sequence[str]) -> int:
    """Erase rows; return 0, 1 after an error or where some files cannot be read, 2 for wrong usage."""
    args = _parse(argv)
    try:
        sought = _sought(args)
        erased = erase(_location(args.capture_uri), args.deployment, sought, dry_run=args.dry_run, note=_note)
        if sought.column and erased.files and sought.column not in erased.columns:
            known = ", ".join(sorted(erased.columns)[:20]) or "none"
            raise _UsageError(f"--column {sought.column!r}: no captured file has it; columns are {known}")
    except (_UsageError, InputError, CaptureSettingsError) as exc:
        return complain(_PROG, exc, 2)
    except (EraseError, OSError) as exc:
        return complain(_PROG, exc, 1)
    sys.stdout.write(f"{_said(erased, dry_run=args.dry_run)}\n")
    if erased.damaged:
        some = ", ".join(erased.damaged[:3])
        return complain(
            _PROG, f"{len(erased.damaged)} files cannot be read, and may hold such rows: {some}", 1
        )
    return 0


def _sought(args: argparse.Namespace) -> Sought:
    if bool(args.column) != bool(args.values):
        raise _UsageError("--column and --values belong together")
    if not args.ids and not args.column:
        raise _UsageError("nothing says what to erase: --ids, or --column and --values")
    ids, values = (_lines(path) if path else () for path in (args.ids, args.values))
    key = read_key("capture_hmac_key_file", args.capture_hmac_key_file, HMAC_KEY_VARIABLE, os.environ)
    return Sought(frozenset(ids), args.column or "", frozenset(values), key)


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    found = [line for line in lines if line]
    if not found:
        raise _UsageError(f"{path} is empty")
    return found


def _location(uri: str) -> Location:
    return locate(uri if "://" in uri else Path(uri).absolute().as_uri(), "--capture_uri")


def _note(erased: Erased) -> None:
    if sys.stderr.isatty() and erased.files % 50 == 0:
        sys.stderr.write(f"\r{erased.files} files")


def _said(erased: Erased, *, dry_run: bool) -> str:
    verb = "would be erased" if dry_run else "erased"
    said = (
        f"{erased.rows} rows and {erased.labels} labels {verb}, in {erased.changed} of {erased.files} files"
    )
    return f"{said}; answered by {', '.join(sorted(erased.revisions))}" if erased.revisions else said


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = make_parser(
        _PROG,
        GROUPS,
        os.environ,
        usage=f"{_PROG} --capture_uri URI --deployment NAME (--ids FILE | --column NAME --values FILE) [options]",
        description="Erase rows of captured requests and their labels: those of requests by id, or those that have a "
        "value in a column. Each file is replaced at once. Counts hold no rows, and stay.",
        epilog="Exit codes: 0 done, 1 error, 2 wrong usage.",
    )
    return parser.parse_args(underscored(argv))
