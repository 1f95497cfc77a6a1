"""What status says of a spec that cannot be read."""

from mooring_artifacts.text import visible
from pydantic import ValidationError

from mooring_operator.api import forms


def describe(error: ValidationError) -> str:
    """Name every field that is wrong, its value and what is allowed."""
    lines = []
    for problem in error.errors(include_url=False):
        path = "spec" + "".join(_written(part) for part in problem["loc"] if part != "[key]")
        given = "" if problem["type"] == "missing" else f", got {problem['input']!r:.80}"
        allowed = forms.allowed_by(problem.get("ctx", {}).get("pattern", ""))
        message = f"must be {allowed}" if allowed else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {message}{given}")
    return "; ".join(lines)


def _written(part: str | int) -> str:
    """Write a part of a path as Kubernetes does; the key of a map may be any text."""
    if isinstance(part, str) and part.replace("_", "").isalnum():
        return f".{part}"
    return f"[{visible(str(part))}]"
