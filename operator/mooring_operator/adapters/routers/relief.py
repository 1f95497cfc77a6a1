"""Takes requests from a revision whose pods are all gone, at once: two reads and a write, whatever else is to do.

Until the route is changed, a gateway answers the share of such a revision with 503. What becomes of the revision is the
plan's to say, for which all is looked up; this does early what is done with every routing: the stable revision answers
for what has no pod that is ready.
"""

import asyncio
from collections.abc import Callable, Mapping, Set
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Manifest, Ref
from mooring_operator.adapters.routers.gateway_routes import route_name
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, ready_endpoints, service_of
from mooring_operator.api import API_VERSION
from mooring_operator.api.names import DEPLOYMENT_LABEL, HOST_LABEL
from mooring_operator.planning.objects import ownership

_OUR_LABELS = (*ownership.owned_labels(""), HOST_LABEL)


class Relief:
    """Relieves revisions behind a Gateway. Another router has no route of ours, and there is nothing to do.

    is_left: whether the deployment of a namespace and a name is another operator's to work on.
    """

    def __init__(
        self, cluster: Cluster, is_left: Callable[[str, str], bool] = lambda namespace, name: False
    ) -> None:
        self._cluster = cluster
        self._is_left = is_left

    async def relieve(self, namespace: str, name: str) -> None:
        """Have the deployment's route give nothing to revisions without a pod that is ready.

        Raises:
            Conflict: the route has been written meanwhile; look again.
        """
        if self._is_left(namespace, name):
            return
        route, slices = await asyncio.gather(
            self._cluster.get(Ref(HTTP_ROUTE, namespace, route_name(name))),
            self._cluster.list(ENDPOINT_SLICE, namespace=namespace, labels={DEPLOYMENT_LABEL: name}),
        )
        if route is None or not _is_of(route, name):
            return
        alive = {service_of(found) for found in slices if ready_endpoints(found)}
        wanted = relieved(route, alive, {service_of(found) for found in slices} - alive)
        if wanted is not None:
            await self._cluster.apply(wanted, route)


def _is_of(route: Manifest, name: str) -> bool:
    """Whether the route is one that Mooring has made for a deployment of this name."""
    controller = ownership.controller_of(route) or {}
    asked = (API_VERSION, "ModelDeployment", name)
    found = tuple(controller.get(part) for part in ("apiVersion", "kind", "name"))
    return found == asked and "deletionTimestamp" not in route["metadata"]


def relieved(route: Mapping[str, Any], alive: Set[str], dead: Set[str]) -> Manifest | None:
    """Give the route without requests for the Services that are dead; None where it has none, or nobody else to ask.

    The stable revision gets them, whose Service is the first of a rule for all requests. A rule of headers that leads
    to a dead Service goes: the others decide.
    """
    rules = route["spec"].get("rules") or []
    shared = [rule["backendRefs"] for rule in rules if not _is_of_headers(rule) and rule.get("backendRefs")]
    if not shared or any(refs[0]["name"] not in alive for refs in shared):
        return None
    kept = [
        rule if _is_of_headers(rule) else _moved(rule, dead)
        for rule in rules
        if not _is_of_headers(rule) or not {ref["name"] for ref in rule.get("backendRefs") or []} & dead
    ]
    if kept == rules:
        return None
    metadata, labels = route["metadata"], route["metadata"].get("labels") or {}
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {
            # By its version: what somebody else decides meanwhile is newer than what was read.
            **{name: metadata[name] for name in ("name", "namespace", "resourceVersion")},
            "labels": {name: labels[name] for name in _OUR_LABELS if name in labels},
            "ownerReferences": [ownership.controller_of(route)],
        },
        "spec": {**route["spec"], "rules": kept},
    }


def _is_of_headers(rule: Mapping[str, Any]) -> bool:
    return any(match.get("headers") for match in rule.get("matches") or [])


def _moved(rule: Mapping[str, Any], dead: Set[str]) -> Manifest:
    """Give a rule whose first backend has the weights of those that are dead."""
    refs = rule.get("backendRefs") or []
    lost = sum(ref.get("weight", 1) for ref in refs if ref["name"] in dead)
    if not lost:
        return dict(rule)
    first, *others = refs
    stable = {**first, "weight": first.get("weight", 1) + lost}
    return {**rule, "backendRefs": [stable, *(_idle(ref) if ref["name"] in dead else ref for ref in others)]}


def _idle(ref: Mapping[str, Any]) -> Manifest:
    return {**ref, "weight": 0}
