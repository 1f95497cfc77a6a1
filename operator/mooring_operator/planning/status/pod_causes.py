"""Why pods are not ready, or failed: what a pod and the Events about it say, in one sentence.

Source: Kubernetes 1.36, pod status and the reasons of the scheduler's and the kubelet's Events.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from mooring_operator.planning.status.wording import because, one_line

_LONGEST = 300
# What waiting does not help: the revision, and with it what the pod asks for, stays as it is.
_FINAL_WAITS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
# What follows from something else that is told, or means nothing.
_NOISE = frozenset({"BackOff"})
_QUIET_WAITS = frozenset({"", "ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class Cause:
    """Why pods are not ready; `final` where they cannot become so as they are."""

    text: str
    final: bool = False


def first_unready(pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Give the pod that tells most: one that fails before one that only waits; None where all are ready."""
    unready = [pod for pod in pods if not _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
    return min(
        unready, key=lambda pod: (cause_of_pod(pod) is None, pod["metadata"].get("name", "")), default=None
    )


def cause_of_pod(pod: Mapping[str, Any]) -> Cause | None:
    """Say what a pod's own status gives as the cause; None where it gives none."""
    status = pod.get("status") or {}
    scheduled = _condition(pod, "PodScheduled")
    if scheduled is not None and scheduled["status"] == "False":
        return Cause(_sentence("pods cannot be scheduled", scheduled.get("message", "")))
    groups = (status.get("initContainerStatuses"), status.get("containerStatuses"))
    containers = (container for group in groups for container in group or [])
    causes = (cause for container in containers for cause in _causes_of_container(container))
    return next(causes, None) or _cause_of_removal(status)


def _cause_of_removal(status: Mapping[str, Any]) -> Cause | None:
    """Say why the kubelet or the scheduler ended a pod, whose containers may tell nothing of it."""
    if status.get("phase") != "Failed" or not status.get("reason"):
        return None
    return Cause(_sentence(f"the pod was ended: {status['reason']}", status.get("message", "")))


def cause_of_events(events: Iterable[Mapping[str, Any]], noise: Set[str] = frozenset()) -> Cause | None:
    """Say what the last Event tells that is a warning, and not the consequence of another; None for none.

    noise: further reasons that tell nothing.
    """
    heard = [event for event in events if event.get("reason") not in _NOISE | noise]
    told = [event for event in heard if event.get("type") == "Warning"]
    last = max(told, key=_time, default=None)
    return None if last is None else Cause(_sentence(last.get("reason") or "Warning", last.get("note", "")))


def _causes_of_container(container: Mapping[str, Any]) -> Iterator[Cause]:
    what = f"container {container.get('name', '')}"
    state, before = container.get("state") or {}, container.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or before.get("terminated") or {}
    reason = waiting.get("reason", "")
    if ended.get("reason") == "OOMKilled":
        yield Cause(f"{what} was killed, for it used more memory than its limit")
    elif ended.get("exitCode"):
        yield Cause(_sentence(f"{what} ended with exit code {ended['exitCode']}", ended.get("message", "")))
    elif reason not in _QUIET_WAITS:
        text = _sentence(f"{what} does not start: {reason}", waiting.get("message", ""))
        yield Cause(text, reason in _FINAL_WAITS)


def _sentence(what: str, why: str) -> str:
    return one_line(what + because(str(why)), _LONGEST)


def _is_ready(pod: Mapping[str, Any]) -> bool:
    condition = _condition(pod, "Ready")
    return condition is not None and condition["status"] == "True"


def _condition(pod: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == kind), None)


def _time(event: Mapping[str, Any]) -> str:
    """Give when an Event was last seen; times of Kubernetes sort as text."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime") or event.get("deprecatedLastTimestamp") or event.get("eventTime") or ""
    )
