"""Runs as Jobs: whose one is, and what its status says.

Source: batch/v1.
"""

from datetime import datetime
from typing import Any

from mooring_operator.api import GROUP
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.runs.run import RunOwner, RunState

TURN_ANNOTATION = "mooring.dev/turn"
"""On a Job that is made suspended: `waiting`, then the time at which it was let go."""
WAITING = "waiting"
_WAITS = "it waits for its turn: its namespace has as many runs as MOORING_RUNS_PER_NAMESPACE allows"


def belongs_to_us(job: Manifest) -> bool:
    """Whether a Job is the run of one of our resources, and no namesake."""
    controller = _controller(job)
    return controller is not None and str(controller.get("apiVersion", "")).startswith(f"{GROUP}/")


def belongs_to(job: Manifest, owner: RunOwner) -> bool:
    """Whether a Job is the run of `owner`."""
    controller = _controller(job)
    return controller is not None and controller.get("uid") == owner.uid


def state_of(job: Manifest, run_id: str) -> RunState | None:
    """Give the state of a run by its Job; None where that is being deleted."""
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
            _why_failed(failed, name, job["spec"].get("activeDeadlineSeconds")),
            timed_out=failed.get("reason") == "DeadlineExceeded",
            started_at=_began(job),
        )
    if is_waiting(job):
        return RunState(run_id, "Pending", _WAITS, queued=True)
    if job["spec"].get("suspend"):
        return RunState(run_id, "Pending", f"somebody suspended Job {name}", started_at=_began(job))
    if status.get("ready"):
        return RunState(run_id, "Running", started_at=_began(job))
    return RunState(run_id, "Pending", _why_pending(status, name), started_at=_began(job))


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


def _why_failed(condition: dict[str, Any], name: str, deadline: int | None) -> str:
    look = f"kubectl logs job/{name} says more"
    if condition.get("reason") == "DeadlineExceeded":
        return f"it ran for longer than {deadline} s; {look}"
    if condition.get("reason") == "BackoffLimitExceeded":
        return f"its pod failed; {look}, kubectl describe pod -l job-name={name} whether it ran out of memory"
    said = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")
    return f"{said or 'its Job failed'}; {look}"


def _why_pending(status: dict[str, Any], name: str) -> str:
    if status.get("active"):
        return f"its pod has not started: kubectl describe pod -l job-name={name} says why"
    return f"it has no pod yet: kubectl describe job {name} says whether a quota or a policy refuses it"
