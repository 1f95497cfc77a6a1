"""Says which revision an InferenceService runs, by what stands in it alone: where no status tells it.

Source: KServe 0.21, serving.kserve.io/v1beta1.
"""

from collections.abc import Mapping
from typing import Any

from mooring_artifacts.uris import hide_queries

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE, REVISION_LABEL
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import Running
from mooring_operator.planning.status.wording import one_line

_LONGEST_ADDRESS = 200


def running_in(owner: Owner, service: Manifest, weight: int) -> Running:
    """Give the revision that an InferenceService of its own runs; one that was taken over has no name of ours."""
    metadata = service["metadata"]
    revision = (metadata.get("labels") or {}).get(REVISION_LABEL, "")
    workload = metadata["name"].removeprefix(f"{owner.name}-") if revision else None
    return Running(revision, weight, _place(service, service["spec"].get("predictor") or {}), workload)


def predicted_in(service: Manifest, predictor: Mapping[str, Any], weight: int, *, named: bool) -> Running:
    """Give the revision that one of several predictors of an InferenceService runs; `named`: Mooring names them."""
    revision = (predictor.get("labels") or {}).get(REVISION_LABEL, "")
    workload = (predictor.get("name") or None) if named else None
    return Running(revision, weight, _place(service, predictor), workload)


async def revisions_of(cluster: Cluster, owner: Owner) -> dict[str, Manifest]:
    """Give the InferenceServices of a deployment's revisions, by revision."""
    labels = {MANAGED_BY: MANAGED_BY_VALUE, DEPLOYMENT_LABEL: owner.name}
    return {
        service["metadata"]["labels"][REVISION_LABEL]: service
        async for page in cluster.pages(INFERENCE_SERVICE, namespace=owner.namespace, labels=labels)
        for service in page
        if REVISION_LABEL in service["metadata"]["labels"] and is_there(service, owner)
    }


def is_there(service: Manifest, owner: Owner) -> bool:
    """Whether an InferenceService is the owner's, and stays."""
    return ownership.whose(service, owner) == "ours" and "deletionTimestamp" not in service["metadata"]


def _place(service: Manifest, predictor: Mapping[str, Any]) -> str:
    address = str((predictor.get("model") or {}).get("storageUri") or "")
    model = f", model {one_line(hide_queries(address), _LONGEST_ADDRESS)}" if address else ""
    return f"InferenceService {service['metadata']['name']}{model}"
