"""Which revision is stable where no status says it."""

from dataclasses import dataclass, replace

import pytest
from mooring_operator.api import reasons
from mooring_operator.planning.rollout.actions import RemoveService, RemoveWorkload, Route
from mooring_operator.planning.routes import Running

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.specs import revision_of
from tests.unit.operator.planning.world import CI, spec_of

V1, V2 = revision_of("v1"), revision_of("v2")
PLACE = "InferenceService digits-r1"


@dataclass
class Lost(Fleet):
    """A fleet in which revisions serve, and no status tells which."""

    serving: tuple[Running, ...] = ()

    def observe(self):
        found = super().observe()
        return found if self.status.stable is not None else replace(found, serving=self.serving)


@pytest.mark.parametrize(
    "others", [(), (Running(V2, 10, PLACE),), (Running(V2, 10, PLACE), Running("", 5, PLACE))]
)
def test_what_the_spec_asks_for_and_has_the_requests_is_stable_without_a_test(others):
    asked = spec_of("v1", ci=CI, rollout={"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]})
    world = Lost(asked, serving=(Running(V1, 85, PLACE, "r1"), *others))
    first = world.step()
    assert (first.status.stable.revision, first.status.stable.workload) == (V1, "r1")
    assert (first.status.phase, first.status.reason) == ("Promoting", reasons.STATUS_REPAIRED)
    assert not any(isinstance(action, Route | RemoveService) for action in first.actions)
    assert world.launched == []
    world.settle()
    assert world.status.phase == "Promoted"


@pytest.mark.parametrize(
    "serving",
    [
        (Running(V2, 100, PLACE),),
        (Running(V2, 90, PLACE), Running(V1, 10, PLACE)),
        # Of what Knative gave traffic to before, nobody else knows the name.
        (Running("", 90, "Knative's own"), Running(V1, 10, PLACE)),
        tuple(Running(f"{number:010}", 20, "x" * 400) for number in range(5)),
    ],
)
def test_nothing_moves_while_something_else_serves_until_somebody_decides(serving):
    world = Lost(spec_of("v1"), serving=serving)
    for _ in range(3):
        decision = world.step()
        assert (decision.status.phase, decision.status.reason) == ("Failed", reasons.STATUS_UNREADABLE)
        assert decision.actions == () or not any(
            isinstance(action, Route | RemoveService | RemoveWorkload) for action in decision.actions
        )
        assert decision.recheck_after == 60.0
    assert len(decision.status.message) <= 1024
    stalled = [condition for condition in decision.status.conditions if condition.type == "Stalled"]
    assert stalled[0].status == "True"
    world.command("retry", V1)
    world.settle()
    assert (world.status.phase, world.status.stable.revision) == ("Promoted", V1)
