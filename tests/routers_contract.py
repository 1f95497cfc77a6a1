"""What holds for every router behind the port `Traffic`; each has a test class that inherits these tests."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.routers import Routers, ServiceNameTaken, Traffic
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import identity
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.objects.ownership import owner_reference
from mooring_operator.planning.routes import Service

from tests.played_kserve import PlayedKServe

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
UID = "9a1f2f6e-0000-4000-8000-00000000000"
V1, V2, V3 = "s3://m/v1", "s3://m/v2", "s3://m/v3"


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
    serving: Mapping[str, Any]
    others: Others
    requests: list[str]
    """The verbs of all requests that were answered."""
    kind: Kind = INFERENCE_SERVICE

    def __post_init__(self) -> None:
        self.traffic: Traffic = Routers(self.cluster).of(ServingSpec.model_validate(self.serving))
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

    def candidate(self, revision: Revision, weight: int) -> Candidate:
        fields = {"weight": weight, "started_at": START, "step_started_at": START}
        return Candidate(**revision.model_dump(), **fields)

    async def object(self) -> Manifest | None:
        """What the router has made."""
        return await self.cluster.get(Ref(self.kind, self.owner.namespace, self.owner.name))

    async def serve(self, revision: Revision) -> Service:
        """Give all traffic to one revision, and see what comes of it."""
        await self.traffic.reconcile(self.owner, revision, await self.look(revision))
        return await self.seen(revision)

    async def split(self, stable: Revision, candidate: Candidate) -> Service:
        await self.traffic.split(self.owner, stable, candidate, await self.look(stable, candidate))
        return await self.seen(stable, candidate)

    async def reject(self, stable: Revision, rejected: Candidate) -> Service:
        seen = await self.look(stable, rejected)
        await self.traffic.reject(self.owner, stable, rejected.as_revision(), seen)
        return await self.seen(stable)

    async def promoted(self, uri: str, **serving: Any) -> Revision:
        """Have a first revision served, and give it as status keeps it: with the workload that it has."""
        revision = self.revision(uri, **serving)
        seen = await self.first(revision)
        assert seen.stable.ready
        return revision.model_copy(update={"workload": seen.stable.workload})

    async def first(self, revision: Revision) -> Service:
        """Give all traffic to a revision while there is no other."""
        candidate = self.candidate(revision, 100)
        await self.traffic.reconcile(self.owner, candidate, await self.look(None, candidate))
        await self.kserve.act()
        seen = await self.look(None, candidate)
        assert seen is not None
        return seen

    async def look(self, stable: Revision | None, candidate: Candidate | None = None) -> Service | None:
        return await self.traffic.observe(self.owner, stable, candidate)

    async def seen(self, stable: Revision, candidate: Candidate | None = None) -> Service:
        await self.kserve.act()
        seen = await self.look(stable, candidate)
        assert seen is not None
        return seen


class RouterContract:
    """Inherit it, and give a fixture `stage`."""

    async def test_nothing_is_served_at_first(self, stage: Stage):
        assert await stage.look(None) is None
        await stage.traffic.remove(stage.owner, None)
        assert await stage.object() is None

    async def test_the_first_revision_is_served_once_it_is_ready(self, stage: Stage):
        revision = stage.revision(V1)
        stage.kserve.starts = lambda uri: False
        seen = await stage.first(revision)
        assert (seen.stable.ready, seen.stable.weight or 0) == (False, 0)
        stage.kserve.starts = lambda uri: True
        seen = await stage.first(revision)
        assert (seen.stable.ready, seen.stable.weight, seen.candidate) == (True, 100, None)
        assert seen.url
        assert stage.kserve.weights == {V1: 100}

    @pytest.mark.parametrize("weight", [1, 10, 50, 99, 100])
    async def test_a_candidate_gets_its_weight_and_stable_the_rest(self, stage: Stage, weight: int):
        stable = await stage.promoted(V1)
        seen = await stage.split(stable, stage.candidate(stage.revision(V2), weight))
        assert seen.candidate is not None
        assert (seen.candidate.ready, seen.candidate.weight) == (True, weight)
        assert seen.stable.ready or weight == 100
        rest = {V1: 100 - weight} if weight < 100 else {}
        assert stage.kserve.weights == {V2: weight, **rest}

    async def test_a_candidate_that_does_not_start_gets_nothing(self, stage: Stage):
        stable = await stage.promoted(V1)
        stage.kserve.starts = lambda uri: uri != V2
        seen = await stage.split(stable, stage.candidate(stage.revision(V2), 50))
        assert seen.candidate is None or (not seen.candidate.ready and not seen.candidate.weight)
        assert stage.kserve.weights == {V1: 100}

    @pytest.mark.parametrize("how", ["by steps", "at once"])
    async def test_a_promoted_candidate_has_all_traffic_and_its_workload(self, stage: Stage, how: str):
        stable, next_one = await stage.promoted(V1), stage.revision(V2)
        for weight in [10, 50, 100] if how == "by steps" else [100]:
            seen = await stage.split(stable, stage.candidate(next_one, weight))
        assert seen.candidate is not None
        if stage.traffic.traits.names_workloads:
            assert seen.candidate.workload == next_one.workload
        promoted = next_one.model_copy(update={"workload": seen.candidate.workload})
        after = await stage.serve(promoted)
        assert (after.stable.ready, after.stable.weight, after.candidate) == (True, 100, None)
        assert after.stable.workload == promoted.workload
        assert stage.kserve.weights == {V2: 100}
        assert await stage.seen(promoted) == after

    async def test_a_rejected_candidate_has_no_traffic_and_the_next_one_can_come(self, stage: Stage):
        stable = await stage.promoted(V1)
        candidate = stage.candidate(stage.revision(V2), 50)
        await stage.split(stable, candidate)
        seen = await stage.reject(stable, candidate)
        assert (seen.stable.ready, seen.stable.workload, seen.candidate) == (True, stable.workload, None)
        assert stage.kserve.weights == {V1: 100}
        made = await stage.object()
        assert made is not None
        held = V2 in str(made["spec"])
        assert held is stage.traffic.traits.holds_rejected
        seen = await stage.split(stable, stage.candidate(stage.revision(V3), 10))
        assert seen.candidate is not None
        assert (seen.candidate.ready, seen.candidate.weight) == (True, 10)
        assert stage.kserve.weights == {V1: 90, V3: 10}

    async def test_the_same_files_can_be_served_in_another_way(self, stage: Stage):
        stable, other = await stage.promoted(V1), stage.revision(V1, minReplicas=2)
        seen = await stage.split(stable, stage.candidate(other, 100))
        assert seen.candidate is not None
        workload = seen.candidate.workload
        if stage.traffic.traits.renames_for_files_only:
            workload = stable.workload
        after = await stage.serve(other.model_copy(update={"workload": workload}))
        assert (after.stable.ready, after.stable.weight, after.candidate) == (True, 100, None)

    async def test_calls_that_are_repeated_write_nothing(self, stage: Stage):
        stable = await stage.promoted(V1)
        candidate = stage.candidate(stage.revision(V2), 50)
        for call in (
            lambda: stage.serve(stable),
            lambda: stage.split(stable, candidate),
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
            "spec": {"predictor": {"minReplicas": 3}},
        }
        stage.others.merge(made, meddled)
        await stage.serve(stable)
        after = await stage.object()
        assert after is not None
        assert after["spec"] == made["spec"]
        assert after["metadata"]["labels"] == made["metadata"]["labels"]
        assert after["metadata"]["annotations"] == {**made["metadata"]["annotations"], "theirs": "1"}

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
        await stage.traffic.finalize(stage.owner, stable, await stage.look(stable))
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
        metadata = {"name": stage.owner.name, "namespace": stage.owner.namespace, "ownerReferences": owners}
        theirs = {**made, "metadata": metadata}
        theirs.pop("status", None)
        stage.others.create(theirs)
        found = await stage.object()
        assert found is not None
        return found
