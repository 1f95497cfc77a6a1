"""The gRPC server: threads, limits, drain."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from mooring_inference.grpc_front.credentials import read_credentials
from mooring_inference.grpc_front.service import InferenceService
from mooring_inference.grpc_front.side_services import SideServices

__all__ = ["GrpcServer", "read_credentials"]

# Each call in flight holds a thread while it waits for its batch.
_THREADS = 64
# Calls that wait for such a thread; each of them costs no more than its head and a window of HTTP/2.
_MAX_WAITING = 4096
_PROBE_THREADS = 4
# Shorter than the default drain, with the tenth that grpc adds to it by chance.
_CONNECTION_SECONDS = 4.0


class GrpcServer:
    """Serves the inference, health and reflection services on one port."""

    def __init__(
        self,
        service: InferenceService,
        *,
        max_message_bytes: int,
        shares_port: bool = True,
        max_connection_seconds: float = _CONNECTION_SECONDS,
        threads: int = _THREADS,
        max_waiting: int = _MAX_WAITING,
    ) -> None:
        """Make the parts; nothing listens yet.

        Args:
            service: answers.
            max_message_bytes: size of a request; what is larger is refused with RESOURCE_EXHAUSTED.
            shares_port: whether other processes, the workers of one server, may listen on the port too.
            max_connection_seconds: after which a connection's client is told to make a new one, and calls on the old
                one are finished; 0: never. What comes in while grpc stops is cancelled, so clients should have
                left by then: the time should be shorter than that between a load balancer's notice and ``stop``.
                New connections also spread callers over workers and pods.
            threads: inferences and changes of the repository that are in flight at once.
            max_waiting: calls that may wait for one of these; more are refused with RESOURCE_EXHAUSTED.
        """
        self._threads = _Threads(threads, thread_name_prefix="grpc")
        self._probe_threads = ThreadPoolExecutor(_PROBE_THREADS, thread_name_prefix="grpc-probe")
        self._side = SideServices(self._probe_threads)
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(shares_port)),
        ]
        if max_connection_seconds:
            options.append(("grpc.max_connection_age_ms", round(max_connection_seconds * 1000)))
        self._server = grpc.server(self._threads, options=options)
        methods = service.handler(self._probe_threads, is_full=lambda: self._threads.waiting >= max_waiting)
        self._server.add_generic_rpc_handlers((methods, *self._side.handlers()))

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
        """What the health service says; not ready to begin with."""
        self._side.set_ready(is_ready)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; let those in flight finish, for ``grace_seconds`` at most."""
        stopped: threading.Event = self._server.stop(grace_seconds)
        self._side.end_streams()
        await asyncio.to_thread(stopped.wait)
        for pool in (self._threads, self._probe_threads):
            pool.shutdown(wait=False)


class _Threads(ThreadPoolExecutor):
    @property
    def waiting(self) -> int:
        """Calls that no thread has taken yet."""
        return self._work_queue.qsize()
