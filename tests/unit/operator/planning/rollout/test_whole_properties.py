"""What holds for every history of everything at once: held, judged, checked, edited, asked for, and crashed."""

import copy
import os
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mooring_operator.api import reasons

from tests.unit.operator.planning.ends import ends, same_end
from tests.unit.operator.planning.histories import (
    commands,
    flags,
    routers,
    shares,
    whole_stories,
)
from tests.unit.operator.planning.play import (
    RESTING,
    SECOND,
    begin_whole,
    go_on,
    happen,
    heal,
    is_stalled,
    play,
    reach,
    rest,
)
from tests.unit.operator.planning.specs import (
    BESIDE,
    JUDGED,
    ROLLOUTS,
    holds,
    runtimes,
    whole_spec,
    whole_specs,
    windows,
)
from tests.unit.operator.planning.whole import pinned
from tests.unit.operator.planning.witness.witness import Witness

HISTORIES = int(os.environ.get("MOORING_HISTORIES", "60"))
histories = settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck))

ANY = {"first": whole_specs, "then": whole_specs, "router": routers, "story": whole_stories}
ENDING = {
    "first": whole_specs,
    "last": whole_specs,
    "router": routers,
    "starts": flags,
    "bad": shares,
    "story": whole_stories,
}
crashes = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=12)
CRASHING = {
    "router": routers,
    "rollout": st.sampled_from([*ROLLOUTS, *JUDGED, *JUDGED]),
    "replicas": st.integers(1, 4),
    "runtime": runtimes,
    "held": st.tuples(windows, holds),
    "starts": st.booleans(),
    "bad": st.sampled_from([0.01, 0.5]),
    "finds": st.sampled_from(["Pass", "Pass", "Fail", "Insufficient", None]),
    "turn": st.sampled_from(["", "apply", "image", *commands]),
    "falls": st.one_of(st.none(), st.integers(0, 3)),
    "crashes": crashes,
}
WRONG = {
    "router": routers,
    "rollout": st.sampled_from(BESIDE),
    "replicas": st.integers(1, 4),
    "runtime": runtimes,
    "held": st.tuples(windows, holds),
    "crashes": crashes,
    "waits": st.lists(st.integers(0, 30), max_size=10),
}


@histories
@given(**ANY)
def test_no_decision_does_what_none_may(first, then, router, story):
    witness = begin_whole(first, router)
    play(witness, [("apply", then), *story], times=2, pause=SECOND)


@histories
@given(**ENDING)
def test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks(
    first, last, router, starts, bad, story
):
    witness = begin_whole(first, router)
    fleet = witness.fleet
    play(witness, [*story, ("apply", last), ("startable", starts), ("bad", bad)])
    if (stable := ends(witness)) is None:
        return
    assert {name for name, pods in fleet.pods.items() if pods} == {stable.revision}
    if fleet.status.phase == "Promoted":
        assert stable.storage_uri == last.model.uri
        follows = last.serving.runtime_policy == "Follow"
        assert not follows or stable.runtime == pinned(fleet.image), "an edited runtime was not followed"


@histories
@given(**CRASHING)
def test_a_crash_after_any_action_comes_to_the_same_end(
    router, rollout, replicas, runtime, held, starts, bad, finds, turn, falls, crashes
):
    """Crashes come at any time, and one may come just when it `falls`: with so many actions of the turn done."""
    asked = (replicas, "5s", 1, runtime, *held)
    whole = begin_whole(whole_spec("v1", ROLLOUTS[0], *asked[:-2], [], ()), router)
    whole.fleet.startable = {"s3://m/v2": starts}
    whole.fleet.bad, whole.fleet.finds = {"v2": bad}, finds
    whole.fleet.apply(whole_spec("v2", rollout, *asked))
    crashing = copy.deepcopy(whole)
    crashing.crashes = crashes
    live(whole, turn)
    live(crashing, turn, falls)
    same_end(crashing.fleet, whole.fleet)


def live(witness: Witness, turn: str, falls: int | None = None) -> None:
    """Roll out, with a turn of events where somebody is waited for or when it is over, to the end."""
    fleet = witness.fleet
    reach(witness, "held" if fleet.finds else "checked", limit=300)
    if turn == "apply":
        fleet.apply(whole_spec("v3", ROLLOUTS[0], 2, "5s", 1, ("onnx", "Follow"), [], ()))
    elif turn == "image":
        happen(witness, ("image", "b"))
    elif turn in ("abort", "promote", "pause", "approve") and fleet.status.candidate is not None:
        fleet.command(turn)
    if falls is not None:
        witness.crashes = [(0, falls), *witness.crashes]
    if fleet.finds is None:
        # A check goes on while this is taken up.
        go_on(witness)
    fleet.finds = "Pass"
    heal_and_rest(witness)
    if turn in ("rollback", "retry"):
        fleet.command(turn)
        rest(witness, limit=800)


def heal_and_rest(witness: Witness) -> None:
    startable = witness.fleet.startable
    heal(witness.fleet)
    witness.fleet.startable = startable
    rest(witness, limit=800)


@histories
@given(**WRONG)
def test_what_is_grossly_wrong_is_rolled_back_and_reaches_no_more_than_the_steps_say(
    router, rollout, replicas, runtime, held, crashes, waits
):
    """Requests that it gets wrong are at most the weight of the steps that it came to, while these lasted."""
    witness = begin_whole(whole_spec("v1", ROLLOUTS[0], replicas, "5s", 1, runtime, [], ()), router)
    fleet = witness.fleet
    fleet.bad, witness.crashes = {"v2": 0.5}, crashes
    fleet.apply(whole_spec("v2", rollout, replicas, "5s", 1, runtime, *held))
    wrong = allowed = 0.0
    for turn in range(600):
        at, routed = fleet.now, fleet.routed
        if go_on(witness) is None:
            break
        fleet.now += timedelta(seconds=waits[turn] if turn < len(waits) else 0)
        seconds = (fleet.now - at).total_seconds()
        journey = witness.account.journey
        if journey is not None and fleet.status.candidate is not None:
            wrong += seconds * routed.get(fleet.status.candidate.revision, 0)
            allowed += seconds * journey.allowed
    assert wrong <= allowed
    if is_stalled(fleet) or fleet.status.phase not in RESTING:
        return
    assert fleet.weights() == {"v1": 100}
    assert reasons.ANALYSIS_FAILED in [entry.reason for entry in fleet.status.history]
