"""The methods of ``inference.GRPCInferenceService`` over the repository."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any

import grpc

from mooring_inference.api_keys import ApiKeys, unauthorized
from mooring_inference.errors import RequestError
from mooring_inference.grpc_front import codec
from mooring_inference.grpc_front.schema import METHODS, SERVICE, message
from mooring_inference.models import ServedModel
from mooring_inference.observing import Answered, Observer
from mooring_inference.repository import Repository
from mooring_inference.tensors import Array, TensorSpec

log = logging.getLogger(__name__)

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_OPEN_TO_ALL = frozenset(("ServerLive", "ServerReady", "ModelReady"))

_process_id = os.urandom(8).hex()
_numbers = itertools.count(1)


class InferenceService:
    """Each method takes a message and gives one; called from the server's threads."""

    def __init__(
        self,
        repository: Repository,
        loop: asyncio.AbstractEventLoop,
        *,
        name: str,
        version: str,
        extensions: Sequence[str] = (),
        request_timeout: float | None = None,
        allows_repository_changes: bool = False,
        api_keys: ApiKeys | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        """``loop`` is the repository's; the rest as for the REST front."""
        self._repository = repository
        self._loop = loop
        self._name, self._version, self._extensions = name, version, tuple(extensions)
        self._timeout = request_timeout
        self._allows_changes = allows_repository_changes
        self._api_keys = api_keys
        self._observers = tuple(observers)

    def handler(self) -> grpc.GenericRpcHandler:
        """For a grpc server."""
        handlers = {name: self._handle(name) for name in METHODS}
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _handle(self, name: str) -> grpc.RpcMethodHandler:
        act: Callable[[Any, grpc.ServicerContext], Any] = getattr(self, _snake(name))

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                if self._api_keys is not None and name not in _OPEN_TO_ALL:
                    self._check_key(self._api_keys, context)
                return act(request, context)
            except RequestError as error:
                context.abort(_CODES.get(error.status, grpc.StatusCode.INTERNAL), error.message)
            except Exception:
                log.exception("a gRPC request failed", extra={"fields": {"method": name}})
                context.abort(grpc.StatusCode.INTERNAL, "internal error")

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=message(f"{name}Request").FromString,
            response_serializer=message(f"{name}Response").SerializeToString,
        )

    def _check_key(self, keys: ApiKeys, context: grpc.ServicerContext) -> None:
        if not keys.allows({key: str(value) for key, value in context.invocation_metadata()}):
            raise unauthorized()

    def _server_live(self, request: Any, context: grpc.ServicerContext) -> Any:
        return message("ServerLiveResponse")(live=True)

    def _server_ready(self, request: Any, context: grpc.ServicerContext) -> Any:
        return message("ServerReadyResponse")(ready=self._repository.ready)

    def _model_ready(self, request: Any, context: grpc.ServicerContext) -> Any:
        is_ready = not self._repository.is_draining
        try:
            self._repository.find(request.name, request.version or None)
        except RequestError as error:
            if error.status == 404:
                raise
            is_ready = False
        return message("ModelReadyResponse")(ready=is_ready)

    def _server_metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        return message("ServerMetadataResponse")(
            name=self._name, version=self._version, extensions=self._extensions
        )

    def _model_metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        model = self._repository.find(request.name, request.version or None)
        versions = self._repository.versions(model.name)
        return codec.encode_metadata(model.name, versions, model.platform, model.signature)

    def _model_infer(self, request: Any, context: grpc.ServicerContext) -> Any:
        started = perf_counter()
        model = self._repository.find(request.model_name, request.model_version or None)
        model.series.began()
        request_id = request.id or f"{_process_id}-g{next(_numbers):x}"
        headers = _headers(context) if self._observers else {}
        answered = Answered(model, request_id, "grpc", started, headers)
        status = 500
        try:
            decoded = codec.decode_request(request, model.signature)
            answered.inputs = decoded.inputs
            outputs = self._run(model, decoded, context, answered)
            status = 200
            return codec.encode_response(
                model=model.name,
                version=model.version,
                request_id=request_id,
                outputs=outputs,
                is_raw=decoded.is_raw,
            )
        except RequestError as error:
            status = error.status
            raise
        finally:
            answered.tell(status, self._observers)

    def _run(
        self,
        model: ServedModel,
        decoded: codec.InferRequest,
        context: grpc.ServicerContext,
        answered: Answered,
    ) -> list[tuple[TensorSpec, Array]]:
        inputs = decoded.inputs
        if model.guards is not None:
            checked = model.guards.check(inputs)
            inputs = checked.inputs
            if headers := checked.headers():
                context.set_trailing_metadata(headers)
        limits = (self._timeout, decoded.timeout, context.time_remaining())
        timeout = min((limit for limit in limits if limit is not None), default=None)
        call = model.batcher.call(inputs, decoded.outputs, timeout=timeout)
        answered.call = call
        assert call.results is not None
        specs = model.signature.outputs_by_name
        answered.outputs = [
            (specs[name], array) for name, array in zip(call.outputs, call.results, strict=True)
        ]
        return answered.outputs

    def _repository_index(self, request: Any, context: grpc.ServicerContext) -> Any:
        response = message("RepositoryIndexResponse")()
        for name, version, state, reason in self._repository.index():
            if state == "READY" or not request.ready:
                response.models.add(name=name, version=version, state=state, reason=reason)
        return response

    def _repository_model_load(self, request: Any, context: grpc.ServicerContext) -> Any:
        name = request.model_name or request.triton_model_name
        self._change(self._repository.load, name)
        return message("RepositoryModelLoadResponse")(model_name=name, isLoaded=True)

    def _repository_model_unload(self, request: Any, context: grpc.ServicerContext) -> Any:
        name = request.model_name or request.triton_model_name
        self._change(self._repository.unload, name)
        return message("RepositoryModelUnloadResponse")(model_name=name, isUnloaded=True)

    def _change(self, change: Callable[[str], Coroutine[Any, Any, None]], name: str) -> None:
        if not self._allows_changes:
            raise RequestError(
                "models are not loaded and unloaded by request here: --allow_repository_changes", status=403
            )
        asyncio.run_coroutine_threadsafe(change(name), self._loop).result()


def _headers(context: grpc.ServicerContext) -> dict[bytes, bytes]:
    return {
        key.encode(): value.encode() if isinstance(value, str) else value
        for key, value in context.invocation_metadata()
    }


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
