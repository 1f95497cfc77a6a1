"""Answers and offsets in one transaction, so that each message has one answer whatever dies.

Each partition has a producer whose transactional id is the partition's own. Who opens it fences whoever had it before,
and waits until that one's last transaction is committed or aborted; only then it asks where the partition stands. So
what a transaction answers is what follows the last one, though a member that was shut out may not know yet.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from mooring_inference.stream.addresses import Address
from mooring_inference.stream.interfaces import Answer, Finished
from mooring_inference.stream.kafka.connection import client_options, guarded
from mooring_inference.stream.kafka.sink import is_too_large, send_all, too_large
from mooring_inference.stream.kafka.source import KafkaSource

_LONGEST_SECONDS = 15.0
"""For a transaction, and for the producer to start or stop; brokers abort one after 60 s."""


class PartitionWriter:
    """The one producer that may answer the records of a partition."""

    def __init__(self, address: Address, group: str, partition: TopicPartition) -> None:
        """A producer; topics have no slash in their names, so no two partitions of groups share an id."""
        self._group = group
        self._partition = partition
        self._producer: Any = AIOKafkaProducer(
            **client_options(address),
            transactional_id=f"mooring/{group}/{partition.topic}/{partition.partition}",
            request_timeout_ms=10_000,
            # Waited for between two transactions, while brokers still write the end of the first.
            retry_backoff_ms=20,
        )
        self.is_usable = False

    async def open(self) -> None:
        """Fence whoever had the partition, and wait for the end of its last transaction."""
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                await self._producer.start()
        except BaseException:
            await self.close()
            raise
        self.is_usable = True

    async def transact(
        self, records: Sequence[tuple[str, Answer]], position: tuple[int, str], *, singly: bool, commit: bool
    ) -> list[BaseException | None]:
        """Write records and commit the position; where a record failed, nothing is, and the writer is spent.

        Args:
            records: topics and what to write to them.
            position: an offset and its note.
            singly: whether each record is sent when the one before is there, up to one that fails.
            commit: whether to end the transaction; if not, whoever opens the next writer aborts it.

        Returns:
            For each record that was sent why it failed, None if it did not.
        """
        done = False
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                await self._producer.begin_transaction()
                results = await send_all(self._producer, records, singly=singly)
                if commit and not any(results):
                    offsets = {self._partition: OffsetAndMetadata(*position)}
                    await self._producer.send_offsets_to_transaction(offsets, self._group)
                    await self._producer.commit_transaction()
                    done = True
        finally:
            # Whether the transaction is over is then not known here; who opens the next writer waits for its end.
            self.is_usable = done
        return results

    async def close(self) -> None:
        """Close the connections; does not wait long for brokers that are away."""
        self.is_usable = False
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                await self._producer.stop()
        except TimeoutError:
            await self._producer.client.close()


class KafkaExchange(KafkaSource):
    """A member of a consumer group that answers into topics of the same brokers."""

    def __init__(
        self,
        address: Address,
        group: str,
        *,
        sink: str,
        dead_letters: str | None,
        take_over: float,
        from_start: bool,
    ) -> None:
        """A member.

        Args:
            address: the topic.
            group: the group's name.
            sink: the topic for answers.
            dead_letters: the topic for dead letters; None for the sink.
            take_over: seconds after which a silent member's partitions go to others.
            from_start: whether a new group begins with what is there already.
        """
        super().__init__(address, group, take_over=take_over, from_start=from_start)
        self.has_dead_letters = dead_letters is not None
        self._topics = {False: sink, True: dead_letters or sink}
        self._writers: dict[TopicPartition, PartitionWriter] = {}
        self._locks: defaultdict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def settle(self, finished: Sequence[Finished]) -> Mapping[int, str]:
        """Write answers and commit up to the messages they answer, a transaction for each partition."""
        places: defaultdict[TopicPartition, list[int]] = defaultdict(list)
        for place, one in enumerate(finished):
            places[one.delivery.token[0]].append(place)
        refused: dict[int, str] = {}
        async with guarded():
            for found in await _all(
                self._settle(partition, [(place, finished[place]) for place in mine])
                for partition, mine in places.items()
            ):
                refused |= found
        return refused

    async def close(self, unfinished: Sequence[Any]) -> None:
        """Leave the group; records that are not answered go to others."""
        try:
            await super().close(unfinished)
        finally:
            async with guarded():
                await _all(self._shut(one) for one in list(self._writers))

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let transactions end, and forget what was read of partitions that others have now."""
        await super().on_partitions_revoked(revoked)
        async with guarded():
            await _all(self._shut(one) for one in revoked)

    async def _prepare(self, partitions: Sequence[TopicPartition]) -> None:
        await _all(self._reopen(one) for one in partitions)

    async def _commit(self) -> bool:
        """Say what is begun; what is done was said with its answers."""
        taken = [one for one in self._assigned() if self._offsets.has_taken(one)]
        await _all(self._settle(one, []) for one in taken)
        return True

    async def _settle(
        self, partition: TopicPartition, finished: Sequence[tuple[int, Finished]]
    ) -> dict[int, str]:
        async with self._locks[partition]:
            await self._require(partition)
            # What another transaction answered, or another member has now, is not here any more.
            left = [(place, one) for place, one in finished if self._offsets.holds(*one.delivery.token)]
            if not self._offsets.has_taken(partition):
                return {}
            position = self._offsets.position(partition, {one.delivery.token[1] for _, one in left})
            # What was forgotten and read anew meanwhile comes again, in the order of the partition.
            left = [(place, one) for place, one in left if one.delivery.token[1] < position[0]]
            if finished and not left:
                return {}
            written = [(place, one.answer, one.is_letter) for place, one in left if one.answer is not None]
            refused = await self._write(
                partition, [(self._topics[is_letter], answer) for _, answer, is_letter in written], position
            )
            if not refused and self._offsets.knows(partition):
                self._offsets.commit({partition: position[0]})
            return {written[one][0]: too_large(written[one][1]) for one in refused}

    async def _write(
        self, partition: TopicPartition, records: Sequence[tuple[str, Answer]], position: tuple[int, str]
    ) -> list[int]:
        """Write records and the position, or find out which records are too large."""
        refused: list[int] = []
        rest, singly = list(range(len(records))), False
        while writer := self._writers.get(partition):
            results = await writer.transact(
                [records[one] for one in rest], position, singly=singly, commit=not refused
            )
            failed = [(one, result) for one, result in zip(rest, results, strict=False) if result is not None]
            if not failed:
                break
            if not any(is_too_large(result) for _, result in failed):
                raise failed[0][1]
            # Of what is sent together the broker refuses all, and after it what leaves a gap.
            if singly or len(rest) == 1:
                refused.append(failed[0][0])
                rest.remove(failed[0][0])
            singly = True
            await self._require(partition)
            if not self._offsets.knows(partition):
                return []
        return refused

    async def _require(self, partition: TopicPartition) -> None:
        """See that there is a writer; a new one forgets the partition if it does not stand where it stood."""
        writer = self._writers.get(partition)
        if not self._offsets.knows(partition) or (writer and writer.is_usable):
            return
        await self._open(partition)
        offset, _ = (await self._committed([partition]))[partition]
        if offset != self._offsets.committed(partition):
            self._offsets.forget(partition)

    async def _reopen(self, partition: TopicPartition) -> None:
        async with self._locks[partition]:
            await self._open(partition)

    async def _open(self, partition: TopicPartition) -> None:
        await self._close_writer(partition)
        writer = PartitionWriter(self._address, self._group, partition)
        await writer.open()
        self._writers[partition] = writer

    async def _shut(self, partition: TopicPartition) -> None:
        async with self._locks[partition]:
            await self._close_writer(partition)

    async def _close_writer(self, partition: TopicPartition) -> None:
        if writer := self._writers.pop(partition, None):
            await writer.close()


async def _all(calls: Any) -> list[Any]:
    """Wait for every call, and only then raise the first failure: none goes on unseen."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
