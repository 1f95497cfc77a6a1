"""``python -m cluster``: start, look at and end clusters of this machine."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cluster import building, named
from cluster.control_plane import EXTRAS
from cluster.processes import StartError
from cluster.programs import PROGRAMS, ProgramUnavailableError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except (named.ClusterError, ProgramUnavailableError, StartError, FileExistsError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _up(options: argparse.Namespace) -> int:
    started = time.monotonic()
    report = _Report(started)
    running = named.up(options.name, options.extras, kubeconfig=options.kubeconfig, report=report)
    if not report.used:
        print(f"cluster {running.name} runs already", file=sys.stderr)
    print(f"export KUBECONFIG={running.kubeconfig}")
    return 0


def _down(options: argparse.Namespace) -> int:
    done = named.down(options.name)
    print(
        f"cluster {options.name} is down" if done else f"there is no cluster {options.name}", file=sys.stderr
    )
    return 0


def _status(options: argparse.Namespace) -> int:
    wanted = [named.find(options.name)] if options.name else named.find_all()
    found = [running for running in wanted if running is not None]
    if not found:
        print("no cluster runs", file=sys.stderr)
        return 1
    for running in found:
        print(f"{running.name}: {running.server}, KUBECONFIG={running.kubeconfig}")
        for program in running.programs:
            state = "runs" if program.process.alive else "ended"
            port = f"port {program.port}" if program.port else ""
            print(f"  {program.name:24} {program.version:10} {state:6} pid {program.pid:<8} {port}")
            if state == "ended":
                print(f"    its log: {program.log}")
    return 0 if all(running.healthy for running in found) else 1


def _build(options: argparse.Namespace) -> int:
    for name, path in building.build(options.programs or PROGRAMS).items():
        print(f"{name} {path}")
    return 0


class _Report:
    def __init__(self, started: float) -> None:
        self.used = False
        self._started = started

    def __call__(self, line: str) -> None:
        self.used = True
        print(f"{line} ({time.monotonic() - self._started:.1f} s)", file=sys.stderr, flush=True)


def _extras(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := sorted(set(names).difference(EXTRAS)):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are only {', '.join(EXTRAS)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cluster", description="A Kubernetes control plane on this machine, without nodes."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start a cluster that lives on; print how to reach it")
    up.add_argument("--name", default="default", help="several run side by side by name")
    up.add_argument(
        "--with",
        dest="extras",
        type=_extras,
        default=[],
        metavar="LIST",
        help=f"what else to run, by commas: {', '.join(EXTRAS)}",
    )
    up.add_argument("--kubeconfig", type=Path, help="where to write the kubeconfig")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="end a cluster and remove its data")
    down.add_argument("--name", default="default")
    down.set_defaults(run=_down)

    status = commands.add_parser(
        "status", help="what runs: programs, versions, ports (exit status 1: not all)"
    )
    status.add_argument("--name", help="this one only")
    status.set_defaults(run=_status)

    build = commands.add_parser("build", help="build the programs that are missing")
    build.add_argument(
        "programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}; default all"
    )
    build.set_defaults(run=_build)
    return parser


if __name__ == "__main__":
    sys.exit(main())
