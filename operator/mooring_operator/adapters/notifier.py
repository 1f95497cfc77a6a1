"""The port for telling people."""

import logging
from typing import Protocol

from mooring_operator.adapters.cluster import Cluster, ClusterError, Event
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.objects.owner import Manifest

logger = logging.getLogger(__name__)


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
        """Record an Event; one that the API server does not take is in the log only."""
        event = Event.about(about, notice.type, notice.reason, notice.message)
        try:
            await self._cluster.emit(event)
        except ClusterError as error:
            logger.warning(
                "Event %s about %s %s/%s was not recorded: %s; it said: %s",
                event.reason,
                event.about_kind,
                event.namespace,
                event.name,
                error,
                event.message,
            )
