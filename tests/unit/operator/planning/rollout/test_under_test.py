"""A model that is tested as it will be served: what runs for its test, for how long, and what never reaches it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.identity import instance_name
from mooring_operator.planning.rollout.actions import LaunchRun, RunForTest, StopAfterTest
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.routes import UnderTest
from mooring_operator.planning.runs.run import RunState

from tests.unit.operator.planning.world import CI, World, spec_of

ENDPOINT = {**CI, "target": "Endpoint"}


def spec(model="v1", **fields):
    return spec_of(model, ci=ENDPOINT, **fields)


def test_a_revision_runs_for_its_test_before_it_is_tested_and_no_longer():
    world = World(spec())
    first = world.step()
    [run] = [action for action in first.actions if isinstance(action, RunForTest)]
    assert (first.phase, first.status.test_instance) == ("Testing", run.name)
    assert not [action for action in first.actions if isinstance(action, LaunchRun)]
    world.settle()
    assert world.phases == ["Testing", "Deploying", "Promoted"]
    assert world.tested_at == [(world.status.stable.revision, f"http://{run.name}/v2/models/digits")]
    assert (world.instances, world.status.test_instance) == ({}, None)


def test_the_stable_revision_serves_alone_meanwhile():
    world = World(spec())
    world.settle()
    world.startable = {"s3://m/v2": False}
    world.apply(spec("v2"))
    for _ in range(5):
        decision = world.step()
        world.now += timedelta(seconds=2)
    assert decision.phase == "Testing"
    assert decision.message.endswith("it is brought up for its test: CrashLoopBackOff")
    assert world.weights_seen == []
    world.startable = {}
    assert world.settle().phase == "Promoted"
    assert world.instances == {}


@pytest.mark.parametrize(("protocol", "path"), [("V1", "v1"), ("V2", "v2"), ("OpenAI", "openai/v1")])
def test_it_is_asked_by_the_protocol_that_the_spec_names(protocol, path):
    world = World(spec_of("v1", ci={**ENDPOINT, "protocol": protocol}))
    world.settle()
    [(_, address)] = world.tested_at
    assert address.removeprefix("http://").partition("/")[2] == f"{path}/models/digits"


def test_what_does_not_start_fails_at_the_deadline_and_stops():
    world = World(spec(rollout={"progressDeadline": "1m"}), startable={"s3://m/v1": False})
    world.step()
    world.now += timedelta(seconds=60)
    assert world.step().phase == "Testing"
    world.now += timedelta(seconds=1)
    decision = world.settle()
    assert (decision.phase, decision.reason) == ("Failed", "TestInstanceNotReady")
    assert (
        "it was not ready for its test within spec.rollout.progressDeadline: CrashLoopBackOff"
        in decision.message
    )
    assert (world.instances, world.launched, world.status.test_instance) == ({}, [], None)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (
            {"under_test": UnderTest(False, blocked="no image")},
            "it cannot be brought up for its test: no image",
        ),
        ({"refused": "the webhook said no"}, "its instance for the test was refused: the webhook said no"),
    ],
)
def test_what_cannot_start_fails_at_once(seen, says):
    world = World(spec())
    world.step()
    observed = replace(world.observe(), **seen)
    decision = plan(world.spec, world.status, observed, world.now)
    assert (decision.phase, decision.reason) == ("Failed", "TestInstanceNotReady")
    assert says in decision.message


def test_a_model_that_fails_its_test_runs_no_longer():
    world = World(spec(), good={"s3://m/v1": False})
    assert world.settle().reason == "CIFailed"
    assert world.instances == {}


def test_another_way_to_serve_the_same_files_is_tested_too():
    world = World(spec())
    world.settle()
    world.apply(spec(serving={"env": [{"name": "THREADS", "value": "1"}]}))
    world.settle()
    assert len(world.launched) == 2
    assert len({address for _, address in world.tested_at}) == 2


def test_a_newer_spec_waits_until_the_older_one_has_stopped():
    world = World(spec(), startable={"s3://m/v1": False, "s3://m/v2": False})
    world.step()
    [old] = world.instances
    world.apply(spec("v2"))
    decision = world.step()
    assert decision.message.endswith(f"the instance of an older test, {old}, has to stop first")
    assert StopAfterTest(old) in decision.actions
    world.step()
    world.step()
    [new] = world.instances
    assert new != old
    assert world.status.test_instance == new


def test_a_spec_that_wants_its_files_tested_leaves_nothing_running():
    world = World(spec(), startable={"s3://m/v1": False})
    world.step()
    world.apply(spec_of("v1", ci=CI))
    world.startable = {}
    assert world.settle().phase == "Promoted"
    assert (world.instances, world.tested_at) == ({}, [(world.status.stable.revision, "")])


def test_a_run_goes_on_though_its_instance_is_restarted():
    world = World(spec())
    world.step()
    world.step()
    run_id = world.status.ci.run_id
    observed = replace(
        world.observe(), run=RunState(run_id, "Running"), verdict=None, under_test=UnderTest(False)
    )
    decision = plan(world.spec, world.status, observed, world.now)
    assert (decision.phase, decision.status.ci.run_id) == ("Testing", run_id)
    assert not [action for action in decision.actions if isinstance(action, StopAfterTest)]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("apply"), st.sampled_from(["v1", "v2", "v3"]), st.sampled_from(["Endpoint", "Files"])
        ),
        st.tuples(st.just("starts"), st.sampled_from(["v1", "v2", "v3"]), st.booleans()),
        st.tuples(st.just("crash"), st.integers(0, 3), st.none()),
        st.tuples(st.just("later"), st.integers(1, 900), st.none()),
        st.tuples(st.just("step"), st.none(), st.none()),
    ),
    max_size=25,
)


@given(STEPS, st.sets(st.sampled_from(["v1", "v2", "v3"])))
def test_whatever_happens_nothing_is_left_running_and_nothing_is_tested_where_another_answers(steps, bad):
    world = World(spec(), good={f"s3://m/{model}": False for model in bad})
    for what, one, two in steps:
        match what:
            case "apply":
                world.apply(spec_of(one, ci={**CI, "target": two}))
            case "starts":
                world.startable = {**world.startable, f"s3://m/{one}": two}
            case "crash":
                world.step(crash_after=one)
            case "later":
                world.now += timedelta(seconds=one)
            case _:
                world.step()
        assert len(world.instances) <= 1
        assert set(world.instances) <= {world.status.test_instance}
        serving = {revision.revision for revision in (world.served or ())[:2] if revision is not None}
        passed = {world.status.stable.revision} if world.status.stable is not None else set()
        unserved = {revision.revision for revision in world.instances.values()} - passed
        assert not serving & unserved
    world.startable = {}
    world.settle(200)
    for _ in range(3):
        world.step()
    assert (world.instances, world.status.test_instance) == ({}, None)
    owner = world.observe().owner
    for revision, address in world.tested_at:
        assert address in ("", f"http://{instance_name(owner.name, owner.uid, revision)}/v2/models/digits")
