"""Writes the HTTPRoute of a deployment so that no request is lost on the way."""

import asyncio

from mooring_operator.adapters.cluster import Cluster, Manifest, Ref
from mooring_operator.adapters.routers.gateway_routes import way_to
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE, why_not_taken_up
from mooring_operator.planning.objects import ownership

PAUSE_S = 0.4
"""How long a gateway gets to learn of a backend's pods, or to finish what it has sent to one."""
PATIENCE_S = 2.0
"""How long a gateway's controller is waited for on the way: one that is away holds nobody up for long."""
_GLANCE_S = 0.05
"""How long it gets before the first look; each further look comes after twice as long, for it has much to do."""


class RouteWriter:
    """Writes routes; `pause` and `patience` are in seconds."""

    def __init__(self, cluster: Cluster, pause: float = PAUSE_S, patience: float = PATIENCE_S) -> None:
        self._cluster = cluster
        self._pause = pause
        self._patience = patience

    async def write(self, wanted: Manifest, present: Manifest | None) -> Manifest:
        """Have the route say what is wanted, by way of what has to come before; one that says it is not written."""
        if present is None:
            return await self._cluster.create(wanted)
        if ownership.already_says(present, wanted) and not _says_more(present, wanted):
            return present
        *before, last = way_to(wanted, present)
        for stop in before:
            present = await self._taken_up(await self._cluster.apply(stop, present))
            await asyncio.sleep(self._pause)
        return await self._cluster.apply(last, present)

    async def _taken_up(self, written: Manifest) -> Manifest:
        """Wait a little for the gateway to take the route up."""
        metadata = written["metadata"]
        ref = Ref(HTTP_ROUTE, metadata["namespace"], metadata["name"])
        deadline, glance = asyncio.get_running_loop().time() + self._patience, _GLANCE_S
        while why_not_taken_up(written) and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(glance, left))
            written = await self._cluster.get(ref) or written
            glance *= 2
        return written


def _says_more(present: Manifest, wanted: Manifest) -> bool:
    """Whether somebody has added to what decides who gets which requests: a filter, a match, a listener."""
    return any(present["spec"].get(part) != wanted["spec"].get(part) for part in ("parentRefs", "rules"))
