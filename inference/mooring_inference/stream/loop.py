"""The loop: take messages, answer them, and acknowledge them once the answers are written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from mooring_inference.stream.answering import Answerer, Outcome
from mooring_inference.stream.insistence import GaveUp, Insistence
from mooring_inference.stream.interfaces import Answer, Delivery, Exchange, Sink, Source, Unavailable
from mooring_inference.stream.metrics import StreamMetrics
from mooring_inference.stream.settling import Answered, AtLeastOnce, Dead, Settling, Transactional

log = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class _Tried:
    """What has come to an end and is not settled yet."""

    answered: Sequence[Answered] = ()
    dead: Sequence[Dead] = ()


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
        self._answerer = answerer
        self._limits = limits
        self._metrics = metrics
        self._held: dict[str, Delivery] = {}
        # A call that ends in the moment in which it is cancelled goes on: asyncio.wait_for of Python 3.11 does that.
        self._is_over = False
        self._insistence = Insistence(
            metrics,
            grace=limits.grace,
            backoff=limits.backoff,
            longest_backoff=limits.longest_backoff,
        )
        self._settling: Settling = (
            Transactional(source, self._insistence, metrics)
            if sink is None and isinstance(source, Exchange)
            else AtLeastOnce(source, sink, dead_letters, self._insistence, metrics)
        )

    def stop(self) -> None:
        """Take no more messages; finish those that were taken."""
        self._insistence.stop()

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
        except GaveUp:
            log.warning(
                "stopped with messages that others will get", extra={"fields": {"count": len(self._held)}}
            )
        finally:
            self._is_over = True
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
            await self._close()
        return len(self._held)

    async def _connect(self) -> None:
        await self._insistence.until_answered("source", self._source.connect)
        if "sink" not in self._settling.sinks:
            self._metrics.note_up("sink")
        for role, sink in self._settling.sinks.items():
            await self._insistence.until_answered(role, sink.connect)
        log.info("consuming")

    async def _work(self) -> None:
        """Handle one batch while the next one is read."""
        reading: asyncio.Task[list[Delivery]] | None = None
        try:
            while reading is not None or not self._insistence.stopping:
                batch = await (reading or self._read())
                fresh = [delivery for delivery in batch if delivery.attempts == 1]
                again = [delivery for delivery in batch if delivery.attempts > 1]
                # What was delivered before may bring this process down too: nothing is taken along with it.
                alone = bool(again) or self._insistence.stopping
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
            if self._insistence.stopping:
                return []
            return await self._source.read(limits.batch, limits.wait, limits.linger)

        deliveries = await self._insistence.until_answered("source", read)
        if not self._settling.is_transactional:
            # What is held may come again, when it took too long.
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
        tried = _Tried()
        while todo:
            tried, todo = await self._try(todo, tried)
            # A transaction commits all up to some message: it waits for what is tried again.
            if not (todo and self._settling.is_transactional):
                await self._settling.settle(tried.answered, tried.dead)
                self._release(tried)
                tried = _Tried()
            if todo:
                self._metrics.messages.labels("retried").inc(len(todo))
                await asyncio.sleep(pause)
                pause = self._insistence.longer(pause)
        self._metrics.seconds.observe(time.monotonic() - started)

    async def _try(self, batch: list[Delivery], before: _Tried) -> tuple[_Tried, list[Delivery]]:
        """Try a batch once; gives what has come to an end, and what to try again, each with one attempt more."""
        # What comes back again and again without an outcome brings its consumers down.
        worn = [one for one in batch if one.attempts > self._limits.attempts]
        fit = [one for one in batch if one.attempts <= self._limits.attempts]
        outcomes = await asyncio.to_thread(self._answerer.answer, fit) if fit else []
        answered = list(before.answered)
        dead = [
            *before.dead,
            *(Dead(one, one.origin, f"{one.attempts - 1} attempts had no outcome") for one in worn),
        ]
        again: list[Delivery] = []
        for delivery, outcome in zip(fit, outcomes, strict=True):
            if outcome.body is not None:
                answered.append(Answered(delivery, Answer(outcome.key, outcome.body, outcome.content)))
            elif outcome.final or delivery.attempts >= self._limits.attempts:
                dead.append(Dead(delivery, outcome.key, _reason(outcome, delivery)))
            else:
                again.append(replace(delivery, attempts=delivery.attempts + 1))
        return _Tried(answered, dead), again

    def _release(self, tried: _Tried) -> None:
        for delivery in [one.delivery for one in tried.answered] + [one.delivery for one in tried.dead]:
            self._held.pop(delivery.origin, None)
        self._metrics.held.set(len(self._held))

    async def _keep_held(self) -> None:
        while not self._is_over:
            await asyncio.sleep(self._limits.keep)
            if self._held:
                with contextlib.suppress(Unavailable):
                    await self._source.keep(list(self._held.values()))

    async def _watch_backlog(self) -> None:
        while not self._is_over:
            await asyncio.sleep(_BACKLOG_SECONDS)
            try:
                waiting = await self._source.backlog()
            except Unavailable as exc:
                # Reading from Kafka just waits while brokers are away; here it shows.
                self._insistence.note_down("source", exc)
                continue
            self._metrics.note_up("source")
            if waiting is not None:
                self._metrics.backlog.set(waiting)

    async def _close(self) -> None:
        await self._close_one(self._source.close(list(self._held.values())))
        for sink in self._settling.sinks.values():
            await self._close_one(sink.close())

    @staticmethod
    async def _close_one(closing: Awaitable[None]) -> None:
        try:
            await closing
        except Unavailable as exc:
            log.warning("not closed", extra={"fields": {"reason": str(exc)}})


def _reason(outcome: Outcome, delivery: Delivery) -> str:
    return outcome.reason if outcome.final else f"{outcome.reason} ({delivery.attempts} attempts)"
