"""Counters in Prometheus, and in whatever else answers its HTTP API (Thanos, Mimir, VictoriaMetrics).

Source: Prometheus 3, /api/v1/query_range.
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2 as httpx
from mooring_artifacts.uris import redact

from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.planning.analysis import answers, looks
from mooring_operator.planning.analysis.answers import NotPrometheusError, OtherTimesError, Times
from mooring_operator.planning.analysis.bets import Look
from mooring_operator.planning.analysis.histograms import Histogram
from mooring_operator.planning.analysis.looks import Counts
from mooring_operator.planning.analysis.queries import (
    AnswerUnusableError,
    Latency,
    Predictions,
    Question,
    Rate,
)
from mooring_operator.planning.status.wording import one_line

_LARGEST_BYTES = 8 * 2**20
_CLOCKS_S = 30.0
"""How much later or earlier it may be there than here: looks are times of ours."""
_FIRST_PAUSE_S = 0.5
_NOT_NOW = (408, 429)

T = TypeVar("T")


@dataclass(frozen=True)
class Access:
    """How Prometheus is reached.

    token_file: holds a bearer token, and may change. timeout: seconds for a whole answer.
    retries: how often somebody is asked again who does not answer.
    set_by: what says the address and the token, for messages.
    """

    address: str
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = 15.0
    retries: int = 0
    set_by: tuple[str, str] = ("MOORING_PROMETHEUS_URL", "MOORING_PROMETHEUS_TOKEN_FILE")


def _now() -> datetime:
    return datetime.now(UTC)


class Prometheus:
    """Implements `Metrics`."""

    def __init__(
        self,
        access: Access,
        *,
        token: str = "",
        clock: Callable[[], datetime] = _now,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._access = access
        self._token = token
        self._clock = clock
        verify = ssl.create_default_context(cafile=access.ca_file) if access.ca_file else True
        self._client = httpx.AsyncClient(
            base_url=access.address.rstrip("/"), timeout=access.timeout, verify=verify, transport=transport
        )

    async def looks(
        self, question: Question, candidate: str, stable: str, since: datetime, until: datetime
    ) -> list[Look]:
        """Ask for all looks of the time at once; there is none in a time shorter than one."""
        return list(looks.pair(*await self.counts(question, since, until), candidate, stable).values())

    async def counts(self, question: Question, since: datetime, until: datetime) -> tuple[Counts, Counts]:
        """Ask for all looks of the time at once."""
        if until - since < timedelta(seconds=question.every_s):
            return {}, {}
        arm = question.metric.arm
        requests = await self._range(question, question.counts, since, until)
        events = await self._range(question, question.events, since, until)
        times = _times(question, since, until)
        with self._reading():
            part = answers.read_counts(events, arm, times)
            all_of_it = answers.read_counts(requests, arm, times)
        if isinstance(question.metric, Rate) and question.metric.is_good:
            part = looks.rest(part, all_of_it)
        return _by_revision(question, part), _by_revision(question, all_of_it)

    async def histograms(
        self, question: Question, since: datetime, until: datetime
    ) -> dict[str, dict[float, Histogram]]:
        """Ask for the buckets of all looks of the time at once, the classic ones and the native ones."""
        if until - since < timedelta(seconds=question.every_s):
            return {}
        classic = await self._range(question, question.counts, since, until)
        native = await self._range(question, question.natives, since, until)
        unit = question.metric.unit if isinstance(question.metric, Latency) else 1.0
        arm, times = question.metric.arm, _times(question, since, until)
        with self._reading():
            found = answers.finest(
                answers.read_buckets(classic, arm, times, unit),
                answers.read_natives(native, arm, times, unit),
            )
        return _by_revision(question, found)

    async def predictions(
        self, question: Question, since: datetime, until: datetime
    ) -> dict[str, dict[float, dict[str, float]]]:
        """Ask for all looks of the time at once."""
        if until - since < timedelta(seconds=question.every_s):
            return {}
        label = question.metric.label if isinstance(question.metric, Predictions) else ""
        answer = await self._range(question, question.counts, since, until)
        times = _times(question, since, until)
        with self._reading():
            found = answers.read_predictions(answer, question.metric.arm, label, times)
        return _by_revision(question, found)

    async def values(
        self, query: str, first: datetime, last: datetime, every: timedelta
    ) -> dict[float, list[float]]:
        """Ask for all times at once."""
        every_s = int(every.total_seconds())
        answer = await self._ask(query, first, last, every_s)
        with self._reading():
            return answers.read_values(answer, Times(first.timestamp(), last.timestamp(), every_s))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Take an answer about other times for none, for the right one may come; say what names who answered."""
        try:
            yield
        except OtherTimesError as error:
            raise MetricsUnavailableError(str(error)) from None
        except NotPrometheusError as error:
            address_by, _ = self._access.set_by
            raise AnswerUnusableError(f"{error}; {address_by} wants Prometheus' address") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _range(self, question: Question, query: str, since: datetime, until: datetime) -> Any:
        times = _times(question, since, until)
        return await self._ask(query, datetime.fromtimestamp(times.first, UTC), until, question.every_s)

    async def _ask(self, query: str, start: datetime, end: datetime, every_s: int) -> Any:
        form = {
            "query": query,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{every_s}s",
            "timeout": f"{max(int(self._access.timeout), 1)}s",
            # Of Thanos: a count that lacks a replica's part would be a count all the same.
            "partial_response": "false",
            # Of VictoriaMetrics: what it keeps is of times that it rounds.
            "nocache": "1",
        }
        for attempt in range(self._access.retries):
            try:
                return await self._post("/api/v1/query_range", form)
            except MetricsUnavailableError:
                await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
        return await self._post("/api/v1/query_range", form)

    async def _post(self, path: str, form: dict[str, str]) -> Any:
        address_by, token_by = self._access.set_by
        token = await self._bearer()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with (
                # Of the whole: each part of an answer may come in time, and never the last one.
                asyncio.timeout(self._access.timeout),
                self._client.stream("POST", path, data=form, headers=headers) as response,
            ):
                body = await self._read(response)
        except TimeoutError:
            raise MetricsUnavailableError(
                f"{self._where} gives no whole answer within {self._access.timeout:g} s ({address_by})"
            ) from None
        except httpx.HTTPError as error:
            raise MetricsUnavailableError(
                f"{self._where} does not answer: {one_line(str(error)) or type(error).__name__} ({address_by})"
            ) from error
        if response.status_code in (401, 403):
            raise AnswerUnusableError(
                f"Prometheus refuses who asks: {response.status_code}; give a token that may ask, by {token_by}"
            )
        if response.status_code >= 500 or response.status_code in _NOT_NOW:
            raise MetricsUnavailableError(f"{self._where} answers {response.status_code} ({address_by})")
        if response.is_redirect:
            # The token is for this address. Where it leads may be anywhere, and may have a secret in it.
            raise AnswerUnusableError(
                f"{self._where} sends elsewhere: {response.status_code}; {address_by} wants the address that needs no "
                "redirect, as with https:// in place of http://, and no page to log in"
            )
        self._compare_clocks(response.headers.get("Date", ""))
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise AnswerUnusableError(
                f"what answers at {redact(self._access.address)} is not Prometheus: {response.status_code}, and no "
                f"JSON; {address_by} wants the address before /api/v1"
            ) from None

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _LARGEST_BYTES:
                raise AnswerUnusableError(
                    f"{self._where} answers with more than {_LARGEST_BYTES >> 20} MiB: make fewer series of those that "
                    f"are asked for, as by sum(); {self._access.set_by[0]} wants Prometheus' address"
                )
        return bytes(body)

    @property
    def _where(self) -> str:
        return f"Prometheus at {redact(self._access.address)}"

    async def _bearer(self) -> str:
        token, token_by = self._token, self._access.set_by[1]
        if self._access.token_file is not None:
            try:
                token = (await asyncio.to_thread(self._access.token_file.read_text)).strip()
            except (OSError, UnicodeDecodeError) as error:
                raise MetricsUnavailableError(
                    f"the token for Prometheus cannot be read: {error} ({token_by})"
                ) from None
        if not (token.isascii() and token.isprintable()):
            # Whoever sends it would quote it.
            raise MetricsUnavailableError(
                f"the token for Prometheus is none: it has more than one line, or other than ASCII ({token_by})"
            )
        return token

    def _compare_clocks(self, said: str) -> None:
        try:
            there = parsedate_to_datetime(said)
        except (ValueError, TypeError, OverflowError):
            return
        # Without a zone (-0000) it is UTC.
        ahead = (there.replace(tzinfo=there.tzinfo or UTC) - self._clock()).total_seconds()
        if abs(ahead) > _CLOCKS_S:
            which = "ahead of" if ahead > 0 else "behind"
            raise MetricsUnavailableError(
                f"Prometheus' clock is {abs(ahead):.0f} s {which} this one: set both by NTP"
            )


def _times(question: Question, since: datetime, until: datetime) -> Times:
    """Give the ends of the looks of a time: each is counted once, and the first begins where the time begins."""
    first = since + timedelta(seconds=question.every_s)
    return Times(first.timestamp(), until.timestamp(), question.every_s)


def _by_revision(question: Question, found: dict[str, T]) -> dict[str, T]:
    return {question.named(value): known for value, known in found.items()}
