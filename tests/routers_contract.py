"""What holds for every router behind the port `Traffic`; each has a test class that inherits these tests."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from mooring_inference.capture.paths import archive_of_requests, folder_of_revision
from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.routers import DefaultGateway, Routers, ServiceNameTaken, Traffic
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.owned import SERVICE
from mooring_operator.adapters.routers.route_writer import RouteWriter
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.routers import RouterName
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import identity
from mooring_operator.planning.drift.sources import Sources, seek
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.objects.ownership import owner_reference
from mooring_operator.planning.routes import Running, Service
from mooring_operator.planning.routing import Arm, Routing
from mooring_operator.reconcile.drift_targets import kept_by

from tests.played_gateway import NAME as GATEWAY_NAME
from tests.played_gateway import NAMESPACE as GATEWAY_NAMESPACE
from tests.played_gateway import PlayedGateway
from tests.played_kserve import PlayedKServe
from tests.played_revisions import PlayedRevisions

UID = "9a1f2f6e-0000-4000-8000-00000000000"
V1, V2, V3 = "s3://m/v1", "s3://m/v2", "s3://m/v3"

ENDPOINTS: dict[str, Any] = {
    "kind": SERVICE,
    "meddled": {"selector": {"mooring.dev/model-deployment": "theirs"}},
}
"""What is made under the deployment's name by a router that needs no gateway, and what others may do to it."""
GATEWAY: dict[str, Any] = {
    "kind": HTTP_ROUTE,
    "suffix": "-mooring",
    "meddled": {"hostnames": ["theirs.example.com"]},
}


class Others(Protocol):
    """Somebody else than the operator, who may write what the router writes."""

    def create(self, manifest: Manifest) -> None:
        """Make an object."""

    def merge(self, made: Manifest, fields: Manifest) -> None:
        """Change some fields of an object."""


