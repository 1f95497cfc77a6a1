"""What a freeze holds and what it never holds, for every history around changes of clocks; MOORING_HISTORIES each."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mooring_operator.api import ModelDeploymentSpec, ModelDeploymentStatus, reasons
from mooring_operator.planning.freezes import NoThaw, thaw_of

from tests.unit.operator.planning.fleet import EACH, Fleet
from tests.unit.operator.planning.histories import events_with, routers
from tests.unit.operator.planning.play import RESTING, approve_if_held, happen, is_stalled
from tests.unit.operator.planning.specs import PLAIN, Windows, specs_with
from tests.unit.operator.planning.witness.witness import Witness
from tests.unit.operator.planning.world import spec_of

HISTORIES = int(os.environ.get("MOORING_HISTORIES", "60"))
histories = settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Chatham",
)
# Berlin, Santiago, Lord Howe and Chatham, both ways, and a day like any other.
CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 5, 3, tzinfo=UTC),
    datetime(2026, 9, 6, 4, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 4, 4, 14, tzinfo=UTC),
    datetime(2026, 9, 26, 14, tzinfo=UTC),
    datetime(2026, 7, 1, 12, tzinfo=UTC),
]
starts = st.builds(
    lambda change, minutes: change + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-70, 70),
)


def window_of(zone: str, begins: datetime, ends: datetime, *, dated: bool) -> dict[str, str]:
    """A window from one moment to another, as the clocks of a zone show them."""
    form = "%Y-%m-%dT%H:%M" if dated else "%H:%M"
    start, end = (moment.astimezone(ZoneInfo(zone)).strftime(form) for moment in (begins, ends))
    return {"timeZone": zone, "start": start, "end": end}


def windows_at(now: datetime) -> st.SearchStrategy[Windows]:
    """Windows of some minutes, most of which begin and end within a history that begins now."""
    window = st.builds(
        lambda zone, wait, length, dated: window_of(
            zone, now + timedelta(minutes=wait), now + timedelta(minutes=wait + length), dated=dated
        ),
        st.sampled_from(ZONES),
        st.integers(-20, 20),
        st.integers(1, 30),
        st.booleans(),
    )
    return st.lists(window.filter(is_window), max_size=2).map(
        lambda found: tuple(tuple(one.items()) for one in found)
    )


def is_window(window: dict[str, str]) -> bool:
    """Clocks that go back may show the same time at both ends, or an earlier one at the second."""
    start, end = window["start"], window["end"]
    return start < end or (start != end and len(start) == len("18:00"))


def specs_at(now: datetime) -> st.SearchStrategy[ModelDeploymentSpec]:
    return specs_with(windows_at(now))


stories = starts.flatmap(
    lambda now: st.tuples(
        st.just(now), specs_at(now), st.lists(events_with(specs_at(now)), min_size=2, max_size=12)
    )
)


def begin(spec: ModelDeploymentSpec, router: Any, now: datetime) -> Witness:
    witness = Witness(Fleet(spec, router, now=now))
    for _ in range(12):
        witness.step()
    return witness


def goes_back(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Whether what is on its way was promoted before."""
    candidate = before.candidate or after.candidate
    previous = before.previous.revision if before.previous is not None else ""
    return candidate is not None and (
        candidate.restores or candidate.returns or candidate.revision == previous
    )


def is_frozen(spec: ModelDeploymentSpec, now: datetime) -> bool:
    """Whether a window holds: it does where none of them leaves time, too."""
    try:
        return thaw_of(spec.rollout.freeze, now) is not None
    except NoThaw:
        return True


@histories
@given(story=stories, router=routers)
def test_nothing_goes_forward_in_a_freeze(story, router):
    now, first, happenings = story
    witness = begin(first, router, now)
    fleet = witness.fleet
    for event in happenings:
        happen(witness, event)
        for _ in range(3):
            before, at = fleet.status, fleet.now
            witness.step()
            if is_frozen(fleet.spec, at):
                check(before, fleet.status)


