"""The loop: take messages, answer them, and acknowledge them once the answers are written."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from mooring_inference.stream.answering import Answerer, Outcome
from mooring_inference.stream.interfaces import (
    Answer,
    Delivery,
    Exchange,
    Finished,
    Sink,
    Source,
    Unavailable,
)
from mooring_inference.stream.messages import dead_letter, error_answer
from mooring_inference.stream.metrics import StreamMetrics

log = logging.getLogger(__name__)

T = TypeVar("T")
_Dead: TypeAlias = tuple[Delivery, str, str]
"""A message that gets no answer, its key, and why."""

_BACKLOG_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How the loop behaves.

    Attributes:
        batch: messages taken at once; while these are worked on, as many again are taken, and no more.
        wait: seconds that one read waits for a first message.
        linger: seconds that a batch waits to be filled.
        attempts: how often a message is tried that the model fails on.
        keep: seconds after which messages that are still worked on are claimed anew.
        grace: seconds after a stop for what was taken to be finished.
        backoff: seconds to wait after a first failure; doubles up to ``longest_backoff``.
    """

    batch: int = 64
    wait: float = 1.0
    linger: float = 0.01
    attempts: int = 3
    keep: float = 10.0
    grace: float = 20.0
    backoff: float = 0.1
    longest_backoff: float = 10.0


class _GaveUp(Exception):
    """A stop was asked for, and some system stayed away for the whole grace period."""


