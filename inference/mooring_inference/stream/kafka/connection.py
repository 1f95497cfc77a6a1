"""How brokers are spoken to, and what their failures mean."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.errors import (
    KafkaError,
    SaslAuthenticationFailed,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from mooring_inference.stream.addresses import Address
from mooring_inference.stream.interfaces import StreamError, Unavailable

_FINAL = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, TransactionalIdAuthorizationFailed)
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


def client_options(address: Address) -> dict[str, object]:
    """Return where the brokers are and how to prove who asks, for any of the library's clients."""
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
async def guarded() -> AsyncIterator[None]:
    """Turn failures of the brokers or the way to them into Unavailable."""
    _reasons.last = None
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as exc:
        reason = _reasons.last
        words = f"{exc or type(exc).__name__}" + (f": {reason or type(reason).__name__}" if reason else "")
        if isinstance(exc, TransactionalIdAuthorizationFailed):
            words = f"the user may not use the transactional id {exc}"
        if isinstance(exc, _FINAL) or isinstance(reason, _FINAL):
            raise StreamError(f"Kafka: {words}") from None
        raise Unavailable(f"Kafka: {words}") from None
