"""Numbers of queries that an address answers: for systems that Prometheus knows nothing of.

The addresses are those of ClusterAnalysisTemplates, which administrators write. Nothing of an answer is told but the
number: what a service of theirs says is not for everybody who may read a status.
"""

import asyncio
import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

import httpx2 as httpx

from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.measuring import Reading, UsedQuery

_LARGEST_BYTES = 64 * 2**10
_SECONDS = 10.0
_NO_NUMBER = 'it answers with no JSON object that has a finite number `value`, as {"value": 0.97}'


class Webhooks:
    """Implements `Provider`."""

    def __init__(self, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False, transport=transport)

    async def read(self, request: Request, query: UsedQuery) -> list[Reading]:
        """Ask once: it knows the present alone, and what was not asked in time is not made up for."""
        times, hook = request.times(query), query.query.webhook
        if not times or hook is None:
            return []
        question = query.posted(request.namespace, request.name, request.candidate, request.stable)
        return [Reading.of(times[-1], await self.number(hook.url, question))]

    async def number(self, url: str, question: Mapping[str, Any]) -> float | str:
        """Post a question as JSON, and give the number of the answer; or why there is none."""
        try:
            async with (
                asyncio.timeout(_SECONDS),
                # As it is: nobody inflates it here.
                self._client.stream(
                    "POST", url, json=dict(question), headers={"Accept-Encoding": "identity"}
                ) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    return f"the webhook answers {response.status_code}"
                body = bytearray()
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > _LARGEST_BYTES:
                        return f"the webhook answers with more than {_LARGEST_BYTES >> 10} KiB"
        except TimeoutError:
            return f"the webhook does not answer within {_SECONDS:g} s"
        except httpx.HTTPError as error:
            return f"the webhook does not answer: {type(error).__name__}"
        return _read(bytes(body))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _read(body: bytes) -> float | str:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return _NO_NUMBER
    value = answer.get("value") if isinstance(answer, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _NO_NUMBER
    try:
        number = float(value)
    except OverflowError:
        return _NO_NUMBER
    # What Python reads as JSON has NaN and Infinity too.
    return number if isfinite(number) else _NO_NUMBER
