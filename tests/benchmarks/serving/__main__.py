"""How fast and how heavy the serving runtime is beside its peers, on one core.

    python -m tests.benchmarks.serving [--quick] [--servers mooring-inference,kserve] [--out docs]
    python -m tests.benchmarks.serving --render build/benchmarks/serving.json --out docs

Each peer gets an environment of its own under build/peers. Every kind of cell is measured on all servers one
after the other, in several rounds; tables show medians, ratios are taken within a round. `--out docs` writes
the section of docs/benchmarks.md and the figure, and the raw results always go to build/benchmarks.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.benchmarks.serving.aims import evaluate
from tests.benchmarks.serving.campaign import Campaign, Plan
from tests.benchmarks.serving.environments import ROOT, EnvironmentFailedError, prepare
from tests.benchmarks.serving.measure import WrongAnswerError
from tests.benchmarks.serving.models import MODELS, write_models
from tests.benchmarks.serving.publish import publish
from tests.benchmarks.serving.results import Results, from_json, to_json
from tests.benchmarks.serving.servers import SERVERS, NotReadyError
from tests.benchmarks.serving.tables import tables, to_rich

_RAW = ROOT / "build" / "benchmarks" / "serving.json"
_PART = _RAW.with_name("serving-part.json")
"""Of a quick run, or one that leaves something out: it must not take the place of a whole one."""

FULL = Plan(
    servers=SERVERS,
    models=tuple(MODELS),
    clients=(1, 16, 64),
    rounds=3,
    seconds=1.0,
    warm_up=0.2,
    health_seconds=4.0,
    starts=3,
    shutdowns=100,
    peer_shutdowns=5,
)
QUICK = replace(
    FULL,
    clients=(1, 16, 64),
    rounds=1,
    seconds=0.2,
    warm_up=0.05,
    health_seconds=1.0,
    starts=1,
    shutdowns=2,
    peer_shutdowns=1,
)


def main() -> int:
    arguments = _parse()
    console = Console() if sys.stdout.isatty() else Console(width=160)
    started = time.perf_counter()

    def say(text: str) -> None:
        console.print(f"[dim]{time.perf_counter() - started:6.1f} s[/dim]  {text}", highlight=False)

    try:
        results = from_json(arguments.render.read_text()) if arguments.render else _measure(arguments, say)
    except (EnvironmentFailedError, NotReadyError, WrongAnswerError) as exc:
        console.print(f"[red]{exc}[/red]", highlight=False)
        return 1
    _show(console, results)
    if arguments.json:
        arguments.json.write_text(to_json(results))
    if arguments.out:
        for path in publish(results, arguments.out):
            say(f"wrote {path}")
    return 0


def _measure(arguments: argparse.Namespace, say) -> Results:
    plan = QUICK if arguments.quick else FULL
    servers = tuple(server for server in plan.servers if server.name in arguments.servers)
    models, protocols = tuple(arguments.models), tuple(arguments.protocols)
    plan = replace(plan, servers=servers, models=models, protocols=protocols)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise EnvironmentFailedError("two cores are needed, one for the server and one for its clients")
    programs = {server.name: prepare(server.peer, say) for server in servers if server.peer}
    folder = Path(tempfile.mkdtemp(prefix="serving-benchmark-"))
    try:
        write_models(folder / "models", MODELS)
        campaign = Campaign(plan, folder, programs, cores[0], cores[-1], say)
        try:
            return campaign.run()
        finally:
            # What was measured until a failure is worth reading too.
            raw = _RAW if plan == FULL else _PART
            raw.parent.mkdir(parents=True, exist_ok=True)
            raw.write_text(to_json(campaign.results))
    finally:
        shutil.rmtree(folder)


def _show(console: Console, results: Results) -> None:
    console.print(results.machine, highlight=False)
    for table in tables(results, evaluate(results)):
        console.print(to_rich(table))
    for (server, protocol), reason in results.absent.items():
        console.print(f"no {protocol} of {server}: {reason}", highlight=False, markup=False)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [server.name for server in SERVERS]
    parser.add_argument("--quick", action="store_true", help="a round of short cells: does it all work?")
    parser.add_argument("--servers", type=_choice(names), default=names, help=",".join(names))
    parser.add_argument("--models", type=_choice(MODELS), default=list(MODELS), help=",".join(MODELS))
    parser.add_argument(
        "--protocols", type=_choice(FULL.protocols), default=FULL.protocols, help=",".join(FULL.protocols)
    )
    parser.add_argument(
        "--render", type=Path, metavar="FILE", help="show earlier results and measure nothing"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DOCS", help="folder whose benchmarks.md and figures to write"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    return parser.parse_args()


def _choice(allowed):
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"expected some of {','.join(allowed)}, got {name!r}")
        return chosen

    return parse


if __name__ == "__main__":
    sys.exit(main())
