"""What holds for every history of everything at once: held, judged, checked, edited, asked for, and crashed."""

import os

from hypothesis import HealthCheck, given, settings

from tests.unit.operator.planning.histories import flags, routers, shares, whole_stories
from tests.unit.operator.planning.play import RESTING, SECOND, begin_whole, happen, heal, is_stalled, rest
from tests.unit.operator.planning.specs import whole_specs

HISTORIES = int(os.environ.get("MOORING_HISTORIES", "60"))
histories = settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck))


@histories
@given(first=whole_specs, then=whole_specs, router=routers, story=whole_stories)
def test_no_decision_does_what_none_may(first, then, router, story):
    witness = begin_whole(first, router)
    for event in [("apply", then), *story]:
        happen(witness, event)
        for _ in range(2):
            witness.step()
            witness.fleet.now += SECOND


@histories
@given(first=whole_specs, last=whole_specs, router=routers, starts=flags, bad=shares, story=whole_stories)
def test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks(
    first, last, router, starts, bad, story
):
    witness = begin_whole(first, router)
    fleet = witness.fleet
    for event in [*story, ("apply", last), ("startable", starts), ("bad", bad)]:
        happen(witness, event)
        witness.step()
    heal(fleet)
    rest(witness)
    stable = fleet.status.stable
    assert fleet.status.phase in RESTING or is_stalled(fleet), (fleet.status.phase, fleet.status.message)
    assert stable is not None
    if fleet.status.candidate is None:
        assert fleet.routed[stable.revision] == 100
        kept = [known.revision for known in fleet.status.retained]
        assert kept == witness.account.history[: fleet.spec.revision_history_limit], "another history is kept"
