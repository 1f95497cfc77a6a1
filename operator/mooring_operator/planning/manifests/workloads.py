"""What a deployment has besides its service: a CronJob for files of rows, a Deployment for messages, a budget."""

from dataclasses import dataclass
from typing import Any, Literal

from mooring_operator.api.names import (
    APPLIED_ANNOTATION,
    DEPLOYMENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_VALUE,
    REVISION_LABEL,
)
from mooring_operator.api.resources import Resources
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.scheduling import DisruptionBudget
from mooring_operator.api.workloads import BatchSpec, StreamSpec
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.manifests.pods import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    as_written,
    escape_expansion,
    int_or_percent,
    variables,
)
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owner_reference

_MODELS = "/mnt/models"
_CLAIM = "/mnt/pvc"

Workload = Literal["batch", "stream", "disruption_budget"]
"""What there is besides the service of a deployment with a stable revision: the field in status."""


@dataclass(frozen=True)
class Images:
    """Images of the pods that the operator makes itself."""

    inference: str = "localhost/mooring/inference:0.1.0"
    storage_initializer: str = "kserve/storage-initializer:v0.21.0"


def name_of(owner: Owner, workload: Workload) -> str:
    """Give the name of a workload's object."""
    return f"{owner.name}-{workload.replace('_', '-')}"


def cron_job(owner: Owner, stable: Revision, batch: BatchSpec, images: Images) -> Manifest:
    """Give the CronJob that scores files.

    Source: batch/v1; an Indexed Job names each pod's share of the files.
    """
    arguments = [
        "score",
        f"--model_dir={_MODELS}",
        f"--input={escape_expansion(batch.input)}",
        f"--output={escape_expansion(batch.output)}",
        f"--format={batch.format}",
        f"--shard=$(JOB_COMPLETION_INDEX)/{batch.shards}",
    ]
    if batch.batch_size is not None:
        arguments.append(f"--batch_size={batch.batch_size}")
    if batch.id_column is not None:
        arguments.append(f"--id_column={escape_expansion(batch.id_column)}")
    pod = _pod(stable, arguments, images, batch.resources, batch.credentials_secret)
    job: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": batch.shards,
        "parallelism": batch.shards,
        "template": {
            "metadata": {"labels": _labels(owner, "batch", stable)},
            # What a container has finished stays: the next one goes on.
            "spec": {**pod, "restartPolicy": "OnFailure"},
        },
    }
    if batch.timeout is not None:
        job["activeDeadlineSeconds"] = int(batch.timeout.total_seconds())
    spec: dict[str, Any] = {
        "schedule": batch.schedule,
        "suspend": batch.suspend,
        # Two runs at a time would do the same work.
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": batch.history_limit,
        "failedJobsHistoryLimit": batch.history_limit,
        "jobTemplate": {"metadata": {"labels": _labels(owner, "batch")}, "spec": job},
    }
    if batch.time_zone is not None:
        spec["timeZone"] = batch.time_zone
    return _manifest(owner, "batch", "batch/v1", "CronJob", spec)


def consumers(owner: Owner, stable: Revision, stream: StreamSpec, images: Images) -> Manifest:
    """Give the Deployment that answers messages."""
    arguments = [
        "stream",
        f"--model_dir={_MODELS}",
        f"--model_name={owner.name}",
        f"--revision={stable.revision}",
        f"--source={escape_expansion(stream.source)}",
        f"--sink={escape_expansion(stream.sink)}",
        f"--group={escape_expansion(stream.group or owner.name)}",
        "--metrics_port=8080",
    ]
    if stream.dead_letters is not None:
        arguments.append(f"--dead_letters={escape_expansion(stream.dead_letters)}")
    if stream.batch_size is not None:
        arguments.append(f"--batch_size={stream.batch_size}")
    pod = _pod(stable, arguments, images, stream.resources, stream.credentials_secret)
    container = pod["containers"][0]
    container["ports"] = [{"name": "metrics", "containerPort": 8080}]
    container["readinessProbe"] = _probe("ready")
    container["livenessProbe"] = _probe("live")
    labels = _labels(owner, "stream")
    spec = {
        "replicas": stream.replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": _labels(owner, "stream", stable)},
            "spec": {**pod, "terminationGracePeriodSeconds": 60},
        },
    }
    return _manifest(owner, "stream", "apps/v1", "Deployment", spec)


