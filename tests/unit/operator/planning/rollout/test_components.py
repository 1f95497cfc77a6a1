"""A transformer or explainer moves with its model, or nothing moves."""

from dataclasses import replace

import pytest
from mooring_operator.planning.rollout.plan import plan

from tests.unit.operator.planning.fleet import promoted
from tests.unit.operator.planning.world import ROUTER, World, spec_of

RUN = {"containers": [{"name": "a", "image": "b"}]}
PAST = replace(ROUTER, splits_components=False)


def settled(router, model="v1", **serving):
    world = World(spec_of(model, serving=serving), router=router)
    world.settle()
    assert world.status.phase == "Promoted"
    return world


@pytest.mark.parametrize("field", ["transformer", "explainer"])
@pytest.mark.parametrize(("before", "after"), [(True, True), (False, True), (True, False)])
def test_a_rollout_that_would_miss_it_is_refused_and_traffic_stays(field, before, after):
    world = settled(PAST, **({field: RUN} if before else {}))
    stable = world.status.stable
    world.apply(spec_of("v2", serving={field: RUN} if after else {}))
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "ComponentsNotSplit")
    assert world.status.message.startswith(
        f"spec.serving.{field}: KServe sends a candidate's requests past it"
    )
    assert (world.status.stable, world.status.candidate) == (stable, None)


def test_a_candidate_on_its_way_is_taken_back():
    steps = {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}
    world = settled(PAST)
    world.apply(spec_of("v2", rollout=steps))
    world.settle()
    assert world.status.candidate is not None
    world.apply(spec_of("v2", rollout=steps, serving={"transformer": RUN}))
    world.settle()
    assert world.status.reason == "ComponentsNotSplit"
    assert world.status.candidate is None
    assert world.served is not None
    assert world.served[1] is None


def test_routers_that_serve_each_revision_move_them_together():
    fleet = promoted("v1", serving={"transformer": RUN})
    fleet.apply(spec_of("v2", serving={"transformer": RUN}))
    fleet.settle(limit=400)
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v2": 100})


@pytest.mark.parametrize(("name", "fits"), [(36, True), (37, False)])
def test_a_name_has_room_for_a_transformer(name, fits):
    world = World(spec_of("v1", serving={"transformer": RUN}), router=replace(ROUTER, longest_names=60))
    observed = world.observe()
    observed = replace(observed, owner=replace(observed.owner, name="a" * name, namespace="b"))
    decision = plan(world.spec, world.status, observed, world.now)
    assert (decision.status.reason == "NameTooLong") != fits
