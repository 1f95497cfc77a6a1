"""What holds for every history of rollouts that are judged; MOORING_HISTORIES: how many."""

import copy
import os
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.rollout.plan import plan

from tests.unit.operator.planning.fleet import EACH
from tests.unit.operator.planning.judged import Answering, AnsweringFleet, rollout
from tests.unit.operator.planning.world import spec_of

HISTORIES = int(os.environ.get("MOORING_HISTORIES", "40"))
MODELS = ("v1", "v2", "v3")
LAST = {"setWeight": 100}
BOTH = {"metrics": [{"metric": "errorRate"}, {"metric": "latency"}]}
ROLLOUTS = [
    rollout({"setWeight": 20}, {"analyse": {"duration": "3m"}}, LAST),
    rollout(
        {"setWeight": 20}, {"analyse": {"duration": "3m", "onInsufficient": "Pass"}}, LAST, analysis=BOTH
    ),
    rollout({"setWeight": 50}, {"analyse": {"duration": "2m", "onInsufficient": "Fail"}}, LAST),
    rollout({"setWeight": 5}, {"pause": {"duration": "5m"}}, LAST, analysis={"earlyPromotion": True}),
    rollout({"setWeight": 10}, {"pause": {"duration": "1m"}}, LAST, analysis={"afterPromotion": "4m"}),
]

specs = st.builds(
    lambda model, how: spec_of(model, rollout={"progressDeadline": "1m", **how}),
    st.sampled_from(MODELS),
    st.sampled_from(ROLLOUTS),
)
shares = st.fixed_dictionaries({model: st.sampled_from([0.0, 0.01, 0.05, 0.5]) for model in MODELS})
events = st.one_of(
    st.tuples(st.just("apply"), specs),
    st.tuples(st.just("command"), st.sampled_from(["approve", "promote", "abort", "retry", "rollback"])),
    st.tuples(st.just("wait"), st.integers(1, 200)),
    st.tuples(st.just("bad"), shares),
    st.tuples(
        st.just("slow"), st.fixed_dictionaries({model: st.sampled_from([1.0, 3.0]) for model in MODELS})
    ),
    st.tuples(st.just("per_second"), st.sampled_from([0.1, 5.0, 100.0])),
    st.tuples(st.just("unavailable"), st.sampled_from(["", "it does not answer"])),
    st.tuples(st.just("crash"), st.integers(0, 3)),
)
histories = settings(max_examples=HISTORIES, deadline=None)


def happen(world: Answering, event: tuple[str, Any]) -> None:
    match event:
        case ("apply", spec):
            world.apply(spec)
        case ("command", name):
            world.command(name)
        case ("wait", seconds):
            world.now += timedelta(seconds=seconds)
        case ("crash", done):
            world.step(crash_after=done)
        case (name, value):
            setattr(world, name, value)


def begin(first: Any, each: bool, seed: int | None) -> Answering:
    world = AnsweringFleet(first, EACH, seed=seed) if each else Answering(first, seed=seed)
    for _ in range(12):
        world.step()
    return world


@histories
@given(specs, st.booleans(), st.integers(0, 3), st.lists(events, max_size=12))
def test_a_failed_verdict_is_never_promoted_and_every_look_is_taken_once(first, each, seed, story):
    world = begin(first, each, seed)
    for event in story:
        happen(world, event)
        for _ in range(4):
            before, observed = world.status, world.observe()
            decision = world.step()
            after = world.status
            found = after.analysis
            if found is not None and found.verdict == "FAIL":
                # It is no candidate any more, nor stable, but while the one before is on its way back.
                assert after.candidate is None or after.candidate.revision != found.candidate
                leaving = after.candidate is not None and after.candidate.restores
                assert after.stable is None or after.stable.revision != found.candidate or leaving
            if before.analysis is not None and found is not None and found.since == before.analysis.since:
                assert found.until >= before.analysis.until
            # With the same answer once more, nothing is counted again.
            again = plan(world.spec, after, observed, world.now).status.analysis
            if again is not None and found is not None and again.since == found.since:
                assert again.until == found.until
                assert again.message == found.message
            world.now += timedelta(seconds=min(decision.recheck_after or 1, 20))
    for (_, end), (start, _) in zip(world.taken, world.taken[1:], strict=False):
        assert start >= end


@histories
@given(specs, st.booleans(), st.integers(0, 3), st.lists(events, max_size=8))
def test_every_rollout_ends_or_waits_for_a_person(first, each, seed, story):
    world = begin(first, each, seed)
    for event in story:
        happen(world, event)
        world.step()
    decision = world.go_on(600)
    assert decision.phase in ("Promoted", "RolledBack", "Failed", "Paused")


@histories
@given(
    st.sampled_from(ROLLOUTS),
    st.sampled_from([0.01, 0.4]),
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
)
def test_a_crash_after_any_action_comes_to_the_same_end(how, share, crashes):
    whole = begin(spec_of("v1", rollout=how), False, None)
    whole.bad = {"v2": share}
    whole.apply(spec_of("v2", rollout=how))
    broken = copy.deepcopy(whole)
    for done in crashes:
        kept = broken.status
        broken.step(crash_after=done)
        if done == 0:
            broken.status = kept  # not even the status was written
    wanted, found = whole.go_on(600), broken.go_on(600)
    assert (found.phase, found.reason) == (wanted.phase, wanted.reason)
    assert found.status.stable.revision == wanted.status.stable.revision
