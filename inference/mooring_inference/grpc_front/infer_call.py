"""One inference over gRPC, from its message to its answer; on the event loop."""

from __future__ import annotations

import logging
import math
from time import perf_counter, time
from typing import Any

from google.protobuf.message import DecodeError

from mooring_inference.errors import RequestError
from mooring_inference.grpc_front import codec
from mooring_inference.grpc_front.direct_calls import DirectCall, Metadata
from mooring_inference.grpc_front.receiving import CallRoom
from mooring_inference.grpc_front.refusals import refusal_of
from mooring_inference.grpc_front.schema import message
from mooring_inference.inference import Inference, InferenceService, Inputs
from mooring_inference.observability.metrics import GONE
from mooring_inference.protocols.v2 import LONGEST_ID, check_id

log = logging.getLogger(__name__)

_ModelInferRequest = message("ModelInferRequest")
_EXPIRED = 504


def answer(call: DirectCall, content: bytes, room: CallRoom, service: InferenceService) -> None:
    """Begin to answer a call whose message has come."""
    if call.is_gone:
        return
    try:
        try:
            request = _ModelInferRequest.FromString(content)
        except DecodeError:
            raise RequestError("request: expected a ModelInferRequest, got bytes that are none") from None
        InferCall(call, request, room, service).start()
    except RequestError as error:
        refuse(call, error)
    except Exception:
        log.exception("a gRPC request failed", extra={"fields": {"method": "ModelInfer"}})
        refuse(call, RequestError("internal error", status=500))


def refuse(call: DirectCall, error: RequestError, request_id: str = "") -> None:
    """End a call with an error."""
    code, text, metadata = refusal_of(error, request_id)
    call.refuse(code, text, metadata)


class InferCall:
    """A ``ModelInferRequest``: decoded, answered by the inference service, encoded."""

    __slots__ = ("_call", "_classes", "_inference", "_is_raw", "_request", "_room")

    def __init__(self, call: DirectCall, request: Any, room: CallRoom, service: InferenceService) -> None:
        """Raises RequestError where there is no such model."""
        self._call = call
        self._room = room
        self._request = request
        self._is_raw = False
        self._classes: tuple[int, ...] | None = None
        self._inference: Inference = service.begin(
            request.model_name,
            request.model_version or None,
            protocol="grpc",
            started=perf_counter(),
            request_id=request.id or _header_id(call.metadata),
            headers=_headers(call.metadata) if service.observers else {},
        )

    def start(self) -> None:
        """Decode and submit; the answer comes now where that fails, and else when the model has run."""
        inference = self._inference
        try:
            check_id(inference.request_id)
            decoded = codec.decode_request(self._request, inference.model.signature)
            self._request = None
            self._is_raw, self._classes = decoded.is_raw, decoded.classes
            inference.submit(
                decoded.inputs,
                decoded.outputs,
                self._finish,
                timeout=seconds_to_wait(decoded.timeout, self._call.deadline),
                reserve=self._reserve,
            )
            self._call.on_gone = self._gone
        except Exception as error:
            self._fail(error)

    def _reserve(self, inputs: Inputs) -> None:
        self._room.hold(self._inference.model.signature.answer_bytes(inputs))

    def _finish(self, _: object) -> None:
        """Answer, now that the model has run or failed."""
        inference = self._inference
        try:
            outputs = inference.result()
            response = codec.encode_response(
                model=inference.model.name,
                version=inference.model.version,
                request_id=inference.request_id,
                outputs=outputs,
                is_raw=self._is_raw,
                classes=self._classes,
            ).SerializeToString()
        except Exception as error:
            self._fail(error)
            return
        self._call.reply(response, inference.guard_headers)
        inference.finish(200, outputs)

    def _fail(self, error: Exception) -> None:
        inference = self._inference
        refusal = inference.refuse(error)
        code, text, metadata = refusal_of(refusal, inference.request_id)
        self._call.refuse(code, text, [*inference.guard_headers, *metadata])
        inference.finish(refusal.status)

    def _gone(self) -> None:
        self._inference.abandon(_EXPIRED if time() >= self._call.deadline else GONE)


def seconds_to_wait(wanted: float | None, deadline: float) -> float | None:
    """Return how long a caller waits: as it says in the request, and by its deadline, by ``time.time``."""
    if math.isinf(deadline):
        return wanted
    left = max(0.0, deadline - time())
    return left if wanted is None else min(wanted, left)


def _headers(metadata: Metadata) -> dict[bytes, bytes]:
    return {key.encode(): value.encode() if isinstance(value, str) else value for key, value in metadata}


def _header_id(metadata: Metadata) -> str | None:
    """Give the id that a gateway made up, or a caller put into the metadata; it names copies of a request alike."""
    told = next((value for key, value in metadata if key == "x-request-id"), None)
    return told if isinstance(told, str) and len(told) <= LONGEST_ID else None
