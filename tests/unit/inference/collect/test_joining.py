"""Requests and answers find each other, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.collect.events import Event, Place
from mooring_inference.collect.joining import EVENT_BYTES, DuplicateError, FullError, Joiner


def event(id="a", is_request=True, service="digits", endpoint=""):
    return Event(id, is_request, Place(service, endpoint), "ml", "predictor", None, None)


@pytest.mark.parametrize("first", [True, False])
def test_both_orders_join(first):
    joiner = Joiner(1 << 20, 60)
    assert joiner.add(event(is_request=first), b"one", 1.0) is None
    pair = joiner.add(event(is_request=not first), b"two", 1.5)
    assert (pair.request.body, pair.response.body) == ((b"one", b"two") if first else (b"two", b"one"))
    assert pair.seconds == (0.5 if first else 0)
    assert (len(joiner), joiner.held_bytes) == (0, 0)


def test_equal_ids_of_canary_and_stable_are_two_requests():
    joiner = Joiner(1 << 20, 60)
    joiner.add(event(), b"", 0)
    assert joiner.add(event(is_request=False, endpoint="canary"), b"", 0) is None
    assert joiner.add(event(is_request=False, service="other"), b"", 0) is None
    assert len(joiner) == 3


def test_the_same_half_twice_is_refused_and_the_first_still_joins():
    joiner = Joiner(1 << 20, 60)
    joiner.add(event(), b"first", 0)
    with pytest.raises(DuplicateError):
        joiner.add(event(), b"second", 0)
    assert joiner.add(event(is_request=False), b"", 0).request.body == b"first"


def test_what_finds_no_room_is_refused_and_an_answer_needs_none():
    joiner = Joiner(EVENT_BYTES + 10, 60)
    joiner.add(event(), bytes(10), 0)
    with pytest.raises(FullError):
        joiner.add(event("b"), b"", 0)
    assert joiner.add(event(is_request=False), bytes(1000), 0) is not None


def test_what_waits_too_long_is_given_up():
    joiner = Joiner(1 << 20, 60)
    joiner.add(event("a"), b"", 0)
    joiner.add(event("b"), b"", 30)
    assert [half.event.id for half in joiner.expire(59.9)] == []
    assert [half.event.id for half in joiner.expire(61)] == ["a"]
    assert [half.event.id for half in joiner.clear()] == ["b"]
    assert joiner.held_bytes == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 50), st.integers(0, 20)), max_size=60
    )
)
def test_nothing_is_lost_and_no_bound_is_broken(steps):
    joiner, now = Joiner(4 * EVENT_BYTES, 30), 0.0
    taken = joined = given_up = 0
    for id, is_request, size, later in steps:
        now += later
        given_up += len(list(joiner.expire(now)))
        try:
            pair = joiner.add(event(id, is_request), bytes(size), now)
        except (DuplicateError, FullError):
            continue
        taken += 1
        joined += pair is not None
        assert 0 <= joiner.held_bytes <= 4 * EVENT_BYTES
        assert pair is None or pair.request.event.id == pair.response.event.id
    assert taken == 2 * joined + given_up + len(joiner)
    given_up += len(list(joiner.clear()))
    assert (taken - 2 * joined, joiner.held_bytes) == (given_up, 0)
