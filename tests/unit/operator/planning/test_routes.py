"""Plans know of routers what these say of themselves, and nothing else."""

from pathlib import Path
from typing import get_args

import pytest
from mooring_operator import planning
from mooring_operator.adapters.routers import ROUTERS, likely_router
from mooring_operator.api.routers import RouterName
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning.identity import workload_name
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.routes import Traits, why_too_long

from tests.unit.operator.planning.world import ROUTER, World, spec_of

STEPS = {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}
ASSIGNING = Traits("Flows", 40, names_workloads=False)
HOLDING = Traits("Flows", 40, holds_rejected=True)


def rolled_out(router: Traits, **serving: object) -> World:
    """A world in which v1 is promoted, and v2, or v1 served in another way, follows it."""
    world = World(spec_of("v1"), router)
    world.settle()
    model = "v1" if serving else "v2"
    world.apply(spec_of(model, rollout=STEPS, serving=serving))
    return world


def test_every_router_of_a_spec_is_there_and_every_mode_has_one_by_itself():
    assert set(ROUTERS) == set(get_args(RouterName)) - {"Auto"}
    for mode in get_args(ServingSpec.model_fields["mode"].annotation):
        traits = ROUTERS[likely_router(spec_of("v1", serving={"mode": mode}))].traits
        assert (traits.controller, traits.names_workloads) == ("KServe", mode == "Standard")


@pytest.mark.parametrize("router", ROUTERS)
def test_the_router_that_a_spec_names_serves_it(router):
    mode = "Knative" if router == "Knative" else "Standard"
    spec = spec_of("v1", serving={"mode": mode}, rollout={"router": router})
    assert likely_router(spec) == router


def test_nothing_that_decides_names_a_router():
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in Path(planning.__file__).parent.rglob("*.py")
        # Whose counters are asked for is a table of servers and gateways by their names.
        if path.name != "sources.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if any(
            word in line.lower() for word in ("kserve", "knative", "inferenceservice", "serving_spec.mode")
        )
        # An image, by the name that its makers gave it.
        and "kserve/storage-initializer" not in line
    ]
    assert not found


@pytest.mark.parametrize(("longest", "reason"), [(7, "NameTooLong"), (8, "Deploying")])
def test_names_are_as_long_as_the_router_allows(longest, reason):
    # digits in ns: 8 characters.
    world = World(spec_of("v1"), Traits("Flows", longest))
    decision = plan(world.spec, world.status, world.observe(), world.now)
    assert decision.reason == reason
    if reason == "NameTooLong":
        assert "have 8 characters together; Flows's host names allow 7" in decision.message


def test_the_plan_names_workloads_where_they_are_its_to_name():
    world = rolled_out(ROUTER)
    world.step()
    assert world.status.stable is not None
    assert world.status.candidate is not None
    for revision in (world.status.stable, world.status.candidate):
        assert revision.workload == workload_name(revision.revision)


def test_workloads_that_the_controller_names_are_kept_as_observed():
    world = rolled_out(ASSIGNING)
    world.settle()
    assert world.status.candidate is not None
    assert world.status.candidate.workload is None
    world.command("approve")
    world.settle()
    stable = world.status.stable
    assert stable is not None
    assert stable.storage_uri == "s3://m/v2"
    assert stable.workload == f"assigned-{stable.revision}"


@pytest.mark.parametrize("for_files_only", [True, False])
def test_the_same_files_take_a_workload_over_where_only_others_rename_it(for_files_only):
    world = rolled_out(Traits("Flows", 40, renames_for_files_only=for_files_only), nodeSelector={"zone": "a"})
    assert world.status.stable is not None
    before = world.status.stable.workload
    world.settle()
    world.command("promote")
    world.settle()
    after = world.status.stable
    assert (after.workload == before) is for_files_only


@pytest.mark.parametrize(("router", "held"), [(ROUTER, False), (HOLDING, True)])
def test_a_rejected_revision_is_held_where_the_router_holds_it(router, held):
    world = rolled_out(router)
    world.settle()
    world.command("abort")
    world.settle()
    assert world.status.phase == "RolledBack"
    assert (world.status.rejected is not None) is held
    world.apply(spec_of("v1"))
    world.settle()
    assert (world.status.phase, world.status.rejected) == ("Promoted", None)


def test_who_is_waited_for_is_called_by_name():
    world = rolled_out(Traits("Flows", 40))
    decision = world.step(crash_after=0)
    assert "waiting for Flows to start it" in decision.message


def test_a_transformer_takes_two_characters_from_names():
    """Its host names are the entry of a revision, and longer than its model's."""
    router = Traits("any", longest_names=42)
    plain, transformed = ServingSpec(), ServingSpec(transformer={"containers": [{"name": "a", "image": "b"}]})
    for serving, together, alone in ((plain, 42, 37), (transformed, 40, 36)):
        assert why_too_long("a" * 30, "b" * (together - 30), router, serving) == ""
        assert f"allow {together}" in why_too_long("a" * 30, "b" * (together - 29), router, serving)
        assert why_too_long("a" * alone, "", router, serving) == ""
        assert why_too_long("a" * (alone + 1), "", router, serving).startswith(
            f"metadata.name '{'a' * (alone + 1)}' has {alone + 1} characters; "
        )
