"""InferenceServices of an API server: list, watch, status."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from typing import Any, cast

from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.types import PatchType

from cluster.serving import http_routes, runtimes
from cluster.serving.inferenceservice_crd import GROUP, KIND, LABELS, PLURAL, VERSION, inferenceservice_crd

InferenceService = create_namespaced_resource(GROUP, VERSION, KIND, PLURAL)
HTTPRoute = create_namespaced_resource(
    http_routes.GROUP, http_routes.VERSION, http_routes.KIND, http_routes.PLURAL
)

ServingRuntime = create_namespaced_resource(
    runtimes.GROUP, runtimes.VERSION, "ServingRuntime", runtimes.PLURALS["ServingRuntime"]
)
ClusterServingRuntime = create_global_resource(
    runtimes.GROUP, runtimes.VERSION, "ClusterServingRuntime", runtimes.PLURALS["ClusterServingRuntime"]
)

Object = dict[str, Any]

_SERVED_IN, _PAUSE = 30.0, 0.1


class InferenceServices:
    """The InferenceServices of all namespaces."""

    def __init__(self, kubeconfig: str) -> None:
        self.client = AsyncClient(config=KubeConfig.from_file(kubeconfig).get(), trust_env=False)

    async def ensure_definitions(self) -> None:
        """Create our definitions where the API server has none, and wait until it serves them."""
        for document in (inferenceservice_crd(), http_routes.httproute_crd(LABELS)):
            await self._ensure(document)
        for kind in runtimes.PLURALS:
            await self._ensure(runtimes.definition(kind, LABELS))
        if not await self._all_when_served(ClusterServingRuntime):
            await self.client.apply(
                ClusterServingRuntime(**runtimes.LOCAL), field_manager="kserve", force=True
            )

    async def _ensure(self, document: Object) -> None:
        name = document["metadata"]["name"]
        try:
            await self.client.get(CustomResourceDefinition, name)
        except ApiError as exc:
            if exc.status.code != 404:
                raise
            definition = cast("CustomResourceDefinition", CustomResourceDefinition.from_dict(document))
            await self.client.create(definition)
        await self.client.wait(CustomResourceDefinition, name, for_conditions=["Established"])

    async def runtimes(self, namespace: str) -> runtimes.Runtimes:
        """The runtimes that models of a namespace can have."""
        own = await self._all(ServingRuntime, namespace=namespace)
        return runtimes.Runtimes(own, await self._all(ClusterServingRuntime))

    async def runtime_changes(self, kind: str) -> AsyncIterator[str]:
        """The namespace of every runtime of a kind that is there or changes; empty for one of the cluster."""
        changes = (
            self.client.watch(ServingRuntime, namespace="*")
            if kind == "ServingRuntime"
            else self.client.watch(ClusterServingRuntime)
        )
        async for _, found in changes:
            yield str(dict(found)["metadata"].get("namespace") or "")

    async def _all_when_served(self, kind: Any) -> builtins.list[Object]:
        """All objects of a kind that was defined just now, which the API server serves a moment later."""
        async with asyncio.timeout(_SERVED_IN):
            while True:
                try:
                    return await self._all(kind)
                except ApiError as exc:
                    if exc.status.code not in (404, 429, 503):
                        raise
                await asyncio.sleep(_PAUSE)

    async def _all(self, kind: Any, **where: Any) -> builtins.list[Object]:
        return [dict(found) async for found in self.client.list(kind, **where)]

    async def list(self) -> tuple[list[Object], str]:
        """All objects, and the resource version to watch from."""
        listing = self.client.list(InferenceService, namespace="*")
        objects = [dict(obj) async for obj in listing]
        return objects, listing.resourceVersion

    async def watch(self, resource_version: str) -> AsyncIterator[tuple[str, Object]]:
        """Changes since ``resource_version``: (``ADDED``, ``MODIFIED`` or ``DELETED``, object)."""
        changes = self.client.watch(InferenceService, namespace="*", resource_version=resource_version)
        async for kind, obj in changes:
            yield str(kind), dict(obj)

    async def write_status(self, namespace: str, name: str, status: Object) -> None:
        """Replace the whole status; nothing happens where the object is gone."""
        # A patch of one path: keys that status has no more go away, and edits of the spec do not conflict.
        patch = [{"op": "add", "path": "/status", "value": status}]
        try:
            await self.client.patch(
                InferenceService.Status, name, patch, namespace=namespace, patch_type=PatchType.JSON
            )
        except ApiError as exc:
            if exc.status.code != 404:
                raise

    async def write_route(self, service: Object, route: Object, now: str) -> None:
        """Write an HTTPRoute of an InferenceService, and say in its status that it is taken up."""
        name, namespace = route["metadata"]["name"], route["metadata"]["namespace"]
        try:
            left = dict(await self.client.get(HTTPRoute, name, namespace=namespace))
            if not http_routes.belongs_to(left, service):
                # Nobody may be there to collect what belongs to an InferenceService that is gone.
                await self.client.delete(HTTPRoute, name, namespace=namespace)
        except ApiError as exc:
            if exc.status.code != 404:
                raise
        made = dict(await self.client.apply(HTTPRoute(**route), field_manager="kserve", force=True))
        if not http_routes.is_taken_up(made):
            patch = [{"op": "add", "path": "/status", "value": http_routes.taken_up(made, now)}]
            await self.client.patch(
                HTTPRoute.Status, name, patch, namespace=namespace, patch_type=PatchType.JSON
            )

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()
