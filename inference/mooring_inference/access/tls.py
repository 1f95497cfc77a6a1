"""TLS, and client certificates, from PEM files that may be renewed while the server runs."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from mooring_inference.access.file_watch import FileWatch

log = logging.getLogger(__name__)

_CHECK_SECONDS = 10.0


class TlsError(Exception):
    """The files cannot be used; the message is one line for an operator and holds nothing of a key."""


class ReloadingTls:
    """A server's TLS context that follows its files.

    Servers keep the context that they were started with, and a context cannot forget a certificate of another
    key type or an authority. So the context that servers get stays the same, and at the start of every
    handshake hands over to the newest. Open connections go on as they are.
    """

    def __init__(
        self, cert: Path, key: Path, client_ca: Path | None = None, *, interval: float = _CHECK_SECONDS
    ) -> None:
        """Load the files.

        Args:
            cert: the certificate and its chain, PEM.
            key: the private key, PEM, not encrypted.
            client_ca: authorities of client certificates, PEM; with it every client must show one.
            interval: least time between two looks at the files, seconds.

        Raises:
            TlsError: a file cannot be read or used.
        """
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._watch = FileWatch(lambda: [cert, key, *([client_ca] if client_ca else [])], interval)
        self._newest = self._load()
        self._context = self._load()
        self._context.sni_callback = self._hand_over

    def context(self) -> ssl.SSLContext:
        """Return the context for ``asyncio`` servers and sockets; always the same."""
        return self._context

    def maybe_reload(self, now: float) -> bool:
        """Load the files again if they changed; whether new ones are in use.

        Files that cannot be used are logged, and the old ones stay in use.

        Args:
            now: of a clock that never goes back, seconds.
        """
        if not self._watch.changed(now):
            return False
        try:
            self._newest = self._load()
        except TlsError as exc:
            log.error(
                "new TLS files are not usable, the old ones stay in use",
                extra={"fields": {"error": str(exc)}},
            )
            return False
        log.info("TLS files loaded again", extra={"fields": {"certificate": str(self._cert)}})
        return True

    def _hand_over(
        self,
        connection: ssl.SSLSocket | ssl.SSLObject,
        _name: str | None,
        _context: ssl.SSLSocket | ssl.SSLContext,
    ) -> None:
        connection.context = self._newest

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        for what, path in (("certificate", self._cert), ("key", self._key), ("client CA", self._client_ca)):
            if path is not None:
                _require_readable(what, path)
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        except (ssl.SSLError, OSError) as exc:
            raise TlsError(f"TLS certificate {self._cert} with key {self._key}: {_reason(exc)}") from None
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            # A resumed session is not asked for a certificate again, even if its authority is gone.
            context.num_tickets = 0
            context.options |= ssl.OP_NO_TICKET
            try:
                context.load_verify_locations(self._client_ca)
            except (ssl.SSLError, OSError) as exc:
                raise TlsError(f"TLS client CA {self._client_ca}: {_reason(exc)}") from None
        return context


def _require_readable(what: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as exc:
        raise TlsError(f"TLS {what} {path} cannot be read: {exc.strerror}") from None


def _reason(exc: Exception) -> str:
    """Return what OpenSSL says, in an operator's words where it says it oddly."""
    reason = (getattr(exc, "reason", None) or "").replace("_", " ").lower()
    if "mismatch" in reason:
        return "the key does not belong to the certificate"
    if not reason or reason == "pem lib":
        return "expected PEM, with a key that is not encrypted"
    return f"expected PEM, with a key that is not encrypted: {reason}"
