"""Where messages come from and go to: ``redis://``, ``nats://`` and ``kafka://`` URLs."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from mooring_inference.stream.interfaces import StreamError

_PORTS = {"redis": 6379, "rediss": 6379, "nats": 4222, "tls": 4222, "kafka": 9092, "kafkas": 9092}
_OPTIONS = {
    "redis": {"db", "field", "maxlen"},
    "rediss": {"db", "field", "maxlen"},
    "nats": {"stream"},
    "tls": {"stream"},
    "kafka": {"mechanism"},
    "kafkas": {"mechanism"},
}
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""Of SASL, those that a user and a password are all for."""


@dataclass(frozen=True, slots=True)
class Address:
    """A stream, subject or topic.

    Attributes:
        scheme: ``redis``, ``rediss`` (TLS), ``nats``, ``tls`` (NATS with TLS), ``kafka`` or ``kafkas`` (TLS).
        servers: ``host:port`` of each server.
        name: of the stream, subject or topic.
        user, password: None if there are none.
        options: what stands behind the question mark.
    """

    scheme: str
    servers: tuple[str, ...]
    name: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the address without credentials, for logs."""
        return f"{self.scheme}://{','.join(self.servers)}/{self.name}"


def parse_address(flag: str, url: str) -> Address:
    """Read ``SCHEME://[USER:PASSWORD@]HOST[:PORT][,HOST...]/NAME[?OPTION=VALUE]``.

    Raises:
        StreamError: it is not one; the message names the flag and hides the password.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        allowed = ", ".join(f"{scheme}://" for scheme in _PORTS)
        raise StreamError(f"{flag}: expected a URL that begins with one of {allowed}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    name = unquote(parts.path.removeprefix("/"))
    if not hosts or not name:
        raise StreamError(f"{flag}: expected {parts.scheme}://HOST[:PORT]/NAME")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - _OPTIONS[parts.scheme]):
        allowed = ", ".join(sorted(_OPTIONS[parts.scheme]))
        raise StreamError(f"{flag}: unknown option {unknown[0]}; {parts.scheme}:// takes {allowed}")
    if parts.scheme in ("kafka", "kafkas"):
        _check_sasl(flag, parts.scheme, unquote(user), bool(password), options.get("mechanism"))
    servers = tuple(_with_port(flag, host, _PORTS[parts.scheme]) for host in hosts.split(","))
    return Address(
        parts.scheme, servers, name, unquote(user) or None, unquote(password) if colon else None, options
    )


def in_one_kafka(*addresses: Address) -> bool:
    """Whether all are topics of the same brokers, for the same user: one transaction can span them."""
    first = addresses[0]
    return first.scheme.startswith("kafka") and all(
        (one.scheme, set(one.servers), one.user, one.password, one.options)
        == (first.scheme, set(first.servers), first.user, first.password, first.options)
        for one in addresses
    )


def _check_sasl(flag: str, scheme: str, user: str, has_password: bool, mechanism: str | None) -> None:
    if mechanism not in (None, *_MECHANISMS):
        raise StreamError(
            f"{flag}: unknown mechanism {mechanism}; {scheme}:// takes {', '.join(_MECHANISMS)}"
        )
    if bool(user) != has_password:
        lacks = f"the user {user} needs a password" if user else "the password needs a user"
        raise StreamError(f"{flag}: {lacks}: USER:PASSWORD@HOST")
    if mechanism and not user:
        raise StreamError(f"{flag}: mechanism {mechanism} needs USER:PASSWORD@HOST")


def number_option(address: Address, flag: str, name: str, default: int) -> int:
    """Return a whole number among the options; raises StreamError where it is none."""
    text = address.options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise StreamError(f"{flag}: option {name}: expected a number, got {text!r}")
    return int(text)


def _with_port(flag: str, host: str, port: int) -> str:
    try:
        parts = urlsplit(f"//{host}")
        found = parts.port
    except ValueError:
        raise StreamError(f"{flag}: {host!r} is not HOST or HOST:PORT") from None
    if not parts.hostname:
        raise StreamError(f"{flag}: {host!r} is not HOST or HOST:PORT")
    return f"{parts.hostname if ':' not in parts.hostname else f'[{parts.hostname}]'}:{found or port}"
