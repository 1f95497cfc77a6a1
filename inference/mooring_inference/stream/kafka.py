"""Kafka: a consumer group with committed offsets, and an idempotent producer.

Kafka does not count deliveries: the group's own commits do, by a note beside the offset. Nor does it drop what is
written twice; readers of the sink tell repeats by the record's key.
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
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.structs import OffsetAndMetadata

from mooring_inference.stream.addresses import Address
from mooring_inference.stream.interfaces import Answer, Delivery, StreamError, Unavailable
from mooring_inference.stream.offsets import OffsetTracker

_FINAL = (SaslAuthenticationFailed, UnsupportedSaslMechanismError)
_log = logging.getLogger("aiokafka")


class _Reasons(logging.Handler):
    """Why no broker could be spoken to: the client tells its log, and raises that there is none."""

    last: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        reason = record.args[-1] if isinstance(record.args, tuple) and record.args else None
        if isinstance(reason, BaseException):
            self.last = reason


_reasons = _Reasons(logging.ERROR)
_log.addHandler(_reasons)
# While a broker is away it writes dozens of lines a second; the loop says the same in few.
_log.propagate = False


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
        self._group = group
        self._options = {
            **_security(address),
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest" if from_start else "latest",
            "session_timeout_ms": max(6000, int(take_over * 1000)),
            "heartbeat_interval_ms": max(1000, int(take_over * 1000 / 3)),
        }
        self._consumer: Any = None
        self._admin: Any = None
        # Kept while a broker is away: the consumer does not give them again.
        self._taken: list[Delivery] = []
        self._offsets: OffsetTracker[TopicPartition] = OffsetTracker()
        # An older commit must not come after a newer one.
        self._committing = asyncio.Lock()

    async def connect(self) -> None:
        """Join the group."""
        if self._consumer is not None:
            return
        # The consumer's own way to ask for what is committed leaves out the note.
        admin = AIOKafkaAdminClient(**_security(self._address))
        consumer = AIOKafkaConsumer(**self._options)
        consumer.subscribe([self._address.name], listener=self)
        async with _guarded():
            try:
                await admin.start()
                await consumer.start()
            except BaseException:
                await consumer.stop()
                await admin.close()
                raise
        self._consumer, self._admin = consumer, admin

    async def read(self, limit: int, wait: float, linger: float) -> list[Delivery]:
        """Take records of all partitions that this member has."""
        async with _guarded():
            await self._learn()
            if not self._taken:
                await self._take(limit, wait, linger)
            # Who begins with them after this one counts one time more.
            if self._taken and not await self._commit():
                self._forget_all()
            taken, self._taken = self._taken, []
        return [one for one in taken if self._offsets.knows(one.token[0])]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Commit, for each partition, up to the first record that is not done."""
        for delivery in deliveries:
            self._offsets.finish(*delivery.token)
        async with _guarded():
            await self._commit()

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing: the member's own heartbeat does it."""

    async def backlog(self) -> int | None:
        """Count records of this member's partitions that were not read yet."""
        partitions = self._assigned()
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
                await self._admin.close()

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Forget what was read of partitions that others have now."""
        for partition in revoked:
            self._offsets.forget(partition)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Do nothing: reading begins at the committed offsets."""

    def _assigned(self) -> Sequence[TopicPartition]:
        return list(self._consumer.assignment()) if self._consumer is not None else []

    async def _learn(self) -> None:
        """Ask where partitions stand that this member has from now on."""
        new = [one for one in self._assigned() if not self._offsets.knows(one)]
        if not new:
            return
        committed = await self._admin.list_consumer_group_offsets(self._group, partitions=new)
        for partition in new:
            offset, note = committed.get(partition, (-1, ""))
            self._offsets.begin(partition, offset, note or "")
            if offset >= 0:
                self._consumer.seek(partition, offset)

    async def _take(self, limit: int, wait: float, linger: float) -> None:
        if any(self._offsets.has_begun(one) for one in self._assigned()):
            limit = 1
        await self._fetch(limit, wait)
        deadline = time.monotonic() + linger
        while self._taken and len(self._taken) < limit and (left := deadline - time.monotonic()) > 0:
            await self._fetch(limit - len(self._taken), left)

    async def _fetch(self, limit: int, wait: float) -> None:
        found = await self._consumer.getmany(timeout_ms=int(wait * 1000), max_records=limit)
        for partition, records in found.items():
            # One that came meanwhile is read again once it is known where it stands.
            if not self._offsets.knows(partition):
                self._consumer.seek(partition, records[0].offset)
                continue
            for record in records:
                attempts = self._offsets.take(partition, record.offset)
                origin = f"{partition.topic}/{partition.partition}/{record.offset}"
                self._taken.append(Delivery(record.value, origin, attempts, (partition, record.offset)))

    def _forget_all(self) -> None:
        for partition in self._assigned():
            self._offsets.forget(partition)

    async def _commit(self) -> bool:
        """Say what is done and what is begun; gives whether this member still has these partitions."""
        async with self._committing:
            offsets = self._offsets.committable()
            if not offsets:
                return True
            try:
                await self._consumer.commit({one: OffsetAndMetadata(*said) for one, said in offsets.items()})
            except (CommitFailedError, IllegalStateError):
                # The group was shared out anew; whoever has the partition now does these records again.
                return False
            self._offsets.commit({partition: offset for partition, (offset, _) in offsets.items()})
            return True


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
    _reasons.last = None
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as exc:
        reason = _reasons.last
        words = f"{exc or type(exc).__name__}" + (f": {reason or type(reason).__name__}" if reason else "")
        if isinstance(exc, _FINAL) or isinstance(reason, _FINAL):
            raise StreamError(f"Kafka: {words}") from None
        raise Unavailable(f"Kafka: {words}") from None
