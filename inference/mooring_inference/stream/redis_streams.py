"""Redis Streams: consumer groups, entries taken over from crashed consumers, answers written once a key.

An entry's content is in one field, ``data`` unless the URL says ``?field=``.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from mooring_inference.stream.addresses import Address, number_option
from mooring_inference.stream.interfaces import Answer, Delivery, StreamError, Unavailable, digest_of

log = logging.getLogger(__name__)

# Dead consumers whose entries were all taken over are removed after so long, milliseconds.
_FORGET_MS = 3_600_000
# Entries of one consumer that are looked through for trimmed ones at a time.
_MOST_OWNED = 1000

# The marker comes after the entry: what stops between the two writes twice, never nothing.
_WRITE_ONCE = """
local content = redis.call('GET', KEYS[2])
if content == ARGV[6] then return 0 end
if content then return -1 end
if tonumber(ARGV[5]) > 0 then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*', 'id', ARGV[1], ARGV[2], ARGV[3])
else
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[1], ARGV[2], ARGV[3])
end
redis.call('SET', KEYS[2], ARGV[6], 'EX', ARGV[4])
return 1
"""


_CONFLICT = "the id has been answered before, for other content"


class RedisSource:
    """A consumer of a group; it has a name of its own."""

    def __init__(self, address: Address, group: str, *, take_over: float, from_start: bool) -> None:
        """A consumer.

        Args:
            address: the stream.
            group: the group's name; it is made where there is none.
            take_over: seconds after which a silent consumer's entries are taken over.
            from_start: whether a new group begins with what is there already.
        """
        self._client = _connect(address)
        self._stream = address.name
        self._field = address.options.get("field", "data").encode()
        self._group = group
        self._start = "0" if from_start else "$"
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._take_over_ms = int(take_over * 1000)
        self._claim_from = "0-0"
        self._next_claim = 0.0

    async def connect(self) -> None:
        """Make the group where there is none."""
        async with _guarded():
            try:
                await self._client.xgroup_create(self._stream, self._group, self._start, mkstream=True)
            except ResponseError as exc:
                if "BUSYGROUP" not in str(exc):
                    raise
            await self._forget_dead_consumers()

    async def read(self, limit: int, wait: float, linger: float) -> list[Delivery]:
        """Take an entry of a consumer that fell silent, else new ones."""
        async with _guarded():
            try:
                taken = await self._take_over(limit)
                return taken or await self._read_new(limit, wait, linger)
            except ResponseError as exc:
                if "NOGROUP" not in str(exc):
                    raise
        # The server came back without its data.
        await self.connect()
        return []

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge entries."""
        if deliveries:
            async with _guarded():
                await self._client.xack(self._stream, self._group, *(one.token for one in deliveries))

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Reset how long entries count as idle, without counting a delivery."""
        async with _guarded():
            owned = await self._client.xpending_range(
                self._stream,
                self._group,
                min="-",
                max="+",
                count=10 * len(deliveries),
                consumername=self._consumer,
            )
            mine = {entry["message_id"] for entry in owned}
            # What others took over meanwhile stays theirs.
            ids = [one.token for one in deliveries if one.token in mine]
            if ids:
                await self._client.xclaim(
                    self._stream, self._group, self._consumer, min_idle_time=0, message_ids=ids, justid=True
                )

    async def backlog(self) -> int | None:
        """Count entries that the group was not given yet; None where the server cannot tell."""
        async with _guarded():
            groups = await self._client.xinfo_groups(self._stream)
        lag = next((group.get("lag") for group in groups if group["name"] == self._group.encode()), None)
        return lag if isinstance(lag, int) else None

    async def close(self, unfinished: Sequence[Delivery]) -> None:
        """Leave the group, unless entries are left: they would go with the consumer."""
        try:
            async with _guarded():
                pending = await self._client.xpending_range(
                    self._stream, self._group, min="-", max="+", count=1, consumername=self._consumer
                )
                if not pending:
                    await self._client.xgroup_delconsumer(self._stream, self._group, self._consumer)
        finally:
            await self._client.aclose()

    async def _take_over(self, limit: int) -> list[Delivery]:
        """Take one entry, after at most `limit` that are there no more."""
        for _ in range(limit):
            if time.monotonic() < self._next_claim:
                return []
            reply = await self._client.xautoclaim(
                self._stream, self._group, self._consumer, self._take_over_ms, self._claim_from, count=1
            )
            self._claim_from = reply[0]
            await self._forget_trimmed(reply)
            if reply[0] in (b"0-0", "0-0"):
                self._next_claim = time.monotonic() + self._take_over_ms / 4000
            # An entry that was deleted has no fields.
            for token, fields in reply[1]:
                if fields:
                    log.info("took over an entry", extra={"fields": {"entry": token.decode()}})
                    return [self._delivery(token, fields, await self._count_deliveries(token))]
        return []

    async def _forget_trimmed(self, reply: Sequence[Any]) -> None:
        """Clear entries that were trimmed or deleted before anybody answered them: they would be pending for ever."""
        # Redis 7 has cleared them and says which; before, each is a gap among those that it gives.
        cleared = len(reply[2]) if len(reply) > 2 else 0
        if any(token is None or not fields for token, fields in reply[1]):
            owned = await self._client.xpending_range(
                self._stream, self._group, min="-", max="+", count=_MOST_OWNED, consumername=self._consumer
            )
            ids = [entry["message_id"] for entry in owned]
            async with self._client.pipeline(transaction=False) as pipe:
                for token in ids:
                    pipe.xrange(self._stream, token, token)
                found = await pipe.execute()
            gone = [token for token, entries in zip(ids, found, strict=True) if not entries]
            if gone:
                await self._client.xack(self._stream, self._group, *gone)
            cleared += len(gone)
        if cleared:
            log.warning(
                "entries were trimmed before they were answered", extra={"fields": {"count": cleared}}
            )

    async def _count_deliveries(self, token: bytes) -> int:
        pending = await self._client.xpending_range(
            self._stream, self._group, min=token, max=token, count=1, consumername=self._consumer
        )
        return int(pending[0]["times_delivered"]) if pending else 2

    async def _read_new(self, limit: int, wait: float, linger: float) -> list[Delivery]:
        found = await self._read_once(limit, wait)
        deadline = time.monotonic() + linger
        while found and len(found) < limit and (left := deadline - time.monotonic()) > 0:
            more = await self._read_once(limit - len(found), left)
            if not more:
                break
            found += more
        return found

    async def _read_once(self, limit: int, wait: float) -> list[Delivery]:
        # BLOCK 0 would wait for ever.
        reply = await self._client.xreadgroup(
            self._group, self._consumer, {self._stream: ">"}, count=limit, block=max(1, int(wait * 1000))
        )
        streams = reply.items() if isinstance(reply, dict) else reply or []
        return [
            self._delivery(token, fields, 1) for _, entries in streams for token, fields in _flatten(entries)
        ]

    def _delivery(self, token: bytes, fields: Mapping[bytes, bytes], attempts: int) -> Delivery:
        return Delivery(fields.get(self._field), f"{self._stream}/{token.decode()}", attempts, token)

    async def _forget_dead_consumers(self) -> None:
        for consumer in await self._client.xinfo_consumers(self._stream, self._group):
            if consumer["pending"] == 0 and consumer["idle"] > _FORGET_MS:
                await self._client.xgroup_delconsumer(self._stream, self._group, consumer["name"])


class RedisSink:
    """Adds entries with the fields ``id`` and ``data``; a key that was written lately is not written again.

    An answer to another content under the same key is refused: neither could tell which one is meant.
    """

    def __init__(self, address: Address, *, writer: str, remember: int) -> None:
        """A stream to write to.

        Args:
            address: the stream; ``?maxlen=`` bounds it, about.
            writer: who writes; others may write the same keys.
            remember: seconds for which keys are remembered.
        """
        self._client = _connect(address)
        self._stream = address.name
        self._field = address.options.get("field", "data")
        self._longest = number_option(address, "the sink", "maxlen", 0)
        self._writer = writer
        self._remember = remember
        self._script = self._client.register_script(_WRITE_ONCE)

    async def connect(self) -> None:
        """Check that the server answers."""
        async with _guarded():
            await self._client.ping()

    async def write(self, answers: Sequence[Answer]) -> Mapping[int, str]:
        """Write answers in one round trip."""
        async with _guarded(), self._client.pipeline(transaction=False) as pipe:
            for answer in answers:
                await self._script(
                    keys=[self._stream, self._marker(answer)],
                    args=[
                        answer.key,
                        self._field,
                        answer.body,
                        self._remember,
                        self._longest,
                        answer.content,
                    ],
                    client=pipe,
                )
            written = await pipe.execute()
        return {place: _CONFLICT for place, result in enumerate(written) if result == -1}

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    def _marker(self, answer: Answer) -> str:
        digest = digest_of(self._writer, answer.key, answer.content if answer.is_refusal else "")
        # The braces keep both keys on one node of a cluster.
        return f"mooring:done:{{{self._stream}}}:{digest}"


def _connect(address: Address) -> Any:
    if len(address.servers) > 1:
        raise StreamError(f"{address}: one Redis server, please")
    host, _, port = address.servers[0].rpartition(":")
    return Redis(
        host=host.strip("[]"),
        port=int(port),
        db=number_option(address, str(address), "db", 0),
        username=address.user,
        password=address.password,
        ssl=address.scheme == "rediss",
        # Not every version of the client does so by itself.
        ssl_check_hostname=True,
        socket_connect_timeout=5,
        socket_timeout=15,
        health_check_interval=30,
        # The loop tries again, and says so.
        retry=Retry(NoBackoff(), 0),
    )


@asynccontextmanager
async def _guarded() -> AsyncIterator[None]:
    """Turn failures of the server or the way to it into Unavailable."""
    try:
        yield
    except AuthenticationError as exc:
        raise StreamError(f"Redis: {exc}") from None
    except ResponseError as exc:
        if "WRONGTYPE" in str(exc) or "NOPERM" in str(exc):
            raise StreamError(f"Redis: {exc}") from None
        # Out of memory, loading, read-only replica: all may pass.
        raise Unavailable(f"Redis: {exc}") from None
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unavailable(f"Redis: {str(exc) or type(exc).__name__}") from None


def _flatten(entries: Any) -> Any:
    """Return entries of one stream; newer clients nest them one level deeper."""
    return entries[0] if len(entries) == 1 and isinstance(entries[0], list) else entries
