"""Health and reflection, on threads of their own: whoever asks must not wait for the model, nor the model for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mooring_inference.errors import RequestError
from mooring_inference.grpc_front.receiving import Receiver
from mooring_inference.grpc_front.refusals import refuse
from mooring_inference.grpc_front.schema import POOL, SERVICE

# Grpc looks for these on the function that answers.
_POOL_ATTRIBUTE = "experimental_thread_pool"
_NON_BLOCKING_ATTRIBUTE = "experimental_non_blocking"

# A reflection stream holds its thread for as long as its client keeps it open.
_REFLECTION_THREADS = 2


def on_threads(pool: ThreadPoolExecutor, answer: Callable[..., Any]) -> Callable[..., Any]:
    """Have grpc run a function on the threads of ``pool`` and not on those of its server."""
    setattr(answer, _POOL_ATTRIBUTE, pool)
    return answer


class SideServices:
    """The standard health service, and reflection of all that the server serves."""

    def __init__(self, probe_threads: ThreadPoolExecutor, receiver: Receiver) -> None:
        self._probe_threads = probe_threads
        self._receiver = receiver
        self._reflection_threads = ThreadPoolExecutor(
            _REFLECTION_THREADS, thread_name_prefix="grpc-reflection"
        )
        self._health = health.HealthServicer()
        self._streams: set[grpc.ServicerContext] = set()
        self._lock = threading.Lock()
        self.set_ready(False)

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """Return the methods for a grpc server."""
        return self._health_handler(), self._reflection_handler()

    def set_ready(self, is_ready: bool) -> None:
        """Return what the health service says, of the server and of the inference service."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if is_ready else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", SERVICE):
            self._health.set(name, status)

    def end_streams(self) -> None:
        """End health watches and reflection: they last until their client ends them, and would hold up a stop."""
        with self._lock:
            streams = list(self._streams)
        for context in streams:
            context.cancel()
        self._reflection_threads.shutdown(wait=False)

    def _health_handler(self) -> grpc.GenericRpcHandler:
        def check(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            return self._health.Check(self._read(messages, context), context)

        def watch(messages: Iterator[bytes], context: grpc.ServicerContext, send: Any = None) -> Any:
            request = self._read(messages, context)
            self._remember(context)
            return self._health.Watch(request, context, send)

        setattr(watch, _NON_BLOCKING_ATTRIBUTE, True)
        serialize = health_pb2.HealthCheckResponse.SerializeToString
        return grpc.method_handlers_generic_handler(
            health.SERVICE_NAME,
            {
                "Check": grpc.stream_unary_rpc_method_handler(
                    on_threads(self._probe_threads, check), response_serializer=serialize
                ),
                "Watch": grpc.stream_stream_rpc_method_handler(
                    on_threads(self._probe_threads, watch), response_serializer=serialize
                ),
            },
        )

    def _read(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        try:
            return health_pb2.HealthCheckRequest.FromString(self._receiver.receive_small(messages, context))
        except DecodeError:
            refuse(context, RequestError("request: expected a HealthCheckRequest, got bytes that are none"))
        except RequestError as error:
            refuse(context, error)

    def _reflection_handler(self) -> grpc.GenericRpcHandler:
        servicer = reflection.ReflectionServicer(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), pool=_all_descriptors()
        )

        def reflect(requests: Any, context: grpc.ServicerContext) -> Any:
            self._remember(context)
            return servicer.ServerReflectionInfo(requests, context)

        handler = grpc.stream_stream_rpc_method_handler(
            on_threads(self._reflection_threads, reflect),
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            reflection.SERVICE_NAME, {"ServerReflectionInfo": handler}
        )

    def _remember(self, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._streams.add(context)
        if not context.add_callback(lambda: self._forget(context)):
            self._forget(context)

    def _forget(self, context: grpc.ServicerContext) -> None:
        with self._lock:
            self._streams.discard(context)


def _all_descriptors() -> DescriptorPool:
    """Return the inference service's own descriptors, and with them those of health and reflection."""
    for descriptor in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        POOL.AddSerializedFile(descriptor.serialized_pb)
    return POOL
