"""A producer that sends each record once as far as one connection goes: an idempotent one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordTooLargeError

from mooring_inference.stream.addresses import Address
from mooring_inference.stream.interfaces import Answer
from mooring_inference.stream.kafka.connection import client_options, guarded


class KafkaSink:
    """Sends records whose key is the message's id."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._producer: Any = None

    async def connect(self) -> None:
        """Connect; the producer goes on by itself when brokers come back."""
        if self._producer is not None:
            return
        producer = AIOKafkaProducer(
            **client_options(self._address), enable_idempotence=True, request_timeout_ms=10_000
        )
        async with guarded():
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
        self._producer = producer

    async def write(self, answers: Sequence[Answer]) -> Mapping[int, str]:
        """Send answers, and wait until all replicas in sync have them."""
        failed = await self._send(answers)
        refused: dict[int, str] = {}
        for place in failed:
            # The broker refuses what is sent together, of which some may be small.
            if len(answers) == 1 or await self._send([answers[place]]):
                refused[place] = too_large(answers[place])
        return refused

    async def _send(self, answers: Sequence[Answer]) -> list[int]:
        """Send answers, and return the places of those that are too large, or were sent with one that is."""
        await self.connect()
        async with guarded():
            results = await send_all(self._producer, [(self._address.name, answer) for answer in answers])
            if any(results):
                # What was refused leaves a gap in its numbers, after which brokers take nothing.
                producer, self._producer = self._producer, None
                await producer.stop()
            for result in results:
                # What comes after one that is too large may fail for the gap alone.
                if result is not None and not any(is_too_large(one) for one in results):
                    raise result
        return [place for place, result in enumerate(results) if result is not None]

    async def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            async with guarded():
                await self._producer.stop()


async def send_all(
    producer: Any, records: Sequence[tuple[str, Answer]], *, singly: bool = False
) -> list[BaseException | None]:
    """Send records to their topics.

    Args:
        producer: a producer of the library.
        records: topics and what to send to them.
        singly: whether to wait for each before the next is sent, and to send none after one that failed.

    Returns:
        For each record that was sent why it failed, None if it did not.
    """
    sent: list[Any] = []
    for topic, answer in records:
        try:
            sent.append(await producer.send(topic, value=answer.body, key=answer.key.encode()))
        except MessageSizeTooLargeError as exc:
            refused = asyncio.get_running_loop().create_future()
            refused.set_exception(exc)
            sent.append(refused)
        if singly:
            await asyncio.wait(sent[-1:])
            if sent[-1].exception() is not None:
                break
    results = await asyncio.gather(*sent, return_exceptions=True)
    return [result if isinstance(result, BaseException) else None for result in results]


def is_too_large(result: BaseException | None) -> bool:
    """Whether a record was refused for its size, by the producer or by the broker."""
    return isinstance(result, MessageSizeTooLargeError | RecordTooLargeError)


def too_large(answer: Answer) -> str:
    """Say that a record is too large."""
    return f"Kafka: {len(answer.body)} bytes are more than the topic takes"
