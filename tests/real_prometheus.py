"""A Prometheus of this machine's own, which scrapes what a test names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from cluster.prometheus import Prometheus


@asynccontextmanager
async def running_prometheus(folder: Path, configuration: str) -> AsyncIterator[str]:
    """Run one with this configuration, and its data in `folder`; give its address."""
    prometheus = Prometheus(yaml.safe_load(configuration), folder)
    await asyncio.to_thread(prometheus.start)
    try:
        yield prometheus.url
    finally:
        await asyncio.to_thread(prometheus.close)
