"""Counters in Prometheus, and in whatever else answers its HTTP API (Thanos, Mimir, VictoriaMetrics).

Source: Prometheus 3, /api/v1/query_range.
"""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx2 as httpx

from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.planning.analysis import looks, queries
from mooring_operator.planning.analysis.bets import Look
from mooring_operator.planning.analysis.latency import Histogram
from mooring_operator.planning.analysis.queries import AnswerUnusableError, Question

_TIMEOUT_S = 15.0
_LARGEST_BYTES = 8 * 2**20


class Prometheus:
    """Implements `Metrics`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    def at(cls, address: str, token: str = "") -> "Prometheus":
        """Give the one at `address`; `token` is sent as a bearer token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return cls(httpx.AsyncClient(base_url=address.rstrip("/"), headers=headers, timeout=_TIMEOUT_S))

    async def looks(
        self, question: Question, candidate: str, stable: str, since: datetime, until: datetime
    ) -> list[Look]:
        """Ask for all looks of the time at once; there is none in a time shorter than one."""
        if until - since < timedelta(seconds=question.every_s):
            return []
        arm = question.metric.arm
        requests = await self._range(question, question.counts, since, until)
        events = await self._range(question, question.events, since, until)
        counted = queries.read_counts(events, arm), queries.read_counts(requests, arm)
        return looks.pair(*counted, candidate, stable)

    async def histograms(
        self, question: Question, since: datetime, until: datetime
    ) -> dict[str, dict[float, Histogram]]:
        """Ask for the buckets of all looks of the time at once."""
        if until - since < timedelta(seconds=question.every_s):
            return {}
        answer = await self._range(question, question.counts, since, until)
        return queries.read_buckets(answer, question.metric.arm)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _range(self, question: Question, query: str, since: datetime, until: datetime) -> Any:
        # A look is counted once: the first begins where the time begins.
        start = since + timedelta(seconds=question.every_s)
        form = {
            "query": query,
            "start": f"{start.timestamp():.3f}",
            "end": f"{until.timestamp():.3f}",
            "step": f"{question.every_s}s",
            "timeout": f"{int(_TIMEOUT_S)}s",
        }
        return await self._post("/api/v1/query_range", form)

    async def _post(self, path: str, form: dict[str, str]) -> Any:
        try:
            async with self._client.stream("POST", path, data=form) as response:
                body = await _read(response)
        except httpx.HTTPError as error:
            raise MetricsUnavailableError(
                f"Prometheus at {self._client.base_url} does not answer: {error or type(error).__name__}"
            ) from error
        if response.status_code in (401, 403):
            raise AnswerUnusableError(f"Prometheus refuses who asks: {response.status_code}; give a token")
        if response.status_code >= 500:
            raise MetricsUnavailableError(f"Prometheus answers {response.status_code}")
        try:
            return json.loads(body)
        except ValueError:
            raise AnswerUnusableError(
                f"what answers at {self._client.base_url} is not Prometheus: {response.status_code}, and no JSON"
            ) from None


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _LARGEST_BYTES:
            raise AnswerUnusableError(f"Prometheus answers with more than {_LARGEST_BYTES >> 20} MiB")
    return bytes(body)
