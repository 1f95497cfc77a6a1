"""What the status of an InferenceService says, whatever its deployment mode.

Source: KServe 0.21. ``status.observedGeneration`` is that of the child Deployment and says nothing about the spec,
so readiness is read from what names a revision.
"""

from collections.abc import Mapping
from typing import Any

_FAILED_TRANSITIONS = frozenset({"BlockedByFailedLoad", "InvalidSpec"})


def read_condition(status: Mapping[str, Any], kind: str) -> tuple[bool, str]:
    """Give whether a condition is True, and its message where it is not."""
    entry = next((c for c in status.get("conditions", []) if c["type"] == kind), None)
    if entry is None:
        return False, ""
    good = entry["status"] == "True"
    return good, "" if good else str(entry.get("message") or entry.get("reason") or "")


def load_failure(status: Mapping[str, Any]) -> str | None:
    """Say why the model cannot be loaded; None where KServe reports no failure."""
    model = status.get("modelStatus", {})
    if model.get("transitionStatus") not in _FAILED_TRANSITIONS:
        return None
    failure = model.get("lastFailureInfo", {})
    said = f"{failure.get('reason', model['transitionStatus'])}: {failure.get('message', '')}"
    return f"KServe reports {said}".strip(": ")
