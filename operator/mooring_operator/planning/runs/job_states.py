"""Runs as Jobs: whose one is, and what its status says.

Source: batch/v1.
"""

from datetime import datetime
from typing import Any

from mooring_operator.api import GROUP
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.runs.run import RunState

TURN_ANNOTATION = "mooring.dev/turn"
"""On a Job that is made suspended: `waiting`, then the time at which it was let go."""
WAITING = "waiting"
OWNER_LABEL = "mooring.dev/owner-uid"
"""On a Job beside its resource's namespace, where no owner reference can lead."""
_WAITS = "it waits for its turn: its namespace has as many runs as MOORING_RUNS_PER_NAMESPACE allows"


def owner_uid(job: Manifest, *, apart: bool) -> str | None:
    """Give the uid of the resource of ours that a Job runs for; None where it is a namesake.

    apart: the Job's namespace is beside the resource's, and no tenant may write labels there.
    """
    controller = _controller(job)
    if apart:
        labels: dict[str, str] = job["metadata"].get("labels") or {}
        return labels.get(OWNER_LABEL) if controller is None else None
    if controller is None or not str(controller.get("apiVersion", "")).startswith(f"{GROUP}/"):
        return None
    return str(controller.get("uid", ""))


def needs_pods(job: Manifest) -> bool:
    """Whether the pods of a Job tell more of it than the Job does: it failed, or has a pod that is not ready."""
    status = job.get("status") or {}
    if "deletionTimestamp" in job["metadata"] or job["spec"].get("suspend"):
        return False
    failed = any(c["type"] == "Failed" and c.get("status") == "True" for c in status.get("conditions") or [])
    return failed or (bool(status.get("active")) and not status.get("ready"))


def state_of(job: Manifest, run_id: str, cause: str = "") -> RunState | None:
    """Give the state of a run by its Job; None where that is being deleted.

    cause: what its pods say about why they are not ready, or failed.
    """
    if "deletionTimestamp" in job["metadata"]:
        return None
    status = job.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c.get("status") == "True"}
    # SuccessCriteriaMet and FailureTarget come before the pods have ended; these two are final.
    if "Complete" in conditions:
        return RunState(run_id, "Succeeded", started_at=_began(job))
    name = job["metadata"]["name"]
    if "Failed" in conditions:
        failed = conditions["Failed"]
        return RunState(
            run_id,
            "Failed",
            _why_failed(failed, job, cause),
            timed_out=failed.get("reason") == "DeadlineExceeded",
            started_at=_began(job),
        )
    if conditions.keys() & {"SuccessCriteriaMet", "FailureTarget"}:
        # Its pods are ending, or gone; how it ended is said when they are.
        return RunState(run_id, "Pending", started_at=_began(job))
    if is_waiting(job):
        return RunState(run_id, "Pending", _WAITS, queued=True)
    if job["spec"].get("suspend"):
        return RunState(run_id, "Pending", f"somebody suspended Job {name}", started_at=_began(job))
    if status.get("ready"):
        return RunState(run_id, "Running", started_at=_began(job))
    return RunState(run_id, "Pending", _why_pending(status, job, cause), started_at=_began(job))


def is_over(job: Manifest) -> bool:
    """Whether a Job has ended, or is being deleted."""
    if "deletionTimestamp" in job["metadata"]:
        return True
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(c["type"] in ("Complete", "Failed") and c.get("status") == "True" for c in conditions)


def is_waiting(job: Manifest) -> bool:
    """Whether a Job was made suspended and has not been let go yet."""
    waits = (job["metadata"].get("annotations") or {}).get(TURN_ANNOTATION) == WAITING
    return waits and bool(job["spec"].get("suspend")) and not is_over(job)


def _controller(job: Manifest) -> dict[str, Any] | None:
    references = job["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def _began(job: Manifest) -> datetime | None:
    """Since when a run's time counts: since it was let go, or made."""
    turn = (job["metadata"].get("annotations") or {}).get(TURN_ANNOTATION)
    text = job["metadata"].get("creationTimestamp") if turn in (None, WAITING) else turn
    try:
        began = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    # Whoever may edit Jobs may write anything there.
    return began if began is not None and began.tzinfo is not None else None


def _why_failed(condition: dict[str, Any], job: Manifest, cause: str) -> str:
    name, place = _how_to_look(job)
    look = f"kubectl logs {place} job/{name} says more"
    if condition.get("reason") == "DeadlineExceeded":
        return f"it ran for longer than {job['spec'].get('activeDeadlineSeconds')} s; {look}"
    if condition.get("reason") == "BackoffLimitExceeded":
        if cause:
            return f"its pod failed: {cause}; {look}"
        pod = f"kubectl describe pod {place} -l job-name={name}"
        return f"its pod failed; {look}, {pod} whether it ran out of memory"
    said = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")
    return f"{said or 'its Job failed'}; {look}"


def _why_pending(status: dict[str, Any], job: Manifest, cause: str) -> str:
    name, place = _how_to_look(job)
    if status.get("active"):
        if cause:
            return f"its pod has not started: {cause}"
        return f"its pod has not started: kubectl describe pod {place} -l job-name={name} says why"
    return (
        f"it has no pod yet: kubectl describe job {place} {name} says whether a quota or a policy refuses it"
    )


def _how_to_look(job: Manifest) -> tuple[str, str]:
    """Give the Job's name, and kubectl's option for its namespace, which may not be the resource's."""
    return job["metadata"]["name"], f"-n {job['metadata']['namespace']}"
