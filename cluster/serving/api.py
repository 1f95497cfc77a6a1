"""InferenceServices of an API server: list, watch, status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.types import PatchType

from cluster.serving.inferenceservice_crd import GROUP, KIND, PLURAL, VERSION, inferenceservice_crd

InferenceService = create_namespaced_resource(GROUP, VERSION, KIND, PLURAL)

Object = dict[str, Any]


class InferenceServices:
    """The InferenceServices of all namespaces."""

    def __init__(self, kubeconfig: str) -> None:
        self._client = AsyncClient(config=KubeConfig.from_file(kubeconfig).get(), trust_env=False)

    async def ensure_definition(self) -> None:
        """Create our definition where the API server has none, and wait until it serves."""
        document = inferenceservice_crd()
        name = document["metadata"]["name"]
        try:
            await self._client.get(CustomResourceDefinition, name)
        except ApiError as exc:
            if exc.status.code != 404:
                raise
            definition = cast("CustomResourceDefinition", CustomResourceDefinition.from_dict(document))
            await self._client.create(definition)
        await self._client.wait(CustomResourceDefinition, name, for_conditions=["Established"])

    async def list(self) -> tuple[list[Object], str]:
        """All objects, and the resource version to watch from."""
        listing = self._client.list(InferenceService, namespace="*")
        objects = [dict(obj) async for obj in listing]
        return objects, listing.resourceVersion

    async def watch(self, resource_version: str) -> AsyncIterator[tuple[str, Object]]:
        """Changes since ``resource_version``: (``ADDED``, ``MODIFIED`` or ``DELETED``, object)."""
        changes = self._client.watch(InferenceService, namespace="*", resource_version=resource_version)
        async for kind, obj in changes:
            yield str(kind), dict(obj)

    async def write_status(self, namespace: str, name: str, status: Object) -> None:
        """Replace the whole status; nothing happens where the object is gone."""
        # A patch of one path: keys that status has no more go away, and edits of the spec do not conflict.
        patch = [{"op": "add", "path": "/status", "value": status}]
        try:
            await self._client.patch(
                InferenceService.Status, name, patch, namespace=namespace, patch_type=PatchType.JSON
            )
        except ApiError as exc:
            if exc.status.code != 404:
                raise

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
