"""Two answers to one request: found whatever the order, each request once, and forgotten without a partner."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mooring_components.agreement.joining import Counts, Join, Kept, agree, chosen_row

IDS = st.integers(0, 12).map("request-{}".format)
ANSWERS = st.sampled_from(["a", "b", None])


@st.composite
def kept_requests(draw):
    """Requests of one revision by id: each with the answers of all of its rows."""
    return draw(st.dictionaries(IDS, st.lists(ANSWERS, min_size=3, max_size=3), max_size=10))


def rows_of(requests, counts):
    return [
        Kept(name, counts[name], row, answers[row])
        for name, answers in requests.items()
        for row in range(counts[name])
    ]


@given(data=st.data(), stable=kept_requests(), candidate=kept_requests())
def test_pairs_are_those_that_both_answered_by_one_row_of_each(data, stable, candidate):
    counts = {name: data.draw(st.integers(1, 3)) for name in {**stable, **candidate}}
    join = Join(None)
    join.stable(data.draw(st.permutations(rows_of(stable, counts))))
    # Files come in any order, each with any part of the requests.
    for row in data.draw(st.permutations(rows_of(candidate, counts))):
        join.candidate([row])
    both = {
        name: (stable[name][at], candidate[name][at])
        for name in stable.keys() & candidate.keys()
        for at in [chosen_row(name, counts[name])]
    }
    answered = [pair for pair in both.values() if None not in pair]
    assert join.counts() == Counts(
        pairs=len(answered),
        disagreements=sum(one != other for one, other in answered),
        failed=len(both) - len(answered),
        stable=len(stable),
        candidate=len(candidate),
    )


@given(st.permutations(["a", "a", "b", "c"]), st.permutations(["a", "b", "b", "d"]))
def test_an_id_that_stands_for_several_requests_tells_nothing(stable, candidate):
    join = Join(None)
    join.stable(Kept(name, 1, 0, "x") for name in stable)
    join.candidate(Kept(name, 1, 0, "y") for name in candidate)
    assert join.counts() == Counts(repeated=2, stable=3, candidate=3)


def test_what_was_answered_beside_the_time_of_the_look_is_a_partner_and_no_request_of_it():
    join = Join(None)
    join.stable([Kept("a", 1, 0, "x"), Kept("early", 1, 0, "x", within=False)])
    join.candidate([Kept("a", 1, 0, "x", within=False), Kept("early", 1, 0, "x")])
    assert join.counts() == Counts(pairs=1, stable=1, candidate=1)


@given(st.integers(0, 400), st.integers(1, 60))
def test_where_there_are_too_many_a_share_of_the_pairs_is_compared(total, most):
    join = Join(None, most=most)
    for number in range(total):
        join.stable([Kept(f"r{number}", 1, 0, "x")])
        assert join.held <= most
    join.candidate(Kept(f"r{number}", 1, 0, "y") for number in range(total))
    found = join.counts()
    # Both sides draw the same ones: none is without its partner.
    assert found == Counts(found.pairs, found.pairs, stable=found.pairs, candidate=found.pairs)
    assert found.pairs == total or found.pairs > 0 or most < 8


def test_large_answers_are_bounded_by_their_bytes():
    join = Join(0.0, most_bytes=100_000)
    answer = np.zeros(1000).tobytes()
    join.stable(Kept(f"r{number}", 1, 0, answer) for number in range(1000))
    assert 0 < join.held <= 12


def test_numbers_agree_within_a_tolerance_and_all_else_where_it_is_equal():
    def numbers(*values):
        return np.asarray(values, np.float64).tobytes()

    assert agree(numbers(1, 2), numbers(1.1, 1.9), 0.11)
    assert not agree(numbers(1, 2), numbers(1.1, 1.8), 0.11)
    assert agree(numbers(np.nan, np.inf), numbers(np.nan, np.inf), 0.0)
    assert not agree(numbers(1, np.nan), numbers(1, 2), 9.0)
    assert not agree(numbers(1), numbers(1, 1), 9.0)
    assert agree("cat", "cat", None)
    assert not agree(1, "1", None)
    assert not agree(numbers(1), "1", 0.5)


def test_no_row_of_a_request_is_preferred():
    seen = [chosen_row(f"r{number}", 4) for number in range(4000)]
    assert all(900 < seen.count(row) < 1100 for row in range(4))
