"""Does the server's memory stay flat under load that varies? Run: python tests/benchmarks/soak.py --minutes 10

Requests of one to 64 rows, some of them wrong, some given up, over connections that come and go; the model is loaded
again every half minute. Memory is read once a second; the first fifth of the time is warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.unit.inference.inference_process import running, save_negation


def resident(pid: int) -> float:
    """MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


async def call(url: str, until: float, codes: Counter[str], pause: float) -> None:
    """Requests of all kinds until the time is over."""
    while time.monotonic() < until:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            for _ in range(random.randint(1, 200)):
                rows = random.choice((1, 1, 1, 4, 64))
                shape = [rows, random.choice((2,) * 19 + (3,))]
                tensor = {"name": "x", "datatype": "FP32", "shape": shape, "data": [0.5] * (rows * 2)}
                sending = asyncio.create_task(client.post("/v2/models/m/infer", json={"inputs": [tensor]}))
                if random.random() < 0.01:
                    await asyncio.sleep(0)
                    sending.cancel()
                try:
                    codes[str((await sending).status_code)] += 1
                except asyncio.CancelledError:
                    codes["given up"] += 1
                except httpx.HTTPError as error:
                    codes[type(error).__name__] += 1
                await asyncio.sleep(pause)
                if time.monotonic() > until:
                    return


async def measure(minutes: float, clients: int, pause: float) -> None:
    """Run, and print the table."""
    codes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--drain_seconds=0", "--allow_repository_changes", "--threads=1"]
        async with running(save_negation(Path(folder) / "m"), *flags) as server:
            reader = asyncio.create_task(server.process.stdout.read())
            until = time.monotonic() + minutes * 60
            url = f"http://127.0.0.1:{server.port}"
            callers = [asyncio.create_task(call(url, until, codes, pause)) for _ in range(clients)]
            samples: list[float] = []
            while time.monotonic() < until:
                await asyncio.sleep(1)
                samples.append(resident(server.process.pid))
                if len(samples) % 30 == 0:
                    await server.client.post("/v2/repository/models/m/load")
                    print(f"{len(samples):5} s  {samples[-1]:6.1f} MB  {dict(codes)}", flush=True)
            await asyncio.gather(*callers)
            server.process.terminate()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
    warm = samples[len(samples) // 5 :]
    middle = len(warm) // 2
    print(f"requests: {sum(codes.values())}, by answer: {dict(codes)}")
    print(f"memory after warm-up, MB: first half {statistics.median(warm[:middle]):.1f}, ", end="")
    print(f"second half {statistics.median(warm[middle:]):.1f}, highest {max(samples):.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between a client's requests")
    options = parser.parse_args()
    asyncio.run(measure(options.minutes, options.clients, options.pause))
