"""Rates of groups, how far they are apart, and intervals that hold the truth about as often as they say."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.gates import Interval
from mooring_artifacts.run_documents import Stability, parse_verdict
from mooring_components.datasets import TestData
from mooring_components.fairness import ODDS, PARITY, measure_fairness
from mooring_components.options import Fairness
from mooring_components.outcomes import Classified, Estimated
from mooring_components.quality import measure
from mooring_components.report.markdown import render_markdown
from mooring_components.report.page import Tested, render_page
from mooring_components.verdicts import Subject, make_verdict

SEX = Fairness(column="sex")
ALL = (*PARITY, *ODDS)


def groups(*counts):
    """Rows of groups a, b, ...: each (true positive, false negative, false positive, true negative)."""
    column, actual, predicted = [], [], []
    for name, cells in zip("abcdefgh", counts, strict=False):
        for cell, label, said in zip(cells, (1, 1, 0, 0), (1, 0, 1, 0), strict=True):
            column += [name] * cell
            actual += [label] * cell
            predicted += [said] * cell
    data = TestData({"sex": pa.array(column, pa.string())}, np.array(actual), "rows")
    return Classified([0, 1], np.array(actual, np.int64), np.array(predicted, np.int64)), data


def values(found):
    return {name: estimate.value for name, estimate in found.estimates.items()}


def test_groups_are_compared_by_the_rates_of_positive_answers():
    # Of all: 50/100 and 30/100. Of the positive: 40/50 and 20/50. Of the others: 10/50 and 10/50.
    found = measure_fairness(*groups((40, 10, 10, 40), (20, 30, 10, 40)), SEX)
    assert values(found) == pytest.approx(
        {
            "demographicParityDifference": 0.2,
            "demographicParityRatio": 0.6,
            "equalizedOddsDifference": 0.4,
            "equalizedOddsRatio": 0.5,
        }
    )
    first, second = found.groups
    assert (first.name, first.rows, first.selection_rate) == ("a", 100, 0.5)
    assert (second.true_positive_rate, second.false_positive_rate) == (0.4, 0.2)


cell = st.integers(5, 60)


@given(st.lists(st.tuples(cell, cell, cell, cell), min_size=2, max_size=6))
def test_they_are_what_every_pair_of_groups_says(counts):
    found = measure_fairness(*groups(*counts), SEX)
    selected = [(a + c) / (a + b + c + d) for a, b, c, d in counts]
    true, false = [a / (a + b) for a, b, _, _ in counts], [c / (c + d) for _, _, c, d in counts]
    pairs = list(itertools.permutations(range(len(counts)), 2))
    assert values(found) == pytest.approx(
        {
            "demographicParityDifference": max(selected[i] - selected[j] for i, j in pairs),
            "demographicParityRatio": min(selected[i] / selected[j] for i, j in pairs),
            "equalizedOddsDifference": max(rate[i] - rate[j] for rate in (true, false) for i, j in pairs),
            "equalizedOddsRatio": min(rate[i] / rate[j] for rate in (true, false) for i, j in pairs),
        }
    )
    for estimate in found.estimates.values():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@pytest.mark.parametrize(
    ("rates", "rows"),
    [((0.5, 0.5), 100), ((0.3, 0.5), 60), ((0.4, 0.4, 0.4, 0.4), 200), ((0.1, 0.2, 0.3), 80)],
)
def test_the_intervals_hold_the_truth_as_often_as_they_say(rates, rows):
    random = np.random.default_rng(5)
    truth = {PARITY[0]: max(rates) - min(rates), PARITY[1]: min(rates) / max(rates)}
    held, draws = dict.fromkeys(PARITY, 0), 400
    for _ in range(draws):
        hits = random.binomial(rows, rates)
        counts = [(0, 0, int(hit), rows - int(hit)) for hit in hits]
        found = measure_fairness(*groups(*counts), SEX)
        for name in PARITY:
            estimate = found.estimates[name]
            held[name] += estimate.low - 1e-12 <= truth[name] <= estimate.high + 1e-12
    # A share of .95 of 400 is above .92 in all but one of 300 tries.
    assert min(held.values()) / draws > 0.92


@pytest.mark.parametrize("counts", [[(0, 20, 0, 20)] * 2, [(20, 0, 0, 20)] * 2], ids=["none", "perfect"])
def test_a_rate_that_is_0_in_every_group_is_alike(counts):
    found = values(measure_fairness(*groups(*counts), SEX))
    assert (found["equalizedOddsRatio"], found["equalizedOddsDifference"]) == (1.0, 0.0)


def test_small_groups_are_shown_and_not_compared():
    found = measure_fairness(*groups((40, 10, 10, 40), (40, 10, 10, 40), (0, 1, 2, 3)), SEX)
    assert values(found)["demographicParityDifference"] == 0.0
    assert [group.rows for group in found.groups] == [100, 100, 6]


@pytest.mark.parametrize(
    ("counts", "asked", "names", "why"),
    [
        ([(40, 10, 10, 40), (0, 1, 2, 3)], SEX, ALL, "column 'sex' has 1 groups of 20 rows; two are compared"),
        ([(40, 10, 10, 40), (2, 1, 20, 30)], SEX, ODDS, "a group has 3 rows with, or without, the positive label"),
        ([(9, 9, 9, 9)] * 2, Fairness(column="sex", positive="yes"), ALL,
         "spec.ci.fairness.positive 'yes' is no label; there are 0, 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(counts, asked, names, why):
    found = measure_fairness(*groups(*counts), asked)
    assert {name: text[: len(why)] for name, text in found.unmeasured.items()} == dict.fromkeys(names, why)
    assert found.estimates.keys() == set(ALL) - set(names)


def test_amounts_and_many_labels_have_no_positive_one_unless_it_is_named():
    _, data = groups((9, 9, 9, 9), (9, 9, 9, 9))
    amounts = Estimated(np.zeros(72), np.zeros(72))
    assert "amounts" in measure_fairness(amounts, data, SEX).unmeasured[PARITY[0]]
    three = Classified(["high", "low", "mid"], np.arange(72) % 3, np.arange(72) % 3)
    assert "there are 3 labels" in measure_fairness(three, data, SEX).unmeasured[PARITY[0]]
    named = measure_fairness(three, data, Fairness(column="sex", positive="mid"))
    assert values(named)["equalizedOddsDifference"] == 0.0


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(
        InputError, match=r"spec\.ci\.fairness\.column names column 'age', which is not in rows"
    ):
        measure_fairness(*groups((9, 9, 9, 9)), Fairness(column="age"))


def test_reports_show_groups_and_levels_of_noise_as_text():
    outcome, data = groups((40, 10, 10, 40), (20, 30, 10, 40))
    column = pa.array(["<b>"] * 100 + ["y"] * 100)
    found = measure_fairness(outcome, TestData({"sex": column}, data.labels, "rows"), SEX)
    stability = [Stability(noise=0.1, share=0.97, interval=Interval(low=0.95, high=0.98))]
    digest = "sha256:" + "0" * 64
    quality = measure(outcome)
    verdict = make_verdict(
        "run-1",
        Subject("s3://m/x", digest, digest),
        quality.findings({}),
        [],
        "",
        (),
        found.groups,
        stability,
    )
    assert parse_verdict(verdict.to_json()) == verdict
    text = render_markdown(verdict, [])
    assert "| `sex` | `<b>` | 100 | 0.5 | 0.8 | 0.2 |" in text
    assert "| 0.1 | 0.97 | 0.95 to 0.98 |" in text
    page = render_page(Tested(verdict, [], quality.findings({}), "", quality.evidence, []))
    assert "<b>" not in page
    assert '<td>&lt;b&gt;</td><td class="n">100</td><td class="n">0.5</td><td class="n">0.8</td>' in page
    assert '<td class="n">0.97</td><td class="n">0.95 to 0.98</td>' in page
