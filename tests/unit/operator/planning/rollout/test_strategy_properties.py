"""What holds for every history, over all strategies and whatever the router can; MOORING_HISTORIES: how many each."""

import copy
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.operator.planning.ends import ends, same_end
from tests.unit.operator.planning.histories import flags, routers, stories
from tests.unit.operator.planning.play import SECOND, begin, play, reach, rest
from tests.unit.operator.planning.specs import ROLLOUTS, spec, specs
from tests.unit.operator.planning.witness.witness import Witness

HISTORIES = int(os.environ.get("MOORING_HISTORIES", "100"))
histories = settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))


@histories
@given(first=specs, then=specs, router=routers, story=stories)
def test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to(first, then, router, story):
    witness = begin(first, router)
    play(witness, [("apply", then), *story], times=2, pause=SECOND)


@histories
@given(first=specs, last=specs, router=routers, starts=flags, story=stories)
def test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks(
    first, last, router, starts, story
):
    witness = begin(first, router)
    fleet = witness.fleet
    play(witness, [*story, ("apply", last), ("startable", starts)])
    if (stable := ends(witness)) is None:
        return
    assert {name: pods for name, pods in fleet.pods.items() if pods} == {
        stable.revision: last.serving.min_replicas
        if stable.storage_uri == last.model.uri
        else int(stable.serving.get("minReplicas", 1))
    }
    if fleet.status.phase == "Promoted":
        assert stable.storage_uri == fleet.spec.model.uri


@histories
@given(
    router=routers,
    rollout=st.integers(0, len(ROLLOUTS) - 1),
    replicas=st.integers(1, 4),
    starts=st.booleans(),
    turn=st.sampled_from(["", "abort", "promote", "rollback", "apply", "retry"]),
    crashes=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=12),
)
def test_a_crash_after_any_action_comes_to_the_same_end(router, rollout, replicas, starts, turn, crashes):
    whole = begin(spec("v1", 0, replicas, "1s", 1), router)
    whole.fleet.startable = {"s3://m/v2": starts}
    whole.fleet.apply(spec("v2", rollout, replicas, "5s", 1))
    crashing = copy.deepcopy(whole)
    crashing.crashes = crashes
    for witness in (whole, crashing):
        live(witness, turn, replicas)
    same_end(crashing.fleet, whole.fleet)


def live(witness: Witness, turn: str, replicas: int) -> None:
    """Roll out, with a turn of events where somebody is waited for or when it is over, to the end."""
    fleet = witness.fleet
    reach(witness, "held", limit=200)
    if turn == "apply":
        fleet.apply(spec("v3", 0, replicas, "5s", 1))
    elif turn in ("abort", "promote") and fleet.status.candidate is not None:
        fleet.command(turn)
    rest(witness)
    if turn in ("rollback", "retry"):
        fleet.command(turn)
        rest(witness)
