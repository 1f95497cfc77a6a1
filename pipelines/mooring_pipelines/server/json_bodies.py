"""JSON in and out: request bodies as objects, times as the API writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from mooring_pipelines.server.errors import invalid


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        ApiError: 400, it is none.
    """
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise invalid(f"the request body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("the request body must be a JSON object")
    return body


def text_field(body: Mapping[str, Any], name: str) -> str:
    """A field that holds text; empty when it is missing.

    Raises:
        ApiError: 400, it holds something else.
    """
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(f"{name} {value!r} is not allowed: it must be a string")
    return value


def timestamp(seconds: int) -> str:
    """Seconds since the epoch as in protobuf's JSON: `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
