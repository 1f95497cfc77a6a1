"""The collector of a revision whose server keeps no requests: KServe's payload logger sends them there.

A Deployment and a Service for each revision, with the revision's identity, variables and settings of capture, so that
nothing of a tenant leaves the namespace. They are the InferenceService's, and go with it. Events are sent once, and
both halves of a request must come to the same process: it has one pod.
Source: KServe 0.21, spec.predictor.logger; apps/v1.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services.capturing import (
    SPOOL,
    SPOOL_FOLDER,
    SPOOL_SIZE,
    named,
    variables_of,
)
from mooring_operator.api.names import APPLIED_ANNOTATION, DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.manifests.pods import (
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    as_written,
    variables,
)
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import CollectorState

COLLECTED_LABEL = "mooring.dev/collected-revision"
"""Not the label of revisions: by that one Services and causes find the pods that answer."""

_PORT, _METRICS_PORT = 8080, 8081
_HEADERS = ["Inference-Header-Content-Length", "X-Request-Id"]
_RESOURCES = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
_PROGRESS_SECONDS = 180


def collector_name(service: str) -> str:
    """Give the name of the collector of an InferenceService; at most 56 characters, as the other has 48."""
    return f"{service}-collect"


def logger_of(owner: Owner, service: str) -> Manifest:
    """Give the logger of an InferenceService's predictor that sends requests and answers to its collector."""
    return {
        "mode": "all",
        "url": f"http://{collector_name(service)}.{owner.namespace}.svc",
        "metadataHeaders": _HEADERS,
    }


def others_logger(service: Mapping[str, Any], owner: Owner) -> dict[str, Any] | None:
    """Give the logger that somebody else has set in the place of ours; None where nobody has."""
    there: dict[str, Any] | None = service["spec"]["predictor"].get("logger")
    ours = logger_of(owner, service["metadata"]["name"])
    return there if there and there.get("url") != ours["url"] else None


def collector(
    owner: Owner, revision: Revision, service: Manifest, image: str, *, pods: int
) -> list[Manifest]:
    """Give the Deployment and the Service that collect for an InferenceService which is there."""
    name = collector_name(service["metadata"]["name"])
    labels = {
        DEPLOYMENT_LABEL: owner.name,
        "app.kubernetes.io/component": "collector",
        COLLECTED_LABEL: revision.revision,
    }
    deployment = {
        "replicas": pods,
        # Two at a time would each have half of what belongs together.
        "strategy": {"type": "Recreate"},
        "progressDeadlineSeconds": _PROGRESS_SECONDS,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": {MANAGED_BY: MANAGED_BY_VALUE, **labels}},
            "spec": _pod(owner, revision, image),
        },
    }
    ports = [{"name": "http", "port": 80, "targetPort": _PORT, "protocol": "TCP"}]
    made = (("apps/v1", "Deployment", deployment), ("v1", "Service", {"selector": labels, "ports": ports}))
    return [
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": owner.namespace,
                "labels": {MANAGED_BY: MANAGED_BY_VALUE, **labels},
                "annotations": {APPLIED_ANNOTATION: fingerprint(spec)},
                "ownerReferences": [_reference(service)],
            },
            "spec": spec,
        }
        for version, kind, spec in made
    ]


def read_collection(
    service: Mapping[str, Any], deployment: Mapping[str, Any] | None, owner: Owner
) -> CollectorState:
    """Say how the collector of an InferenceService does."""
    name = collector_name(service["metadata"]["name"])
    if (there := others_logger(service, owner)) is not None:
        return CollectorState(
            taken=f"spec.predictor.logger of InferenceService {service['metadata']['name']} was set by somebody else, "
            f"and sends requests to {str(there.get('url') or 'its own default')[:200]}; it is left as it is"
        )
    if deployment is None:
        return CollectorState(starting=f"Deployment {name} is not there yet")
    status = deployment.get("status") or {}
    if status.get("readyReplicas") or deployment["spec"].get("replicas") == 0:
        return CollectorState()
    for found in status.get("conditions") or []:
        failed = found["type"] == "ReplicaFailure" and found["status"] == "True"
        stuck = found["type"] == "Progressing" and found["status"] == "False"
        if failed or stuck:
            return CollectorState(
                problem=f"Deployment {name}: {str(found.get('message') or 'no pod is ready')[:300]}"
            )
    return CollectorState(starting=f"no pod of Deployment {name} is ready yet")


def _reference(service: Manifest) -> Manifest:
    return {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "name": service["metadata"]["name"],
        "uid": service["metadata"]["uid"],
        "controller": True,
    }


def _pod(owner: Owner, revision: Revision, image: str) -> dict[str, Any]:
    serving, capture = revision.serving_spec, revision.serving_spec.capture
    assert capture is not None
    ours = {
        **variables_of(capture),
        "MOORING_COLLECT_NAMESPACE": owner.namespace,
        "MOORING_REVISION": revision.revision,
    }
    env = named(variables(serving.env), [{"name": key, "value": text} for key, text in ours.items()])
    container: dict[str, Any] = {
        "name": "collect",
        "image": image,
        "args": [
            "collect",
            f"--http_port={_PORT}",
            f"--metrics_port={_METRICS_PORT}",
            f"--deployment={owner.name}",
        ],
        "env": [as_written(variable) for variable in env],
        "ports": [
            {"name": "http", "containerPort": _PORT},
            # By a port of its own, as whoever reaches the other may post events.
            {"name": "metrics", "containerPort": _METRICS_PORT},
        ],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": "http"}, "periodSeconds": 5},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": "http"}, "periodSeconds": 10},
        "resources": _RESOURCES,
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": SPOOL, "mountPath": SPOOL_FOLDER},
        ],
    }
    if serving.env_from:
        container["envFrom"] = [
            source.model_dump(mode="json", by_alias=True, exclude_none=True) for source in serving.env_from
        ]
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": RESTRICTED_POD,
        # Longer than events and files together take at the end.
        "terminationGracePeriodSeconds": 90,
        "containers": [container],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": SPOOL, "emptyDir": {"sizeLimit": SPOOL_SIZE}},
        ],
    }
    if serving.service_account_name:
        # Clouds that give identities to service accounts mount what they need by themselves.
        pod["serviceAccountName"] = serving.service_account_name
    if serving.image_pull_secrets:
        pod["imagePullSecrets"] = [
            secret.model_dump(mode="json", by_alias=True, exclude_none=True)
            for secret in serving.image_pull_secrets
        ]
    return pod
