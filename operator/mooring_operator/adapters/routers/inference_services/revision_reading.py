"""What a revision's InferenceService and the Deployments behind it say.

Source: KServe 0.21; Kubernetes, apps/v1. A revision is ready when pods of every component of it are, whatever the
InferenceService says: its conditions lag behind, and its Ready leaves components out.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services.revision_manifest import STOP_ANNOTATION
from mooring_operator.adapters.routers.inference_services.status import cannot_heal, not_taken_up
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.routes import Variant
from mooring_operator.planning.status.pod_causes import Cause

COMPONENTS = ("predictor", "transformer", "explainer")


def components_of(revision: Revision) -> list[str]:
    """Give the components that a revision asks for; a Deployment `SERVICE-COMPONENT` runs each.

    What somebody else has added to its InferenceService is none of them.
    """
    return [name for name in COMPONENTS if name == "predictor" or revision.serving.get(name)]


def entry_of(revision: Revision) -> str:
    """Give the component that requests come in by."""
    return "transformer" if "transformer" in components_of(revision) else "predictor"


def read_variant(
    revision: Revision,
    service: Manifest,
    deployments: Mapping[str, Manifest | None],
    cause: Cause | None = None,
    *,
    fresh: bool = False,
) -> Variant:
    """Say how a revision does.

    Args:
        revision: the revision.
        service: its InferenceService.
        deployments: by component; None where there is none.
        cause: why its pods are not ready, as the objects behind it tell.
        fresh: whether the service was written so lately that nobody can be said to be away.
    """
    pods = 0 if _is_to_have_none(service) else ready_pods(deployments)
    ready = pods > 0
    # Whoever has told a cause is not away.
    silent = cause is None and (not ready or _lags(service, deployments))
    waiting = _waits_for(service, deployments) if silent else ""
    blocked = (
        None
        if ready
        else cannot_heal(service.get("status") or {}) or (cause.text if cause and cause.final else None)
    )
    said = "" if ready else (cause.text if cause else "") or waiting or _said(service, deployments)
    return Variant(
        ready=ready,
        workload=revision.workload,
        message=said,
        blocked=blocked,
        pods=pods,
        waiting="" if fresh else waiting,
        address=_address(service, revision),
    )


def _address(service: Mapping[str, Any], revision: Revision) -> str:
    """Give where a revision alone answers: KServe has a Service for its entry."""
    metadata = service["metadata"]
    return f"http://{metadata['name']}-{entry_of(revision)}.{metadata['namespace']}.svc"


def ready_pods(deployments: Mapping[str, Manifest | None]) -> int:
    """Give the predictor's ready pods; 0 while another component has none. Those that are to end do not count."""
    counts = {name: _staying(deployment) for name, deployment in deployments.items()}
    return counts.get("predictor", 0) if counts and all(counts.values()) else 0


def lags_behind(deployments: Mapping[str, Manifest | None]) -> bool:
    """Whether the pods that are counted may be on their way out: the count is older than what is asked for now."""
    return any(_is_behind(deployment) for deployment in deployments.values() if deployment is not None)


def _is_behind(deployment: Manifest) -> bool:
    generation = deployment["metadata"].get("generation", 0)
    return bool(_count(deployment, "observedGeneration") < generation)


def _staying(deployment: Manifest | None) -> int:
    asked = int(((deployment or {}).get("spec") or {}).get("replicas", 1))
    return min(_count(deployment, "readyReplicas"), asked)


def _is_to_have_none(service: Manifest) -> bool:
    """Whether its pods are to end, which KServe may not have passed on yet."""
    if _has_fixed_number(service) and service["spec"]["predictor"].get("minReplicas", 1) == 0:
        return True
    return (service["metadata"].get("annotations") or {}).get(STOP_ANNOTATION) == "true"


def _has_fixed_number(service: Manifest) -> bool:
    return (service["metadata"].get("annotations") or {}).get("serving.kserve.io/autoscalerClass") == "none"


def _waits_for(service: Manifest, deployments: Mapping[str, Manifest | None]) -> str:
    """Say which controller has yet to do its part."""
    name = service["metadata"]["name"]
    for component, deployment in deployments.items():
        if deployment is None:
            if why := not_taken_up(service):
                return why
            continue
        if _is_behind(deployment):
            return f"Kubernetes has not taken up Deployment {name}-{component} as it is now"
    return _lags(service, deployments)


def _lags(service: Manifest, deployments: Mapping[str, Manifest | None]) -> str:
    """Say that a fixed number of pods is asked for that KServe has not passed on."""
    if not _has_fixed_number(service):
        return ""
    deployment, wanted = deployments.get("predictor"), service["spec"]["predictor"].get("minReplicas", 1)
    if deployment is None or deployment["spec"].get("replicas", 1) == wanted:
        return ""
    return (
        f"KServe has not scaled Deployment {deployment['metadata']['name']} to {wanted} pods yet "
        "(is its controller running?)"
    )


def _said(service: Manifest, deployments: Mapping[str, Manifest | None]) -> str:
    """Give what conditions say where nothing tells more."""
    for deployment in deployments.values():
        conditions = ((deployment or {}).get("status") or {}).get("conditions") or []
        for kind, good in (("ReplicaFailure", "False"), ("Progressing", "True"), ("Available", "True")):
            found = next((entry for entry in conditions if entry["type"] == kind), None)
            if found is not None and found["status"] != good and found.get("message"):
                return str(found["message"])
    for entry in (service.get("status") or {}).get("conditions") or []:
        if entry["status"] == "False" and entry.get("severity") != "Info" and entry.get("message"):
            return str(entry["message"])
    return ""


def _count(deployment: Manifest | None, field: str) -> int:
    return int(((deployment or {}).get("status") or {}).get(field) or 0)
