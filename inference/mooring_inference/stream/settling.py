"""What becomes of messages that were worked on: answers and dead letters are written, and the messages acknowledged."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mooring_inference.stream.insistence import Insistence
from mooring_inference.stream.interfaces import Answer, Delivery, Exchange, Finished, Sink, Source
from mooring_inference.stream.messages import dead_letter, error_answer
from mooring_inference.stream.metrics import StreamMetrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """A message and its answer."""

    delivery: Delivery
    answer: Answer


@dataclass(frozen=True, slots=True)
class Dead:
    """A message that gets no answer, its key, and why."""

    delivery: Delivery
    key: str
    why: str

    def letter(self) -> Answer:
        """Give what is written where dead letters go."""
        body = dead_letter(
            key=self.key,
            origin=self.delivery.origin,
            reason=self.why,
            attempts=self.delivery.attempts,
            body=self.delivery.body,
        )
        return self._refusal(body)

    def error(self) -> Answer:
        """Give what is written where there is no place for dead letters: an error as the answer."""
        return self._refusal(error_answer(self.key, self.why))

    def _refusal(self, body: bytes) -> Answer:
        content = hashlib.sha256(self.delivery.body or b"").hexdigest()
        return Answer(self.key, body, content, is_refusal=True)


class Settling(Protocol):
    """How the messages of a batch come to their end.

    Attributes:
        is_transactional: whether what is settled is all of a batch, and a message that comes again is worked on
            again, since the system knows what it has an answer to.
        sinks: what is written to beside the source, by its role.
    """

    is_transactional: bool
    sinks: Mapping[str, Sink]

    async def settle(self, answered: Sequence[Answered], dead: Sequence[Dead]) -> None:
        """Write answers and dead letters, and acknowledge their messages.

        Raises:
            GaveUp: a stop leaves no more time for it.
        """
        ...


class AtLeastOnce:
    """Answers are written first, and their messages acknowledged then: a crash between the two writes twice."""

    is_transactional = False

    def __init__(
        self,
        source: Source,
        sink: Sink | None,
        dead_letters: Sink | None,
        insistence: Insistence,
        metrics: StreamMetrics,
    ) -> None:
        """Without ``dead_letters`` the sink gets an error as the answer to a bad message."""
        self._source = source
        roles = (("sink", sink), ("dead_letters", dead_letters))
        self.sinks: Mapping[str, Sink] = {role: each for role, each in roles if each is not None}
        self._insistence = insistence
        self._metrics = metrics

    async def settle(self, answered: Sequence[Answered], dead: Sequence[Dead]) -> None:
        """Write, and then acknowledge."""
        refused = await self._write("sink", [one.answer for one in answered])
        gone = [Dead(answered[at].delivery, answered[at].answer.key, why) for at, why in refused.items()]
        dead = [*dead, *gone]
        await self._bury(dead)
        done = [one.delivery for place, one in enumerate(answered) if place not in refused]
        done += [one.delivery for one in dead]
        await self._insistence.until_answered("source", lambda: self._source.ack(done))
        self._metrics.messages.labels("answered").inc(len(answered) - len(refused))

    async def _bury(self, dead: Sequence[Dead]) -> None:
        """Write dead letters, or error answers; what even there is refused is logged."""
        if not dead:
            return
        if "dead_letters" in self.sinks:
            refused = await self._write("dead_letters", [one.letter() for one in dead])
        else:
            refused = await self._write("sink", [one.error() for one in dead])
        for place, reason in refused.items():
            note_lost(self._metrics, dead[place].delivery, dead[place].key, reason)
        self._metrics.messages.labels("dead").inc(len(dead) - len(refused))

    async def _write(self, role: str, answers: list[Answer]) -> dict[int, str]:
        sink = self.sinks.get(role)
        if sink is None or not answers:
            return {}
        return dict(await self._insistence.until_answered(role, lambda: sink.write(answers)))


class Transactional:
    """An exchange writes answers and acknowledges their messages in one transaction."""

    is_transactional = True

    def __init__(self, exchange: Exchange, insistence: Insistence, metrics: StreamMetrics) -> None:
        """Settle by an exchange."""
        self.sinks: Mapping[str, Sink] = {}
        self._exchange = exchange
        self._insistence = insistence
        self._metrics = metrics

    async def settle(self, answered: Sequence[Answered], dead: Sequence[Dead]) -> None:
        """Write and acknowledge at once; what is refused becomes a dead letter, and a refused letter nothing."""
        finished = [Finished(one.delivery, one.answer) for one in answered]
        finished += [self._buried(one) for one in dead]
        settle = self._exchange.settle
        while refused := await self._insistence.until_answered("source", lambda: settle(finished)):
            for place, reason in refused.items():
                finished[place] = self._refused(finished[place], reason)
        letters = [one for one in finished if one.is_letter]
        self._metrics.messages.labels("answered").inc(len(finished) - len(letters))
        self._metrics.messages.labels("dead").inc(sum(one.answer is not None for one in letters))

    def _refused(self, one: Finished, reason: str) -> Finished:
        if one.answer is None or one.is_letter:
            note_lost(self._metrics, one.delivery, one.answer.key if one.answer else "", reason)
            return Finished(one.delivery, None, is_letter=True)
        return self._buried(Dead(one.delivery, one.answer.key, reason))

    def _buried(self, dead: Dead) -> Finished:
        letter = dead.letter() if self._exchange.has_dead_letters else dead.error()
        return Finished(dead.delivery, letter, is_letter=True)


def note_lost(metrics: StreamMetrics, delivery: Delivery, key: str, refused: str) -> None:
    """Say that a message has come to its end without a trace in any system."""
    fields = {"id": key, "origin": delivery.origin, "refused": refused}
    log.error("a dead letter was refused", extra={"fields": fields})
    metrics.messages.labels("lost").inc()
