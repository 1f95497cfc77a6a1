"""Says whose a host name outside of the cluster is already: another deployment's, or anybody's behind the Gateway.

Source: Gateway API 1.6: of routes with the same host names and matches the oldest has the requests, and a gateway may
accept the others without a word.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Manifest
from mooring_operator.adapters.routers import gateway_routes as routes
from mooring_operator.adapters.routers.gateway_routes import Entrance
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.api.names import HOST_LABEL

_FRESH_S = 5.0
"""How long all routes of the cluster are taken as they were read: there may be thousands."""


class HostNames:
    """The host names that HTTPRoutes have."""

    def __init__(self, cluster: Cluster, now: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._now = now
        self._others: list[Manifest] = []
        self._fresh_until: float | None = None

    async def why_taken(self, entrance: Entrance, route: Manifest | None) -> str:
        """Say whose the deployment's host name is; nothing where it has none, or `route`, its own, has it first."""
        if not entrance.host:
            return ""
        labels = {HOST_LABEL: routes.host_label(entrance.host)}
        first = _first(await self._cluster.list(HTTP_ROUTE, labels=labels), entrance.host)
        if first is not None and route is not None and first["metadata"]["uid"] == route["metadata"]["uid"]:
            return ""
        if first is None and (route is None or entrance.host not in _hosts(route)):
            behind = [other for other in await self._of_others() if _is_behind(other, entrance)]
            first = _first(behind, entrance.host)
        if first is None:
            return ""
        there = first["metadata"]
        return (
            f"spec.rollout.host {entrance.host} is taken by HTTPRoute {there['namespace']}/{there['name']}; "
            "give another host name"
        )

    async def _of_others(self) -> list[Manifest]:
        """Give the routes of the cluster that are no deployment's."""
        now = self._now()
        if self._fresh_until is None or now >= self._fresh_until:
            found = await self._cluster.list(HTTP_ROUTE)
            self._others = [one for one in found if HOST_LABEL not in (one["metadata"].get("labels") or {})]
            self._fresh_until = now + _FRESH_S
        return self._others


def _hosts(route: Mapping[str, Any]) -> list[str]:
    return route["spec"].get("hostnames") or []


def _first(found: list[Manifest], host: str) -> Manifest | None:
    """Give the route that Gateways let have a host name: the oldest, then the first by name."""

    def age(route: Manifest) -> tuple[str, str, str]:
        metadata = route["metadata"]
        return metadata.get("creationTimestamp", ""), metadata["namespace"], metadata["name"]

    return min((route for route in found if host in _hosts(route)), key=age, default=None)


def _is_behind(route: Mapping[str, Any], entrance: Entrance) -> bool:
    """Whether a route asks for the same Gateway."""
    return any(
        parent.get("kind", "Gateway") == "Gateway"
        and parent["name"] == entrance.gateway
        and parent.get("namespace", route["metadata"]["namespace"]) == entrance.namespace
        for parent in route["spec"].get("parentRefs") or []
    )
