"""A Gateway and its controller, played, beside what KServe makes for requests to reach a revision: its Service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Manifest, Ref
from mooring_operator.adapters.routers.gateway_routes import route_name, weights_of
from mooring_operator.adapters.routers.gateways import GATEWAY
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE

from tests.played_revisions import PlayedRevisions
from tests.put import put

NAMESPACE, NAME = "gateways", "front"
CONTROLLER = "example.com/gateway"
_NOW = "2026-03-01T12:00:00Z"


def gateway(*hostnames: str, programmed: str = "True") -> Manifest:
    # Where nobody says so, the API writes that it is the namespace of the Gateway alone.
    anywhere = {"port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    listeners = [
        {"name": f"l{n}", **anywhere, **({"hostname": hostname} if hostname else {})}
        for n, hostname in enumerate(hostnames or ("",))
    ]
    return {
        "apiVersion": GATEWAY.api_version,
        "kind": GATEWAY.kind,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"gatewayClassName": "played", "listeners": listeners},
        "status": {
            "conditions": [
                {
                    "type": "Programmed",
                    "status": programmed,
                    "reason": "Programmed",
                    "message": "",
                    "lastTransitionTime": _NOW,
                }
            ]
        },
    }


@dataclass
class PlayedGateway:
    """KServe, Kubernetes and a Gateway for the revisions of a namespace, at every `act`."""

    cluster: Cluster
    namespace: str
    name: str = "digits"
    slow: bool = False
    """Whether the Gateway's controller does not get to the routes."""
    unselected: bool = False
    """Whether Kubernetes does not get to the slices."""
    refuses: str = ""
    """Why it refuses all of them."""

    def __post_init__(self) -> None:
        self.kserve = PlayedRevisions(self.cluster, self.namespace, selects=False)
        self.weights: dict[str, int] = {}
        """Who gets how much of the traffic: percentages, by the address of the model."""

    @property
    def starts(self) -> Callable[[str], bool]:
        """Which models do, by their addresses."""
        return self.kserve.starts

    @starts.setter
    def starts(self, starts: Callable[[str], bool]) -> None:
        self.kserve.starts = starts

    async def open(self, *hostnames: str, programmed: str = "True") -> None:
        """Have a Gateway with listeners for these host names."""
        wanted = gateway(*hostnames, programmed=programmed)
        made = await put(self.cluster, {k: v for k, v in wanted.items() if k != "status"}, GATEWAY)
        await self.cluster.write_status(made, wanted["status"])

    async def act(self) -> None:
        await self.kserve.act()
        for deployment in await self.cluster.list(DEPLOYMENT, namespace=self.namespace):
            await self.select(deployment)
        for route in await self.cluster.list(HTTP_ROUTE, namespace=self.namespace):
            if not self.slow:
                await self.take_up(route)
        self.weights = await self.weights_of()

    async def take_up(self, route: Manifest) -> None:
        """Say that the Gateway has a route as it is, or why it refuses it."""
        if _generations(route) != {route["metadata"]["generation"]}:
            await self.cluster.write_status(route, self._answer(route))

    async def weights_of(self, address: str = "") -> dict[str, int]:
        """Give who gets how much traffic of an address, by the address of the model."""
        found = await self.cluster.get(Ref(HTTP_ROUTE, self.namespace, route_name(address or self.name)))
        if found is None or _refused(found):
            return {}
        uris = {}
        for deployment in await self.cluster.list(DEPLOYMENT, namespace=self.namespace):
            uris[deployment["metadata"]["name"]] = deployment["metadata"]["annotations"].get("uri", "")
        return {uris[name]: weight for name, weight in weights_of(found).items() if weight}

    async def select(self, deployment: Manifest) -> None:
        """Do what Kubernetes does for the Service that KServe made: its slice names the pods that are ready."""
        name = deployment["metadata"]["name"]
        ready = deployment.get("status", {}).get("readyReplicas", 0) if not self.unselected else 0
        endpoints = [{"addresses": [f"10.0.0.{n + 1}"], "conditions": {"ready": True}} for n in range(ready)]
        found = await self.cluster.get(Ref(ENDPOINT_SLICE, self.namespace, name))
        if found is not None and len(found.get("endpoints") or []) == ready:
            return
        made = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {**deployment["metadata"]["labels"], "kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080}],
        }
        await put(self.cluster, made, ENDPOINT_SLICE)

    def _answer(self, route: Manifest) -> Manifest:
        status, reason = ("False", self.refuses) if self.refuses else ("True", "Accepted")
        common: dict[str, Any] = {
            "observedGeneration": route["metadata"]["generation"],
            "lastTransitionTime": _NOW,
            "message": "",
        }
        conditions = [
            {"type": "Accepted", "status": status, "reason": reason, **common},
            {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", **common},
        ]
        parent = route["spec"]["parentRefs"][0]
        return {"parents": [{"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}]}


def _conditions(route: Manifest) -> list[Manifest]:
    parents = (route.get("status") or {}).get("parents") or []
    return [condition for parent in parents for condition in parent["conditions"]]


def _generations(route: Manifest) -> set[int]:
    return {condition["observedGeneration"] for condition in _conditions(route)}


def _refused(route: Manifest) -> bool:
    return any(condition["status"] != "True" for condition in _conditions(route))
