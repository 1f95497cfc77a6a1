"""Asks a service over HTTP until it answers, for as long as there is time, and says in a sentence why there is none."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

import httpx2 as httpx
from mooring_artifacts.errors import first_line

LARGEST_BYTES = 2**20
REQUEST_S = 20.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 15.0
_LATER = frozenset({408, 429, 500, 502, 503, 504})
_LONGEST_REASON = 160


class NoNumberError(Exception):
    """There is no number; the message says why, and what to change."""


@dataclass(frozen=True)
class Answered:
    """An answer: its status code, and its body as it came."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Read the body; None where it is no JSON."""
        with suppress(ValueError, RecursionError):
            return json.loads(self.body)
        return None


@dataclass(frozen=True)
class Line:
    """A way to a service; `deadline` is by `clock`, in seconds."""

    client: httpx.Client
    service: str
    deadline: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def post(
        self,
        path: str,
        content: bytes,
        headers: Callable[[], Mapping[str, str]],
        *,
        is_later: Callable[[Answered], bool] = lambda answered: False,
    ) -> Answered:
        """Post until it is answered by something else than "later"; `headers` are made anew for each request.

        is_later: which answers mean that too, beside what HTTP has for it.

        Raises:
            NoNumberError: the service does not answer in time.
        """
        pause = _FIRST_PAUSE_S
        while True:
            try:
                with self.client.stream("POST", path, content=content, headers=dict(headers())) as response:
                    answered = Answered(response.status_code, _body(response, self.service))
                why, asked = f"it answers {answered.status}", _asked_pause(response.headers)
            except httpx.HTTPError as error:
                why, asked = f"no answer: {first_line(error)[:_LONGEST_REASON]}", None
            else:
                if answered.status not in _LATER and not is_later(answered):
                    return answered
            wait = pause if asked is None else max(asked, 0.0)
            if self.clock() + wait >= self.deadline:
                raise NoNumberError(self._too_late(why, asked))
            self.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _too_late(self, why: str, asked: float | None) -> str:
        if asked is None:
            return f"{self.service} gave no number in time: {why}"
        return (
            f"{self.service} asks to wait for {asked:.0f} s ({why}), which is longer than timeout leaves: ask less "
            "often (interval), or give it more time"
        )


def _asked_pause(headers: httpx.Headers) -> float | None:
    """Give the seconds that a service asks to wait; Datadog says them in a header of its own."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        with suppress(ValueError):
            asked = float(headers.get(name, ""))
            if isfinite(asked):
                return asked
    return None


def as_number(value: object) -> float | None:
    """Give a number of JSON as a double; None where it is none, or too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with suppress(OverflowError):
        return float(value) if isfinite(value) else None
    return None


def _body(response: httpx.Response, service: str) -> bytes:
    body, until = bytearray(), time.monotonic() + REQUEST_S
    for part in response.iter_raw():
        body += part
        if len(body) > LARGEST_BYTES:
            raise NoNumberError(f"{service} answers with more than {LARGEST_BYTES >> 20} MiB")
        if time.monotonic() > until:
            raise httpx.ReadTimeout(f"it takes longer than {REQUEST_S:g} s")
    return bytes(body)
