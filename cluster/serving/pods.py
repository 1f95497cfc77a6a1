"""Writes what stands behind InferenceServices that others route to: see ``workloads``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.types import CascadeType, PatchType

from cluster.serving import workloads
from cluster.serving.fleet import ReplicaLike
from cluster.serving.service import Service

Node = create_global_resource("", "v1", "Node", "nodes")
Pod = create_namespaced_resource("", "v1", "Pod", "pods")
KubernetesService = create_namespaced_resource("", "v1", "Service", "services")
Deployment = create_namespaced_resource("apps", "v1", "Deployment", "deployments")

Object = dict[str, Any]

_KIND = "InferenceService"


class Pods:
    """Deployments, Services and pods. Nobody else writes any: of all controllers, that of EndpointSlices alone runs."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._shown: dict[tuple[str, str], Object] = {}
        """What was written last of pods and Deployments, by kind and name."""

    async def ensure_node(self) -> None:
        """Have the node that pods are on."""
        await self._create(Node, {"metadata": {"name": workloads.NODE}})

    async def changed(self) -> AsyncIterator[tuple[str, str]]:
        """Watch Deployments: yield namespace and name of the InferenceService of each that changes."""
        async for _, found in self._client.watch(Deployment, namespace="*"):
            for key in _owners(found):
                yield key

    async def deleted(self) -> AsyncIterator[tuple[str, str]]:
        """Watch pods: yield namespace and name of the InferenceService of each that somebody deletes."""
        async for _, found in self._client.watch(Pod, namespace="*"):
            if found["metadata"].get("deletionTimestamp"):
                for key in _owners(found):
                    yield key

    async def leaving(self, service: Service) -> set[str]:
        """Name the pods that somebody has deleted: their processes are to end, and others to start."""
        return {
            name
            for name, pod in (await self._present(service)).items()
            if pod["metadata"].get("deletionTimestamp")
        }

    async def asked(self, service: Service) -> int | None:
        """Have an InferenceService's Deployment and Service; give how many pods the Deployment asks for."""
        if not workloads.has_workload(service.obj):
            return None
        if service.pods is None:
            await self._create(KubernetesService, workloads.service(service.obj))
        present = await self._deployment(service)
        asked = present["spec"]["replicas"] if present is not None else None
        wanted = workloads.replicas(service.obj, asked)
        if present is None:
            await self._create(Deployment, workloads.deployment(service.obj, wanted))
        elif wanted != asked:
            await self._patch(Deployment, present, {"spec": {"replicas": wanted}})
        return wanted

    async def show(self, service: Service, now: str) -> None:
        """Say how the processes do: first in pods, those that are ready get requests, then in the Deployment."""
        present = await self._deployment(service)
        if service.pods is None or present is None:
            return
        running = service.fleet.replicas(present["metadata"]["name"])
        await self._show_pods(service, running, now)
        await self._show_status(Deployment, present, workloads.deployment_status(present, running, now))

    async def remove(self, service: Service) -> None:
        """Delete all of an InferenceService's, what sends requests first; nobody collects it here."""
        name = workloads.deployment(service.obj, 0)["metadata"]["name"]
        for kind in (KubernetesService, Deployment):
            await self._delete(kind, service.namespace, name)
        await self._show_pods(service, [], "")

    async def _show_pods(self, service: Service, running: Sequence[ReplicaLike], now: str) -> None:
        wanted = {replica.name: replica for replica in running}
        present = await self._present(service)
        for name in present.keys() - wanted.keys():
            await self._delete(Pod, service.namespace, name)
        for name, replica in wanted.items():
            pod = present.get(name) or workloads.pod(service.obj, replica)
            if name not in present:
                await self._create(Pod, pod)
            await self._show_status(Pod, pod, workloads.pod_status(replica, now))

    async def _present(self, service: Service) -> dict[str, Any]:
        app = workloads.deployment(service.obj, 0)["spec"]["selector"]["matchLabels"]
        found = self._client.list(Pod, namespace=service.namespace, labels=app)
        return {pod["metadata"]["name"]: pod async for pod in found}

    async def _show_status(self, kind: Any, present: Mapping[str, Any], status: Object) -> None:
        metadata = present["metadata"]
        key, said = (f"{metadata['namespace']}/{metadata['name']}", kind.__name__), _without_times(status)
        if self._shown.get(key) != said:
            await self._patch(kind.Status, present, {"status": status})
            self._shown[key] = said

    async def _deployment(self, service: Service) -> Object | None:
        name = workloads.deployment(service.obj, 0)["metadata"]["name"]
        try:
            return dict(await self._client.get(Deployment, name, namespace=service.namespace))
        except ApiError as error:
            if error.status.code != 404:
                raise
            return None

    async def _create(self, kind: Any, manifest: Mapping[str, Any]) -> None:
        try:
            await self._client.create(kind(**manifest))
        except ApiError as error:
            if error.status.code != 409:
                raise

    async def _patch(self, kind: Any, present: Mapping[str, Any], changes: Object) -> None:
        metadata = present["metadata"]
        await self._client.patch(
            kind, metadata["name"], changes, namespace=metadata["namespace"], patch_type=PatchType.MERGE
        )

    async def _delete(self, kind: Any, namespace: str, name: str) -> None:
        for shown in [key for key in self._shown if key[0] == f"{namespace}/{name}"]:
            del self._shown[shown]
        try:
            # No kubelet would ever confirm the end of a pod.
            await self._client.delete(
                kind, name, namespace=namespace, grace_period=0, cascade=CascadeType.BACKGROUND
            )
        except ApiError as error:
            if error.status.code != 404:
                raise


def _owners(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    metadata = found["metadata"]
    return [
        (metadata["namespace"], owner["name"])
        for owner in metadata.get("ownerReferences") or []
        if owner["kind"] == _KIND
    ]


def _without_times(value: Any) -> Any:
    """What is worth writing: not that a second has passed."""
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in _TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


_TIMES = frozenset({"lastTransitionTime", "startedAt"})