@dataclass
class Stage:
    """A router, the cluster that it writes to, and who carries out there what it writes."""

    cluster: Cluster
    owner: Owner
    router: RouterName
    others: Others
    requests: list[str]
    """The verbs of all requests that were answered."""
    kind: Kind = INFERENCE_SERVICE
    """Of what the router makes under the deployment's name."""
    meddled: Mapping[str, Any] = field(default_factory=lambda: {"predictor": {"minReplicas": 3}})
    """What others may change in its spec."""
    suffix: str = ""
    """Of its name."""

    def __post_init__(self) -> None:
        self.serving = {"mode": "Knative" if self.router == "Knative" else "Standard"}
        spec = {"model": {"uri": V1, "format": "onnx"}, "rollout": {"router": self.router}}
        validated = ModelDeploymentSpec.model_validate({**spec, "serving": self.serving})
        writer = RouteWriter(self.cluster, pause=0, patience=0)
        routers = Routers(self.cluster, DefaultGateway(GATEWAY_NAME, GATEWAY_NAMESPACE), writer)
        self.traffic: Traffic = routers.of(self.owner, validated, self.router)
        self.kserve: PlayedKServe | PlayedRevisions | PlayedGateway
        if self.router == "Gateway":
            self.kserve = PlayedGateway(self.cluster, self.owner.namespace, self.owner.name)
        elif self.traffic.traits.serves_each:
            self.kserve = PlayedRevisions(self.cluster, self.owner.namespace, self.owner.name)
        else:
            self.kserve = PlayedKServe(self.cluster, self.owner.namespace, self.owner.name)

    def revision(self, uri: str, **serving: Any) -> Revision:
        """A revision as the plan makes it: with a name for its workload where the router wants one."""
        served = {**self.serving, **serving}
        text = identity.fingerprint([uri, served])
        return Revision(
            revision=text,
            model_uri=uri,
            storage_uri=uri,
            format="onnx",
            serving=identity.serving_snapshot(ServingSpec.model_validate(served)),
            workload=identity.workload_name(text) if self.traffic.traits.names_workloads else None,
        )

    async def object(self) -> Manifest | None:
        """What the router has made."""
        return await self.cluster.get(Ref(self.kind, self.owner.namespace, f"{self.owner.name}{self.suffix}"))

    async def services(self) -> list[Manifest]:
        """All InferenceServices."""
        return await self.cluster.list(INFERENCE_SERVICE, namespace=self.owner.namespace)

    async def serve(self, revision: Revision) -> Service:
        """Give all traffic to one revision, and see what comes of it."""
        await self.route(Routing((Arm(revision, 100),)), revision)
        if self.traffic.traits.serves_each:
            # What routes them is made when there is something to route to.
            await self.seen(revision)
            await self.route(Routing((Arm(revision, 100),)), revision)
        return await self.seen(revision)

    async def split(self, stable: Revision, candidate: Revision, weight: int) -> Service:
        by_pods = self.traffic.traits.weighs_by_pods
        if (
            self.traffic.traits.serves_each
            and candidate.revision not in (await self.seen(stable, candidate)).variants
        ):
            # Capacity first: what has no pods cannot be weighed.
            pods = [max(100 - weight, 1), max(weight, 1)] if by_pods else [None, None]
            await self.route(
                Routing((Arm(stable, 100, pods[0]), Arm(candidate, 0, pods[1]))), stable, candidate
            )
            await self.kserve.act()
        shares = ((stable, 100 - weight), (candidate, weight))
        arms = [Arm(revision, share, max(share, 1) if by_pods else None) for revision, share in shares]
        await self.route(Routing(tuple(arms)), stable, candidate)
        await self.seen(stable, candidate)
        # What is to be ready before it gets anything, and is now.
        await self.route(Routing(tuple(arms)), stable, candidate)
        return await self.seen(stable, candidate)

    async def reject(self, stable: Revision, rejected: Revision) -> Service:
        holds = self.traffic.traits.holds_rejected
        routing = Routing((Arm(stable, 100),), rejected=rejected if holds else None)
        await self.route(routing, stable, rejected)
        return await self.seen(stable)

    async def route(self, routing: Routing, *revisions: Revision) -> None:
        """Have the router carry out `routing`, with what it says of `revisions` before."""
        await self.traffic.route(self.owner, routing, await self.look(*revisions))

    async def promoted(self, uri: str, **serving: Any) -> Revision:
        """Have a first revision served, and give it as status keeps it: with the workload that it has."""
        revision = self.revision(uri, **serving)
        seen = await self.first(revision)
        variant = seen.variants[revision.revision]
        assert variant.ready
        return revision.model_copy(update={"workload": variant.workload})

    async def first(self, revision: Revision) -> Service:
        """Give all traffic to a revision while there is no other."""
        return await self.serve(revision)

    async def look(self, *revisions: Revision) -> Service | None:
        return await self.traffic.observe(self.owner, revisions)

    async def seen(self, *revisions: Revision) -> Service:
        await self.kserve.act()
        seen = await self.look(*revisions)
        assert seen is not None
        return seen


def kept_by_servers(services: Sequence[Manifest]) -> dict[str, str]:
    """Where the model's container of each revision is told to keep requests."""
    predictors = [
        predictor
        for service in services
        for predictor in (
            service["spec"]["predictor"],
            *(each["predictor"] for each in service["spec"].get("canary", [])),
        )
    ]
    variables = [{one["name"]: one["value"] for one in each["model"]["env"]} for each in predictors]
    return {each["MOORING_REVISION"]: each["MOORING_CAPTURE_URI"] for each in variables}


def has_all(seen: Service, revision: Revision) -> bool:
    """Whether one revision is ready and has all traffic, and no other has a part."""
    variant = seen.variants[revision.revision]
    return (variant.ready, variant.weight, seen.shared) == (True, 100, False)


