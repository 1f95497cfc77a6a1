"""The gRPC server: threads, limits, health, reflection, drain."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mooring_inference.grpc_front.schema import POOL, SERVICE
from mooring_inference.grpc_front.service import InferenceService

# Each call in flight holds a thread while it waits for its batch.
_THREADS = 64


class GrpcServer:
    """Serves the inference, health and reflection services on one port."""

    def __init__(self, service: InferenceService, *, max_message_bytes: int) -> None:
        self._health = health.HealthServicer()
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="grpc"),
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                # Worker processes share the port.
                ("grpc.so_reuseport", 1),
            ],
        )
        self._server.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, pool=_all_services())

    def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen; gives the port.

        Raises:
            OSError: the address is taken.
        """
        try:
            port: int = (
                self._server.add_insecure_port(address)
                if credentials is None
                else self._server.add_secure_port(address, credentials)
            )
        except RuntimeError:
            port = 0
        if not port:
            raise OSError(f"cannot listen on {address}")
        self._server.start()
        return port

    def set_ready(self, is_ready: bool) -> None:
        """What the health service says, of the server and of the inference service."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if is_ready else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", SERVICE):
            self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; let those in flight finish, for ``grace_seconds`` at most."""
        stopped: threading.Event = self._server.stop(grace_seconds)
        await asyncio.to_thread(stopped.wait)


def _all_services() -> DescriptorPool:
    """The inference service's own descriptors, and with them those of health and reflection."""
    for descriptor in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        POOL.AddSerializedFile(descriptor.serialized_pb)
    return POOL


def read_credentials(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """TLS from PEM files, which are read again for new connections once they have changed.

    Raises:
        OSError: a file cannot be read.
    """

    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(key.read_bytes(), cert.read_bytes())], client_ca.read_bytes() if client_ca else None
        )

    seen = [_stamp(cert)]

    def read_if_changed() -> grpc.ServerCertificateConfiguration | None:
        try:
            if (stamp := _stamp(cert)) == seen[0]:
                return None
            seen[0] = stamp
            return read()
        except OSError:
            return None

    return grpc.dynamic_ssl_server_credentials(
        read(), read_if_changed, require_client_authentication=client_ca is not None
    )


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino
