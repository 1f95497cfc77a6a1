"""Puts objects into a cluster through the operator's own port."""

from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref


async def put(cluster: Cluster, manifest: Manifest, kind: Kind) -> Manifest:
    """Create the object, or apply it where it is there already."""
    seen = await cluster.get(Ref(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
    return await (cluster.create(manifest) if seen is None else cluster.apply(manifest, seen))


async def drop(cluster: Cluster, ref: Ref) -> None:
    """Delete the object, if it is there."""
    if (seen := await cluster.get(ref)) is not None:
        await cluster.delete(seen)
