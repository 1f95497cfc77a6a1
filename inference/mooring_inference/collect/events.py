"""CloudEvents of KServe's logger, from the headers they come with. Pure.

Source: CloudEvents 1.0, HTTP protocol binding, binary content mode; KServe 0.21, ``pkg/logger/worker.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.elements import json_type
from mooring_inference.protocols.v2 import LONGEST_ID

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"

# Of the name of an InferenceService, a namespace or an endpoint: they are DNS labels.
_LONGEST_NAME = 253
_METADATA = b"ce-metadata"
# Headers of the caller's that it may hold.
_HEADER_LENGTH = "inference-header-content-length"
_REQUEST_ID = "x-request-id"


class Place(NamedTuple):
    """What a request was sent to.

    Attributes:
        service: name of the InferenceService.
        endpoint: such as ``default`` or ``canary``; empty where the logger says none.
    """

    service: str
    endpoint: str


class Event(NamedTuple):
    """One body, of a request or of its answer.

    Attributes:
        id: joins the two.
        is_request: which of them it is.
        place: what the request was sent to.
        namespace: of the InferenceService.
        component: such as ``predictor``.
        request_id: the caller's own id; None where the logger passes none on.
        header_length: bytes of JSON before binary tensors of the request; None where the logger passes none on.
    """

    id: str
    is_request: bool
    place: Place
    namespace: str
    component: str
    request_id: str | None
    header_length: int | None


class UnknownTypeError(RequestError):
    """An event that is neither a request nor a response."""


def read_event(headers: Mapping[bytes, bytes]) -> Event:
    """Return the event that headers, in lower case, are about.

    Raises:
        UnknownTypeError: 400, an event of another kind.
        RequestError: 400, a header is missing or wrong; 415 for the structured mode, which the logger never uses.
    """
    if headers.get(b"content-type", b"").startswith(b"application/cloudevents"):
        raise RequestError(
            "content-type: expected an event in binary mode, got one in structured mode",
            status=415,
            field="content-type",
        )
    version = _text(headers, "ce-specversion", 16)
    if version not in ("1.0", "0.3"):
        raise bad_field("ce-specversion", "1.0", version)
    kind = _text(headers, "ce-type", _LONGEST_NAME)
    if kind not in (REQUEST, RESPONSE):
        raise UnknownTypeError(
            f"ce-type: expected {REQUEST} or {RESPONSE}, got {kind}",
            field="ce-type",
            expected=[REQUEST, RESPONSE],
            got=kind,
        )
    metadata = _metadata(headers)
    length = metadata.get(_HEADER_LENGTH, "")
    request_id = metadata.get(_REQUEST_ID, "")
    return Event(
        id=_text(headers, "ce-id", LONGEST_ID),
        is_request=kind == REQUEST,
        place=Place(
            _text(headers, "ce-inferenceservicename", _LONGEST_NAME),
            _text(headers, "ce-endpoint", _LONGEST_NAME, otherwise=""),
        ),
        namespace=_text(headers, "ce-namespace", _LONGEST_NAME, otherwise=""),
        component=_text(headers, "ce-component", _LONGEST_NAME, otherwise=""),
        request_id=request_id if 0 < len(request_id) <= LONGEST_ID else None,
        header_length=int(length) if length.isascii() and length.isdigit() and len(length) <= 12 else None,
    )


def _text(headers: Mapping[bytes, bytes], name: str, longest: int, *, otherwise: str | None = None) -> str:
    raw = headers.get(name.encode(), b"")
    if not raw and otherwise is not None:
        return otherwise
    text = raw.decode("utf-8", "replace")
    if not 0 < len(text) <= longest or not text.isprintable():
        raise bad_field(name, f"1 to {longest} printable characters", f"{len(text)} characters")
    return text


def _metadata(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the last value of each of the caller's headers that the logger passes on, by its name in lower case."""
    raw = headers.get(_METADATA)
    if not raw:
        return {}
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise bad_field("ce-metadata", "a JSON object", "no JSON") from None
    if not isinstance(document, dict):
        raise bad_field("ce-metadata", "a JSON object", json_type(document))
    return {
        name.lower(): values[-1]
        for name, values in document.items()
        if isinstance(values, list) and values and isinstance(values[-1], str)
    }
