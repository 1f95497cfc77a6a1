"""Logs: one JSON object a line, or text; each says which resource it is about."""

import json
import logging
import sys
import textwrap
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from mooring_artifacts.text import visible

current_resource: ContextVar[str] = ContextVar("current_resource", default="")
"""What is being worked on: ``kind/namespace/name``. A task that it starts inherits it."""

# kopf logs every event and every handler's success at INFO or DEBUG; httpx2 every request.
_QUIET: Mapping[str, int] = {
    "kopf": logging.WARNING,
    "kopf.objects": logging.ERROR,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpcore2": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
}


class _WithResource(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.resource = current_resource.get()
        return True


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, message, resource, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if resource := getattr(record, "resource", ""):
            entry["resource"] = resource
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        # A JSON string escapes as Python does: what was escaped is read back as it was.
        return visible(json.dumps(entry, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Formats a record for a person's eyes: one line, and a traceback's lines indented below it.

    Messages quote specs, servers and callers: none of them begins a line, or moves the cursor.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(resource)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        """Give the line."""
        return visible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the standard library's name
        """Give the traceback."""
        return textwrap.indent(visible(super().formatException(ei), keep="\n"), "    ")


def configure(level: str, format: Literal["json", "text"], stream: TextIO | None = None) -> None:
    """Send all logs to `stream`, by default stderr, in one format; `level` is a name such as info."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    # On the handler, not on a logger: loggers' filters do not see what comes from below them.
    handler.addFilter(_WithResource())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelName(level.upper())))
