"""One InferenceService: from its object and its fleet to routes and status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cluster.serving import knative, predictors
from cluster.serving.fleet import Fleet, ReplicaLike, Start
from cluster.serving.http_routes import http_routes
from cluster.serving.predictors import Deployment, InvalidSpecError
from cluster.serving.routing import SmoothRoundRobin, standard_weights
from cluster.serving.runtimes import Choice, NoRuntimeError, Runtimes
from cluster.serving.status import (
    CanaryObservation,
    Failure,
    Status,
    invalid_status,
    knative_status,
    standard_status,
    stopped_status,
)


class Service:
    """What the agent knows about one InferenceService.

    ``reconcile`` is synchronous, so that routes never change halfway: requests see the state before or after.
    """

    def __init__(self, obj: Mapping[str, Any], *, start: Start, base_url: str) -> None:
        metadata = obj["metadata"]
        self.namespace: str = metadata["namespace"]
        self.name: str = metadata["name"]
        self.uid: str = metadata.get("uid", "")
        self.obj = obj
        self.status: Status = dict(obj.get("status") or {})
        self.fleet = Fleet(start)
        self.weights: dict[str, int] = {}
        self.stable = ""
        self.routed: list[dict[str, Any]] = []
        """The routes as they were written last."""
        self.pods: int | None = None
        """How many processes its Deployment asks for; None where it has none, and the spec says so alone."""
        self.taken_up = True
        """Whether Knative's ingress has what is asked of it; where not, requests go as before."""
        self.runtimes: Runtimes | None = None
        """What KServe would choose from; without it any predictor is run."""
        self._base_url = f"{base_url}/{self.namespace}"
        self._balancer = SmoothRoundRobin()
        self._history = knative.History()
        self._former_stable = ""
        # Who answers for a deployment that has nothing ready.
        self._substitutes: dict[str, str] = {}

    def observe(self, obj: Mapping[str, Any]) -> None:
        """Take a newer version of the object."""
        self.obj = obj
        self.status = dict(obj.get("status") or {})

    def reconcile(self, now: str) -> Status:
        """Start and end processes, set the weights, and say what status should be at ``now`` (RFC 3339)."""
        mode = predictors.deployment_mode(self.obj)
        if predictors.is_stopped(self.obj):
            self.fleet.apply([])
            self._route({})
            stopped = stopped_status(self.status, mode, now, local=predictors.is_cluster_local(self.obj))
            return self._with_runtime(stopped)
        try:
            status = self._reconcile_knative(now) if mode == "Knative" else self._reconcile_standard(now)
        except InvalidSpecError as exc:
            return invalid_status(self.status, mode, Failure("InvalidPredictorSpec", str(exc)))
        except NoRuntimeError as exc:
            return invalid_status(self.status, mode, exc.failure)
        return self._with_runtime(status)

    def _with_runtime(self, status: Status) -> Status:
        """Say which runtime the predictor has; a stopped one is told of as well."""
        try:
            choice = self._runtime_of(self.obj["spec"]["predictor"])
        except NoRuntimeError as exc:
            return invalid_status(status, status["deploymentMode"], exc.failure)
        return {**status, **(choice.status if choice is not None else {})}

    def _runtime_of(self, predictor: Mapping[str, Any]) -> Choice | None:
        return self.runtimes.of(predictor) if self.runtimes is not None else None

    def _on_runtime(self, deployment: Deployment) -> Deployment:
        """An edited runtime starts all that runs on it anew."""
        choice = self._runtime_of(deployment.predictor)
        return (
            deployment
            if choice is None
            else replace(deployment, digest=f"{deployment.digest}-{choice.digest}")
        )

    def pick(self) -> str | None:
        """The deployment that the next request goes to."""
        return self._balancer.pick()

    def endpoints(self, name: str) -> list[ReplicaLike]:
        """Replicas that answer for a deployment."""
        return self.fleet.endpoints(name) or self.fleet.endpoints(self._substitutes.get(name, ""))

    def knative_revisions(self) -> list[knative.Revision]:
        """The revisions that Knative has made of it and keeps, oldest first; none in Standard mode."""
        return list(self._history.revisions)

    def routes(self) -> list[dict[str, Any]]:
        """The HTTPRoutes that say what is routed; Knative has routes of its own."""
        if predictors.deployment_mode(self.obj) != "Standard" or predictors.is_cluster_local(self.obj):
            return []
        return http_routes(self.obj, self.weights) if self.weights and self._first_ready() else []

    def _first_ready(self) -> bool:
        return bool(self.status.get("url")) or bool(self.fleet.endpoints(self.stable))

    async def stop(self) -> None:
        """End all processes."""
        self._route({})
        await self.fleet.stop()

    def _reconcile_standard(self, now: str) -> Status:
        spec = self.obj["spec"]
        canaries = predictors.canaries(self.name, spec)
        ready = [canary for canary in canaries if self.fleet.endpoints(canary.deployment.name)]
        canaries = [replace(canary, deployment=self._on_runtime(canary.deployment)) for canary in canaries]
        stable = self._on_runtime(predictors.stable_deployment(self.name, spec, ready))
        if self.pods is not None:
            stable = replace(stable, replicas=self.pods)
        self._run_and_keep_former(stable, [stable, *(canary.deployment for canary in canaries)])

        observations = [
            CanaryObservation(canary.name, canary.percent, self.fleet.observe(canary.deployment.name))
            for canary in canaries
        ]
        split = [
            (canary.deployment.name, canary.percent, canary.deployment.available) for canary in observations
        ]
        self._route(standard_weights(stable.name, split))
        return standard_status(
            self.status,
            self.fleet.observe(stable.name),
            observations,
            base_url=self._base_url,
            namespace=self.namespace,
            service=self.name,
            now=now,
            local=predictors.is_cluster_local(self.obj),
        )

    def _reconcile_knative(self, now: str) -> Status:
        if self.obj["spec"].get("canary"):
            raise InvalidSpecError("canary is only supported in Standard deployment mode")
        predictor = self.obj["spec"]["predictor"]
        component = self.status.get("components", {}).get("predictor", {})
        self._history = knative.record(
            self._history or knative.adopt(component, predictor), self.name, predictor
        )
        created = self._history.revisions[-1].name
        latest_ready = created if self.fleet.endpoints(created) else component.get("latestReadyRevision", "")
        rolled_out = component.get("latestRolledoutRevision", "")
        split = knative.traffic(predictor.get("canaryTrafficPercent"), rolled_out, latest_ready)
        component = knative.roll_out(component, created, latest_ready, split)

        running = {
            created,
            latest_ready,
            component.get("latestRolledoutRevision"),
            *knative.traffic_weights(split),
        }
        wanted = [
            self._on_runtime(_of_revision(revision))
            for revision in self._history.revisions
            if revision.name in running
        ]
        self.stable = created
        # A revision may be starting again after a rollback, or be unknown after a restart of the agent.
        self._substitutes = dict.fromkeys(knative.traffic_weights(split), latest_ready)
        self.fleet.apply(wanted)
        if self.taken_up:
            self._route(knative.traffic_weights(split))
        kept = {*running, component.get("previousRolledoutRevision")}
        self._history = self._history.keep({name for name in kept if name})
        observed = replace(self.fleet.observe(created), generation=self._history.created)
        return knative_status(
            self.status,
            component,
            observed,
            base_url=self._base_url,
            namespace=self.namespace,
            service=self.name,
            now=now,
            taken_up=self.taken_up,
        )

    def _run_and_keep_former(self, stable: Deployment, wanted: list[Deployment]) -> None:
        if self.fleet.endpoints(stable.name):
            self._former_stable = stable.name
        self.stable = stable.name
        # The former stable serves until its successor does.
        self._substitutes = {stable.name: self._former_stable}
        self.fleet.apply(wanted, keep={self._former_stable})

    def _route(self, weights: Mapping[str, int]) -> None:
        self.weights = dict(weights)
        self._balancer.update(weights)


def _of_revision(revision: knative.Revision) -> Deployment:
    replicas = max(1, int(revision.predictor.get("minReplicas") or 1))
    declared = predictors.environment(revision.predictor).get("MOORING_REVISION")
    return predictors.make_deployment(
        revision.name, revision.predictor, replicas, revision=declared or revision.name
    )
