"""The ways to serve that are stopped, and a server that is started in one of them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import os
import signal
import sys
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster.processes import free_ports

_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Case:
    """How servers are started and asked.

    Attributes:
        protocol: ``REST`` or ``gRPC``.
        tls: whether requests come over TLS; readiness is asked on a port for probes then.
        workers: processes of a server.
    """

    name: str
    protocol: str
    tls: bool = False
    workers: int = 1


CASES = (
    Case("REST", "REST"),
    Case("REST, TLS and probe port", "REST", tls=True),
    Case("REST, 2 workers", "REST", workers=2),
    Case("gRPC", "gRPC"),
    Case("gRPC, TLS and probe port", "gRPC", tls=True),
    Case("gRPC, 2 workers", "gRPC", workers=2),
)


class Server:
    """A process of ``mooring-inference``."""

    def __init__(self, case: Case, model: Path, certificates: Path, drain_seconds: float) -> None:
        """``model`` is a folder; ``certificates`` one that ``write_certificates`` has filled, and gets the log."""
        self._http, self._grpc, self._probes = free_ports(3)
        self.port = self._http if case.protocol == "REST" else self._grpc
        self._flags = [
            "--model_name=m",
            f"--model_dir={model}",
            f"--host={_HOST}",
            f"--http_port={self._http}",
            f"--drain_seconds={drain_seconds}",
            f"--workers={case.workers}",
        ]
        if case.protocol == "gRPC":
            self._flags.append(f"--grpc_port={self._grpc}")
        if case.tls:
            self._flags += [f"--tls_cert={certificates}/tls.crt", f"--tls_key={certificates}/tls.key"]
            self._flags.append(f"--probe_port={self._probes}")
        self._probed = self._probes if case.tls else self._http
        self._process: Process | None = None
        self.log = certificates / f"server-{self.port}.log"

    async def start(self) -> None:
        """Start it; it is not ready yet."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mooring_inference", *self._flags),
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                # So that all of its processes can stand still together.
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, as one does whose port somebody else has taken meanwhile."""
        return self._process is not None and self._process.returncode is not None

    async def is_ready(self) -> bool:
        """What a readiness probe finds: a new connection, one GET, an answer of 200."""
        try:
            reader, writer = await asyncio.open_connection(_HOST, self._probed)
        except OSError:
            return False
        try:
            writer.write(b"GET /v2/health/ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            return (await reader.readline()).split(b" ")[1:2] == [b"200"]
        except OSError:
            return False
        finally:
            writer.close()

    async def stop(self) -> int:
        """Send SIGTERM as kubelet does, to the first process alone; gives the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()

    async def stand_still(self, seconds: float) -> None:
        """Run nothing of it for so long, as on a machine that has too much to do."""
        self._signal_all(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal_all(signal.SIGCONT)

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1][:200] if lines else "nothing said"

    def kill(self) -> None:
        """End it where it still runs."""
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def write_certificates(folder: Path) -> Path:
    """Write ``tls.crt`` and ``tls.key``, for 127.0.0.1, and sign them by themselves; gives the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_HOST))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tls.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "tls.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "tls.crt"
