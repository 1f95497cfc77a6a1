"""Accuracy without labels, beside the truth of a simulation."""

import numpy as np
import pytest
from mooring_components.performance.estimating import calibrate, check, estimate_accuracy


def rows(random, count, *, mean=0.0, sure=1.0, flipped=0.0):
    """A binary classifier's confidence and whether it is right.

    sure: 1 is calibrated, more is overconfident. flipped: the share of rows whose label no longer follows the features.
    """
    x = random.normal(mean, 2, count)
    chance = 1 / (1 + np.exp(-x))
    truth = random.random(count) < chance
    truth = np.where(random.random(count) < flipped, ~truth, truth)
    said = 1 / (1 + np.exp(-sure * x))
    return np.maximum(said, 1 - said), ((said >= 0.5) == truth).astype(float)


@pytest.mark.parametrize(("mean", "sure"), [(0.0, 1.0), (0.0, 1.6), (0.0, 0.7), (1.0, 1.0), (2.5, 1.0)])
def test_the_interval_holds_what_labels_would_show(mean, sure):
    random, held, errors = np.random.default_rng(0), 0, []
    for _ in range(400):
        found = estimate_accuracy(
            calibrate(*rows(random, 4000, sure=sure)), (window := rows(random, 1000, mean=mean, sure=sure))[0]
        )
        truth = window[1].mean()
        held += found.low <= truth <= found.high
        errors.append(found.value - truth)
    assert held / 400 >= 0.92
    assert abs(np.mean(errors)) < 0.003


def test_traffic_that_is_harder_is_seen_to_be_where_a_figure_of_before_is_wrong():
    random = np.random.default_rng(1)
    confidence, right = rows(random, 20_000)
    hard, truth = rows(random, 20_000)
    sure = hard < 0.7  # mostly what the model is unsure of
    found = estimate_accuracy(calibrate(confidence, right), hard[sure])
    assert truth[sure].mean() < right.mean() - 0.15
    assert found.value == pytest.approx(truth[sure].mean(), abs=0.01)


def test_without_labels_nobody_sees_that_these_depend_otherwise_on_the_features():
    random = np.random.default_rng(2)
    found = estimate_accuracy(
        calibrate(*rows(random, 20_000)), (window := rows(random, 20_000, flipped=0.3))[0]
    )
    assert window[1].mean() < found.low - 0.1


@pytest.mark.parametrize("sure", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("count", [1000, 4000, 50_000])
def test_confidence_that_is_right_or_wrong_in_the_same_way_is_accepted(sure, count):
    random = np.random.default_rng(3)
    assert [why for _ in range(100) if (why := check(*rows(random, count, sure=sure)))] == []


def test_confidence_that_tells_nothing_is_refused():
    random = np.random.default_rng(4)
    confidence = random.uniform(0.5, 1, 5000)
    right = (random.random(5000) < 0.6).astype(float)
    assert "off by 0.1" in check(confidence, right)


def test_a_baseline_in_which_labels_began_to_depend_otherwise_is_refused():
    random = np.random.default_rng(5)
    one, two = rows(random, 3000), rows(random, 3000, flipped=0.1)
    both = [np.concatenate(parts) for parts in zip(one, two, strict=True)]
    assert "in the later half" in check(*both)


def test_few_rows_show_nothing():
    assert check(*rows(np.random.default_rng(6), 999)).startswith("999 labelled rows cannot show")


@pytest.mark.parametrize(
    "confidence", [np.ones(1200), np.full(1200, 0.5), np.r_[np.zeros(600), np.ones(600)]]
)
def test_confidence_of_one_value_makes_no_fault(confidence):
    right = (np.arange(1200) % 2 == 0).astype(float)
    found = estimate_accuracy(calibrate(confidence, right), confidence)
    assert found.value == pytest.approx(0.5)
    assert 0 <= found.low < found.high <= 1
    check(confidence, right)
