"""Sends the model requests all the time, as its users would, and counts what comes back."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from cluster.demo.models import Rows, fade

_PAUSE_S = 0.02


@dataclass(frozen=True)
class Entrance:
    """Where requests go: an address, and the host name that they ask for where the address is a gateway's."""

    url: str
    host: str = ""

    def headers(self) -> dict[str, str]:
        """Give the headers that make a gateway take a request for this host's."""
        return {"host": self.host} if self.host else {}


@dataclass(frozen=True)
class Caller:
    """A kind of user: what their requests bring along, and whether they keep the cookies that they are given."""

    name: str = "users"
    headers: Mapping[str, str] = field(default_factory=dict)
    keeps_cookies: bool = False


class Users:
    """One user after the other sends one image."""

    def __init__(
        self,
        entrance: Entrance,
        model: str,
        images: Rows,
        callers: Sequence[Caller] = (Caller(),),
    ) -> None:
        self._entrance, self._callers = entrance, callers
        self._path = f"{entrance.url}/v2/models/{model}/infer"
        self._images = itertools.cycle(enumerate(images))
        self._cookies: dict[str, dict[str, str]] = {}
        self.faded = False
        self.on_answer: Callable[[int, str, dict[str, Any]], None] = lambda image, revision, body: None
        """Called with each answer: of which image, by its number, by which revision, and what was answered."""
        self.answered: Counter[str] = Counter()
        """By revision."""
        self.answers: dict[str, Counter[str]] = {caller.name: Counter() for caller in callers}
        """By kind of user and revision."""
        self.last: dict[str, float] = {}
        """When a revision answered last, by `time.monotonic`."""
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
        callers = itertools.cycle(self._callers)
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            for (number, image), caller in zip(self._images, callers, strict=False):
                await self._send(client, number, fade(image) if self.faded else image, caller)
                await asyncio.sleep(_PAUSE_S)

    async def _send(self, client: httpx.AsyncClient, number: int, row: Rows, caller: Caller) -> None:
        tensor = {"name": "X", "shape": [1, 64], "datatype": "FP32", "data": row.tolist()}
        kept = self._cookies.get(caller.name, {})
        cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in kept.items())} if kept else {}
        headers = {**self._entrance.headers(), **caller.headers, **cookies}
        try:
            response = await client.post(self._path, json={"inputs": [tensor]}, headers=headers)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        # Every request comes from somebody else, but for those of a caller who keeps them.
        client.cookies.clear()
        if response.status_code != 200:
            self.failures.append(f"{response.status_code}: {response.text[:200]}")
            return
        revision = response.headers.get("x-mooring-revision", "unknown")
        self.answered[revision] += 1
        self.answers[caller.name][revision] += 1
        self.last[revision] = time.monotonic()
        self.on_answer(number, revision, response.json())
        if caller.keeps_cookies:
            self._cookies[caller.name] = {**kept, **dict(response.cookies)}
