"""Runs as Jobs: what the pod of one says about why it does not start, or why it failed.

Source: Kubernetes 1.36, pod status. Where a container ends badly and leaves no message, the kubelet puts the last lines
of its log there (terminationMessagePolicy: FallbackToLogsOnError), up to 2048 bytes.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mooring_artifacts.uris import hide_queries

from mooring_operator.planning.status.pod_causes import cause_of_pod
from mooring_operator.planning.status.wording import one_line

_LONGEST = 300
OF_JOB = "batch.kubernetes.io/job-name"
"""The label of a Job's pods."""


def cause_of(pods: Iterable[Mapping[str, Any]]) -> str:
    """Say why the newest of a Job's pods is not ready, or failed; nothing where it tells nothing."""
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)
    if newest is None:
        return ""
    if (error := _last_error(newest) or _last_line(newest)) is not None:
        return hide_queries(error)
    cause = cause_of_pod(newest)
    return "" if cause is None else hide_queries(cause.text)


def _last_error(pod: Mapping[str, Any]) -> str | None:
    """Give the last error in the log of a run's container: of a run whose own document could not be written."""
    ended = _ended(pod)
    if any(state.get("reason") == "OOMKilled" for state in ended):
        return None
    lines = [line for state in ended for line in str(state.get("message") or "").splitlines()]
    errors = (error for line in reversed(lines) if (error := _error_of(line)))
    return next(errors, None)


def _last_line(pod: Mapping[str, Any]) -> str | None:
    """Say with which words a container ended: a program of the user's tells its error last."""
    for state in _ended(pod):
        lines = [line for line in str(state.get("message") or "").splitlines() if line.strip()]
        if state.get("exitCode") and state.get("reason") != "OOMKilled" and lines:
            return one_line(f"container run ended with exit code {state['exitCode']}: {lines[-1]}", _LONGEST)
    return None


def _ended(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return [(status.get("state") or {}).get("terminated") or {} for status in statuses]


def _error_of(line: str) -> str | None:
    """Give what a line of a run's log says went wrong with the run; None where it is another, or cut."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    told = isinstance(entry, dict) and entry.get("message") in ("run failed", "run refused", "run stopped")
    return str(entry["error"]) if told and entry.get("error") else None
