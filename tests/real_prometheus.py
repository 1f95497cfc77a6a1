"""A Prometheus of this machine's own, which scrapes what a test names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cluster.building import build


@asynccontextmanager
async def running_prometheus(folder: Path, configuration: str) -> AsyncIterator[str]:
    """Run one with this configuration, and its data in `folder`; give its address."""
    (folder / "prometheus.yml").write_text(configuration)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = (await asyncio.to_thread(build, ["prometheus"]))["prometheus"]
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
