"""Whose turn it is: nothing lost, nothing twice at once, nobody starved, room left for others."""

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.sharing import may_take
from mooring_operator.runtime.schedule import BURST, Schedule

FLOOD, QUIET = "flood", "quiet"


def make(workers=1):
    """A schedule of keys (group, number)."""
    return Schedule(workers, lambda key: key[0])


def serve(schedule, now=0.0):
    """Take the next key, and be done with it at once; give its group."""
    key = schedule.take(now)
    if key is not None:
        schedule.done(key)
    return key and key[0]


def flooded(groups=1, keys=2000, workers=1):
    schedule = make(workers)
    for number in range(keys):
        schedule.add((f"{FLOOD}{number % groups}", number), 0.0)
    return schedule


@pytest.mark.parametrize("groups", [1, 10, 100])
def test_a_group_that_asks_seldom_comes_next_beside_any_number_of_floods(groups):
    schedule = flooded(groups)
    for _ in range(BURST * groups):
        serve(schedule)
    # Also with what follows from it, as long as that is not much.
    for number in range(BURST):
        schedule.add((QUIET, number), 0.0)
        assert serve(schedule) == QUIET


@pytest.mark.parametrize("groups", [1, 10])
def test_credit_comes_back_with_the_turns_of_the_others(groups):
    schedule = flooded(groups, keys=5000)
    served = [0, 0]
    for number in range(4000):
        schedule.add((QUIET, number), 0.0)
        served[serve(schedule) == QUIET] += 1
    # It always has something due: it is one of them.
    assert abs(served[1] - 4000 / (groups + 1)) <= BURST + 1


def test_groups_with_much_to_do_take_turns():
    schedule = flooded(groups=3, keys=30)
    assert [serve(schedule) for _ in range(9)] == [f"{FLOOD}{n}" for n in (0, 1, 2)] * 3


def test_within_a_group_the_longest_due_comes_first():
    schedule = make()
    for number, due in enumerate((3.0, 1.0, 2.0)):
        schedule.add((QUIET, number), due)
    taken = []
    for _ in range(3):
        taken.append(schedule.take(10.0))
        schedule.done(taken[-1])
    assert [number for _, number in taken] == [1, 2, 0]


def test_who_was_away_for_long_does_not_get_all_that_it_left_out():
    schedule = flooded(groups=1, keys=5000)
    for _ in range(1000):
        serve(schedule)
    for number in range(1000):
        schedule.add((QUIET, number), 0.0)
    served = Counter(serve(schedule) for _ in range(100))
    assert served[QUIET] <= 50 + BURST


def test_no_more_is_kept_of_groups_than_of_those_that_count():
    schedule = make()
    for number in range(10_000):
        schedule.add((f"group{number}", 0), 0.0)
        serve(schedule)
    assert len(schedule._turns) < 100


@pytest.mark.parametrize(("floods", "held"), [(1, [4]), (2, [3, 3]), (3, [2, 2, 2]), (7, [1] * 7)])
def test_floods_leave_workers_for_a_newcomer(floods, held):
    schedule = flooded(floods, workers=8)
    taken = []
    while (key := schedule.take(0.0)) is not None:
        taken.append(key)
    assert sorted(Counter(group for group, _ in taken).values()) == held
    schedule.add((QUIET, 1), 0.0)
    assert schedule.take(0.0) == (QUIET, 1)


def test_a_group_at_its_share_goes_on_when_it_gives_one_back():
    schedule = flooded(workers=2)
    first = schedule.take(0.0)
    assert schedule.take(0.0) is None
    schedule.done(first)
    assert schedule.take(0.0) is not None


def test_one_worker_is_enough_for_everybody():
    schedule = flooded(groups=2, workers=1)
    assert {serve(schedule), serve(schedule)} == {"flood0", "flood1"}


@given(st.integers(1, 64), st.integers(1, 80))
def test_those_who_take_turns_leave_one_for_a_newcomer(total, others):
    held = [0] * others
    for _ in range(total):
        for one in range(others):
            held[one] += may_take(held[one], total - sum(held))
    assert sum(1 for mine in held if mine) == min(total, others)
    assert sum(held) < total or others >= total
    assert others > 1 or sum(held) == (total + 1) // 2


def test_a_discarded_key_is_not_given_out_and_can_be_wanted_again():
    schedule = make()
    schedule.add((QUIET, 1), 0.0)
    schedule.discard((QUIET, 1))
    assert (schedule.take(5.0), schedule.depth(5.0), schedule.oldest_due()) == (None, 0, None)
    schedule.add((QUIET, 1), 5.0)
    assert schedule.take(5.0) == (QUIET, 1)


def test_the_oldest_due_is_of_any_group():
    schedule = make()
    schedule.add((FLOOD, 1), 4.0)
    schedule.add((QUIET, 1), 3.0)
    schedule.take(3.5)
    assert schedule.oldest_due() == 4.0
    assert schedule.take(4.0) is None
    assert schedule.oldest_due() == 4.0


def test_a_take_does_not_get_slower_with_the_number_of_keys_and_groups():
    """100 times the keys and groups may cost a few times as much, not 100 times."""

    def seconds(groups):
        schedule = flooded(groups, keys=20 * groups, workers=8)
        serve(schedule)
        started = time.process_time()
        for _ in range(300):
            serve(schedule)
        return time.process_time() - started

    assert min(seconds(1000) for _ in range(3)) < 20 * min(seconds(10) for _ in range(3))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "take", "take", "done", "discard", "advance"]),
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.integers(0, 5),
    ),
    max_size=150,
)


@settings(max_examples=400, deadline=None)
@given(ACTIONS, st.integers(1, 6))
def test_nothing_is_lost_given_out_twice_or_starved(actions, workers):
    schedule, now, taken, wanted = make(workers), 0, [], {}
    # How often each group was served while another one had to wait that could have been served.
    passed: Counter = Counter()

    def may_be_served(group):
        held = sum(1 for key in taken if key[0] == group)
        return may_take(held, workers - len(taken))

    def due():
        return [key for key, at in wanted.items() if at <= now and key not in taken]

    for action, key, seconds in actions:
        match action:
            case "add":
                schedule.add(key, now + seconds)
                wanted[key] = min(wanted.get(key, now + seconds), now + seconds)
            case "take":
                waiting = {group for group, _ in due() if may_be_served(group)}
                got = schedule.take(now)
                if not waiting:
                    assert got is None
                    continue
                assert got in due()
                assert got[0] in waiting
                assert wanted[got] == min(wanted[k] for k in due() if k[0] == got[0])
                del wanted[got]
                taken.append(got)
                for group in waiting - {got[0]}:
                    passed[group, got[0]] += 1
                    assert passed[group, got[0]] <= BURST + 2, f"{got[0]} came before {group} too often"
                for pair in [pair for pair in passed if pair[0] == got[0]]:
                    del passed[pair]
            case "done" if taken:
                schedule.done(taken.pop(seconds % len(taken)))
            case "discard" if key not in taken:
                schedule.discard(key)
                wanted.pop(key, None)
            case "advance":
                now += seconds
        # Who has nothing due any more does not wait.
        for pair in [pair for pair in passed if pair[0] not in {group for group, _ in due()}]:
            del passed[pair]
        assert schedule.depth(now) == len(due())
        waiting = [at for k, at in wanted.items() if k not in taken]
        assert schedule.oldest_due() == min(waiting, default=None)
        upcoming = schedule.next_due()
        assert upcoming is None or upcoming in waiting
        assert upcoming is not None or all(at <= now for at in waiting)
