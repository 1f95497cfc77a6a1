"""Runs as Jobs: whose turn it is, where a namespace may have only so many at a time.

A Job that has to wait is made suspended, and let go later.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mooring_operator.api.types import format_time
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.runs.job_states import TURN_ANNOTATION, WAITING, is_over, is_waiting


def suspended(job: Manifest) -> Manifest:
    """Give a Job as it is made where it has to wait: suspended, until it is let go."""
    annotations = {**job["metadata"].get("annotations", {}), TURN_ANNOTATION: WAITING}
    metadata = {**job["metadata"], "annotations": annotations}
    return {**job, "metadata": metadata, "spec": {**job["spec"], "suspend": True}}


def essence(job: Manifest) -> Manifest:
    """Give what says whose turn it is: of an unfinished Job, in which others may have written a megabyte."""
    metadata, known = job["metadata"], ("namespace", "name", "uid", "resourceVersion", "creationTimestamp")
    turn = (metadata.get("annotations") or {}).get(TURN_ANNOTATION)
    return {
        "apiVersion": job["apiVersion"],
        "kind": job["kind"],
        "metadata": {
            **{name: metadata[name] for name in known if name in metadata},
            "annotations": {} if turn is None else {TURN_ANNOTATION: turn},
        },
        "spec": {"suspend": bool(job["spec"].get("suspend"))},
    }


def must_wait(jobs: Iterable[Manifest], limit: int) -> bool:
    """Whether a new run has to wait behind those that a namespace has."""
    return sum(not is_over(job) for job in jobs) >= limit


def whose_turn(jobs: Iterable[Manifest], limit: int) -> Sequence[Manifest]:
    """Give the waiting Jobs that may go, the longest waiting first."""
    unfinished = [job for job in jobs if not is_over(job)]
    waiting = sorted((job for job in unfinished if is_waiting(job)), key=_age)
    free = limit - (len(unfinished) - len(waiting))
    return waiting[: max(free, 0)]


def let_go(now: datetime) -> Manifest:
    """Give the fields of a waiting Job that start it."""
    return {
        "metadata": {"annotations": {TURN_ANNOTATION: format_time(now)}},
        "spec": {"suspend": False},
    }


def has_waited_for(job: Manifest, now: datetime) -> timedelta:
    """Give the time since a Job was made."""
    made = job["metadata"].get("creationTimestamp")
    return now - datetime.fromisoformat(made) if made else timedelta()


def _age(job: Manifest) -> tuple[str, str]:
    return job["metadata"].get("creationTimestamp", ""), job["metadata"]["name"]
