"""How long others may not have heard of what has changed, after the API server was away."""

import pytest
from mooring_operator.adapters.outages import Outages


class Played:
    def __init__(self):
        self.now = 100.0
        self.outages = Outages(lambda: self.now)

    def after(self, seconds, code=200):
        self.now += seconds
        self.outages.note(code)
        return self.outages.linger


def test_what_never_was_away_lingers_nowhere():
    played = Played()
    assert not played.outages.linger
    assert not played.after(3600)
    assert not played.after(1, 404)


@pytest.mark.parametrize(("away", "lingers"), [(0, 2), (8, 18), (20, 42), (29, 60), (3600, 60)])
def test_others_need_twice_as_long_as_it_was_away_and_a_minute_at_most(away, lingers):
    played = Played()
    assert played.after(0, 0)
    assert played.after(away)
    assert played.after(lingers - 0.5)
    assert not played.after(0.5)


def test_it_is_away_until_it_answers():
    played = Played()
    for _ in range(10):
        assert played.after(600, 0)
    assert played.after(1, 500)
    assert not played.after(60)
