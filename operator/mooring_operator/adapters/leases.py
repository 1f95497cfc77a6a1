"""Leases: the calls that leader election makes."""

from typing import Protocol

from mooring_operator.adapters.api_server import Connection, NotFound, collection_path, object_path
from mooring_operator.adapters.cluster import Kind, Manifest, Ref

_LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")


class Leases(Protocol):
    """The calls that leader election makes. All raise `ClusterError`."""

    async def get(self, namespace: str, name: str) -> Manifest | None:
        """Read a Lease; None where there is none."""
        ...

    async def create(self, lease: Manifest) -> Manifest:
        """Create a Lease; Conflict: somebody else just did."""
        ...

    async def replace(self, lease: Manifest) -> Manifest:
        """Write a Lease as it was read and changed; Conflict: somebody has written it since."""
        ...


class KubernetesLeases:
    """`Leases` on a real API server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, namespace: str, name: str) -> Manifest | None:
        """Read a Lease; None where there is none."""
        try:
            return await self._connection.send(
                "get", "GET", object_path(Ref(_LEASE, namespace, name)), resource=_LEASE.plural
            )
        except NotFound:
            return None

    async def create(self, lease: Manifest) -> Manifest:
        """Create a Lease; Conflict: somebody else just did."""
        path = collection_path(_LEASE.api_version, _LEASE.plural, lease["metadata"]["namespace"])
        return await self._connection.send("create", "POST", path, resource=_LEASE.plural, body=lease)

    async def replace(self, lease: Manifest) -> Manifest:
        """Write a Lease as it was read and changed; Conflict: somebody has written it since."""
        path = object_path(Ref(_LEASE, lease["metadata"]["namespace"], lease["metadata"]["name"]))
        return await self._connection.send("update", "PUT", path, resource=_LEASE.plural, body=lease)
