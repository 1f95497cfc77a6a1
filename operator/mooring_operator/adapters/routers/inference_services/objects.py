"""InferenceServices in the cluster: found, written and deleted, and only where they are ours."""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Kind
from mooring_operator.adapters.routers.inference_services.restoring import intruded
from mooring_operator.adapters.routers.owned import find_owned, write_owned
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import Service

INFERENCE_SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
"""Which InferenceService a pod, or another object of KServe's, is of."""


class InferenceServices:
    """The InferenceService of each ModelDeployment."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def find(self, owner: Owner) -> Manifest | None:
        """Give the owner's InferenceService; None where it has none, or one that is being deleted.

        Raises:
            ServiceNameTaken: it is somebody else's.
        """
        return await find_owned(self._cluster, INFERENCE_SERVICE, owner, owner.name)

    async def write(self, wanted: Manifest, seen: Service | None) -> None:
        """Have the InferenceService say what is wanted; one that says it already is not written."""
        await write_service(self._cluster, wanted, dict(seen.manifest) if seen is not None else None)

    async def delete(self, seen: Service | None) -> None:
        """Delete the InferenceService that was seen."""
        if seen is not None:
            await self._cluster.delete(dict(seen.manifest))


async def write_service(cluster: Cluster, wanted: Manifest, seen: Manifest | None) -> Manifest:
    """Have an InferenceService say what is wanted, and nothing of others' that decides over what runs; give it."""
    written = await write_owned(cluster, wanted, seen)
    # Not before: what a rollout leaves goes by the same write by which its successor takes over.
    if others := intruded(written, wanted):
        return await cluster.change(written, others)
    return written


def is_made_for(manifest: Manifest, service: Mapping[str, Any]) -> bool:
    """Whether KServe made an object for this very InferenceService."""
    return ownership.is_controlled_by(manifest, service["metadata"]["uid"])
