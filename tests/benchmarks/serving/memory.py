"""Memory of a server of the small model over REST, as Linux counts it: when it is ready, and after use.

    python -m tests.benchmarks.serving.memory [--starts 3]

Use is 64 clients for two seconds. RSS is what a container is charged for where nobody else maps the same files; PSS
divides what several processes map; anonymous is what cannot be read from a file again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.serving.measure import measure_cell
from tests.benchmarks.serving.models import write_models
from tests.benchmarks.serving.process_tree import ProcessTree
from tests.benchmarks.serving.servers import OURS, SERVERS, start, wait_until_ready

_KINDS = ("Rss", "Pss", "Anonymous")
_MODEL, _CLIENTS, _SECONDS = "tab", 64, 2.0


def main() -> None:
    """Print a table of medians, MB."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--starts", type=int, default=3, help="servers that are started one after the other")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    arguments = parser.parse_args()
    found = [_measure() for _ in range(arguments.starts)]
    if arguments.json:
        figures = [{"ready": ready, "after use": used} for ready, used in found]
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    print("| | RSS (MB) | PSS (MB) | anonymous (MB) |\n|---|---|---|---|")
    for index, name in enumerate(("ready", "after use")):
        values = (statistics.median(one[index][kind] for one in found) for kind in _KINDS)
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |")


def _measure() -> tuple[dict[str, float], dict[str, float]]:
    """Ready and used, each by kind, MB."""
    server = next(one for one in SERVERS if one.name == OURS)
    core = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        folder = Path(name)
        write_models(folder, [_MODEL])
        model = folder / _MODEL / "model.onnx"
        running = start(server, model=model, programs=Path(), folder=folder, core=core, with_grpc=False)
        try:
            wait_until_ready(running)
            ready = _sizes(running.tree)
            measure_cell(running, "JSON", _MODEL, _CLIENTS, seconds=_SECONDS, warm_up=0.1)
            return ready, _sizes(running.tree)
        finally:
            running.tree.stop()


def _sizes(tree: ProcessTree) -> dict[str, float]:
    sizes = dict.fromkeys(_KINDS, 0.0)
    for pid in tree.pids():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            kind, size, *_ = line.split()
            if (kind := kind.rstrip(":")) in sizes:
                sizes[kind] += int(size) / 1024
    return sizes


if __name__ == "__main__":
    main()
