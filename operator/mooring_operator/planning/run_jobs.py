"""Runs as Jobs: the manifest of one, what its status says, and whose turn it is.

Source: batch/v1. One pod runs the compiled pipeline in the namespace of the resource that asked for it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mooring_operator.api import GROUP
from mooring_operator.api.names import MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.api.serving import Resources
from mooring_operator.api.types import format_time
from mooring_operator.planning.difference import quantity
from mooring_operator.planning.pods import RESTRICTED_CONTAINER, RESTRICTED_POD, escape_expansion
from mooring_operator.planning.runs import RunOwner, RunRequest, RunState
from mooring_operator.planning.situation import Manifest

NAME_PREFIX = "mooring-run-"
COMPONENT_LABEL = "app.kubernetes.io/component"
RUN_LABEL = "mooring.dev/run"
PIPELINE_LABEL = "mooring.dev/pipeline"
TURN_ANNOTATION = "mooring.dev/turn"
"""On a Job that is made suspended: `waiting`, then the time at which it was let go."""
LABELS = {MANAGED_BY: MANAGED_BY_VALUE, COMPONENT_LABEL: "run"}
"""Of every Job and pod of a run; a NetworkPolicy selects the pods by them."""

# A kernel's limit on one environment variable (MAX_ARG_STRLEN), with its name and the escapes.
LARGEST_PARAMETERS = 120 * 1024
_WAITING = "waiting"
_WAITS = "it waits for its turn: its namespace has as many runs as MOORING_RUNS_PER_NAMESPACE allows"
_TMP = "/tmp"  # noqa: S108 - of the container


@dataclass(frozen=True)
class RunPods:
    """What the administrator says of the pods of runs.

    image: Mooring's components.
    longest: how long a run may take, whatever its spec says.
    kept: how long a finished Job stays.
    per_namespace: how many runs there may be at a time in a namespace; more wait for their turn.
    cpu, memory, scratch: of each pod, where the spec says nothing; scratch is for models and data.
    """

    image: str = "localhost/mooring/components:0.1.0"
    longest: timedelta = timedelta(hours=4)
    kept: timedelta = timedelta(days=1)
    per_namespace: int = 4
    cpu: str = "1"
    memory: str = "2Gi"
    scratch: str = "10Gi"


def name_of(run_id: str) -> str:
    """Give the name of a run's Job: the id decides it, so that the run exists once."""
    return f"{NAME_PREFIX}{run_id}"


def job_of(run: RunRequest, pods: RunPods) -> Manifest:
    """Give the Job of a run.

    Raises:
        ValueError: the parameters are too large for an environment variable.
    """
    kept = min(run.kept or pods.kept, pods.kept)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_of(run.run_id),
            "namespace": run.namespace,
            "labels": _labels(run),
            "ownerReferences": [_controlled_by(run.owner)],
        },
        "spec": {
            # A run that failed is told, and whoever asked for it decides about another.
            "backoffLimit": 0,
            "activeDeadlineSeconds": _seconds(min(run.timeout, pods.longest)),
            "ttlSecondsAfterFinished": _seconds(kept),
            "template": {"metadata": {"labels": _labels(run)}, "spec": _pod(run, pods)},
        },
    }


def suspended(job: Manifest) -> Manifest:
    """Give a Job as it is made where it has to wait: suspended, until it is let go."""
    metadata = {**job["metadata"], "annotations": {TURN_ANNOTATION: _WAITING}}
    return {**job, "metadata": metadata, "spec": {**job["spec"], "suspend": True}}


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
    waits = (job["metadata"].get("annotations") or {}).get(TURN_ANNOTATION) == _WAITING
    return waits and bool(job["spec"].get("suspend")) and not is_over(job)


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


def _pod(run: RunRequest, pods: RunPods) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "run",
        "image": pods.image,
        # Isolated: neither the working directory nor the environment brings code in.
        "command": ["python", "-I", "-m", "mooring_pipelines", "run"],
        "args": [f"--pipeline={escape_expansion(run.pipeline)}"],
        "env": [
            {"name": "MOORING_RUN_ID", "value": escape_expansion(run.run_id)},
            {"name": "MOORING_RUN_PARAMETERS", "value": _parameters(run)},
            {"name": "HOME", "value": _TMP},
        ],
        "resources": _resources(run.resources, pods),
        "volumeMounts": [{"name": "tmp", "mountPath": _TMP}],
        "workingDir": _TMP,
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if run.credentials_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": run.credentials_secret}}]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        # A run never speaks to the API server. Clouds that give identities to service accounts mount what they
        # need by themselves.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": RESTRICTED_POD,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": pods.scratch}}],
    }
    if run.service_account is not None:
        pod["serviceAccountName"] = run.service_account
    return pod


def _parameters(run: RunRequest) -> str:
    text = escape_expansion(json.dumps(dict(run.parameters), separators=(",", ":"), allow_nan=False))
    if len(text) > LARGEST_PARAMETERS:
        raise ValueError(
            f"the parameters of pipeline {run.pipeline} have {len(text)} bytes; a pod takes {LARGEST_PARAMETERS}: "
            "name fewer gates or features"
        )
    return text


def _resources(asked: Resources | None, pods: RunPods) -> dict[str, Any]:
    """What the spec asks for; without a word of it requests equal limits, for latencies are measured here."""
    defaults = {"cpu": pods.cpu, "memory": pods.memory}
    if asked is None:
        return {"requests": defaults, "limits": defaults}
    limits = {
        name: max(default, asked.requests.get(name, default), key=quantity)
        for name, default in defaults.items()
    }
    return {"requests": dict(asked.requests), "limits": {**limits, **asked.limits}}


def _labels(run: RunRequest) -> dict[str, str]:
    return {**LABELS, RUN_LABEL: run.run_id, PIPELINE_LABEL: run.pipeline}


def _controlled_by(owner: RunOwner) -> dict[str, Any]:
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def _controller(job: Manifest) -> dict[str, Any] | None:
    references = job["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def _age(job: Manifest) -> tuple[str, str]:
    return job["metadata"].get("creationTimestamp", ""), job["metadata"]["name"]


def _began(job: Manifest) -> datetime | None:
    """Since when a run's time counts: since it was let go, or made."""
    turn = (job["metadata"].get("annotations") or {}).get(TURN_ANNOTATION)
    text = job["metadata"].get("creationTimestamp") if turn in (None, _WAITING) else turn
    try:
        began = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    # Whoever may edit Jobs may write anything there.
    return began if began is not None and began.tzinfo is not None else None


def _seconds(duration: timedelta) -> int:
    return max(int(duration.total_seconds()), 1)


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
