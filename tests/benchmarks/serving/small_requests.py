"""What a small request costs, beside KServe's server and, where wanted, beside an earlier checkout of this project.

    python -m tests.benchmarks.serving.small_requests [--before CHECKOUT] [--protocols gRPC] [--rounds 5] [--clients 16]

CPU time of the server for each request; models tab and mlp, JSON and binary tensors, or gRPC. In each round the
servers are measured one after the other; ratios are taken within a round, since machines drift.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.serving.bodies import PROTOCOLS
from tests.benchmarks.serving.environments import prepare
from tests.benchmarks.serving.measure import check, measure_cell
from tests.benchmarks.serving.models import write_models
from tests.benchmarks.serving.servers import OURS, SERVERS, Running, Server, start, wait_until_ready

_MODELS = ("tab", "mlp")
_NOW, _PEER = OURS, "kserve"


def main() -> None:
    """Print a table of medians."""
    arguments = _parse()
    servers = _servers(arguments.before)
    ratios = [f"{name} / now" for name in (_PEER, "before") if name in {one.name for one in servers}]
    names = ["request", *(f"{one.name} (us)" for one in servers), *ratios]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    with tempfile.TemporaryDirectory(prefix="small-") as name:
        folder = Path(name)
        write_models(folder, _MODELS)
        figures = {}
        for model in _MODELS:
            for protocol in arguments.protocols:
                found = _measure(servers, model, protocol, folder, arguments)
                figures[f"{model}, {protocol}"] = found
                cells = [f"{statistics.median(one):.1f}" for one in found.values()]
                others = [name for name in (_PEER, "before") if name in found]
                cells += [f"{_ratio(found[name], found[_NOW]):.2f}x" for name in others]
                print(f"| {model}, {protocol} | {' | '.join(cells)} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _servers(before: Path | None) -> list[Server]:
    ours, peer = (next(one for one in SERVERS if one.name == name) for name in (_NOW, _PEER))
    if before is None:
        return [ours, peer]
    paths = ":".join(str(before.resolve() / part) for part in ("inference", "artifacts"))
    return [ours, replace(ours, name="before", environment=lambda place: {"PYTHONPATH": paths}), peer]


def _measure(
    servers: Sequence[Server], model: str, protocol: str, folder: Path, arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """CPU microseconds of each server, one a round."""
    cores = sorted(os.sched_getaffinity(0))
    programs = prepare(_PEER, print)
    with ExitStack() as stack:
        running: list[Running] = []
        for server in servers:
            one = start(
                server,
                model=folder / model / "model.onnx",
                programs=programs,
                folder=folder / server.name,
                core=cores[0],
                with_grpc=protocol == "gRPC",
            )
            stack.callback(one.tree.stop)
            wait_until_ready(one)
            assert check(one, protocol, model).offered
            running.append(one)
        found: dict[str, list[float]] = {server.name: [] for server in servers}
        os.sched_setaffinity(0, {cores[-1]})
        stack.callback(os.sched_setaffinity, 0, cores)
        for number in range(arguments.rounds):
            shift = number % len(running)
            for one in running[shift:] + running[:shift]:
                sample = measure_cell(
                    one, protocol, model, arguments.clients, seconds=arguments.seconds, warm_up=0.2
                )
                assert not sample.failed
                found[one.server.name].append(sample.cpu)
    return found


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(theirs, ours, strict=True))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving.small_requests",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an earlier state of this project")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=["JSON", "binary"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
