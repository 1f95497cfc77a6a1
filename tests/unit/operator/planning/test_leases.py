"""Whether somebody holds a Lease, without anybody's clock but our own."""

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.leases import DURATION, Sighting


def spec(holder="other", beat=0, **more):
    return {"holderIdentity": holder, "renewTime": f"beat {beat}", **more}


def test_a_holder_that_is_silent_for_its_duration_has_gone():
    sighting = Sighting()
    assert sighting.is_held(spec(leaseDurationSeconds=20), 100)
    assert sighting.is_held(spec(leaseDurationSeconds=20), 119.9)
    assert not sighting.is_held(spec(leaseDurationSeconds=20), 120)


def test_a_lease_that_names_no_duration_has_that_of_the_reader():
    sighting = Sighting()
    assert sighting.is_held(spec(), 0)
    assert not sighting.is_held(spec(), DURATION)
    assert sighting.is_held(spec(beat=1), 100)
    assert not sighting.is_held(spec(beat=1), 103, duration=3)


def test_what_nobody_holds_is_free_at_once():
    assert not Sighting().is_held({}, 0)
    assert not Sighting().is_held(spec(holder=""), 0)


def test_it_is_renewed_once_it_was_seen_to_change():
    sighting = Sighting()
    for beat, renewed in ((0, False), (0, False), (1, True), (1, True)):
        sighting.is_held(spec(beat=beat), beat)
        assert sighting.renewed is renewed


@given(st.lists(st.floats(0.1, DURATION - 0.1), min_size=1, max_size=20))
def test_whoever_renews_in_time_holds_it(pauses):
    sighting, now = Sighting(), 0.0
    for beat, pause in enumerate(pauses):
        assert sighting.is_held(spec(beat=beat), now)
        assert sighting.is_held(spec(beat=beat), now + pause)
        now += pause
