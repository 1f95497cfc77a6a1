"""Objects that a router makes for a deployment, found where they are the deployment's own."""

from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Owner


async def find_owned(cluster: Cluster, kind: Kind, owner: Owner, name: str) -> Manifest | None:
    """Give the owner's object of a name; None where it has none, or one that is being deleted.

    Raises:
        ServiceNameTaken: it is somebody else's.
    """
    manifest = await cluster.get(Ref(kind, owner.namespace, name))
    if manifest is None:
        return None
    match ownership.whose(manifest, owner):
        case "foreign":
            raise ServiceNameTaken(ownership.name_taken(manifest, owner))
        case "leaving":
            raise ServiceNameTaken(ownership.name_leaving(manifest), leaving=True)
    return None if "deletionTimestamp" in manifest["metadata"] else manifest
