"""Workers have about as many connections each, whoever comes and goes."""

from __future__ import annotations

import random

import pytest
from mooring_inference.workers.turns import ConnectionTurns


@pytest.fixture
def turns(tmp_path):
    ConnectionTurns.prepare(tmp_path, 3)
    return [ConnectionTurns(tmp_path, index) for index in range(3)]


def test_who_is_alone_takes_all(turns):
    assert all(turns[1].is_mine(count) for count in (0, 1, 1000))


def test_who_has_more_leaves_the_next_one_to_the_others(turns):
    for one, count in zip(turns, (9, 4, 5), strict=True):
        one.note(count)
    assert [one.is_mine(count) for one, count in zip(turns, (9, 4, 5), strict=True)] == [False, True, True]


def test_who_has_ended_or_takes_no_more_is_not_waited_for(turns):
    for one in turns:
        one.note(0)
    turns[0].withdraw()
    turns[1].note(9)
    assert not turns[1].is_mine(9)
    turns[2].withdraw()
    assert turns[1].is_mine(9)


def test_numbers_stay_alike_while_connections_come_and_go(turns):
    chance = random.Random(1)
    counts = [0, 0, 0]
    for one in turns:
        one.note(0)
    for _ in range(3000):
        if chance.random() < 0.4:
            leaving = chance.randrange(3)
            counts[leaving] = max(0, counts[leaving] - 1)
            turns[leaving].note(counts[leaving])
        # Whoever is woken first takes it, unless it is another's turn.
        taking = next(index for index in chance.sample(range(3), 3) if turns[index].is_mine(counts[index]))
        counts[taking] += 1
        turns[taking].note(counts[taking])
    assert sum(counts) > 500
    assert max(counts) - min(counts) <= 3 + min(counts) // 16
