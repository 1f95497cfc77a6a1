"""Patience after failures."""

from mooring_operator.runtime.backoff import Backoff


def test_delays_stay_between_one_second_and_a_minute():
    for rand in (0.0, 0.999):
        backoff = Backoff(lambda rand=rand: rand)
        delays = [backoff.delay(RuntimeError()) for _ in range(2000)]
        assert min(delays) >= 1
        assert max(delays) <= 60
