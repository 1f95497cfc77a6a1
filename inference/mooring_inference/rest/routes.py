"""What a path asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for.

    Attributes:
        action: such as ``infer``; see ``METHODS``.
        model: the model's name, where the path names one.
        version: its version, where the path names one.
    """

    action: str
    model: str = ""
    version: str | None = None


# Actions and the methods they take.
METHODS = {
    "alive": ("GET", "HEAD"),
    "live": ("GET", "HEAD"),
    "ready": ("GET", "HEAD"),
    "server": ("GET", "HEAD"),
    "metrics": ("GET", "HEAD"),
    "openapi": ("GET", "HEAD"),
    "docs": ("GET", "HEAD"),
    "models": ("GET", "HEAD"),
    "model_status": ("GET", "HEAD"),
    "model": ("GET", "HEAD"),
    "model_ready": ("GET", "HEAD"),
    "infer": ("POST",),
    "predict": ("POST",),
    "explain": ("POST",),
    "labels": ("POST",),
    "index": ("POST",),
    "load": ("POST",),
    "unload": ("POST",),
}

# What a key must allow for an action; for one that is not here, any key will do.
RIGHTS = {
    "metrics": "metrics",
    "infer": "predict",
    "predict": "predict",
    "explain": "predict",
    "labels": "labels",
    "load": "admin",
    "unload": "admin",
}

_FIXED = {
    b"/": "alive",
    b"/v2": "server",
    b"/v2/": "server",
    b"/v2/health/live": "live",
    b"/v2/health/ready": "ready",
    b"/v2/repository/index": "index",
    b"/v1/models": "models",
    b"/v1/models/": "models",
    b"/metrics": "metrics",
    b"/openapi.json": "openapi",
    b"/docs": "docs",
}
_MODEL_ACTIONS = {"": "model", "ready": "model_ready", "infer": "infer", "labels": "labels"}
_V1_ACTIONS = {"predict": "predict", "explain": "explain"}


# Requests repeat few paths, and parsing one costs a microsecond.
@lru_cache(maxsize=1024)
def find_route(path: bytes) -> Route | None:
    """Return the route of a raw path; None where nothing is there."""
    fixed = _FIXED.get(path)
    if fixed is not None:
        return Route(fixed)
    parts = [unquote(part) for part in path.decode("latin-1").split("/")]
    match parts:
        case ["", "v2", "models", model, "versions", version]:
            return Route("model", model, version)
        case ["", "v2", "models", model, "versions", version, action] if action in _MODEL_ACTIONS:
            return Route(_MODEL_ACTIONS[action], model, version)
        case ["", "v2", "models", model]:
            return Route("model", model)
        case ["", "v2", "models", model, action] if action in _MODEL_ACTIONS:
            return Route(_MODEL_ACTIONS[action], model)
        case ["", "v2", "repository", "models", model, ("load" | "unload") as action]:
            return Route(action, model)
        case ["", "v1", "models", rest]:
            model, colon, action = rest.rpartition(":")
            if not colon:
                return Route("model_status", rest)
            return Route(_V1_ACTIONS[action], model) if action in _V1_ACTIONS else None
    return None
