"""A consumer group with committed offsets.

Kafka does not count deliveries: the group's own commits do, by a note beside the offset. Nor does it drop what is
written twice; readers of the sink tell repeats by the record's key, unless answers are written in transactions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from mooring_inference.stream.addresses import Address
from mooring_inference.stream.interfaces import Delivery
from mooring_inference.stream.kafka.connection import client_options, guarded
from mooring_inference.stream.offsets import OffsetTracker


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
            **client_options(address),
            "group_id": group,
            "enable_auto_commit": False,
            # What its writer took back is no message.
            "isolation_level": "read_committed",
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
        admin = AIOKafkaAdminClient(**client_options(self._address))
        consumer = AIOKafkaConsumer(**self._options)
        consumer.subscribe([self._address.name], listener=self)
        async with guarded():
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
        async with guarded():
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
        async with guarded():
            await self._commit()

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing: the member's own heartbeat does it."""

    async def backlog(self) -> int | None:
        """Count records of this member's partitions that were not read yet."""
        partitions = self._assigned()
        if not partitions:
            return None
        async with guarded():
            ends = await self._consumer.end_offsets(list(partitions))
            left: list[int] = [max(0, end - await self._consumer.position(one)) for one, end in ends.items()]
        return sum(left)

    async def close(self, unfinished: Sequence[Delivery]) -> None:
        """Leave the group; records that are not committed go to others."""
        if self._consumer is not None:
            async with guarded():
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
        await self._prepare(new)
        committed = await self._committed(new)
        # The group may have been shared out anew meanwhile.
        for partition in set(new) & set(self._assigned()):
            offset, note = committed[partition]
            self._offsets.begin(partition, offset, note or "")
            if offset >= 0:
                self._consumer.seek(partition, offset)

    async def _prepare(self, partitions: Sequence[TopicPartition]) -> None:
        """Do what must be done before a partition is asked where it stands."""

    async def _committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, str]]:
        found = await self._admin.list_consumer_group_offsets(self._group, partitions=list(partitions))
        return {one: tuple(found.get(one, (-1, ""))) for one in partitions}

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
