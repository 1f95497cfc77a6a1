"""Asks why a revision's pods are not ready: the pods, then the Events about them, then those about the service."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from mooring_operator.adapters.cluster import Cluster, Kind
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.status import pod_causes
from mooring_operator.planning.status.pod_causes import Cause

POD = Kind("v1", "Pod", "pods")
EVENT = Kind("events.k8s.io/v1", "Event", "events")

_CONSEQUENCES = frozenset({"VirtualServiceCRDNotFound", "InferenceServiceNotReady"})
"""Reasons of KServe's Events that say nothing, or what follows from something else. Source: KServe 0.21."""

_STARTING = timedelta(seconds=2)
"""How long pods may be unready before it is asked why."""

_SILENT = timedelta(seconds=10)
"""How long a controller may have said nothing of what was written: it is at work on others."""


def now_utc() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


class Inquiry:
    """Looks for causes in the cluster; every answer is of this moment."""

    def __init__(self, cluster: Cluster, now: Callable[[], datetime] = now_utc) -> None:
        self._cluster = cluster
        self._now = now

    def is_fresh(self, service: Manifest) -> bool:
        """Whether a service was written so lately that nobody can be said to be away."""
        metadata = service["metadata"]
        written = [entry["time"] for entry in metadata.get("managedFields") or [] if "time" in entry]
        # Times of Kubernetes sort as text.
        last = max(written, default=metadata["creationTimestamp"])
        return self._now() - datetime.fromisoformat(last) < _SILENT

    async def cause(self, service: Manifest, labels: Mapping[str, str]) -> Cause | None:
        """Give why the pods with these labels, of an InferenceService, are not ready; None where nothing tells.

        A service that was made a moment ago is not asked about.
        """
        metadata = service["metadata"]
        if self._now() - datetime.fromisoformat(metadata["creationTimestamp"]) < _STARTING:
            return None
        namespace = metadata["namespace"]
        found = await self._first(POD, namespace, labels=labels)
        pod = pod_causes.first_unready(pod for pod in found if pod["metadata"].get("namespace") == namespace)
        if pod is not None:
            return pod_causes.cause_of_pod(pod) or pod_causes.cause_of_events(
                await self._events("Pod", namespace, pod)
            )
        return pod_causes.cause_of_events(
            await self._events(INFERENCE_SERVICE.kind, namespace, service), _CONSEQUENCES
        )

    async def _events(self, kind: str, namespace: str, about: Mapping[str, Manifest]) -> list[Manifest]:
        name = about["metadata"]["name"]
        fields = {"regarding.kind": kind, "regarding.name": name, "type": "Warning"}
        found = await self._first(EVENT, namespace, fields=fields)
        return [event for event in found if (event.get("regarding") or {}).get("name") == name]

    async def _first(
        self,
        kind: Kind,
        namespace: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Manifest]:
        """Give the first page: more would tell the same."""
        async for page in self._cluster.pages(kind, namespace=namespace, labels=labels, fields=fields):
            return page
        return []
