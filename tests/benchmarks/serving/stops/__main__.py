"""How many requests callers lose when a server that shares their load is stopped.

    python -m tests.benchmarks.serving.stops [--tries 100] [--clients 64] [--cases REST,gRPC] [--json FILE]

Behind a load balancer that joins connections, as a Service does, two servers share the load of callers that never
pause for a stop: Triton's public clients, one connection each, over HTTP/1.1 with keep-alive or over gRPC. One server
gets SIGTERM at a random moment, and its successor has come before. Lost is whatever is not the right answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop

from tests.benchmarks.serving.stops.callers import Counts
from tests.benchmarks.serving.stops.cases import CASES, Case
from tests.benchmarks.serving.stops.tries import Load, stop_again_and_again


def main() -> int:
    """Stop servers in all cases; exit code 1 where a request was lost."""
    arguments = _parse()
    load = Load(
        arguments.clients,
        arguments.drain_seconds,
        arguments.notice_seconds,
        arguments.stall_seconds,
        arguments.at_once,
    )
    found = uvloop.run(_measure(arguments.cases, load, arguments.tries))
    print("| servers | stopped | answered | lost |\n|---|---|---|---|")
    for name, counts in found.items():
        print(f"| {name} | {arguments.tries} | {counts.answered:,} | {counts.lost.total()} |")
    for name, counts in found.items():
        for reason, number in counts.lost.most_common():
            print(f"{name}: {number} x {reason}", file=sys.stderr)
    if arguments.json is not None:
        cases = {name: {"answered": one.answered, "lost": dict(one.lost)} for name, one in found.items()}
        document = {"tries": arguments.tries, **asdict(load), "cases": cases}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(any(counts.lost for counts in found.values()))


async def _measure(cases: list[Case], load: Load, tries: int) -> dict[str, Counts]:
    def say(text: str) -> None:
        print(text, file=sys.stderr)

    found = {}
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="stops-") as folder:
            found[case.name] = await stop_again_and_again(case, load, Path(folder), tries=tries, say=say)
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving.stops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = "; ".join(case.name for case in CASES)
    parser.add_argument("--tries", type=int, default=100, help="servers that are stopped in each case")
    parser.add_argument("--clients", type=int, default=Load.clients, help="at once")
    parser.add_argument("--drain_seconds", type=float, default=Load.drain_seconds, help="of the servers")
    parser.add_argument(
        "--notice_seconds",
        type=float,
        default=Load.notice_seconds,
        help="how long a server that is not ready still gets new connections",
    )
    parser.add_argument(
        "--stall_seconds",
        type=float,
        default=Load.stall_seconds,
        help="how long, at most, a server stands still at a random moment of its stop",
    )
    parser.add_argument(
        "--at_once", type=int, default=Load.at_once, help="servers that are being stopped at the same time"
    )
    parser.add_argument("--cases", type=_cases, default=list(CASES), help=f"separated by semicolons: {names}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def _cases(text: str) -> list[Case]:
    known = {case.name: case for case in CASES}
    try:
        return [known[name.strip()] for name in text.split(";")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"expected some of {'; '.join(known)}, got {error}") from None


if __name__ == "__main__":
    sys.exit(main())
