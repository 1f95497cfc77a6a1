"""How many messages a second one consumer answers, by system and delivery.

``python -m tests.benchmarks.stream_rate --rounds 3`` starts real servers. In each round each kind gets messages, and
then a consumer, which is watched by its metrics from its first answers to its last: a start is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.serving.process_tree import cpu_seconds_of
from tests.unit.inference.score_models import sum_and_negative
from tests.unit.inference.stream.stream_consumers import consuming, rows
from tests.unit.inference.stream.stream_servers import BENCHES, SERVERS

_ANSWERED = re.compile(r'^mooring_stream_messages_total\{outcome="answered"\} (\S+)$', re.MULTILINE)
_PATIENCE_SECONDS = 180.0
# Messages that are sent before their receipts are awaited.
_CHUNK = 2000


@dataclass(frozen=True)
class Kind:
    """What is measured: a system, and how messages are answered."""

    system: str
    delivery: str
    batch: int

    @property
    def flags(self) -> list[str]:
        """Of the consumer."""
        chosen = [f"--batch_size={self.batch}"]
        return [*chosen, f"--delivery={self.delivery}"] if self.system == "kafka" else chosen


@dataclass(frozen=True)
class Found:
    """Messages a second, and CPU microseconds of the consumer for each."""

    rate: float
    cpu: float


async def measure(kind: Kind, server, model: Path, name: str, count: int) -> Found:
    """Answer so many messages by one new consumer.

    Raises:
        AssertionError: not each message has its answer.
    """
    bench = await BENCHES[kind.system](server, name).prepare()
    try:
        for start in range(0, count, _CHUNK):
            await bench.put(rows(min(_CHUNK, count - start), start))
        with ExitStack() as stack:
            consumer = stack.enter_context(consuming(bench.urls, model, *kind.flags))
            found = await asyncio.to_thread(_watch, await consumer.port(), consumer.process.pid, count)
            assert await asyncio.to_thread(consumer.stop) == 0
        answers = {key for key, _ in await bench.take("out")}
        assert len(answers) == count, f"{count - len(answers)} messages have no answer"
    finally:
        await bench.close()
    return found


def _watch(port: int, pid: int, count: int) -> Found:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    first: tuple[float, float, float] | None = None
    while True:
        now, cpu, answered = time.monotonic(), cpu_seconds_of(pid), _answered(port)
        assert now < deadline, f"{answered:.0f} of {count} messages are answered"
        if answered >= count:
            break
        if answered and first is None:
            first = now, cpu, answered
        time.sleep(0.01)
    assert first is not None, "too few messages to watch them being answered"
    messages = answered - first[2]
    return Found(messages / (now - first[0]), (cpu - first[1]) / messages * 1e6)


def _answered(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        found = _ANSWERED.search(answer.read().decode())
    return float(found[1]) if found else 0.0


async def _run(args: argparse.Namespace) -> dict[Kind, list[Found]]:
    kinds = [
        Kind(system, delivery, batch)
        for system in args.systems
        for delivery in (("at_least_once", "exactly_once") if system == "kafka" else ("at_least_once",))
        for batch in args.batches
    ]
    found: dict[Kind, list[Found]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {}
        for system in args.systems:
            (Path(folder) / system).mkdir()
            servers[system] = SERVERS[system](Path(folder) / system)
            stack.callback(servers[system].kill)
        model = sum_and_negative(Path(folder) / "model")
        for number in range(args.rounds):
            for place, kind in enumerate(kinds):
                name = f"round{number}kind{place}"
                found[kind].append(await measure(kind, servers[kind.system], model, name, args.messages))
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--systems", type=lambda text: text.split(","), default=["kafka"], help="of redis,nats,kafka"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=20_000, help="of one measurement")
    parser.add_argument(
        "--batches",
        type=lambda text: [int(one) for one in text.split(",")],
        default=[64, 512],
        help="--batch_size",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    arguments = parser.parse_args()
    print("| system | delivery | batch size | messages a second | CPU us a message |\n|---|---|---|---|---|")
    figures = []
    for kind, runs in asyncio.run(_run(arguments)).items():
        rate, cpu = (statistics.median(getattr(run, part) for run in runs) for part in ("rate", "cpu"))
        figures.append(asdict(kind) | {"rate": rate, "cpu_us": cpu})
        print(
            f"| {kind.system} | {kind.delivery.replace('_', ' ')} | {kind.batch} | {rate:,.0f} | {cpu:.0f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
