"""Objects that a router makes for a deployment: found where they are its own, written where they differ."""

from collections.abc import Mapping
from dataclasses import replace

from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.api.names import DEPLOYMENT_LABEL
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.difference import merge_patch
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import Variant

SERVICE = Kind("v1", "Service", "services")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service that it is of."""


def preview_name(owner: Owner) -> str:
    """Give the name of the address at which a revision answers before it takes over."""
    return f"{owner.name}-preview"


async def some_labelled(cluster: Cluster, kind: Kind, owner: Owner) -> list[Manifest]:
    """Give objects that have a deployment's label, by one request in place of one for each.

    No more than a page of them: anybody may make as many. Whoever misses one asks for it by its name.
    """
    labels = {DEPLOYMENT_LABEL: owner.name}
    pages = cluster.pages(kind, namespace=owner.namespace, labels=labels)
    return await anext(aiter(pages), [])


async def some_by_name(cluster: Cluster, kind: Kind, owner: Owner) -> dict[str, Manifest]:
    """Give objects that have a deployment's label, by their names; see `some_labelled`."""
    return {found["metadata"]["name"]: found for found in await some_labelled(cluster, kind, owner)}


async def find_owned(
    cluster: Cluster,
    kind: Kind,
    owner: Owner,
    name: str,
    *,
    adopted: str = "",
    read: Mapping[str, Manifest] | None = None,
) -> Manifest | None:
    """Give the owner's object of a name; None where it has none, or one that is being deleted.

    adopted: uid of the object that the owner takes over where nothing controls it.
    read: objects of the kind that were just read, by their names.

    Raises:
        ServiceNameTaken: it is somebody else's.
    """
    manifest = (read or {}).get(name) or await cluster.get(Ref(kind, owner.namespace, name), recent=True)
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


def service_of(found: Manifest) -> str:
    """Give the name of the Service that an EndpointSlice is of; empty where it does not say."""
    return str(found["metadata"]["labels"].get(SERVICE_NAME_LABEL, ""))


def ready_endpoints(found: Manifest) -> list[Manifest]:
    """Give the endpoints of an EndpointSlice that get requests: unknown counts as ready, as it is routed."""
    endpoints = found.get("endpoints") or []
    return [each for each in endpoints if (each.get("conditions") or {}).get("ready") is not False]


async def unless_untaken(cluster: Cluster, owner: Owner, variant: Variant, service: str | None) -> Variant:
    """Give a revision whose pods are ready as it is, or as one that waits where its Service sends requests to none."""
    if service is None:
        return untaken(variant)
    slices = await cluster.list(
        ENDPOINT_SLICE, namespace=owner.namespace, labels={SERVICE_NAME_LABEL: service}
    )
    return variant if any(ready_endpoints(found) for found in slices) else untaken(variant)


def untaken(variant: Variant) -> Variant:
    """Give a revision whose pods are ready, and get no requests yet, as one that waits: a weight would be lost."""
    why = "Kubernetes has not taken up its pods for requests yet"
    return replace(variant, ready=False, pods=0, message=why, waiting=why)
