"""Operators as processes of their own, before an emulator in this one."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.operator.objects import LEASE
from tests.operator.world import World

ROOT = Path(__file__).parents[2]
PROGRAM = "tests.operator.scripted_operator"
DEADLINE = 30.0
START_DEADLINE = 120.0
"""Seconds to import all that an operator needs, on a machine that does much else."""


class Operator:
    """One process; `who` is the user that the emulator sees."""

    def __init__(self, process: asyncio.subprocess.Process, who: str, log: Path) -> None:
        self._process = process
        self.who = who
        self.log = log

    async def terminate(self) -> int:
        """Ask it to end; give the exit code."""
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE):
            return await self._process.wait()

    def freeze(self) -> None:
        """Have it stand still, as on a node that stalls."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """End it without warning, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def is_ready(self) -> bool:
        """Whether it watches; fails where it has ended."""
        assert self._process.returncode is None, self.log.read_text()
        try:
            return (await self.ask("readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def ask(self, path: str, seconds: float = 5.0) -> httpx.Response:
        """Get a page of the health server; an HTTPError where there is no answer."""
        port = _port(self.log.read_text())
        if port is None:
            raise httpx.ConnectError("it does not listen yet")
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=seconds) as client:
            return await client.get(f"http://127.0.0.1:{port}/{path}")


@asynccontextmanager
async def operator(
    world: World, who: str = "operator", *, fault: str = "", program: str = PROGRAM, **settings: Any
) -> AsyncIterator[Operator]:
    """Start an operator, and wait until it watches; at the end it is killed. `fault`: see `scripted_operator`."""
    log = world.folder / f"{who}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MOORING_")}
    environment |= {
        "MOORING_KUBECONFIG": str(world.emulator.kubeconfig(world.folder / f"{who}.kubeconfig", who)),
        "MOORING_HEALTH_HOST": "127.0.0.1",
        "MOORING_HEALTH_PORT": "0",
        "MOORING_LEASE_NAMESPACE": "ns",
        "MOORING_LEADER_ELECTION": "false",
        "MOORING_LOG_FORMAT": "text",
        "NO_PROXY": "127.0.0.1",
        **{f"MOORING_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", program, str(world.folder)]
    command += [fault] if fault else []
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    started = Operator(process, who, log)
    try:
        await until(started.is_ready, f"{who} is ready", START_DEADLINE)
        yield started
    finally:
        await started.kill()


async def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> None:
    """Wait until a function, or a coroutine function, gives something true."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


async def until_promoted(world: World, model: str, seconds: float = DEADLINE) -> None:
    def promoted() -> bool:
        stable = world.status.get("stable", {}).get("modelUri")
        return (world.phase, stable) == ("Promoted", f"s3://m/{model}")

    await until(promoted, f"{model} is promoted", seconds)


def holder(world: World) -> str:
    """Who holds the Lease, by its record."""
    leases = world.objects.list(LEASE, "ns")
    return leases[0]["spec"].get("holderIdentity", "") if leases else ""


def _port(log: str) -> int | None:
    for line in log.splitlines():
        if "probes and metrics on port" in line:
            return int(line.split("probes and metrics on port")[1].split()[0])
    return None
