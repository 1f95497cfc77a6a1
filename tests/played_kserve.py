"""KServe's controller, played in both modes: decisions of the local stand-in, over processes that do not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Manifest, Ref
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.knative import KNATIVE_REVISION
from mooring_operator.planning.objects.ownership import already_says

from cluster.serving.fleet import ReplicaLike
from cluster.serving.http_routes import http_routes, is_taken_up, taken_up
from cluster.serving.knative import revision_object
from cluster.serving.predictors import Deployment
from cluster.serving.service import Service
from cluster.serving.status import Failure
from tests.put import put

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
        self.takes_up = True
        """Whether Knative's ingress takes up what is asked of it."""

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
            self._service.taken_up = self.takes_up
            status = self._service.reconcile(_NOW)
            await self._route(found)
            for revision in self._service.knative_revisions():
                made = revision_object(revision, self._ref.namespace)
                if await self._cluster.get(Ref(KNATIVE_REVISION, self._ref.namespace, revision.name)) is None:
                    await self._cluster.create(made)
            if status == found.get("status", {}):
                return
            await self._cluster.write_status(found, status)
        self._service = None

    async def _route(self, service: Manifest) -> None:
        """Write the routes of Standard mode, and have their gateway take them up."""
        assert self._service is not None
        if "name" not in service["spec"]["predictor"]:
            return
        for route in http_routes(service, self._service.weights):
            made = await self._cluster.get(Ref(HTTP_ROUTE, self._ref.namespace, route["metadata"]["name"]))
            if made is None or not already_says(made, route):
                made = await put(self._cluster, route, HTTP_ROUTE)
            if not is_taken_up(made):
                await self._cluster.write_status(made, taken_up(made, _NOW))

    def _start(self, deployment: Deployment) -> ReplicaLike:
        return _Process(deployment, self)

    def _replicas(self, name: str) -> list[Any]:
        assert self._service is not None
        return self._service.endpoints(name) or self._service.fleet.replicas(name)