def check(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    if before.stable is None or goes_back(before, after):
        return
    assert after.stable is not None
    assert after.stable.revision == before.stable.revision
    candidate, known = after.candidate, before.candidate
    if candidate is None or goes_back(after, after):
        return
    if known is None or known.revision != candidate.revision:
        assert not candidate.runs
        return
    exposure = ("begun", "weight", "replicas", "mirror", "matched")
    assert [getattr(candidate, name) for name in exposure] == [getattr(known, name) for name in exposure]


ABLE = replace(EACH, mirrors=True, matches=True, sticks=True, previews=True)


BACK = {
    "now": starts,
    "rollout": st.sampled_from(PLAIN),
    "zone": st.sampled_from(ZONES),
    "passes": st.integers(0, 25),
    "way": st.sampled_from(["abort", "rollback", "spec"]),
    "limit": st.sampled_from([0, 2]),
}
ENDING = {"story": starts.flatmap(lambda now: st.tuples(st.just(now), specs_at(now))), "router": routers}


@histories
@given(**BACK)
def test_the_way_back_is_open_in_a_freeze(now, rollout, zone, passes, way, limit):
    """From anywhere in a rollout, whether one asks for it by command or by spec."""
    fleet = begin(spec_of("v1", revisionHistoryLimit=limit), ABLE, now).fleet
    fleet.apply(spec_of("v2", revisionHistoryLimit=limit))
    rest(fleet)
    fleet.apply(spec_of("v3", rollout=rollout, revisionHistoryLimit=limit))
    for _ in range(passes):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    # So long that it holds throughout, whatever the clocks do.
    window = window_of(zone, fleet.now - timedelta(hours=3), fleet.now + timedelta(hours=9), dated=True)
    frozen = {**rollout, "freeze": [window]}
    if "duration" in (test := rollout.get("abTest", {})):
        # A trial that nobody decides ends as the spec says, for what goes back too where it is not kept.
        frozen["abTest"] = {**test, "then": "Promote"}
    fleet.apply(spec_of("v3", rollout=frozen, revisionHistoryLimit=limit))
    fleet.step()
    stable, previous = fleet.status.stable, fleet.status.previous
    assert stable is not None
    assert previous is not None
    if way == "spec":
        back = previous.model_uri.removeprefix("s3://m/")
        fleet.apply(spec_of(back, rollout=frozen, revisionHistoryLimit=limit))
    elif fleet.status.candidate is not None or way == "rollback":
        fleet.command(way)
    rest(fleet)
    assert fleet.status.candidate is None
    wanted = stable.model_uri if way == "abort" else previous.model_uri
    assert fleet.weights() == {wanted.removeprefix("s3://m/"): 100}
    assert is_frozen(fleet.spec, fleet.now), "the way back waited for the thaw"


def rest(fleet: Fleet) -> None:
    """Pass until a rollout has ended, and its traffic is where it belongs; people approve."""
    for _ in range(300):
        before = fleet.status
        decision = fleet.step()
        if decision.phase in RESTING and decision.status == before and decision.recheck_after is None:
            return
        approve_if_held(fleet)
        fleet.now += timedelta(seconds=decision.recheck_after or 1)
    raise AssertionError((fleet.status.phase, fleet.status.message))


@histories
@given(**ENDING)
def test_every_rollout_ends_and_nothing_polls_in_a_freeze(story, router):
    now, spec = story
    fleet = begin(spec_of("v1"), router, now).fleet
    fleet.apply(spec)
    frozen = 0
    for _ in range(900):
        decision = fleet.step()
        if decision.phase in RESTING or is_stalled(fleet):
            break
        if decision.reason == reasons.FROZEN:
            frozen += 1
            assert decision.recheck_after is not None
            fleet.now += timedelta(seconds=decision.recheck_after)
            continue
        approve_if_held(fleet)
        fleet.now += timedelta(seconds=1)
    assert fleet.status.phase in RESTING or is_stalled(fleet), fleet.status.message
    # Twice for each freeze that a rollout can run into: when it is noticed, and before the clock has moved.
    running = frozen - 2 * (len(spec.rollout.freeze) + 1)
    assert running <= 0 or fleet.now - now > timedelta(seconds=running)
