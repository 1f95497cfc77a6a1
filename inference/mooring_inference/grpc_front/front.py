"""The gRPC front: every method of ``inference.GRPCInferenceService``."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from mooring_inference.access.api_keys import ApiKeys
from mooring_inference.errors import RequestError, bad_field
from mooring_inference.grpc_front import codec
from mooring_inference.grpc_front.direct_calls import DirectCall, Metadata
from mooring_inference.grpc_front.infer_call import answer as answer_call
from mooring_inference.grpc_front.receiving import CallRoom, Receiver
from mooring_inference.grpc_front.refusals import refuse
from mooring_inference.grpc_front.schema import METHODS, SERVICE, message
from mooring_inference.grpc_front.side_services import on_threads
from mooring_inference.inference import InferenceService

log = logging.getLogger(__name__)

_OPEN_TO_ALL = frozenset(("ServerLive", "ServerReady", "ModelReady"))
# They wait for a model, and the others must not wait for them.
_SLOW = frozenset(("RepositoryModelLoad", "RepositoryModelUnload"))
# They say nothing that the answer depends on.
_WITHOUT_REQUEST = frozenset(("ServerLive", "ServerReady", "ServerMetadata"))
# What a key must allow for a method; for one that is not here, any key will do.
_RIGHTS = {"RepositoryModelLoad": "admin", "RepositoryModelUnload": "admin"}


class GrpcFront:
    """Each method takes a message and gives one, on the server's threads; inferences are answered on the event loop.

    Attributes:
        loop: the service's event loop.
    """

    def __init__(
        self,
        service: InferenceService,
        loop: asyncio.AbstractEventLoop,
        *,
        name: str,
        version: str,
        extensions: Sequence[str] = (),
        api_keys: ApiKeys | None = None,
    ) -> None:
        """``loop`` is the service's; the rest as for the REST front."""
        self._service = service
        self._repository = service.repository
        self.loop = loop
        self._name, self._version, self._extensions = name, version, tuple(extensions)
        self._api_keys = api_keys

    def handler(
        self,
        probe_threads: ThreadPoolExecutor,
        quick_threads: ThreadPoolExecutor,
        receiver: Receiver,
        is_full: Callable[[], bool],
    ) -> grpc.GenericRpcHandler:
        """Return the methods for a grpc server.

        Args:
            probe_threads: run what is answered at once, so that it does not wait behind the model.
            quick_threads: run what is answered without a look at the request, which may never come.
            receiver: reads requests.
            is_full: whether so many calls wait for the server's other threads that no more are taken.
        """

        def threads(name: str) -> ThreadPoolExecutor | None:
            return None if name in _SLOW else quick_threads if name in _WITHOUT_REQUEST else probe_threads

        handlers = {
            name: self._handle(name, threads(name), receiver) for name in METHODS if name != "ModelInfer"
        }
        return _Methods(handlers, quick_threads, is_full)

    def admit(self, call: DirectCall) -> None:
        """Raise RequestError for an inference without the right to it, before its message is read; from any thread."""
        if self._api_keys is not None:
            _require_key(self._api_keys, "predict", call.metadata)

    def infer(self, call: DirectCall, content: bytes, room: CallRoom) -> None:
        """Begin to answer an inference; from any thread."""
        self.loop.call_soon_threadsafe(answer_call, call, content, room, self._service)

    def _handle(
        self, name: str, threads: ThreadPoolExecutor | None, receiver: Receiver
    ) -> grpc.RpcMethodHandler:
        act: Callable[[Any, CallRoom | None, grpc.ServicerContext], Any] = getattr(self, _snake(name))
        request_class = message(f"{name}Request")

        def read(messages: Iterator[bytes], context: grpc.ServicerContext) -> tuple[Any, CallRoom | None]:
            room = None
            if name in _WITHOUT_REQUEST:
                content = b""
            elif name in _SLOW:
                content, room = receiver.receive(messages, context)
            else:
                content = receiver.receive_small(messages, context)
            try:
                return request_class.FromString(content), room
            except DecodeError:
                raise RequestError(f"request: expected a {name}Request, got bytes that are none") from None

        def answer(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            try:
                # Before anything of the message is read.
                if self._api_keys is not None and name not in _OPEN_TO_ALL:
                    self._check_key(self._api_keys, _RIGHTS.get(name), context)
                return act(*read(messages, context), context)
            except RequestError as error:
                refuse(context, error)
            except grpc.RpcError:
                raise  # the caller has gone, or its message did not come
            except Exception:
                log.exception("a gRPC request failed", extra={"fields": {"method": name}})
                refuse(context, RequestError("internal error", status=500))

        return grpc.stream_unary_rpc_method_handler(
            answer if threads is None else on_threads(threads, answer),
            response_serializer=message(f"{name}Response").SerializeToString,
        )

    def _check_key(self, keys: ApiKeys, right: str | None, context: grpc.ServicerContext) -> None:
        _require_key(keys, right, context.invocation_metadata())

    def _server_live(self, request: Any, room: CallRoom | None, context: grpc.ServicerContext) -> Any:
        return message("ServerLiveResponse")(live=True)

    def _server_ready(self, request: Any, room: CallRoom | None, context: grpc.ServicerContext) -> Any:
        return message("ServerReadyResponse")(ready=self._repository.ready)

    def _model_ready(self, request: Any, room: CallRoom | None, context: grpc.ServicerContext) -> Any:
        is_ready = self._repository.is_model_ready(request.name, request.version or None)
        return message("ModelReadyResponse")(ready=is_ready)

    def _server_metadata(self, request: Any, room: CallRoom | None, context: grpc.ServicerContext) -> Any:
        return message("ServerMetadataResponse")(
            name=self._name, version=self._version, extensions=self._extensions
        )

    def _model_metadata(self, request: Any, room: CallRoom | None, context: grpc.ServicerContext) -> Any:
        model = self._repository.find(request.name, request.version or None)
        versions = self._repository.versions(model.name)
        return codec.encode_metadata(model.name, versions, model.platform, model.signature)

    def _repository_index(self, request: Any, room: CallRoom | None, context: grpc.ServicerContext) -> Any:
        response = message("RepositoryIndexResponse")()
        for name, version, state, reason in self._repository.index():
            if state == "READY" or not request.ready:
                response.models.add(name=name, version=version, state=state, reason=reason)
        return response

    def _repository_model_load(
        self, request: Any, room: CallRoom | None, context: grpc.ServicerContext
    ) -> Any:
        name = _model_to_change(request)
        if request.parameters:
            # Such as Triton's configuration in place of the model's own: a load without it is not what was asked.
            raise bad_field("parameters", "none", ", ".join(sorted(request.parameters)))
        self._change(self._service.load, name, context)
        return message("RepositoryModelLoadResponse")(model_name=name, isLoaded=True)

    def _repository_model_unload(
        self, request: Any, room: CallRoom | None, context: grpc.ServicerContext
    ) -> Any:
        name = _model_to_change(request)
        self._change(self._service.unload, name, context)
        return message("RepositoryModelUnloadResponse")(model_name=name, isUnloaded=True)

    def _change(
        self, change: Callable[[str], Coroutine[Any, Any, None]], name: str, context: grpc.ServicerContext
    ) -> None:
        changed = asyncio.run_coroutine_threadsafe(change(name), self.loop)
        try:
            changed.result(_seconds_left(context))
        except TimeoutError:
            # It goes on: half a load helps nobody.
            raise RequestError("the deadline passed before the change was done", status=504) from None


class _Methods:
    """Finds the handler of a call, on the thread that takes all calls; as ``grpc.GenericRpcHandler``."""

    def __init__(
        self,
        handlers: dict[str, grpc.RpcMethodHandler],
        quick_threads: ThreadPoolExecutor,
        is_full: Callable[[], bool],
    ) -> None:
        self._handlers = {f"/{SERVICE}/{name}": handler for name, handler in handlers.items()}
        self._slow = frozenset(f"/{SERVICE}/{name}" for name in _SLOW)
        self._is_full = is_full

        def turn_away(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            refuse(context, too_many_calls())

        self._full = grpc.stream_unary_rpc_method_handler(on_threads(quick_threads, turn_away))

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a call; None where there is no such method."""
        if details.method in self._slow and self._is_full():
            return self._full
        return self._handlers.get(details.method)


def too_many_calls() -> RequestError:
    """Return the refusal of a call beyond those that may be in flight or wait."""
    return RequestError("too many calls wait for an answer; try again later", status=429)


def _require_key(keys: ApiKeys, right: str | None, metadata: Metadata) -> None:
    presented = {key: str(value) for key, value in metadata}
    if (refusal := keys.check(presented, right)) is not None:
        raise refusal


def _model_to_change(request: Any) -> str:
    # Where Triton's field is set, KServe's holds the name of a repository.
    name: str = request.triton_model_name or request.model_name
    return name


def _seconds_left(context: grpc.ServicerContext) -> float | None:
    """Return the seconds until the caller's deadline; None where it has none, for which grpc gives the end of time."""
    seconds: float | None = context.time_remaining()
    return None if seconds is None or seconds > threading.TIMEOUT_MAX else seconds


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
