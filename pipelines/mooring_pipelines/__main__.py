"""`python -m mooring_pipelines compile|serve|run`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mooring_pipelines.compilation import NAMES, PACKAGED, find_stale, write_compiled

# Next to the package in a checkout; absent where the package is installed.
CHECKED_OUT = Path(__file__).parents[1] / "compiled"


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mooring_pipelines")
    commands = parser.add_subparsers(dest="command", required=True)
    compile_ = commands.add_parser("compile", help="compile the pipelines to YAML")
    compile_.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    compile_.add_argument("--output", type=Path, action="append", help="folder to write to (repeatable)")
    serve_ = commands.add_parser("serve", help="serve the KFP API and run pipelines on this machine")
    serve_.add_argument("--host", default="127.0.0.1")
    serve_.add_argument("--port", type=int, default=8888)
    serve_.add_argument("--data-dir", type=Path, default=Path("local_outputs/pipelines"))
    serve_.add_argument("--concurrency", type=int, default=2, help="runs at the same time")
    serve_.add_argument("--keep", type=int, default=200, help="finished runs that are kept")
    run_ = commands.add_parser("run", help="run one pipeline in this process, as the environment says")
    run_.add_argument("--pipeline", choices=NAMES, required=True)
    arguments = parser.parse_args(argv)
    if arguments.command == "serve":
        from mooring_pipelines.server import serve

        serve(
            arguments.host,
            arguments.port,
            arguments.data_dir,
            concurrency=arguments.concurrency,
            keep=arguments.keep,
        )
        return 0
    if arguments.command == "run":
        from mooring_pipelines.run import run_pipeline

        return run_pipeline(arguments.pipeline, os.environ, sys.stdout)
    folders = arguments.output or [PACKAGED, *([CHECKED_OUT] if CHECKED_OUT.is_dir() else [])]
    return _compile(folders, arguments.check)


def _compile(folders: list[Path], check: bool) -> int:
    if not check:
        for path in write_compiled(folders):
            print(f"wrote {path}")
        return 0
    stale = find_stale(folders)
    for path in stale:
        print(f"{path} is stale: run python -m mooring_pipelines compile", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
