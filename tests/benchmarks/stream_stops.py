"""Consumers of a stream end at random moments: how many messages lose their answer or get two.

``python -m tests.benchmarks.stream_stops --system kafka --tries 100`` starts a real server and groups of two consumers.
In each try a group is sent messages, one consumer is killed at a random moment of the work, and another is started.
``--signal TERM`` asks them to stop instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.unit.inference.score_models import sum_and_negative
from tests.unit.inference.stream.stream_consumers import consuming, rows, until
from tests.unit.inference.stream.stream_servers import BENCHES, SERVERS

_EACH = 400
"""Messages of a try."""
_WORK_SECONDS = 1.0
"""From when messages are sent to the latest moment of an end; what is killed works then."""


async def end_consumers(bench, model, tries: int, seed: int, number: signal.Signals, *flags: str) -> dict:
    """End one of two consumers at a random moment of their work, again and again.

    Returns:
        Counts: ``messages``, and of them those ``lost``, with ``several_answers`` and ``wrong``; ``seconds``.
    """
    chance = random.Random(seed)
    started = time.monotonic()
    group = f"g{seed}"
    flags = ("--batch_size=4", f"--group={group}", *flags)

    async def all_answered():
        return await bench.unfinished(group) == 0

    with ExitStack() as stack:
        consumers = [stack.enter_context(consuming(bench.urls, model, *flags)) for _ in range(2)]
        for consumer in consumers:
            # It is the first one's connecting that makes the group.
            await until(lambda consumer=consumer: _is_consuming(consumer))
        for one in range(tries):
            await bench.put(rows(_EACH, one * _EACH))
            await asyncio.sleep(chance.random() * _WORK_SECONDS)
            # The older one has joined the group for sure.
            victim = consumers.pop(0)
            victim.process.send_signal(number)
            await asyncio.to_thread(victim.process.wait, 60)
            consumers.append(stack.enter_context(consuming(bench.urls, model, *flags)))
            await until(all_answered, 120)
        for consumer in consumers:
            await until(lambda consumer=consumer: _is_consuming(consumer))
            assert await asyncio.to_thread(consumer.stop) == 0
    count = tries * _EACH
    answers = await bench.take("out")
    times = Counter(key for key, _ in answers)
    return {
        "tries": tries,
        "messages": count,
        "lost": sum(f"m{index}" not in times for index in range(count)),
        "several_answers": sum(number > 1 for number in times.values()),
        "wrong": sum(answer["outputs"]["total"] != [int(key[1:]) + 1.0] for key, answer in answers),
        "dead_letters": await bench.count("dead"),
        "unfinished": await bench.unfinished(group),
        "seconds": round(time.monotonic() - started, 1),
    }


async def _is_consuming(consumer) -> bool:
    assert consumer.process.poll() is None, "it ended"
    return any(line["message"] == "consuming" for line in consumer.lines())


async def _run(args: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        server = SERVERS[args.system](Path(folder))
        try:
            model = sum_and_negative(Path(folder) / "model")
            results = await asyncio.gather(*(_one(args, server, model, one) for one in range(args.at_once)))
        finally:
            server.kill()
    return {
        name: max(one[name] for one in results) if name == "seconds" else sum(one[name] for one in results)
        for name in results[0]
    }


async def _one(args: argparse.Namespace, server, model, number: int) -> dict[str, float]:
    bench = await BENCHES[args.system](server, f"tries{number}").prepare()
    flags = [f"--delivery={args.delivery}"] if args.system == "kafka" else []
    wanted = getattr(signal, f"SIG{args.signal}")
    try:
        return await end_consumers(
            bench, model, args.tries // args.at_once, args.seed + number, wanted, *flags
        )
    finally:
        await bench.close()


def main() -> None:
    """Run it and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", choices=list(SERVERS), default="kafka")
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument(
        "--at_once", type=int, default=4, help="groups of two consumers, each with its topics"
    )
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    parser.add_argument("--delivery", choices=("exactly_once", "at_least_once"), default="exactly_once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    args = parser.parse_args()
    told = {"system": args.system, "signal": args.signal}
    if args.system == "kafka":
        told["delivery"] = args.delivery
    text = json.dumps(told | asyncio.run(_run(args)))
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
