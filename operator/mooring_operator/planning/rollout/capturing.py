"""Says whether requests are kept as ``spec.serving.capture`` asks: only Mooring's own runtime does."""

from collections.abc import Iterator

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.rollout.draft import Draft

CONDITION = "Capturing"

_FLAG = "capture_uri"


def may_capture(revision: Revision) -> bool:
    """Whether the runtime of a revision is Mooring's, for all that is known."""
    return revision.runtime is None or revision.runtime.captures


def condition(draft: Draft) -> dict[str, tuple[str, str, str]]:
    """Give the condition for the revision that is on its way, or else is stable; none where nothing is asked for."""
    revision = draft.candidate or draft.stable
    asked = draft.spec.serving.capture is not None
    if revision is None or not (asked or revision.serving_spec.capture is not None):
        return {}
    return {CONDITION: _of(revision)}


def _of(revision: Revision) -> tuple[str, str, str]:
    capture, runtime, name = revision.serving_spec.capture, revision.runtime, f"revision {revision.revision}"
    if capture is None:
        return (
            "False",
            reasons.CAPTURE_NOT_SERVED,
            f"{name} was made without spec.serving.capture, and keeps nothing",
        )
    if any(_sets_capture(argument) for argument in _arguments(revision)):
        return (
            "False",
            reasons.CAPTURE_OVERRIDDEN,
            f"{name} keeps requests where --{_FLAG} among the arguments of its runtime, or of spec.serving, says; take "
            "that away, or spec.serving.capture",
        )
    if runtime is None:
        return (
            "Unknown",
            reasons.CAPTURE_UNCONFIRMED,
            f"{name} runs on no copy of a runtime, so that it is not known whether its server is mooring-inference, "
            f"which alone keeps requests in {capture.store}",
        )
    if not runtime.captures:
        return (
            "False",
            reasons.RUNTIME_DOES_NOT_CAPTURE,
            f"{name} runs on {runtime.kind} {runtime.name}, which keeps no requests: name mooring-inference in "
            "spec.serving.runtime, or take spec.serving.capture away",
        )
    return "True", reasons.REQUESTS_KEPT, f"{name} keeps requests below {capture.store}"


def _arguments(revision: Revision) -> Iterator[str]:
    yield from revision.serving_spec.args
    containers = (revision.runtime.spec.get("containers") if revision.runtime else None) or []
    for container in containers:
        yield from (str(argument) for argument in container.get("args") or [])


def _sets_capture(argument: str) -> bool:
    return argument.partition("=")[0].removeprefix("--").replace("-", "_") == _FLAG and argument.startswith(
        "--"
    )
