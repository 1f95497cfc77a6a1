"""A status as the API carries it."""

from typing import Any

from pydantic import BaseModel

from mooring_operator.adapters.cluster import Cluster, Manifest


def to_wire(status: BaseModel) -> dict[str, Any]:
    """Give `status` in camelCase, without what is unset or empty."""
    wire: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return _without_empty(wire)


async def write_status(cluster: Cluster, resource: Manifest, status: BaseModel) -> Manifest:
    """Have `resource` carry `status`; give it as it is then. What it carries already is not written.

    Raises:
        Conflict: somebody has written the object since it was read.
    """
    wanted = to_wire(status)
    if wanted == resource.get("status"):
        return resource
    return await cluster.write_status(resource, wanted)


def _without_empty(wire: dict[str, Any]) -> dict[str, Any]:
    kept = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in wire.items()}
    return {key: value for key, value in kept.items() if value not in ("", [], {})}
