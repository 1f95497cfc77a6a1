"""Says whether requests are kept as ``spec.serving.capture`` asks: by Mooring's own runtime, or by a collector."""

from collections.abc import Iterator

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning.rollout.draft import Draft
from mooring_operator.planning.routes import Variant

CONDITION = "Capturing"
_LOOK_AGAIN, _LOOK_AGAIN_AT_PROBLEM = 15.0, 60.0
"""Seconds until the next look at a collector that starts, or that does not run: nothing tells when it does."""

_FLAG = "capture_uri"


def may_capture(revision: Revision) -> bool:
    """Whether the runtime of a revision is Mooring's, for all that is known."""
    return revision.runtime is None or revision.runtime.captures


def collects(revision: Revision) -> bool:
    """Whether a collector is to keep the requests of a revision, whose own server keeps none.

    What a spec sends elsewhere goes there.
    """
    serving, runtime = revision.serving_spec, revision.runtime
    return (
        serving.capture is not None
        and not _logs(serving)
        and runtime is not None
        and not runtime.captures
        and not any(_sets_capture(argument) for argument in _arguments(revision))
    )


def look_again(draft: Draft) -> float | None:
    """Give after how many seconds to look at a collector that does not run yet; None where there is none."""
    revision = draft.candidate or draft.stable
    if revision is None or not collects(revision) or (variant := _variant(draft, revision)) is None:
        return None
    state = variant.collector
    if state is None or state.starting:
        return _LOOK_AGAIN
    return _LOOK_AGAIN_AT_PROBLEM if state.problem else None


def condition(draft: Draft) -> dict[str, tuple[str, str, str]]:
    """Give the condition for the revision that is on its way, or else is stable; none where nothing is asked for."""
    revision = draft.candidate or draft.stable
    asked = draft.spec.serving.capture is not None
    if revision is None or not (asked or revision.serving_spec.capture is not None):
        return {}
    return {
        CONDITION: _of(revision, _variant(draft, revision), serves_each=draft.observed.router.serves_each)
    }


def _variant(draft: Draft, revision: Revision) -> Variant | None:
    service = draft.observed.service
    return service.variants.get(revision.revision) if service is not None else None


def _of(revision: Revision, variant: Variant | None, *, serves_each: bool) -> tuple[str, str, str]:
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
            _unconfirmed(name, capture.store, serves_each=serves_each),
        )
    if collects(revision):
        return _collected(name, capture.store, variant)
    if not runtime.captures and _logs(revision.serving_spec):
        return (
            "False",
            reasons.CAPTURE_OVERRIDDEN,
            f"{name} sends its requests where logger of spec.serving, or of its template, says, and can send them to "
            "one place only: take that away, or spec.serving.capture",
        )
    return "True", reasons.REQUESTS_KEPT, f"{name} keeps requests below {capture.store}"


def _unconfirmed(name: str, store: str, *, serves_each: bool) -> str:
    """Say why nobody knows what runs, and what keeps the requests of any server."""
    if serves_each:
        why, way = "it runs on no copy of a runtime", "name one in spec.serving.runtime"
    else:
        why, way = "its router copies no runtime", "take spec.rollout.router Gateway or Endpoints"
    return (
        f"{name} keeps requests in {store} if its server is mooring-inference, which is not known: {why}. For another "
        f"server there is no collector then: {way}"
    )


def _collected(name: str, store: str, variant: Variant | None) -> tuple[str, str, str]:
    state = variant.collector if variant is not None else None
    if state is None:
        return (
            "Unknown",
            reasons.CAPTURE_UNCONFIRMED,
            f"{name}: the collector of its requests is not there yet",
        )
    if state.taken:
        return "False", reasons.CAPTURE_OVERRIDDEN, f"{name}: {state.taken}"
    if state.problem:
        return "False", reasons.COLLECTOR_UNAVAILABLE, f"{name}: {state.problem}"
    if state.starting:
        return "Unknown", reasons.CAPTURE_UNCONFIRMED, f"{name}: {state.starting}"
    return "True", reasons.REQUESTS_KEPT, f"a collector keeps requests of {name} below {store}"


def _logs(serving: ServingSpec) -> bool:
    return serving.logger is not None or "logger" in (serving.template or {})


def _arguments(revision: Revision) -> Iterator[str]:
    yield from revision.serving_spec.args
    containers = (revision.runtime.spec.get("containers") if revision.runtime else None) or []
    for container in containers:
        yield from (str(argument) for argument in container.get("args") or [])


def _sets_capture(argument: str) -> bool:
    return argument.partition("=")[0].removeprefix("--").replace("-", "_") == _FLAG and argument.startswith(
        "--"
    )
