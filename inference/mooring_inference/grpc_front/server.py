"""The gRPC server: threads, limits, drain."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.errors import RequestError
from mooring_inference.grpc_front.credentials import read_credentials
from mooring_inference.grpc_front.direct_calls import DirectCall, DirectCalls
from mooring_inference.grpc_front.front import GrpcFront, too_many_calls
from mooring_inference.grpc_front.infer_call import refuse
from mooring_inference.grpc_front.receiving import DirectReceiver, Receiver
from mooring_inference.grpc_front.renewal import Renewal
from mooring_inference.grpc_front.schema import SERVICE
from mooring_inference.grpc_front.side_services import SideServices

__all__ = ["GrpcServer", "read_credentials"]

# Inferences under way, those whose message is awaited too; beside it each costs no more than its head.
_MAX_INFERENCES = 1088
# Each change of the repository holds a thread while models load; so many more may wait for one.
_THREADS, _MAX_WAITING = 8, 1024
_CONNECTIONS = 4096
_MAX_STREAMS = 1024
_HANDSHAKE_SECONDS = 10.0
_PROBE_THREADS, _QUICK_THREADS = 16, 2
# Shorter than the default drain, with the tenth that grpc adds to it by chance.
_CONNECTION_SECONDS = 4.0


class GrpcServer:
    """Serves the inference, health and reflection services on one port."""

    def __init__(
        self,
        front: GrpcFront,
        *,
        max_message_bytes: int,
        shares_port: bool = True,
        max_connection_seconds: float = _CONNECTION_SECONDS,
        max_inferences: int = _MAX_INFERENCES,
        max_connections: int = _CONNECTIONS,
        max_call_seconds: float | None = None,
        budget: MemoryBudget | None = None,
    ) -> None:
        """Make the parts; nothing listens yet.

        Args:
            front: answers.
            max_message_bytes: size of a request; what is larger is refused with RESOURCE_EXHAUSTED.
            shares_port: whether other processes, the workers of one server, may listen on the port too.
            max_connection_seconds: after which a connection's client is told to make a new one, and calls on the old
                one are finished; 0: never. What comes in while grpc stops is cancelled, so clients should have
                left by then: see ``seconds_left``. New connections also spread callers over workers and pods.
            max_inferences: that are in flight at once; more are refused with RESOURCE_EXHAUSTED.
            max_connections: of all callers together.
            max_call_seconds: how long a call on a connection that is being renewed may last, a watch of the health
                service too; None for as long as it likes.
            budget: what all requests together may hold; None for one of its own.
        """
        self._front = front
        self._max_inferences = max_inferences
        budget = budget or MemoryBudget()
        self._threads = _Threads(_THREADS, thread_name_prefix="grpc")
        self._probe_threads = _Threads(_PROBE_THREADS, thread_name_prefix="grpc-probe")
        self._quick_threads = _Threads(_QUICK_THREADS, thread_name_prefix="grpc-quick")
        self._renewal = Renewal(max_connection_seconds)
        self._receiver = Receiver(
            budget,
            max_message_bytes,
            self._renewal,
            is_crowded=lambda: self._threads.waiting > 0,
            is_crowded_with_small=lambda: self._probe_threads.waiting > 0,
        )
        self._inference_receiver = self._receiver_of_inferences(budget, max_message_bytes)
        self._side = SideServices(self._probe_threads, self._receiver)
        options = _options(
            max_message_bytes,
            max_connections,
            max_connection_seconds,
            max_call_seconds,
            shares_port=shares_port,
        )
        self._server = grpc.server(self._threads, options=options)
        methods = front.handler(
            self._probe_threads,
            self._quick_threads,
            self._receiver,
            is_full=lambda: self._threads.waiting >= _MAX_WAITING,
        )
        self._server.add_generic_rpc_handlers((methods, *self._side.handlers()))
        self._inferences = DirectCalls(self._server, f"/{SERVICE}/ModelInfer", front.loop, self._take)

    def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen, and return the port.

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
        self._inferences.start()
        return port

    def set_ready(self, is_ready: bool) -> None:
        """Set what the health service says; not ready to begin with."""
        self._side.set_ready(is_ready)

    def begin_drain(self) -> None:
        """Be ready no longer, and go on to answer."""
        self.set_ready(False)
        self._renewal.begin()

    def sweep(self) -> None:
        """End calls whose message does not come; to be called periodically."""
        self._receiver.sweep()
        self._inference_receiver.sweep()

    @property
    def late_calls(self) -> int:
        """Inferences that were asked for since the drain began."""
        return self._renewal.calls

    def seconds_left(self) -> float:
        """Return how long it takes until whoever calls was told to connect anew; 0 or less where all were.

        A load balancer that has noticed the drain makes new connections lead elsewhere.
        """
        return self._renewal.seconds_left()

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; let those in flight finish, for ``grace_seconds`` at most."""
        stopped: threading.Event = self._server.stop(grace_seconds)
        self._side.end_streams()
        await asyncio.to_thread(stopped.wait)
        self._inferences.close()
        for pool in (self._threads, self._probe_threads, self._quick_threads):
            pool.shutdown(wait=False)

    def _receiver_of_inferences(self, budget: MemoryBudget, max_message_bytes: int) -> DirectReceiver:
        return DirectReceiver(
            budget,
            max_message_bytes,
            self._renewal,
            ready=self._front.infer,
            refuse=refuse,
            is_crowded=lambda: self._inferences.in_flight > self._max_inferences // 2,
        )

    def _take(self, call: DirectCall) -> None:
        """Have an inference's message read, where it may have an answer."""
        try:
            if self._inferences.in_flight > self._max_inferences:
                raise too_many_calls()
            self._front.admit(call)
        except RequestError as error:
            refuse(call, error)
        else:
            self._inference_receiver.take(call)


class _Threads(ThreadPoolExecutor):
    @property
    def waiting(self) -> int:
        """Calls that no thread has taken yet."""
        return self._work_queue.qsize()


def _options(
    max_message_bytes: int,
    max_connections: int,
    max_connection_seconds: float,
    max_call_seconds: float | None,
    *,
    shares_port: bool,
) -> list[tuple[str, int]]:
    """Return the settings of grpc's core, as ``GrpcServer`` has them."""
    options: list[tuple[str, int]] = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_allowed_incoming_connections", max_connections),
        ("grpc.max_concurrent_streams", _MAX_STREAMS),
        ("grpc.server_handshake_timeout_ms", round(_HANDSHAKE_SECONDS * 1000)),
    ]
    if max_connection_seconds:
        options.append(("grpc.max_connection_age_ms", round(max_connection_seconds * 1000)))
    if max_call_seconds:
        options.append(("grpc.max_connection_age_grace_ms", round(max_call_seconds * 1000)))
    return options
