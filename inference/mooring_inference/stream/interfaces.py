"""What the loop needs of a messaging system."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


class StreamError(Exception):
    """The consumer cannot be started; the message is one line that a person can act on."""


class Unavailable(Exception):
    """A system does not answer now; the same call may work later."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, handed to this consumer.

    Attributes:
        body: its content; None where the message lacks the field that should hold it.
        origin: names the message among all of its source; the same when it is delivered again.
        attempts: how often it was delivered so far, with this time.
        token: what the adapter needs to acknowledge it.
    """

    body: bytes | None
    origin: str
    attempts: int
    token: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One message to write.

    Attributes:
        key: the same for every answer to one message.
        body: its content.
        content: digest of what was asked; the same for a message that is delivered or sent again.
        is_refusal: whether it says that there is no answer, as a dead letter does. A key has one answer; of
            refusals it has one for each content.
    """

    key: str
    body: bytes
    content: str = ""
    is_refusal: bool = False


def digest_of(*parts: str) -> str:
    """Return a digest that names what was written once, by whom and for what."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class Source(Protocol):
    """Messages that a group of consumers shares. All methods may raise Unavailable."""

    async def connect(self) -> None:
        """Join the group; may be called again after Unavailable."""
        ...

    async def read(self, limit: int, wait: float, linger: float) -> list[Delivery]:
        """Take messages; one that was delivered before alone, as far as the system lets it.

        A delivery is counted when it is made: what waits behind a message that brings its consumers down would be
        worn out with it.

        Args:
            limit: how many at most.
            wait: seconds to wait for the first.
            linger: seconds to wait for more after it.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Say that messages are done. They may come again until this has returned."""
        ...

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Say that messages are still being worked on, so that nobody else takes them over."""
        ...

    async def backlog(self) -> int | None:
        """Return how many messages wait to be delivered to the group; None where that is not known."""
        ...

    async def close(self, unfinished: Sequence[Delivery]) -> None:
        """Leave the group; ``unfinished`` messages go to other consumers."""
        ...


@dataclass(frozen=True, slots=True)
class Finished:
    """A message with what is to be written about it.

    Attributes:
        delivery: the message.
        answer: what to write; None if even a dead letter was refused.
        is_letter: whether it goes to the dead letters, where there are any.
    """

    delivery: Delivery
    answer: Answer | None
    is_letter: bool = False


@runtime_checkable
class Exchange(Source, Protocol):
    """A source that writes answers itself: with their messages' acknowledgement, all or nothing."""

    has_dead_letters: bool

    async def settle(self, finished: Sequence[Finished]) -> Mapping[int, str]:
        """Write and acknowledge; messages that others have now are left to them.

        Args:
            finished: messages in the order in which they were read, and none before them is left.

        Returns:
            The places of answers that will never be written, with the reason; then others may not be written
            either, and the rest is to be given again.
        """
        ...


class Sink(Protocol):
    """Where answers or dead letters go. All methods may raise Unavailable."""

    async def connect(self) -> None:
        """Connect; may be called again after Unavailable."""
        ...

    async def write(self, answers: Sequence[Answer]) -> Mapping[int, str]:
        """Write answers; when this returns the system has them.

        After Unavailable some may be written; writing them again does no harm, as far as the system knows
        keys and contents.

        Returns:
            The places of answers that will never be written, with the reason: too large ones, and where the
            system knows keys, those whose key has an answer to another content.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
