"""NATS JetStream: a durable pull consumer, and publishing with the key as message id.

The server drops a second message with the same id within the stream's duplicate window.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import BadRequestError, NotFoundError

from mooring_inference.stream.addresses import Address
from mooring_inference.stream.interfaces import Answer, Delivery, StreamError, Unavailable, digest_of

_CONNECT_SECONDS = 5.0
_PUBLISH_SECONDS = 5.0
# A request that ends sooner may cross its answer on the way.
_SHORTEST_FETCH = 0.005


class _Connection:
    """One connection, made when it is first needed; it comes back by itself."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: Any = None
        self._reason: Exception | None = None

    async def open(self) -> Any:
        if self._client is None or self._client.is_closed:
            try:
                self._client = await self._connect()
            except TimeoutError:
                # The client tries on, whatever the reason is, and tells it to its callback alone.
                raise (self._reason or TimeoutError("no answer")) from None
        return self._client

    async def _connect(self) -> Any:
        scheme = "tls" if self._address.scheme == "tls" else "nats"
        self._reason = None
        return await asyncio.wait_for(
            nats.connect(
                [f"{scheme}://{server}" for server in self._address.servers],
                user=self._address.user,
                password=self._address.password,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.5,
                connect_timeout=2,
                error_cb=self._note,
            ),
            _CONNECT_SECONDS,
        )

    async def _note(self, error: Exception) -> None:
        # The first one: others follow from it. Calls on a connection say themselves why they fail.
        self._reason = self._reason or error

    async def require(self) -> None:
        """Fail at once where the server is away; the client would keep what it is given and wait."""
        if not (await self.open()).is_connected:
            raise ConnectionError("not connected")

    async def close(self) -> None:
        if self._client is not None and not self._client.is_closed:
            # Closing flushes; a server that is gone must not hold it up.
            try:
                await asyncio.wait_for(self._client.close(), _CONNECT_SECONDS)
            except (NatsError, OSError, TimeoutError) as exc:
                raise Unavailable(f"NATS: {_words(exc)}") from None


class JetStreamSource:
    """A member of a durable consumer."""

    def __init__(
        self, address: Address, group: str, *, take_over: float, from_start: bool, held: int
    ) -> None:
        """A member.

        Args:
            address: the subject; ``?stream=`` names its stream where subjects of several overlap.
            group: the durable consumer's name; it is made where there is none.
            take_over: seconds after which a message that was not acknowledged is delivered again.
            from_start: whether a new consumer begins with what is there already.
            held: messages that all members together may hold, at most.
        """
        self._connection = _Connection(address)
        self._subject = address.name
        self._stream = address.options.get("stream")
        self._group = group
        self._config = ConsumerConfig(
            durable_name=group,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=take_over,
            max_deliver=-1,
            max_ack_pending=held,
            deliver_policy=DeliverPolicy.ALL if from_start else DeliverPolicy.NEW,
        )
        self._context: Any = None
        self._subscription: Any = None

    async def connect(self) -> None:
        """Make the durable consumer where there is none, and subscribe."""
        async with _guarded():
            client = await self._connection.open()
            self._context = client.jetstream(timeout=_PUBLISH_SECONDS)
            try:
                self._stream = self._stream or await self._context.find_stream_name_by_subject(self._subject)
                await self._make_consumer()
                self._subscription = await self._context.pull_subscribe_bind(self._group, self._stream)
            except NotFoundError:
                named = f"stream {self._stream}" if self._stream else f"stream with subject {self._subject}"
                raise StreamError(f"NATS has no {named}") from None
            except BadRequestError as exc:
                raise StreamError(f"NATS: consumer {self._group}: {exc.description}") from None

    async def read(self, limit: int, wait: float, linger: float) -> list[Delivery]:
        """Take one message, and then what else there is, unless that one was delivered before."""
        messages = await self._fetch(1, wait)
        if messages and limit > 1 and messages[0].metadata.num_delivered == 1:
            messages += await self._fetch(limit - 1, max(linger, _SHORTEST_FETCH))
        return [self._delivery(message) for message in messages]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge messages, and see that the server has heard it."""
        async with _guarded():
            await self._connection.require()
            for delivery in deliveries:
                if not delivery.token.is_acked:
                    await delivery.token.ack()
            if deliveries:
                await (await self._connection.open()).flush(int(_PUBLISH_SECONDS))

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Start the server's clock anew."""
        async with _guarded():
            for delivery in deliveries:
                if not delivery.token.is_acked:
                    await delivery.token.in_progress()

    async def backlog(self) -> int | None:
        """Count the messages that were not delivered yet."""
        async with _guarded():
            info = await self._context.consumer_info(self._stream, self._group)
        return int(info.num_pending)

    async def close(self, unfinished: Sequence[Delivery]) -> None:
        """Hand unfinished messages back at once, and leave; the durable consumer stays."""
        try:
            async with _guarded():
                for delivery in unfinished:
                    if not delivery.token.is_acked:
                        await delivery.token.nak()
        finally:
            await self._connection.close()

    async def _make_consumer(self) -> None:
        try:
            await self._context.consumer_info(self._stream, self._group)
        except NotFoundError:
            self._config.filter_subject = self._subject
            await self._context.add_consumer(self._stream, self._config)

    async def _fetch(self, count: int, wait: float) -> list[Any]:
        async with _guarded():
            try:
                return list(await self._subscription.fetch(count, timeout=wait))
            except TimeoutError:
                if not (await self._connection.open()).is_connected:
                    raise
                return []

    def _delivery(self, message: Any) -> Delivery:
        about = message.metadata
        origin = f"{about.stream}/{about.sequence.stream}"
        return Delivery(message.data, origin, about.num_delivered, message)


class JetStreamSink:
    """Publishes to a subject that some stream keeps."""

    def __init__(self, address: Address, *, writer: str) -> None:
        """A subject to publish to; ``writer`` says who does, as others may write the same keys."""
        self._connection = _Connection(address)
        self._subject = address.name
        self._stream = address.options.get("stream")
        self._writer = writer
        self._context: Any = None

    async def connect(self) -> None:
        """Connect, and see that a stream keeps what is published."""
        async with _guarded():
            client = await self._connection.open()
            self._context = client.jetstream(timeout=_PUBLISH_SECONDS)
            try:
                self._stream = self._stream or await self._context.find_stream_name_by_subject(self._subject)
            except NotFoundError:
                raise StreamError(f"NATS has no stream that keeps subject {self._subject}") from None

    async def write(self, answers: Sequence[Answer]) -> Mapping[int, str]:
        """Publish answers, and wait until the stream has them all."""
        async with _guarded():
            await self._connection.require()
            refused = await asyncio.gather(*(self._publish(answer) for answer in answers))
        return {place: reason for place, reason in enumerate(refused) if reason}

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _publish(self, answer: Answer) -> str | None:
        # A digest, since headers are lines of ASCII and keys may be anything.
        digest = digest_of(self._writer, answer.key, answer.content)
        try:
            await self._context.publish(
                self._subject, answer.body, stream=self._stream, headers={"Nats-Msg-Id": digest}
            )
        except MaxPayloadError:
            return f"NATS: {len(answer.body)} bytes are more than the server takes"
        return None


@asynccontextmanager
async def _guarded() -> AsyncIterator[None]:
    """Turn failures of the server or the way to it into Unavailable."""
    try:
        yield
    except (NatsError, OSError, TimeoutError) as exc:
        raise Unavailable(f"NATS: {_words(exc)}") from None


def _words(exc: BaseException) -> str:
    return str(exc).removeprefix("nats: ") or type(exc).__name__
