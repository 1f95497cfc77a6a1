"""What holds for every history of a ModelDeployment, whatever happens in which order."""

import copy
import os
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.actions import LaunchRun
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.routes import Traits

from tests.unit.operator.planning.world import CI, World, spec_of

MODELS = ("v1", "v2", "v3", "v4")
STEPS = (
    [{"setWeight": 100}],
    [{"setWeight": 10}, {"pause": {"duration": "30s"}}, {"setWeight": 50}, {"setWeight": 100}],
    [{"setWeight": 5}, {"approve": {}}, {"setWeight": 100}, {"pause": {"duration": "10s"}}],
    [{"pause": {}}, {"setWeight": 25}, {"setWeight": 100}],
)
RESTING = ("Promoted", "RolledBack", "Failed")

specs = st.builds(
    lambda model, steps, ci, replicas: spec_of(
        model,
        rollout={"steps": steps, "progressDeadline": "1m"},
        serving={"minReplicas": replicas},
        **({"ci": CI} if ci else {}),
    ),
    st.sampled_from(MODELS),
    st.sampled_from(STEPS),
    st.booleans(),
    st.sampled_from([1, 2]),
)
routers = st.builds(
    Traits,
    st.just("its controller"),
    st.just(40),
    names_workloads=st.booleans(),
    renames_for_files_only=st.booleans(),
    holds_rejected=st.booleans(),
)
outcomes = st.fixed_dictionaries({f"s3://m/{model}": st.booleans() for model in MODELS})
events = st.one_of(
    st.tuples(st.just("apply"), specs),
    st.tuples(
        st.just("command"), st.sampled_from(["approve", "promote", "abort", "retry", "pause", "rollback"])
    ),
    st.tuples(st.just("release"), st.none()),
    st.tuples(st.just("wait"), st.integers(1, 90)),
    st.tuples(st.just("startable"), outcomes),
    st.tuples(st.just("crash"), st.integers(0, 3)),
    st.tuples(st.just("routed"), st.booleans()),
)
histories = settings(max_examples=int(os.environ.get("MOORING_HISTORIES", "150")), deadline=None)


def happen(world: World, event: tuple[str, object]) -> None:
    match event:
        case ("apply", spec):
            world.apply(spec)  # type: ignore[arg-type]
        case ("command", name):
            world.command(str(name))
        case ("release", _):
            world.commands.pop("pause", None)
        case ("wait", seconds):
            world.now += timedelta(seconds=int(seconds))  # type: ignore[call-overload]
        case ("startable", startable):
            world.startable = startable  # type: ignore[assignment]
        case ("routed", routed):
            world.routed = bool(routed)
        case ("crash", done):
            world.step(crash_after=int(done))  # type: ignore[call-overload]


@histories
@given(first=specs, router=routers, good=outcomes, story=st.lists(events, max_size=12))
def test_whatever_happens_only_passed_revisions_get_traffic_and_only_as_the_steps_say(
    first, router, good, story
):
    world = World(first, router, good=good)
    tested = {}
    for event in [*story, ("wait", 1)]:
        happen(world, event)
        for _ in range(4):
            before = world.status
            world.step()
            candidate = world.status.candidate
            for known in (before.candidate, candidate):
                if known is not None:
                    tested[known.revision] = world.spec.ci is None or good[known.storage_uri]
            if candidate is not None and candidate.weight > 0 and not candidate.restores:
                allowed = {step.set_weight for step in world.spec.rollout.steps} | {100}
                changed = before.candidate is None or before.candidate.weight != candidate.weight
                assert not changed or candidate.weight in allowed
                if world.spec.ci is not None:
                    assert good[candidate.storage_uri] or world.status.phase == "Testing"
            stable = world.status.stable
            if stable is not None and (before.stable is None or before.stable.revision != stable.revision):
                assert tested[stable.revision] or (
                    before.previous is not None and stable.revision == before.previous.revision
                )


@histories
@given(first=specs, router=routers, good=outcomes, story=st.lists(events, max_size=12))
def test_where_nothing_splits_traffic_nobody_is_promoted_over_another(first, router, good, story):
    world = World(first, router, good=good)
    for event in [*story, ("wait", 1)]:
        happen(world, event)
        for _ in range(4):
            before, routed = world.status, world.routed
            world.step()
            if routed or before.stable is None or before.candidate is None or before.candidate.restores:
                continue
            assert world.status.stable.revision == before.stable.revision
            begun = before.candidate.weight == 0 and world.status.candidate is not None
            assert not begun or world.status.candidate.weight == 0 or world.status.candidate.restores


@histories
@given(first=specs, router=routers, good=outcomes, story=st.lists(events, max_size=12))
def test_planning_again_on_the_result_changes_nothing(first, router, good, story):
    world = World(first, router, good=good)
    for event in story:
        happen(world, event)
        observed = world.observe()
        once = plan(world.spec, world.status, observed, world.now)
        world.step()
        again = plan(world.spec, once.status, world.observe(), world.now)
        third = plan(world.spec, again.status, world.observe(), world.now)
        assert third.status.candidate == again.status.candidate or again.status.ci != third.status.ci
        # Deciding is free of side effects: the same question has the same answer.
        assert plan(world.spec, once.status, world.observe(), world.now) == again
        if third.status == again.status:
            assert not [action for action in third.actions if isinstance(action, Notify)]


@histories
@given(first=specs, router=routers, good=outcomes, startable=outcomes, story=st.lists(events, max_size=12))
def test_every_rollout_ends_or_waits_for_a_person(first, router, good, startable, story):
    world = World(first, router, good=good)
    for event in story:
        happen(world, event)
        world.step()
    world.startable = {
        **startable,
        **({world.status.stable.storage_uri: True} if world.status.stable else {}),
    }
    world.commands.pop("pause", None)
    world.routed = True
    for _ in range(8):
        if world.settle(limit=400).phase in RESTING:
            break
        world.command("approve")
    assert world.status.phase in RESTING
    assert world.status.candidate is None
    kinds = {c.type: c.status for c in world.status.conditions}
    assert not (kinds.get("Reconciling") == "True" and kinds.get("Stalled") == "True")


@histories
@given(
    router=routers,
    good=outcomes,
    steps=st.sampled_from(STEPS[:2]),
    ci=st.booleans(),
    crashes=st.lists(st.integers(0, 3), max_size=8),
)
def test_a_crash_after_any_action_comes_to_the_same_end(router, good, steps, ci, crashes):
    fields = {"rollout": {"steps": steps}, **({"ci": CI} if ci else {})}
    world = World(spec_of("v1", **fields), router, good={**good, "s3://m/v1": True})
    world.settle()
    world.apply(spec_of("v2", **fields))
    crashing = copy.deepcopy(world)
    world.settle()
    for done in crashes:
        crashing.step(crash_after=done)
        crashing.now += timedelta(seconds=1)
    crashing.settle()
    assert crashing.status.phase == world.status.phase
    assert crashing.served is not None
    assert world.served is not None
    assert crashing.served[0].revision == world.served[0].revision
    assert crashing.served[1:] == world.served[1:] == (None, 0)
    assert len(set(crashing.launched)) == len(crashing.launched) == len(world.launched)


@given(specs)
def test_a_run_is_asked_for_once_for_one_question(spec):
    world = World(spec)
    first = [a.run_id for a in world.step(crash_after=0).actions if isinstance(a, LaunchRun)]
    second = [a.run_id for a in world.step(crash_after=0).actions if isinstance(a, LaunchRun)]
    assert first == second
    assert len(first) == (1 if spec.ci else 0)
