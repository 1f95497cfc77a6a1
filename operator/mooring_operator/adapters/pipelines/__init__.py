"""Where runs run: the port, and one file for each backend."""

from mooring_operator.adapters.pipelines.port import (
    LaunchUncertain,
    Pipelines,
    PipelinesRefused,
    PipelinesUnavailable,
)
from mooring_operator.planning.runs import JsonValue, RunOwner, RunRequest, RunState

__all__ = [
    "JsonValue",
    "LaunchUncertain",
    "Pipelines",
    "PipelinesRefused",
    "PipelinesUnavailable",
    "RunOwner",
    "RunRequest",
    "RunState",
]
