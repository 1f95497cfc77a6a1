"""Runs as Jobs: the manifest of one.

Source: batch/v1. One pod runs the compiled pipeline in the namespace of the resource that asked for it.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mooring_operator.api.names import MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.api.quantities import parse_quantity
from mooring_operator.api.resources import Resources
from mooring_operator.planning.manifests.pods import TMP, escape_expansion, restricted_pod
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.runs.job_states import OWNER_LABEL
from mooring_operator.planning.runs.run import TRAINING, RunOwner, RunRequest, Trainer

NAME_PREFIX = "mooring-run-"
COMPONENT_LABEL = "app.kubernetes.io/component"
RUN_LABEL = "mooring.dev/run"
PIPELINE_LABEL = "mooring.dev/pipeline"
OWNER_ANNOTATION = "mooring.dev/run-of"
"""On a Job beside its resource's namespace, for people: what asked for it."""
LABELS = {MANAGED_BY: MANAGED_BY_VALUE, COMPONENT_LABEL: "run"}
"""Of every Job and pod of a run; a NetworkPolicy selects the pods by them."""

# A kernel's limit on one environment variable (MAX_ARG_STRLEN), with its name and the escapes.
LARGEST_PARAMETERS = 120 * 1024


@dataclass(frozen=True)
class RunPods:
    """What the administrator says of the pods of runs.

    image: Mooring's components.
    longest: how long a run may take, whatever its spec says.
    kept: how long a finished Job stays.
    per_namespace: how many runs there may be at a time in a namespace; more wait for their turn.
    apart: whether they run beside their resources' namespaces, where tenants have no rights.
    cpu, memory, scratch: of each pod, where the spec says nothing; scratch is for models and data.
    """

    image: str = "localhost/mooring/components:0.1.0"
    longest: timedelta = timedelta(hours=4)
    kept: timedelta = timedelta(days=1)
    per_namespace: int = 4
    apart: bool = False
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
            **_owned(run, apart=pods.apart),
        },
        "spec": {
            # A run that failed is told, and whoever asked for it decides about another.
            "backoffLimit": 0,
            "activeDeadlineSeconds": _seconds(min(run.timeout, pods.longest)),
            "ttlSecondsAfterFinished": _seconds(kept),
            "template": {"metadata": {"labels": _labels(run)}, "spec": _pod(run, pods)},
        },
    }


def _pod(run: RunRequest, pods: RunPods) -> dict[str, Any]:
    pod = restricted_pod("run", pods.scratch)
    [container] = pod["containers"]
    run_id = {"name": "MOORING_RUN_ID", "value": escape_expansion(run.run_id)}
    home = {"name": "HOME", "value": TMP}
    container["resources"] = _resources(run.resources, pods)
    if run.trainer is not None:
        container |= _training(run, run.trainer)
        container["env"] = [run_id, home]
    else:
        container |= {
            "image": pods.image,
            # Isolated: neither the working directory nor the environment brings code in.
            "command": ["python", "-I", "-m", "mooring_pipelines", "run"],
            "args": [f"--pipeline={escape_expansion(run.pipeline)}"],
            "env": [
                run_id,
                {"name": "MOORING_RUN_PARAMETERS", "value": _as_text(run, dict(run.parameters))},
                home,
            ],
            "workingDir": TMP,
        }
    if run.credentials_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": run.credentials_secret}}]
    if run.service_account is not None:
        pod["serviceAccountName"] = run.service_account
    return pod


def _training(run: RunRequest, trainer: Trainer) -> dict[str, Any]:
    """Give the container of the user's, which gets by its last argument what the run is about."""
    told = _as_text(run, run.parameters[TRAINING])
    command = {"command": [escape_expansion(word) for word in trainer.command]} if trainer.command else {}
    return {
        "image": trainer.image,
        **command,
        "args": [*(escape_expansion(word) for word in trainer.args), told],
    }


def _as_text(run: RunRequest, value: Any) -> str:
    text = escape_expansion(json.dumps(value, separators=(",", ":"), allow_nan=False))
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
        name: max(default, asked.requests.get(name, default), key=parse_quantity)
        for name, default in defaults.items()
    }
    return {"requests": dict(asked.requests), "limits": {**limits, **asked.limits}}


def _labels(run: RunRequest) -> dict[str, str]:
    return {**LABELS, RUN_LABEL: run.run_id, PIPELINE_LABEL: run.pipeline}


def _owned(run: RunRequest, *, apart: bool) -> dict[str, Any]:
    """Say in a Job's metadata whose run it is; an owner reference leads to nothing in another namespace."""
    labels = _labels(run)
    if apart:
        return {"labels": {**labels, OWNER_LABEL: run.owner.uid}, "annotations": {OWNER_ANNOTATION: run.name}}
    return {"labels": labels, "ownerReferences": [_controlled_by(run.owner)]}


def _controlled_by(owner: RunOwner) -> dict[str, Any]:
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def _seconds(duration: timedelta) -> int:
    return max(int(duration.total_seconds()), 1)
