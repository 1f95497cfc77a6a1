"""The port for telling people."""

from typing import Protocol

from mooring_operator.adapters.cluster import Cluster, Event
from mooring_operator.planning.situation import Manifest, Notify


class Notifier(Protocol):
    """Tells people about a transition."""

    async def notify(self, about: Manifest, notice: Notify) -> None:
        """Say it; a notice that cannot be delivered must not stop a rollout."""
        ...


class KubernetesEvents:
    """Notices as Events on the resource, where `kubectl describe` shows them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def notify(self, about: Manifest, notice: Notify) -> None:
        """Record an Event."""
        await self._cluster.emit(Event.about(about, notice.type, notice.reason, notice.message))
