"""Sends the model requests all the time, as its users would, and counts what comes back."""

import asyncio
import itertools
from collections import Counter, deque
from pathlib import Path

import httpx
import numpy as np

from cluster.demo.models import Rows, fade, write_rows

_PAUSE_S = 0.02
_WINDOW = 400


class Users:
    """One user after the other sends one image; the last ones sent are what a drift monitor looks at."""

    def __init__(self, url: str, model: str, images: Rows, window: Path) -> None:
        self._endpoint = f"{url}/v2/models/{model}/infer"
        self._images = itertools.cycle(images)
        self._window = window
        self._sent: deque[Rows] = deque(maxlen=_WINDOW)
        self.faded = False
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []

    @property
    def total(self) -> int:
        """How many requests have been sent and have ended."""
        return sum(self.answered.values()) + len(self.failures)

    def mark(self) -> Counter[str]:
        """Give the counts so far, to subtract from later ones."""
        return self.answered.copy()

    async def run(self) -> None:
        """Send requests until cancelled."""
        async with httpx.AsyncClient(timeout=10) as client:
            for number, image in enumerate(self._images):
                row = fade(image) if self.faded else image
                await self._send(client, row)
                self._sent.append(row)
                if number % 50 == 49 and len(self._sent) >= _WINDOW:
                    await asyncio.to_thread(write_rows, self._window, np.stack(list(self._sent)))
                await asyncio.sleep(_PAUSE_S)

    async def _send(self, client: httpx.AsyncClient, row: Rows) -> None:
        tensor = {"name": "X", "shape": [1, 64], "datatype": "FP32", "data": row.tolist()}
        try:
            response = await client.post(self._endpoint, json={"inputs": [tensor]})
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        if response.status_code == 200:
            self.answered[response.headers.get("x-mooring-revision", "unknown")] += 1
        else:
            self.failures.append(f"{response.status_code}: {response.text[:200]}")