class StreamLoop:
    """One consumer."""

    def __init__(
        self,
        source: Source | Exchange,
        sink: Sink | None,
        dead_letters: Sink | None,
        answerer: Answerer,
        limits: Limits,
        metrics: StreamMetrics,
    ) -> None:
        """A consumer; without ``dead_letters`` the sink gets an error as the answer to a bad message.

        An exchange writes itself: there is neither a sink then nor dead letters.
        """
        self._source = source
        self._exchange = source if sink is None and isinstance(source, Exchange) else None
        self._has_dead_letters = (
            self._exchange.has_dead_letters if self._exchange is not None else dead_letters is not None
        )
        self._sink = sink
        self._dead_letters = dead_letters
        self._answerer = answerer
        self._limits = limits
        self._metrics = metrics
        self._held: dict[str, Delivery] = {}
        self._stop = asyncio.Event()
        self._deadline: float | None = None

    def stop(self) -> None:
        """Take no more messages; finish those that were taken."""
        if not self._stop.is_set():
            self._deadline = time.monotonic() + self._limits.grace
            self._stop.set()

    async def run(self) -> int:
        """Work until ``stop``.

        Returns:
            How many messages were taken and could not be finished; others will get them.
        """
        aside: list[asyncio.Task[None]] = []
        try:
            await self._connect()
            aside = [asyncio.create_task(self._keep_held()), asyncio.create_task(self._watch_backlog())]
            await self._work()
        except _GaveUp:
            log.warning(
                "stopped with messages that others will get", extra={"fields": {"count": len(self._held)}}
            )
        finally:
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
            await self._close()
        return len(self._held)

    async def _connect(self) -> None:
        await self._insist("source", self._source.connect)
        if self._sink is not None:
            await self._insist("sink", self._sink.connect)
        else:
            self._metrics.note_up("sink")
        if self._dead_letters is not None:
            await self._insist("dead_letters", self._dead_letters.connect)
        log.info("consuming")

    async def _work(self) -> None:
        """Handle one batch while the next one is read."""
        reading: asyncio.Task[list[Delivery]] | None = None
        try:
            while reading is not None or not self._stop.is_set():
                batch = await (reading or self._read())
                fresh = [delivery for delivery in batch if delivery.attempts == 1]
                again = [delivery for delivery in batch if delivery.attempts > 1]
                # What was delivered before may bring this process down too: nothing is taken along with it.
                alone = bool(again) or self._stop.is_set()
                reading = None if alone else asyncio.create_task(self._read())
                for part in (fresh, *([delivery] for delivery in again)):
                    if part:
                        await self._handle(part)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> list[Delivery]:
        limits = self._limits

        async def read() -> list[Delivery]:
            # A stop ends the attempts, not a read that is under way: that may hold messages already.
            return (
                []
                if self._stop.is_set()
                else await self._source.read(limits.batch, limits.wait, limits.linger)
            )

        deliveries = await self._insist("source", read)
        if self._exchange is None:
            # What is held may come again, when it took too long; an exchange knows what it has answered.
            deliveries = [one for one in deliveries if one.origin not in self._held]
        self._metrics.note_alive()
        self._held |= {delivery.origin: delivery for delivery in deliveries}
        self._metrics.held.set(len(self._held))
        return deliveries

    async def _handle(self, batch: list[Delivery]) -> None:
        """Answer every message of a batch, or find it dead."""
        started = time.monotonic()
        self._metrics.batch.observe(len(batch))
        pause = self._limits.backoff
        todo = batch
        answered: list[tuple[Delivery, Answer]] = []
        dead: list[_Dead] = []
        while todo:
            more, more_dead, todo = await self._try(todo)
            answered += more
            dead += more_dead
            if self._exchange is None:
                await self._settle(answered, dead)
                answered, dead = [], []
            if todo:
                self._metrics.messages.labels("retried").inc(len(todo))
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._limits.longest_backoff)
        if self._exchange is not None:
            # All of a batch, since what is committed is all up to some message.
            await self._settle_together(self._exchange, answered, dead)
        self._metrics.seconds.observe(time.monotonic() - started)

    async def _try(
        self, batch: list[Delivery]
    ) -> tuple[list[tuple[Delivery, Answer]], list[_Dead], list[Delivery]]:
        """Try a batch once; gives answers, dead ones, and those to try again, each with one attempt more."""
        # What comes back again and again without an outcome brings its consumers down.
        worn = [delivery for delivery in batch if delivery.attempts > self._limits.attempts]
        tried = [delivery for delivery in batch if delivery.attempts <= self._limits.attempts]
        outcomes = await asyncio.to_thread(self._answerer.answer, tried) if tried else []
        answered: list[tuple[Delivery, Answer]] = []
        dead = [
            (delivery, delivery.origin, f"{delivery.attempts - 1} attempts had no outcome")
            for delivery in worn
        ]
        again: list[Delivery] = []
        for delivery, outcome in zip(tried, outcomes, strict=True):
            if outcome.body is not None:
                answered.append((delivery, Answer(outcome.key, outcome.body, outcome.content)))
            elif outcome.final or delivery.attempts >= self._limits.attempts:
                dead.append((delivery, outcome.key, _reason(outcome, delivery)))
            else:
                again.append(replace(delivery, attempts=delivery.attempts + 1))
        return answered, dead, again

    async def _settle(self, answered: list[tuple[Delivery, Answer]], dead: list[_Dead]) -> None:
        """Write answers and dead letters, and then acknowledge their messages."""
        refused = await self._write("sink", self._sink, [answer for _, answer in answered])
        dead = dead + [
            (answered[place][0], answered[place][1].key, reason) for place, reason in refused.items()
        ]
        await self._bury(dead)
        buried = [delivery for delivery, _, _ in dead]
        await self._ack(
            [delivery for place, (delivery, _) in enumerate(answered) if place not in refused] + buried
        )
        self._metrics.messages.labels("answered").inc(len(answered) - len(refused))

    async def _settle_together(
        self, exchange: Exchange, answered: list[tuple[Delivery, Answer]], dead: list[_Dead]
    ) -> None:
        """Write and acknowledge at once; what is refused becomes a dead letter, and a refused letter nothing."""
        finished = [Finished(delivery, answer) for delivery, answer in answered]
        finished += [Finished(one[0], self._letter(*one), is_letter=True) for one in dead]
        while refused := await self._insist("source", lambda: exchange.settle(finished)):
            for place, reason in refused.items():
                one = finished[place]
                if one.answer is None or one.is_letter:
                    self._note_lost(one.delivery, one.answer.key if one.answer else "", reason)
                    finished[place] = Finished(one.delivery, None, is_letter=True)
                else:
                    letter = self._letter(one.delivery, one.answer.key, reason)
                    finished[place] = Finished(one.delivery, letter, is_letter=True)
        self._release([one.delivery for one in finished])
        letters = [one for one in finished if one.is_letter]
        self._metrics.messages.labels("answered").inc(len(finished) - len(letters))
        self._metrics.messages.labels("dead").inc(sum(one.answer is not None for one in letters))

    async def _bury(self, dead: list[_Dead]) -> None:
        """Write dead letters, or error answers; what even there is refused is logged."""
        if not dead:
            return
        role, sink = ("dead_letters", self._dead_letters) if self._dead_letters else ("sink", self._sink)
        refused = await self._write(role, sink, [self._letter(*one) for one in dead])
        for place, reason in refused.items():
            self._note_lost(dead[place][0], dead[place][1], reason)
        self._metrics.messages.labels("dead").inc(len(dead) - len(refused))

    def _letter(self, delivery: Delivery, key: str, why: str) -> Answer:
        body = _letter(delivery, key, why) if self._has_dead_letters else error_answer(key, why)
        return _refusal(delivery, key, body)

    def _note_lost(self, delivery: Delivery, key: str, refused: str) -> None:
        fields = {"id": key, "origin": delivery.origin, "refused": refused}
        log.error("a dead letter was refused", extra={"fields": fields})
        self._metrics.messages.labels("lost").inc()

    async def _write(self, role: str, sink: Sink | None, answers: list[Answer]) -> dict[int, str]:
        if sink is None or not answers:
            return {}
        return dict(await self._insist(role, lambda: sink.write(answers)))

    async def _ack(self, deliveries: list[Delivery]) -> None:
        await self._insist("source", lambda: self._source.ack(deliveries))
        self._release(deliveries)

    def _release(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._held.pop(delivery.origin, None)
        self._metrics.held.set(len(self._held))

    async def _insist(self, role: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the system answers; raises _GaveUp when a stop leaves no more time."""
        pause = self._limits.backoff
        while True:
            try:
                result = await call()
            except Unavailable as exc:
                self._note_down(role, exc)
            else:
                self._metrics.note_up(role)
                return result
            self._metrics.note_alive()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise _GaveUp
            await self._pause(pause)
            pause = min(2 * pause, self._limits.longest_backoff)

    async def _pause(self, seconds: float) -> None:
        if self._deadline is not None:
            await asyncio.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _keep_held(self) -> None:
        while True:
            await asyncio.sleep(self._limits.keep)
            if self._held:
                with contextlib.suppress(Unavailable):
                    await self._source.keep(list(self._held.values()))

    async def _watch_backlog(self) -> None:
        while True:
            await asyncio.sleep(_BACKLOG_SECONDS)
            try:
                waiting = await self._source.backlog()
            except Unavailable as exc:
                # Reading from Kafka just waits while brokers are away; here it shows.
                self._note_down("source", exc)
                continue
            self._metrics.note_up("source")
            if waiting is not None:
                self._metrics.backlog.set(waiting)

    def _note_down(self, role: str, exc: Unavailable) -> None:
        self._metrics.note_down(role)
        log.warning("unavailable", extra={"fields": {"role": role, "reason": str(exc)}})

    async def _close(self) -> None:
        for close in (
            lambda: self._source.close(list(self._held.values())),
            *([self._sink.close] if self._sink is not None else []),
            *([self._dead_letters.close] if self._dead_letters is not None else []),
        ):
            try:
                await close()
            except Unavailable as exc:
                log.warning("not closed", extra={"fields": {"reason": str(exc)}})


def _reason(outcome: Outcome, delivery: Delivery) -> str:
    return outcome.reason if outcome.final else f"{outcome.reason} ({delivery.attempts} attempts)"


def _refusal(delivery: Delivery, key: str, body: bytes) -> Answer:
    return Answer(key, body, hashlib.sha256(delivery.body or b"").hexdigest(), is_refusal=True)


def _letter(delivery: Delivery, key: str, reason: str) -> bytes:
    return dead_letter(
        key=key, origin=delivery.origin, reason=reason, attempts=delivery.attempts, body=delivery.body
    )
