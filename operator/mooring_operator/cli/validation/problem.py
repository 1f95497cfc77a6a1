"""What is wrong with a manifest, and where."""

import json
from dataclasses import dataclass
from typing import Any

from mooring_artifacts.text import shortened

from mooring_operator.cli.validation.source import Path

_LONGEST_KEY = 400
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class Problem:
    """One thing that the API server would refuse.

    `blocks` says that the CEL rules are not evaluated on such an object, as in the API server.
    """

    path: Path
    message: str
    blocks: bool = False

    @property
    def field(self) -> str:
        """The field as Kubernetes writes it: ``spec.rollout.steps[1]``."""
        return format_path(self.path)


def format_path(path: Path) -> str:
    """Write a path as Kubernetes does; a key that is far longer than any that is allowed is cut."""
    out = ""
    for part in path:
        if isinstance(part, str):
            part = shortened(part, _LONGEST_KEY)
        if isinstance(part, int):
            out += f"[{part}]"
        elif part.replace("_", "").replace("-", "").isalnum():
            out += f".{part}" if out else part
        else:
            out += f"[{part}]"
    return out


def show(value: Any) -> str:
    """Write a value for a message: JSON, cut where it gets long."""
    if isinstance(value, str):
        value = value[:_LONGEST_VALUE]
    return shortened(json.dumps(value, ensure_ascii=False), _LONGEST_VALUE)


def kind_of(value: Any) -> str:
    """Name what a value is, for "must be a string, got ..."."""
    if value is None:
        return "nothing"
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    name = names.get(type(value))
    if name is None:
        return "a list" if isinstance(value, list) else "a mapping"
    return f"the {name} {show(value)}"
