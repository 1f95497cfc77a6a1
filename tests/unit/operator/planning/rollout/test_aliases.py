"""The alias that follows what is promoted: moved once, back on a rollback, and in nobody's way."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api.rollout_status import AliasStatus
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.actions import MoveAlias
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.rollout.situation import AliasSeen

from tests.unit.operator.planning.world import CI, World, spec_of

VERSIONS = {f"models:/digits/{number}": f"digits/{number}" for number in (1, 2, 3)}


def registered(number, alias="champion", **fields):
    model = {"uri": f"models:/digits/{number}", "format": "onnx", "promoteAlias": alias}
    return spec_of(model=None, **fields).model_copy(
        update={"model": spec_of("v").model.model_validate(model)}
    )


def promoted(number=1, **world):
    played = World(registered(number), versions=VERSIONS, **world)
    finish(played)
    assert played.status.phase == "Promoted"
    return played


def finish(world):
    """Go on until nothing more is to be done, also about the alias."""
    world.settle()
    for _ in range(2):
        decision = world.step()
    return decision


def events(world, reason):
    return [action for action in world.actions if isinstance(action, Notify) and action.reason == reason]


def test_what_is_promoted_is_the_champion_once():
    world = promoted()
    assert world.moves == ["digits/1"]
    assert world.status.alias == AliasStatus(name="champion", version="digits/1")
    (told,) = events(world, "AliasMoved")
    assert (
        told.message == f"alias champion is at digits/1: revision {world.status.stable.revision} is promoted"
    )
    # Whoever moves it by hand has the say.
    world.alias = "digits/3"
    finish(world)
    assert (world.alias, world.moves) == ("digits/3", ["digits/1"])


def test_a_candidate_is_the_champion_only_when_it_is_promoted():
    world = promoted()
    world.apply(registered(2, rollout={"steps": [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]}))
    assert finish(world).phase == "AwaitingApproval"
    assert world.moves == ["digits/1"]
    world.command("approve")
    assert finish(world).phase == "Promoted"
    assert world.moves == ["digits/1", "digits/2"]


def test_it_waits_until_what_is_promoted_serves_all_traffic():
    world = promoted()
    world.apply(registered(2))
    while world.status.stable.registered != "digits/2":
        world.step()
    world.startable = {"models:/digits/2": False}
    assert {world.step().phase for _ in range(3)} == {"Promoting"}
    assert world.moves == ["digits/1"]
    world.startable = {}
    finish(world)
    assert world.moves == ["digits/1", "digits/2"]


def test_a_rollback_takes_it_back():
    world = promoted()
    world.apply(registered(2))
    assert finish(world).phase == "Promoted"
    world.command("rollback")
    finish(world)
    assert world.status.stable.registered == "digits/1"
    assert world.moves == ["digits/1", "digits/2", "digits/1"]
    assert world.status.alias.version == "digits/1"


def test_a_revision_that_was_rejected_changes_nothing():
    world = promoted(good={"models:/digits/2": False})
    world.apply(registered(2, ci=CI))
    assert finish(world).phase == "Failed"
    assert (world.alias, world.moves) == ("digits/1", ["digits/1"])


def test_it_is_moved_by_one_that_is_there_already():
    world = promoted(alias="digits/1")
    assert world.moves == []
    assert world.status.alias.version == "digits/1"


def test_another_alias_is_moved_and_none_is_left_alone():
    world = promoted()
    world.alias = None
    world.apply(registered(1, alias="production"))
    finish(world)
    assert world.moves == ["digits/1", "digits/1"]
    assert world.status.alias.name == "production"
    world.apply(registered(1, alias=None))
    finish(world)
    assert (len(world.moves), world.status.alias) == (2, None)


@pytest.mark.parametrize("phase", ["Promoted", "Canary"])
def test_what_is_in_the_way_is_told_and_holds_nothing_up(phase):
    world = promoted(alias_problem="MLflow at http://mlflow answered 503")
    told = "; alias champion is not moved to digits/1: MLflow at http://mlflow answered 503"
    assert world.status.message.endswith(told)
    assert world.status.alias is None
    if phase == "Canary":
        world.apply(
            registered(2, rollout={"steps": [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]})
        )
        assert finish(world).phase == "AwaitingApproval"
        assert world.weights_seen[-1][1] == 50
    world.alias_problem = ""
    finish(world)
    # What is promoted has it, also while another revision is on its way.
    assert world.status.alias.version == "digits/1"
    assert "not moved" not in world.status.message


def test_it_is_tried_again_when_the_look_says_so_and_told_once():
    world = promoted(alias_problem="no")
    seen = replace(world.observe(), alias=AliasSeen(problem="no", is_news=True, retry_in=40.0))
    decision = plan(world.spec, world.status, seen, world.now)
    assert decision.recheck_after == 40.0
    assert [action.reason for action in decision.actions if isinstance(action, Notify)] == ["AliasNotMoved"]
    again = replace(seen, alias=replace(seen.alias, is_news=False))
    told = plan(world.spec, decision.status, again, world.now).actions
    assert [action for action in told if isinstance(action, Notify)] == []


def test_a_revision_that_is_no_version_is_told():
    world = World(registered(1))
    finish(world)
    assert world.status.message.endswith("is no version in a registry")
    assert world.moves == []


FOLLOWED = {"uri": "models:/digits@champion", "format": "onnx", "promoteAlias": "champion"}


def followed(version):
    """A deployment of what the alias points to."""
    spec = registered(1)
    spec = spec.model_copy(update={"model": spec.model.model_validate(FOLLOWED)})
    world = World(spec, versions={FOLLOWED["uri"]: version}, alias=version)
    finish(world)
    return world


def test_an_alias_that_the_spec_follows_is_not_turned_back():
    world = followed("digits/1")
    assert world.moves == []
    # Somebody asks for version 2 while 1 is still to be noted.
    world.status = world.status.model_copy(update={"alias": None})
    world.alias = "digits/2"
    finish(world)
    assert (world.alias, world.moves) == ("digits/2", [])
    assert "alias champion is at digits/2, which spec.model.uri follows" in world.status.message


def test_an_alias_that_the_spec_follows_goes_back_on_a_rollback():
    world = followed("digits/1")
    stable = world.status.stable.model_copy(update={"registered": "digits/3"})
    # As it is once the revision before is stable again.
    world.status = world.status.model_copy(update={"stable": stable})
    finish(world)
    assert world.moves == ["digits/3"]


@given(st.data())
def test_whatever_happens_it_ends_at_what_is_stable(data):
    world = World(registered(1), versions=VERSIONS)
    for _ in range(data.draw(st.integers(1, 6))):
        match data.draw(st.sampled_from(["apply", "rollback", "move", "outage"])):
            case "apply":
                world.apply(registered(data.draw(st.integers(1, 3))))
            case "rollback" if world.status.stable is not None:
                world.command("rollback")
            case "move":
                world.alias = data.draw(st.sampled_from([None, *VERSIONS.values()]))
            case "outage":
                world.alias_problem = "away"
        for _ in range(data.draw(st.integers(0, 12))):
            world.step(crash_after=data.draw(st.none() | st.integers(0, 3)))
    world.alias_problem = ""
    finish(world)
    before, moves = world.alias, len(world.moves)
    finish(world)
    assert (world.alias, len(world.moves)) == (before, moves)
    assert world.status.alias == AliasStatus(name="champion", version=world.status.stable.registered)
    assert not any(isinstance(action, MoveAlias) for action in world.step().actions)
