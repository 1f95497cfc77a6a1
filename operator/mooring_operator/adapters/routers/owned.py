"""Objects that a router makes for a deployment: found where they are its own, written where they differ."""

from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.difference import merge_patch
from mooring_operator.planning.objects.owner import Owner

SERVICE = Kind("v1", "Service", "services")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service that it is of."""


def preview_name(owner: Owner) -> str:
    """Give the name of the address at which a revision answers before it takes over."""
    return f"{owner.name}-preview"


async def find_owned(
    cluster: Cluster, kind: Kind, owner: Owner, name: str, *, adopted: str = ""
) -> Manifest | None:
    """Give the owner's object of a name; None where it has none, or one that is being deleted.

    adopted: uid of the object that the owner takes over where nothing controls it.

    Raises:
        ServiceNameTaken: it is somebody else's.
    """
    manifest = await cluster.get(Ref(kind, owner.namespace, name), recent=True)
    if manifest is None:
        return None
    if manifest["metadata"]["uid"] == adopted and ownership.controller_of(manifest) is None:
        return None if "deletionTimestamp" in manifest["metadata"] else manifest
    match ownership.whose(manifest, owner):
        case "foreign":
            raise ServiceNameTaken(ownership.name_taken(manifest, owner))
        case "leaving":
            raise ServiceNameTaken(ownership.name_leaving(manifest), leaving=True)
    return None if "deletionTimestamp" in manifest["metadata"] else manifest


async def write_owned(cluster: Cluster, wanted: Manifest, seen: Manifest | None) -> Manifest:
    """Have an object say what is wanted, and give it; one that says it already is not written."""
    if seen is None:
        return await cluster.create(wanted)
    return seen if ownership.already_says(seen, wanted) else await cluster.apply(wanted, seen)


async def write_whole(cluster: Cluster, wanted: Manifest, seen: Manifest | None) -> None:
    """Have the spec of an object say what is wanted and nothing else, whoever has added it."""
    written = await write_owned(cluster, wanted, seen)
    if added := merge_patch(written["spec"], wanted["spec"]):
        await cluster.change(written, {"spec": added})


def ready_endpoints(found: Manifest) -> list[Manifest]:
    """Give the endpoints of an EndpointSlice that get requests: unknown counts as ready, as it is routed."""
    endpoints = found.get("endpoints") or []
    return [each for each in endpoints if (each.get("conditions") or {}).get("ready") is not False]
