"""JSON in and out: request bodies as objects, times as the API writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from mooring_pipelines.server.errors import invalid

_SNAKE = re.compile(r"(?<=[a-z0-9])([A-Z])")
EXPERIMENT_FIELDS = frozenset(
    {
        "experiment_id", "display_name", "description", "created_at", "namespace", "storage_state",
        "last_run_created_at",
    }
)  # fmt: skip
PIPELINE_FIELDS = frozenset(
    {"pipeline_id", "display_name", "name", "description", "created_at", "namespace", "error", "tags"}
)
VERSION_FIELDS = frozenset(
    {
        "pipeline_id", "pipeline_version_id", "display_name", "name", "description", "created_at",
        "package_url", "code_source_url", "pipeline_spec", "error", "tags",
    }
)  # fmt: skip
RUN_FIELDS = frozenset(
    {
        "experiment_id", "run_id", "display_name", "storage_state", "description", "pipeline_version_id",
        "pipeline_spec", "pipeline_version_reference", "runtime_config", "service_account", "created_at",
        "scheduled_at", "finished_at", "state", "error", "run_details", "recurring_run_id", "state_history",
        "plugins_input", "plugins_output",
    }
)  # fmt: skip


async def read_object(request: Request, known: frozenset[str]) -> dict[str, Any]:
    """The body as a JSON object with `known` fields; a field may be spelt in camelCase too.

    Raises:
        ApiError: 400, it is none, or it has another field.
    """
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise invalid(f"the request body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("the request body must be a JSON object")
    fields = {_SNAKE.sub(r"_\1", name).lower(): value for name, value in body.items()}
    for name in body:
        if _SNAKE.sub(r"_\1", name).lower() not in known:
            raise invalid(f'proto: (line 1:1): unknown field "{name}"')
    return fields


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
