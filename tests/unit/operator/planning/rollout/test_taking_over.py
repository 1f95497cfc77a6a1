"""What runs already becomes the first revision."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from mooring_operator.api import ClusterModelPolicySpec, reasons
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.actions import LaunchRun, Route
from mooring_operator.planning.rollout.neighbours import promoted_digest
from mooring_operator.planning.routes import Adoption, Traits

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.world import CI, spec_of

UID = "6d6f6f72-696e-4067-8000-6d6f6f72696e"
SERVICE = f"iris/{UID}"


@dataclass
class Adopting(Fleet):
    """A fleet in which something runs that a deployment takes over."""

    adoption: Adoption | None = None

    def observe(self):
        found = super().observe()
        return found if self.status.stable is not None else replace(found, adoption=self.adoption)


def test_what_runs_is_stable_at_once_and_neither_tested_nor_stepped():
    world = Adopting(
        spec_of(ci=CI, rollout={"steps": [{"setWeight": 10}, {"setWeight": 100}]}), adoption=Adoption(SERVICE)
    )
    first = world.step()
    assert first.status.stable.adopted == SERVICE
    assert isinstance(first.actions[0], Route)
    assert first.actions[0].routing.arms[0].weight == 100
    assert not any(isinstance(action, LaunchRun) for action in world.actions)
    assert Notify("Normal", reasons.ADOPTED, first.status.history[0].message) in first.actions
    world.settle()
    assert (world.status.phase, world.status.history[0].reason) == ("Promoted", reasons.ADOPTED)
    assert len(world.status.history) == 1
    assert world.launched == []


def test_what_was_taken_over_is_looked_at_again_every_minute():
    world = Adopting(spec_of(), adoption=Adoption(SERVICE))
    world.settle()
    assert world.step().recheck_after == 60.0
    world.apply(spec_of("v2"))
    world.settle()
    assert world.step().recheck_after is None


def test_the_next_revision_is_an_ordinary_one_and_a_rollback_finds_the_first():
    world = Adopting(spec_of(), adoption=Adoption(SERVICE))
    world.settle()
    world.apply(spec_of("v2"))
    world.settle()
    assert world.status.stable.adopted is None
    assert world.status.previous.adopted == SERVICE
    world.command("rollback")
    world.settle()
    assert world.status.stable.adopted == SERVICE


def test_going_back_by_the_spec_finds_its_pods_and_no_other_runtime():
    world = Adopting(spec_of(), adoption=Adoption(SERVICE))
    world.settle()
    world.apply(spec_of("v2"))
    world.settle()
    world.apply(spec_of())
    world.settle()
    assert world.status.stable.adopted == SERVICE
    assert "runtime" not in world.status.stable.serving


@pytest.mark.parametrize(("temporary", "phase"), [(False, "Failed"), (True, "Pending")])
def test_what_cannot_be_taken_over_is_told_and_nothing_starts(temporary, phase):
    world = Adopting(spec_of(ci=CI), adoption=Adoption(SERVICE, "it is another's", temporary))
    decision = world.step()
    assert (decision.phase, decision.reason) == (phase, reasons.ADOPTION_REFUSED)
    assert decision.message == "it is another's"
    assert decision.recheck_after
    assert world.status.stable is None
    assert all(isinstance(action, Notify) for action in decision.actions)
    world.adoption = Adoption(SERVICE)
    world.settle()
    assert world.status.phase == "Promoted"


def test_a_policy_of_the_cluster_binds_it_too():
    policy = ClusterModelPolicySpec.model_validate({"requireCI": True})
    world = Adopting(spec_of(), adoption=Adoption(SERVICE), cluster_policies={"tested": policy})
    decision = world.step()
    assert decision.reason == reasons.CLUSTER_POLICY_VIOLATED
    assert world.status.stable is None


def test_a_first_revision_that_was_on_its_way_gives_way():
    world = Adopting(spec_of(), adoption=None)
    world.step()
    assert world.status.candidate is not None
    world.adoption = Adoption(SERVICE)
    world.settle()
    assert world.status.candidate is None
    assert world.status.stable.adopted == SERVICE


@pytest.mark.parametrize(
    ("steps", "phase"),
    [([{"setWeight": 10}, {"setWeight": 100}], "Pending"), ([{"setWeight": 100}], "Promoted")],
)
def test_pods_without_labels_get_all_requests_or_none(steps, phase):
    router = Traits("KServe", 40, serves_each=True, weighs_by_pods=True, adopts=True)
    world = Adopting(spec_of(), router=router, adoption=Adoption(SERVICE))
    world.settle()
    world.apply(spec_of("v2", rollout={"steps": steps}))
    for _ in range(30):
        world.now += timedelta(seconds=world.step().recheck_after or 1)
    assert world.status.phase == phase
    if phase == "Pending":
        assert world.status.reason == reasons.UNSUPPORTED_BY_ROUTER
        assert "pods of iris, which was taken over, get all requests or none" in world.status.message


def test_what_was_taken_over_is_no_evidence_for_others():
    world = Adopting(spec_of(), adoption=Adoption(SERVICE))
    world.settle()
    status = world.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert promoted_digest({"metadata": {"name": "digits"}, "status": status}) == ""
    del status["stable"]["adopted"]
    assert promoted_digest({"metadata": {"name": "digits"}, "status": status}) == status["stable"]["digest"]
