"""TLS of a gRPC server from PEM files."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from time import monotonic

import grpc

from mooring_inference.access.file_watch import FileWatch

log = logging.getLogger(__name__)

_CHECK_SECONDS = 5.0


def read_credentials(
    cert: Path, key: Path, client_ca: Path | None, *, interval: float = _CHECK_SECONDS
) -> grpc.ServerCredentials:
    """Read TLS credentials from PEM files, which are read again for new connections once they have changed.

    The old ones stay in use where a file is missing, until it is there again, and where grpc finds no key pair in them.

    Args:
        cert: the certificate and its chain.
        key: its private key, not encrypted.
        client_ca: authorities of client certificates; with it every client must show one.
        interval: least time between two looks at the files, seconds.

    Raises:
        OSError: a file cannot be read.
    """
    files = _Files(cert, key, client_ca, interval)
    return grpc.dynamic_ssl_server_credentials(
        files.read(), files.read_if_changed, require_client_authentication=client_ca is not None
    )


class _Files:
    def __init__(self, cert: Path, key: Path, client_ca: Path | None, interval: float) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._watch = FileWatch(lambda: [cert, key, *([client_ca] if client_ca else [])], interval)
        self._lock = threading.Lock()

    def read(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self._key.read_bytes(), self._cert.read_bytes())],
            self._client_ca.read_bytes() if self._client_ca else None,
        )

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by grpc at the beginning of every handshake."""
        with self._lock:
            if not self._watch.changed(monotonic()):
                return None
            try:
                return self.read()
            except OSError as error:
                log.error(
                    "new TLS files cannot be read, the old ones stay in use",
                    extra={"fields": {"error": str(error)}},
                )
                return None