def disruption_budget(owner: Owner, budget: DisruptionBudget) -> Manifest:
    """Give the PodDisruptionBudget of the pods that serve, whatever their revision.

    Source: policy/v1.
    """
    said = budget.model_dump(mode="json", by_alias=True, exclude_none=True)
    limits = {field: int_or_percent(value) for field, value in said.items()}
    # A transformer has pods of another number.
    selector = {"matchLabels": {DEPLOYMENT_LABEL: owner.name, "component": "predictor"}}
    return _manifest(
        owner, "disruption_budget", "policy/v1", "PodDisruptionBudget", {**limits, "selector": selector}
    )


def _manifest(
    owner: Owner, workload: Workload, api_version: str, kind: str, spec: dict[str, Any]
) -> Manifest:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name_of(owner, workload),
            "namespace": owner.namespace,
            "labels": {MANAGED_BY: MANAGED_BY_VALUE, **_labels(owner, workload)},
            "annotations": {APPLIED_ANNOTATION: fingerprint(spec)},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": spec,
    }


def _labels(owner: Owner, workload: Workload, revision: Revision | None = None) -> dict[str, str]:
    labels = {DEPLOYMENT_LABEL: owner.name, "app.kubernetes.io/component": workload.replace("_", "-")}
    return labels if revision is None else {**labels, REVISION_LABEL: revision.revision}


def _pod(
    revision: Revision,
    arguments: list[str],
    images: Images,
    resources: Resources | None,
    credentials: str | None,
) -> dict[str, Any]:
    serving = revision.serving_spec
    source, claim = _source(revision.load_address)
    mounts = [{"name": "model", "mountPath": _MODELS}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    volumes: list[dict[str, Any]] = [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    fetch: dict[str, Any] = {
        "name": "storage-initializer",
        "image": images.storage_initializer,
        "args": [escape_expansion(source), _MODELS],
        "volumeMounts": mounts,
        "securityContext": RESTRICTED_CONTAINER,
    }
    if claim is not None:
        volumes.append({"name": "claim", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
        fetch["volumeMounts"] = [*mounts, {"name": "claim", "mountPath": _CLAIM, "readOnly": True}]
    if revision.files_to_load is not None:
        arguments = [*arguments, f"--model_digest={revision.files_to_load}"]
    run: dict[str, Any] = {
        "name": "model",
        "image": images.inference,
        "args": arguments,
        "env": [as_written(variable) for variable in variables(serving.env)],
        "volumeMounts": [{**mounts[0], "readOnly": True}, mounts[1]],
        "securityContext": RESTRICTED_CONTAINER,
    }
    if serving.env_from:
        run["envFrom"] = [
            source.model_dump(mode="json", by_alias=True, exclude_none=True) for source in serving.env_from
        ]
    if credentials is not None:
        for container in (fetch, run):
            # Of two sources the last one counts.
            container["envFrom"] = [*container.get("envFrom", []), {"secretRef": {"name": credentials}}]
    wanted = resources or serving.resources
    if wanted is not None:
        quantities = {"requests": dict(wanted.requests), "limits": dict(wanted.limits)}
        run["resources"] = {kind: amounts for kind, amounts in quantities.items() if amounts}
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": RESTRICTED_POD,
        "initContainers": [fetch],
        "containers": [run],
        "volumes": volumes,
    }
    if serving.service_account_name:
        # Clouds that give identities to service accounts mount what they need by themselves.
        pod["serviceAccountName"] = serving.service_account_name
    return pod


def _source(storage_uri: str) -> tuple[str, str | None]:
    """What the storage initializer copies from, and the claim that has to be mounted for it."""
    if not storage_uri.startswith("pvc://"):
        return storage_uri, None
    claim, _, path = storage_uri.removeprefix("pvc://").partition("/")
    return f"{_CLAIM}/{path}", claim


def _probe(path: Literal["ready", "live"]) -> dict[str, Any]:
    return {"httpGet": {"path": f"/health/{path}", "port": "metrics"}, "periodSeconds": 10}