class RouterContract:
    """Inherit it, and give a fixture `stage`."""

    async def test_nothing_is_served_at_first(self, stage: Stage):
        assert await stage.look() is None
        await stage.traffic.remove(stage.owner, None)
        assert await stage.object() is None

    async def test_the_first_revision_is_served_once_it_is_ready(self, stage: Stage):
        revision = stage.revision(V1)
        stage.kserve.starts = lambda uri: False
        seen = await stage.first(revision)
        first = seen.variants[revision.revision]
        assert (first.ready, first.weight or 0) == (False, 0)
        stage.kserve.starts = lambda uri: True
        seen = await stage.first(revision)
        assert has_all(seen, revision)
        assert seen.url
        assert stage.kserve.weights == {V1: 100}

    async def test_each_revision_keeps_its_requests_where_a_monitor_looks(self, stage: Stage):
        """A server that may be Mooring's is told the store and its own revision, whatever routes to it."""
        store = "s3://kept/team"
        told: dict[str, str] = {}
        stable = await stage.promoted(V1, capture={"store": store})
        told |= kept_by_servers(await stage.services())
        candidate = stage.revision(V2, capture={"store": store})
        await stage.split(stable, candidate, 20)
        told |= kept_by_servers(await stage.services())
        assert told == {stable.revision: store, candidate.revision: store}
        kept = kept_by(stable, {})
        spec = DriftMonitorSpec.model_validate(
            {"target": {"name": stage.owner.name}, "baseline": {"uri": "s3://b/b"}}
        )
        now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        sought = seek(spec, DriftMonitorStatus(), stage.owner.name, stable.revision, kept, now)
        assert isinstance(sought, Sources)
        assert sought.window is not None
        archive = archive_of_requests(stage.owner.name)
        assert sought.window.uri == f"{store}/{folder_of_revision(archive, stable.revision)}"

    @pytest.mark.parametrize("weight", [1, 10, 50, 99, 100])
    async def test_a_candidate_gets_its_weight_and_stable_the_rest(self, stage: Stage, weight: int):
        stable = await stage.promoted(V1)
        seen = await stage.split(stable, candidate := stage.revision(V2), weight)
        variant = seen.variants[candidate.revision]
        assert (variant.ready, variant.weight, seen.shared) == (True, weight, True), (
            seen,
            stage.kserve.weights,
        )
        assert seen.variants[stable.revision].ready or weight == 100
        rest = {V1: 100 - weight} if weight < 100 else {}
        assert stage.kserve.weights == {V2: weight, **rest}

    async def test_a_candidate_that_does_not_start_gets_nothing(self, stage: Stage):
        stable = await stage.promoted(V1)
        stage.kserve.starts = lambda uri: uri != V2
        seen = await stage.split(stable, candidate := stage.revision(V2), 50)
        variant = seen.variants.get(candidate.revision)
        assert variant is None or (not variant.ready and not variant.weight)
        assert stage.kserve.weights == {V1: 100}

    @pytest.mark.parametrize("how", ["by steps", "at once"])
    async def test_a_promoted_candidate_has_all_traffic_and_its_workload(self, stage: Stage, how: str):
        stable, next_one = await stage.promoted(V1), stage.revision(V2)
        for weight in [10, 50, 100] if how == "by steps" else [100]:
            seen = await stage.split(stable, next_one, weight)
        workload = seen.variants[next_one.revision].workload
        if stage.traffic.traits.names_workloads:
            assert workload == next_one.workload
        promoted = next_one.model_copy(update={"workload": workload})
        after = await stage.serve(promoted)
        assert has_all(after, promoted)
        assert after.variants[promoted.revision].workload == workload
        assert stage.kserve.weights == {V2: 100}
        assert await stage.seen(promoted) == after

    async def test_a_rejected_candidate_has_no_traffic_and_the_next_one_can_come(self, stage: Stage):
        stable, candidate = await stage.promoted(V1), stage.revision(V2)
        await stage.split(stable, candidate, 50)
        seen = await stage.reject(stable, candidate)
        assert seen.variants[stable.revision].ready
        assert seen.variants[stable.revision].workload == stable.workload
        assert not seen.shared
        assert stage.kserve.weights == {V1: 100}
        made = await stage.object()
        assert made is not None
        held = V2 in str(made["spec"])
        assert held is stage.traffic.traits.holds_rejected
        seen = await stage.split(stable, third := stage.revision(V3), 10)
        assert (seen.variants[third.revision].ready, seen.variants[third.revision].weight) == (True, 10)
        assert stage.kserve.weights == {V1: 90, V3: 10}

    async def test_the_same_files_can_be_served_in_another_way(self, stage: Stage):
        stable, other = await stage.promoted(V1), stage.revision(V1, minReplicas=2)
        seen = await stage.split(stable, other, 100)
        workload = seen.variants[other.revision].workload
        if stage.traffic.traits.renames_for_files_only:
            workload = stable.workload
        promoted = other.model_copy(update={"workload": workload})
        assert has_all(await stage.serve(promoted), promoted)

    async def test_calls_that_are_repeated_write_nothing(self, stage: Stage):
        stable, candidate = await stage.promoted(V1), stage.revision(V2)
        for call in (
            lambda: stage.serve(stable),
            lambda: stage.split(stable, candidate, 50),
            lambda: stage.reject(stable, candidate),
        ):
            seen = await call()
            stage.requests.clear()
            assert await call() == seen
            assert set(stage.requests) <= {"get", "list"}

    async def test_what_others_changed_is_put_right_and_what_they_added_stays(self, stage: Stage):
        stable = await stage.promoted(V1)
        made = await stage.object()
        assert made is not None
        meddled = {
            "metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}, "annotations": {"theirs": "1"}},
            "spec": stage.meddled,
        }
        stage.others.merge(made, meddled)
        await stage.serve(stable)
        after = await stage.object()
        assert after is not None
        assert after["spec"] == made["spec"]
        assert after["metadata"]["labels"] == made["metadata"]["labels"]
        assert after["metadata"]["annotations"] == {**made["metadata"].get("annotations", {}), "theirs": "1"}

    async def test_what_serves_is_told_without_any_status(self, stage: Stage):
        stable, candidate = await stage.promoted(V1), stage.revision(V2)
        [only] = await self._serving(stage)
        named = stable.workload if stage.traffic.traits.names_workloads else None
        assert (only.revision, only.weight, only.workload) == (stable.revision, 100, named)
        assert V1 in only.place
        await stage.split(stable, candidate, 60)
        first, second = await self._serving(stage)
        # Which revision had the traffic before, Knative alone knows.
        known = "" if stage.router == "Knative" else stable.revision
        assert [(first.revision, first.weight), (second.revision, second.weight)] == [
            (known, 40),
            (candidate.revision, 60),
        ]
        await stage.split(stable, candidate, 100)
        [only] = await self._serving(stage)
        assert (only.revision, only.weight) == (candidate.revision, 100)

    async def _serving(self, stage: Stage) -> Sequence[Running]:
        await stage.kserve.act()
        seen = await stage.look()
        assert seen is not None
        return await stage.traffic.serving(stage.owner, seen)

    async def test_what_is_of_somebody_else_is_told_and_left_alone(self, stage: Stage):
        theirs = await self._made_by_somebody_else(stage, [])
        with pytest.raises(ServiceNameTaken, match=stage.owner.name) as taken:
            await stage.look(stage.revision(V1))
        assert not taken.value.leaving
        assert await stage.object() == theirs

    async def test_what_an_earlier_owner_left_is_waited_for(self, stage: Stage):
        before = owner_reference(replace(stage.owner, uid=UID + "9"))
        await self._made_by_somebody_else(stage, [before])
        with pytest.raises(ServiceNameTaken) as taken:
            await stage.look(stage.revision(V1))
        assert taken.value.leaving

    async def test_what_is_removed_is_gone_with_its_traffic(self, stage: Stage):
        stable = await stage.promoted(V1)
        await stage.route(Routing((Arm(stable, 100),), ended=True), stable)
        assert await stage.look(stable) is not None
        await stage.traffic.remove(stage.owner, await stage.look(stable))
        await stage.kserve.act()
        assert (await stage.object(), stage.kserve.weights) == (None, {})
        assert await stage.look(stable) is None

    async def _made_by_somebody_else(self, stage: Stage, owners: list[Manifest]) -> Manifest:
        await stage.promoted(V1)
        made = copy.deepcopy(await stage.object())
        assert made is not None
        await stage.cluster.delete(made)
        metadata = {
            "name": made["metadata"]["name"],
            "namespace": stage.owner.namespace,
            "ownerReferences": owners,
        }
        theirs = {**made, "metadata": metadata}
        theirs.pop("status", None)
        stage.others.create(theirs)
        found = await stage.object()
        assert found is not None
        return found
