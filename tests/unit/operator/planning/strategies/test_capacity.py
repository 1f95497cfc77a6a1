"""Pods and percentages: a revision gets what its ready pods carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.strategies import capacity
from mooring_operator.planning.strategies.capacity import Seen, Share

percents, counts = st.integers(0, 100), st.integers(1, 200)


@pytest.mark.parametrize(
    ("weight", "whole", "pods"), [(0, 5, 1), (1, 10, 1), (10, 10, 1), (11, 10, 2), (50, 3, 2), (100, 7, 7)]
)
def test_a_share_takes_its_part_of_the_pods_rounded_up(weight, whole, pods):
    assert capacity.needed(weight, whole) == pods


@given(percents, counts)
def test_the_pods_that_are_asked_for_carry_the_share_and_fewer_do_not(weight, whole):
    pods = capacity.needed(weight, whole)
    assert capacity.carried(pods, whole) >= weight
    assert pods == 1 or capacity.carried(pods - 1, whole) < weight


@given(percents, counts, st.integers(0, 200), st.integers(1, 200))
def test_no_more_is_given_than_is_carried_or_asked(weight, whole, pods, stable):
    given = capacity.share(weight, Seen(whole, pods, stable))
    assert given.weight <= min(weight, capacity.carried(pods, whole))
    assert given.stable_pods == whole


def test_what_is_dead_is_left_with_the_first_pod():
    assert capacity.share(100, Seen(10, 1, 0)).weight == 100
    assert capacity.share(100, Seen(10, 0, 0)).weight == 0
    assert capacity.share(50, Seen(10, 1, 0)).weight == 10


@given(counts, st.integers(1, 50))
def test_with_a_surge_the_stable_revision_makes_room_and_the_rollout_comes_to_its_end(whole, surge):
    pods, stable, settled = 0, whole, 0
    for _ in range(2 * whole + 2):
        share = capacity.share(100, Seen(whole, pods, stable, settled), surge=surge)
        pods = max(pods, share.pods)
        assert pods + stable <= whole + surge
        assert 100 * stable >= (99 - settled) * whole
        share = capacity.share(100, Seen(whole, pods, stable, settled), surge=surge)
        assert share.weight <= capacity.carried(pods, whole)
        settled = share.weight
        stable = capacity.share(100, Seen(whole, pods, stable, settled), surge=surge).stable_pods
    assert (pods, stable, settled) == (whole, 0, 100)


@given(st.integers(1, 99), counts, st.integers(0, 200), st.integers(0, 200))
def test_a_share_by_pods_exposes_no_more_than_was_asked(weight, whole, pods, stable):
    if capacity.why_out_of_reach(weight, whole):
        return
    share = capacity.share_by_pods(weight, Seen(whole, pods, stable))
    if share.weight:
        assert 100 * pods <= weight * (pods + stable)
    assert 100 * share.pods <= weight * (share.pods + share.stable_pods)


def test_a_share_that_no_pods_make_is_told_with_the_way_out():
    assert capacity.why_out_of_reach(25, 3) == ""
    assert capacity.why_out_of_reach(100, 1) == ""
    said = capacity.why_out_of_reach(10, 3)
    assert "setWeight be 25 or more" in said
    assert "have 9 pods" in said


def test_by_pods_the_stable_revision_leaves_its_own_only_when_the_other_is_there():
    assert capacity.share_by_pods(50, Seen(4, 1, 4)) == Share(50, 2, 4)
    assert capacity.share_by_pods(50, Seen(4, 2, 4)) == Share(50, 2, 2)


@given(whole=st.integers(1, 200), data=st.data())
def test_on_the_way_to_all_traffic_stable_has_no_more_pods_than_it_needs(whole, data):
    pods, stable = data.draw(st.integers(0, whole - 1)), data.draw(st.integers(0, whole))
    share = capacity.share_by_pods(100, Seen(whole, pods, stable))
    assert share.pods == whole
    assert pods + share.stable_pods >= whole
    assert share.stable_pods == max(stable, whole - pods)
    # Once all of it has moved, traffic may have to go back.
    assert capacity.share_by_pods(100, Seen(whole, whole, stable)) == Share(100, whole, whole)
