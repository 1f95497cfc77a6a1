"""When a key is due: earliest wish, order, and patience after failures."""

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.runtime.backoff import Backoff
from mooring_operator.runtime.schedule import Schedule


def test_delays_stay_between_one_second_and_a_minute():
    for rand in (0.0, 0.999):
        backoff = Backoff(lambda rand=rand: rand)
        delays = [backoff.delay(RuntimeError()) for _ in range(2000)]
        assert min(delays) >= 1
        assert max(delays) <= 60


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "take", "done", "advance"]),
        st.integers(0, 3),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(ACTIONS)
def test_schedule_loses_no_key_and_gives_none_out_twice(actions):
    schedule, now, taken, wanted = Schedule(), 0, [], {}
    for action, number, seconds in actions:
        match action:
            case "add":
                schedule.add(number, now + seconds)
                wanted[number] = min(wanted.get(number, now + seconds), now + seconds)
            case "take":
                key = schedule.take(now)
                due = [k for k, at in wanted.items() if at <= now and k not in taken]
                longest = min((wanted[k] for k in due), default=None)
                assert (key in due) if due else key is None
                if key is not None:
                    assert wanted.pop(key) == longest
                    taken.append(key)
            case "done" if taken:
                schedule.done(taken.pop(number % len(taken)))
            case "advance":
                now += seconds
        assert schedule.depth(now) == len([k for k, at in wanted.items() if at <= now and k not in taken])
        waiting = [at for k, at in wanted.items() if k not in taken]
        assert schedule.next_due() == min(waiting, default=None)
