"""KServe's controller, played in both modes: decisions of the local stand-in, over processes that do not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Ref
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE

from cluster.serving.fleet import ReplicaLike
from cluster.serving.predictors import Deployment
from cluster.serving.service import Service
from cluster.serving.status import Failure

_NOW = "2026-03-01T12:00:00Z"


class _Process:
    """What a fleet needs of a process."""

    backend = None
    failure: Failure | None = None
    pid = 1
    restarts = 0

    def __init__(self, deployment: Deployment, kserve: PlayedKServe) -> None:
        self.deployment = deployment
        self._kserve = kserve

    @property
    def ready(self) -> bool:
        return self._kserve.starts(self.deployment.predictor["model"]["storageUri"])

    async def stop(self) -> None:
        pass


class PlayedKServe:
    """Does for one InferenceService what its spec asks, at every `act`; what `starts` is not true of stays unready."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self.starts: Callable[[str], bool] = lambda storage_uri: True
        self._cluster, self._ref = cluster, Ref(INFERENCE_SERVICE, namespace, name)
        self._service: Service | None = None

    @property
    def weights(self) -> dict[str, int]:
        """Who gets how much traffic: the percentages, by the address of the model."""
        shares: dict[str, int] = {}
        for name, weight in (self._service.weights if self._service is not None else {}).items():
            [uri] = {r.deployment.predictor["model"]["storageUri"] for r in self._replicas(name)}
            shares[uri] = shares.get(uri, 0) + weight
        return {uri: weight for uri, weight in shares.items() if weight}

    async def act(self) -> None:
        """Go on until nothing changes any more."""
        while (found := await self._cluster.get(self._ref)) is not None:
            if self._service is None or self._service.uid != found["metadata"]["uid"]:
                self._service = Service(found, start=self._start, base_url="http://kserve")
            self._service.observe(found)
            status = self._service.reconcile(_NOW)
            if status == found.get("status", {}):
                return
            await self._cluster.write_status(found, status)
        self._service = None

    def _start(self, deployment: Deployment) -> ReplicaLike:
        return _Process(deployment, self)

    def _replicas(self, name: str) -> list[Any]:
        assert self._service is not None
        return self._service.endpoints(name) or self._service.fleet.replicas(name)
