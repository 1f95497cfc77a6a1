"""Texts of a spec on their way into a pod: they arrive as they were written, and no part of them is a program.

Sources: Kubernetes, third_party/forked/golang/expansion; KServe 0.21, ReplacePlaceholders; Go, text/template.
"""

from collections.abc import Iterable
from typing import Any

from mooring_operator.planning.manifests.pods import as_written, escape_expansion

_EXPANDED = ("command", "args")


def container_as_written(container: dict[str, Any]) -> dict[str, Any]:
    """Give a container in whose command, arguments and variables the kubelet replaces nothing."""
    out = dict(container)
    for field in _EXPANDED:
        if field in out:
            out[field] = [escape_expansion(text) for text in out[field]]
    if "env" in out:
        out["env"] = [as_written(variable) for variable in out["env"]]
    return out


def pod_as_written(pod: dict[str, Any], templated: Iterable[str] = ()) -> dict[str, Any]:
    """Give a pod's spec whose containers are as written; KServe executes those named in `templated`."""
    out, names = dict(pod), frozenset(templated)
    for field in ("containers", "initContainers"):
        if field in out:
            containers = [container_as_written(container) for container in out[field]]
            out[field] = [
                escape_templates(container) if container.get("name") in names else container
                for container in containers
            ]
    return out


def escape_templates(node: Any) -> Any:
    """Give a container that KServe takes no part of for a program of its own.

    It writes the model's container as JSON, executes that as a template of Go's with the InferenceService's metadata,
    and reads what comes out. A template has variables and can make gigabytes of a few bytes.
    """
    if isinstance(node, dict):
        return {escape_templates(key): escape_templates(value) for key, value in node.items()}
    if isinstance(node, list):
        return [escape_templates(item) for item in node]
    return node.replace("{{", "{{`{{`}}") if isinstance(node, str) else node
