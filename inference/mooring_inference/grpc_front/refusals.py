"""Errors as gRPC says them: a code, a short text, and what else the caller can use as trailing metadata."""

from __future__ import annotations

from typing import NoReturn

import grpc

from mooring_inference.errors import RequestError
from mooring_inference.observability.metrics import GONE

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    GONE: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# The text travels in a header, percent-encoded at three times its size at worst, and clients take 8 KiB of headers.
# A longer one, such as of a request with a name of a megabyte, would reach them as another error altogether.
_LONGEST_TEXT = 2000
_RETRY_AFTER_SECONDS = "1"


def refuse(context: grpc.ServicerContext, error: RequestError) -> NoReturn:
    """End a call."""
    code, text, metadata = refusal_of(error)
    if metadata:
        context.set_trailing_metadata(tuple(metadata))
    context.abort(code, text)
    raise AssertionError("abort raises")


def refusal_of(
    error: RequestError, request_id: str = ""
) -> tuple[grpc.StatusCode, str, list[tuple[str, str]]]:
    """Return the code, the text and the trailing metadata.

    ``request_id`` is told for errors that are the server's, to be found in its log.
    """
    metadata = [(key.decode(), value.decode()) for key, value in error.headers]
    if error.status in (429, 503) and "retry-after" not in dict(metadata):
        metadata.append(("retry-after", _RETRY_AFTER_SECONDS))
    if request_id and error.status >= 500 and request_id.isascii() and request_id.isprintable():
        metadata.append(("x-request-id", request_id[:_LONGEST_TEXT]))
    return CODES.get(error.status, grpc.StatusCode.INTERNAL), _shorten(error.message), metadata


def _shorten(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= _LONGEST_TEXT:
        return text
    return encoded[:_LONGEST_TEXT].decode("utf-8", "ignore") + "..."
