"""What the status of an InferenceService says, whatever its deployment mode.

Source: KServe 0.21. ``status.observedGeneration`` is that of the child Deployment and says nothing about the spec,
so readiness is read from what names a revision.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mooring_operator.planning.routes import Variant
from mooring_operator.planning.status.pod_causes import Cause
from mooring_operator.planning.status.wording import because

_FAILED_TRANSITIONS = frozenset({"BlockedByFailedLoad", "InvalidSpec"})
# What a model's runtime can never do, KServe's words; one that is missing may come.
_FINAL_FAILURES = frozenset({"NoSupportingRuntime", "RuntimeDisabled", "InvalidPredictorSpec"})


def read_condition(status: Mapping[str, Any], kind: str) -> tuple[bool, str]:
    """Give whether a condition is True, and where it is not its message, or what else it says: Knative's have none."""
    entry = next((c for c in status.get("conditions", []) if c["type"] == kind), None)
    if entry is None:
        return False, ""
    if entry["status"] == "True":
        return True, ""
    reason = because(str(entry.get("reason") or ""))
    return False, str(entry.get("message") or "") or f"KServe reports {kind} {entry['status']}{reason}"


def not_taken_up(service: Mapping[str, Any], canary: str | None = None) -> str:
    """Say that KServe has yet to look at an InferenceService, or at its `canary`; nothing where it has."""
    status = service.get("status") or {}
    known = [entry["name"] for entry in status.get("canaryStatuses") or []]
    if status.get("conditions") and canary in (None, *known):
        return ""
    name = service["metadata"]["name"]
    what = f"canary {canary} of InferenceService {name}" if canary is not None else f"InferenceService {name}"
    return f"KServe has not taken up {what} yet (is its controller running?)"


def cannot_heal(status: Mapping[str, Any]) -> str | None:
    """Say what KServe reports that waiting does not help; None for anything else, a load that failed above all."""
    model = status.get("modelStatus") or {}
    failure = model.get("lastFailureInfo") or {}
    if model.get("transitionStatus") != "InvalidSpec" or failure.get("reason") not in _FINAL_FAILURES:
        return None
    return load_failure(status)


def load_failure(status: Mapping[str, Any]) -> str | None:
    """Say why the model is not loaded, as KServe reports it now; None where it reports no failure.

    The next attempt may succeed: KServe takes its report back when the model is there.
    """
    model = status.get("modelStatus") or {}
    if model.get("transitionStatus") not in _FAILED_TRANSITIONS:
        return None
    failure = model.get("lastFailureInfo") or {}
    said = f"{failure.get('reason', model['transitionStatus'])}: {failure.get('message', '')}"
    return f"KServe reports {said}".strip(": ")


def with_cause(variant: Variant, status: Mapping[str, Any], cause: Cause | None) -> Variant:
    """Say of a variant that is not ready why, by what tells most, and whether it can become so."""
    if variant.ready:
        return variant
    final = cannot_heal(status) or (cause.text if cause is not None and cause.final else None)
    told = (cause.text if cause is not None else "") or load_failure(status) or variant.message
    return replace(variant, message=told, blocked=final)
