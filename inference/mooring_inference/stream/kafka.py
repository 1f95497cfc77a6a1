"""Kafka: a consumer group with committed offsets, and an idempotent producer.

Kafka does not count deliveries, so a message that brings its consumer down is not told from others. Nor does it
drop what is written twice; readers of the sink tell repeats by the record's key.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    SaslAuthenticationFailed,
)

from mooring_inference.stream.addresses import Address
from mooring_inference.stream.interfaces import Answer, Delivery, StreamError, Unavailable
from mooring_inference.stream.offsets import OffsetTracker

# While a broker is away it writes dozens of lines a second; the loop says the same in few.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of a consumer group."""

    def __init__(self, address: Address, group: str, *, take_over: float, from_start: bool) -> None:
        """A member.

        Args:
            address: the topic.
            group: the group's name.
            take_over: seconds after which a silent member's partitions go to others.
            from_start: whether a new group begins with what is there already.
        """
        self._address = address
        self._options = {
            **_security(address),
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest" if from_start else "latest",
            "session_timeout_ms": max(6000, int(take_over * 1000)),
            "heartbeat_interval_ms": max(1000, int(take_over * 1000 / 3)),
        }
        self._consumer: Any = None
        self._offsets: OffsetTracker[TopicPartition] = OffsetTracker()

    async def connect(self) -> None:
        """Join the group."""
        if self._consumer is not None:
            return
        consumer = AIOKafkaConsumer(**self._options)
        consumer.subscribe([self._address.name], listener=self)
        async with _guarded():
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
        self._consumer = consumer

    async def read(self, limit: int, wait: float, linger: float) -> list[Delivery]:
        """Take records of all partitions that this member has."""
        found = await self._fetch(limit, wait)
        deadline = time.monotonic() + linger
        while found and len(found) < limit and (left := deadline - time.monotonic()) > 0:
            found += await self._fetch(limit - len(found), left)
        return found

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Commit, for each partition, up to the first record that is not done."""
        for delivery in deliveries:
            self._offsets.finish(*delivery.token)
        offsets = self._offsets.committable()
        if not offsets:
            return
        async with _guarded():
            try:
                await self._consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError):
                # The group was shared out anew; whoever has the partition now does these records again.
                return
        self._offsets.commit(offsets)

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing: the member's own heartbeat does it."""

    async def backlog(self) -> int | None:
        """Count records of this member's partitions that were not read yet."""
        partitions = self._consumer.assignment() if self._consumer is not None else ()
        if not partitions:
            return None
        async with _guarded():
            ends = await self._consumer.end_offsets(list(partitions))
            left: list[int] = [max(0, end - await self._consumer.position(one)) for one, end in ends.items()]
        return sum(left)

    async def close(self, unfinished: Sequence[Delivery]) -> None:
        """Leave the group; records that are not committed go to others."""
        if self._consumer is not None:
            async with _guarded():
                await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Forget what was read of partitions that others have now."""
        for partition in revoked:
            self._offsets.forget(partition)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Do nothing: reading begins at the committed offsets."""

    async def _fetch(self, limit: int, wait: float) -> list[Delivery]:
        async with _guarded():
            found = await self._consumer.getmany(timeout_ms=int(wait * 1000), max_records=limit)
        deliveries = []
        for partition, records in found.items():
            for record in records:
                self._offsets.take(partition, record.offset)
                origin = f"{partition.topic}/{partition.partition}/{record.offset}"
                deliveries.append(Delivery(record.value, origin, 1, (partition, record.offset)))
        return deliveries


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
            **_security(self._address), enable_idempotence=True, request_timeout_ms=10_000
        )
        async with _guarded():
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
        self._producer = producer

    async def write(self, answers: Sequence[Answer]) -> Mapping[int, str]:
        """Send answers, and wait until all replicas in sync have them."""
        refused: dict[int, str] = {}
        sent: list[Any] = []
        async with _guarded():
            for place, answer in enumerate(answers):
                try:
                    sent.append(
                        await self._producer.send(
                            self._address.name, value=answer.body, key=answer.key.encode()
                        )
                    )
                except MessageSizeTooLargeError:
                    refused[place] = f"Kafka: {len(answer.body)} bytes are more than the producer takes"
                    sent.append(None)
            results = await asyncio.gather(*(one for one in sent if one is not None), return_exceptions=True)
            places = [place for place, one in enumerate(sent) if one is not None]
            for place, result in zip(places, results, strict=True):
                if isinstance(result, MessageSizeTooLargeError | RecordTooLargeError):
                    refused[place] = f"Kafka: {len(answers[place].body)} bytes are more than the topic takes"
                elif isinstance(result, BaseException):
                    raise result
        return refused

    async def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            async with _guarded():
                await self._producer.stop()


def _security(address: Address) -> dict[str, object]:
    options: dict[str, object] = {"bootstrap_servers": list(address.servers)}
    tls = address.scheme == "kafkas"
    if tls:
        options["ssl_context"] = ssl.create_default_context()
    if address.user is not None:
        options["sasl_mechanism"] = address.options.get("mechanism", "PLAIN")
        options["sasl_plain_username"] = address.user
        options["sasl_plain_password"] = address.password
    protocol = ("SASL_" if address.user is not None else "") + ("SSL" if tls else "PLAINTEXT")
    return options | {"security_protocol": protocol}


@asynccontextmanager
async def _guarded() -> AsyncIterator[None]:
    """Turn failures of the brokers or the way to them into Unavailable."""
    try:
        yield
    except SaslAuthenticationFailed as exc:
        raise StreamError(f"Kafka: {exc}") from None
    except (KafkaError, OSError, TimeoutError) as exc:
        raise Unavailable(f"Kafka: {exc or type(exc).__name__}") from None
