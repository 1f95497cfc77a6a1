"""What the runtime makes of more than one core: by overlap in one process, and by worker processes.

    python -m tests.benchmarks.serving.cores [--rounds 3] [--models tab,mlp,heavy]

64 clients. The server may use all cores, and shares them with its clients: requests per CPU second tell more than
requests a second where there are few cores. In each round every kind is measured, and onnxruntime alone on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.benchmarks.serving.measure import check, measure_cell
from tests.benchmarks.serving.models import MODELS, write_models
from tests.benchmarks.serving.own_programs import measure_limits
from tests.benchmarks.serving.process_tree import cpu_seconds_of
from tests.benchmarks.serving.servers import OURS, SERVERS, Place, start, wait_until_ready

_CLIENTS = 64
_BATCH = 32


@dataclass(frozen=True)
class Kind:
    """A model, and how it is served.

    Attributes:
        workers: processes.
        is_pinned: whether the server has one core alone.
    """

    model: str
    workers: int
    is_pinned: bool

    @property
    def words(self) -> str:
        """What the table calls it."""
        processes = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        return f"{self.model} | {processes}, {'one core' if self.is_pinned else 'all cores'}"


@dataclass(frozen=True)
class Found:
    """What one round has found.

    Attributes:
        rate: requests a second.
        cpu: of all processes, microseconds a request.
        limit: rows a second of onnxruntime alone, by batches of 32.
        busiest: part of the CPU time that the busiest worker had, from 0 to 1.
    """

    rate: float
    cpu: float
    limit: float
    busiest: float


def main() -> None:
    """Print a table of medians."""
    arguments = _parse()
    kinds = [
        Kind(model, workers, is_pinned)
        for model in arguments.models
        for workers, is_pinned in ((1, True), (1, False), (2, False))
    ]
    found: dict[Kind, list[Found]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="cores-") as name:
        write_models(Path(name), arguments.models)
        for _ in range(arguments.rounds):
            for kind in kinds:
                found[kind].append(_measure(kind, Path(name), arguments.seconds))
    print(
        "| model | served by | requests/s | CPU us | by one worker's | busiest worker | part of onnxruntime's rate |"
    )
    print("|---|---|---|---|---|---|---|")
    if arguments.json:
        figures = [asdict(kind) | {"runs": [asdict(run) for run in runs]} for kind, runs in found.items()]
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    for kind, runs in found.items():
        alone = found[replace(kind, workers=1, is_pinned=False)]
        gain = statistics.median(one.cpu / many.cpu for one, many in zip(alone, runs, strict=True))
        print(
            f"| {kind.words} | {_median(runs, 'rate'):,.0f} | {_median(runs, 'cpu'):.0f} | {gain:.2f} "
            f"| {_median(runs, 'busiest'):.0%} | {statistics.median(one.rate / one.limit for one in runs):.0%} |"
        )


def _measure(kind: Kind, folder: Path, seconds: float) -> Found:
    server = next(one for one in SERVERS if one.name == OURS)

    def command(place: Place) -> list[str]:
        return [*server.command(place), f"--workers={kind.workers}"]

    cores = sorted(os.sched_getaffinity(0))
    file = folder / kind.model / "model.onnx"
    limit = measure_limits(file, seconds=seconds, core=cores[0])[_BATCH]
    running = start(
        replace(server, command=command),
        model=file,
        programs=Path(),
        folder=folder / "run",
        core=str(cores[0]) if kind.is_pinned else ",".join(map(str, cores)),
        with_grpc=False,
    )
    try:
        wait_until_ready(running)
        while running.tree.log.read_text().count('"model ready"') < kind.workers:
            time.sleep(0.02)
        # The first of several processes starts the others.
        workers = running.tree.pids()[kind.workers > 1 :]
        assert check(running, "JSON", kind.model).offered
        before = [cpu_seconds_of(pid) for pid in workers]
        sample = measure_cell(running, "JSON", kind.model, _CLIENTS, seconds=seconds, warm_up=0.2)
        used = [cpu_seconds_of(pid) - was for pid, was in zip(workers, before, strict=True)]
    finally:
        running.tree.stop()
    assert not sample.failed
    return Found(sample.rate, sample.cpu, limit, max(used) / sum(used))


def _median(runs: Sequence[Found], part: str) -> float:
    return statistics.median(getattr(run, part) for run in runs)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving.cores",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument(
        "--models", type=lambda text: text.split(","), default=list(MODELS), help=",".join(MODELS)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
