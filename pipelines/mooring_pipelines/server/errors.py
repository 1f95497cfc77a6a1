"""Errors in the shape of the KFP API server: gRPC codes behind HTTP statuses."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

_HTTP_STATUS = {3: 400, 5: 404, 6: 409, 7: 403, 9: 400, 12: 501, 13: 500}
INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, UNIMPLEMENTED, INTERNAL = 3, 5, 6, 7, 12, 13


class ApiError(Exception):
    """An answer other than success: a gRPC status code and what a person should read."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """The HTTP status that grpc-gateway maps the code to."""
        return _HTTP_STATUS[self.code]


def invalid(message: str) -> ApiError:
    """400: the request has to change."""
    return ApiError(INVALID_ARGUMENT, message)


def not_found(kind: str, name: str) -> ApiError:
    """404."""
    return ApiError(NOT_FOUND, f"{kind} {name} not found")


def failed(message: str) -> ApiError:
    """500: where the real backend fails instead of refusing."""
    return ApiError(INTERNAL, message)


def render_error(request: Request, error: Exception) -> JSONResponse:
    """The body that `kfp_server_api` and the KFP SDK parse."""
    assert isinstance(error, ApiError)
    if request.url.path.startswith("/apis/v2beta1/pipelines/upload"):
        # The upload endpoints are no gRPC methods and have a shape of their own.
        body: dict[str, object] = {"error_message": error.message, "error_details": error.message}
        return JSONResponse(body, error.http_status)
    # The real backend tells the cause of a failure in the message alone.
    short = "Internal Server Error" if error.code == INTERNAL else error.message
    detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": error.code, "message": short}
    body = {"error": error.message, "code": error.code, "message": error.message, "details": [detail]}
    return JSONResponse(body, error.http_status)
