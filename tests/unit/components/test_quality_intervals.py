"""Metrics agree with scikit-learn, and their intervals hold the truth about as often as they say."""

import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_components import intervals, quality
from mooring_components.classification import (
    Measured,
    compare_classes,
    compare_scores,
    measure_classes,
)
from mooring_components.intervals import Estimate, bootstrap, logit, mean, normal, paired_shares, share
from mooring_components.outcomes import Classified, Estimated
from mooring_components.ranking import rank
from mooring_components.regression import compare_amounts, measure_amounts
from scipy import stats
from sklearn import metrics


def classified(actual, scores, classes=None):
    columns = list(range(scores.shape[1]))
    return Classified(classes or columns, actual, scores.argmax(axis=1), scores, columns)


def softmax(values):
    shares = np.exp(values)
    return shares / shares.sum(axis=1, keepdims=True)


def drawn(seed, rows, classes, skill=1.0):
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, classes, rows)
    return classified(actual, softmax(rng.normal(size=(rows, classes)) + skill * np.eye(classes)[actual]))


def values(found):
    return {name: estimate.value for name, estimate in found.estimates.items()}


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (2, 1), (5, 2), (10, 3)])
def test_classification_agrees_with_scikit_learn(classes, seed):
    outcome = drawn(seed, 400, classes)
    actual, predicted, scores = outcome.actual, outcome.predicted, outcome.scores
    each = [metrics.average_precision_score(actual == i, scores[:, i]) for i in range(classes)]
    binary = classes == 2
    p, r, f1, _ = metrics.precision_recall_fscore_support(actual, predicted, average="macro")
    expected = {
        "accuracy": metrics.accuracy_score(actual, predicted),
        "balancedAccuracy": metrics.balanced_accuracy_score(actual, predicted),
        "precision": p,
        "recall": r,
        "f1": f1,
        "rocAuc": metrics.roc_auc_score(actual, scores[:, 1] if binary else scores, multi_class="ovr"),
        "prAuc": each[1] if binary else np.mean(each),
        "logLoss": metrics.log_loss(actual, scores),
    }
    found = values(measure_classes(outcome))
    assert {**found, "calibrationError": None} == pytest.approx({**expected, "calibrationError": None})


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({flag for _, flag in rows}) == 2
    )
)
def test_areas_count_ties_as_scikit_learn_does(rows):
    scores, flags = (np.array(column) for column in zip(*rows, strict=True))
    ranking = rank(scores.astype(float), flags)
    assert ranking.roc_auc == pytest.approx(metrics.roc_auc_score(flags, scores))
    assert ranking.average_precision == pytest.approx(metrics.average_precision_score(flags, scores))
    assert ranking.roc_influence.sum() == pytest.approx(0, abs=1e-8)


def test_the_influence_on_an_area_is_what_deleting_a_row_does():
    outcome = drawn(4, 300, 2)
    ranking = rank(outcome.scores[:, 1], outcome.actual == 1)
    keep = ~np.eye(300, dtype=bool)
    without = [rank(outcome.scores[k, 1], outcome.actual[k] == 1).roc_auc for k in keep]
    assert 299 * (ranking.roc_auc - np.array(without)) == pytest.approx(ranking.roc_influence, abs=0.02)


def test_calibration_is_the_gap_between_confidence_and_accuracy():
    scores = np.array([[0.2, 0.8]] * 10)
    actual = np.array([1] * 6 + [0] * 4)
    assert values(measure_classes(classified(actual, scores)))["calibrationError"] == pytest.approx(0.2)


def test_regression_agrees_with_scikit_learn():
    rng = np.random.default_rng(5)
    actual = rng.normal(10, 2, 300)
    predicted = actual + rng.normal(size=300)
    assert values(measure_amounts(Estimated(actual, predicted))) == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(actual, predicted),
            "rmse": metrics.root_mean_squared_error(actual, predicted),
            "r2": metrics.r2_score(actual, predicted),
            "mape": metrics.mean_absolute_percentage_error(actual, predicted),
        }
    )


@settings(max_examples=50)
@given(rows=st.integers(1, 500), data=st.data())
def test_shares_have_wilsons_interval(rows, data):
    hits = data.draw(st.integers(0, rows))
    found = share(hits, rows)
    expected = stats.binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("outcome", "unmeasured"),
    [
        (Classified([0, 1], np.array([0, 1]), np.array([0, 1])), "gives no score for each label"),
        (classified(np.array([0, 1]), np.array([[9.0, 1.0], [1.0, 9.0]])), "are no probabilities"),
        (classified(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]])), "some label is in no row"),
        (classified(np.array([0, 2]), np.array([[0.9, 0.1], [0.8, 0.2]]), [0, 1, 2]), "has no score"),
    ],
)
def test_what_scores_do_not_tell_is_not_measured_and_said(outcome, unmeasured):
    found = measure_classes(outcome)
    assert any(unmeasured in reason for reason in found.unmeasured.values())
    assert not found.estimates.keys() & found.unmeasured.keys()


@pytest.mark.parametrize(
    ("actual", "predicted", "missing"),
    [
        ([1.0, 1.0], [1.0, 2.0], {"r2": "all labels are the same"}),
        ([0.0, 1.0], [1.0, 2.0], {"mape": "1 labels are 0"}),
    ],
)
def test_what_labels_do_not_allow_is_not_measured_and_said(actual, predicted, missing):
    assert measure_amounts(Estimated(np.array(actual), np.array(predicted))).unmeasured == missing


def covered(truth, estimates):
    return np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])


ROUNDS = 1500


@pytest.mark.parametrize(("rows", "p"), [(200, 0.99), (200, 0.7), (1000, 0.9)])
def test_wilsons_interval_holds(rows, p):
    rng = np.random.default_rng(6)
    assert 0.93 <= covered(p, [share(int(hits), rows) for hits in rng.binomial(rows, p, ROUNDS)]) <= 0.98


@pytest.mark.parametrize(("rows", "skill"), [(100, 1.0), (500, 2.0)])
def test_the_interval_of_an_area_holds(rows, skill):
    rng = np.random.default_rng(7)
    truth = stats.norm.cdf(skill / np.sqrt(2))
    found = []
    for _ in range(ROUNDS):
        flags = rng.random(rows) < 0.4
        ranking = rank(rng.normal(size=rows) + skill * flags, flags)
        found.append(logit(ranking.roc_auc, ranking.roc_influence))
    assert 0.925 <= covered(truth, found) <= 0.97


def test_intervals_of_the_confusion_hold():
    cells = np.array([0.30, 0.05, 0.05, 0.02, 0.38, 0.20])  # two labels that the model tells, and no answer
    actual, predicted = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, -1, 0, 1, -1])
    rng = np.random.default_rng(8)
    huge = np.repeat(np.arange(6), (cells * 100_000).round().astype(int))
    truth = values(measure_classes(Classified([0, 1], actual[huge], predicted[huge])))
    rounds = 300
    found = []
    for _ in range(rounds):
        rows = rng.choice(6, 300, p=cells / cells.sum())
        found.append(measure_classes(Classified([0, 1], actual[rows], predicted[rows])).estimates)
    for name in ("balancedAccuracy", "precision", "recall", "f1"):
        assert 0.91 <= covered(truth[name], [each[name] for each in found]) <= 0.985, name


@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
def test_intervals_of_amounts_hold(name):
    rng = np.random.default_rng(9)
    found = []
    for _ in range(ROUNDS):
        actual = rng.normal(scale=2, size=400)
        found.append(measure_amounts(Estimated(actual, actual + rng.normal(size=400))).estimates[name])
    truth = {"mae": np.sqrt(2 / np.pi), "rmse": 1.0, "r2": 0.75}[name]
    assert 0.93 <= covered(truth, found) <= 0.97


def test_the_interval_of_a_paired_difference_holds():
    rng = np.random.default_rng(10)
    found = []
    for b, c, _ in rng.multinomial(200, [0.06, 0.02, 0.92], ROUNDS):
        found.append(paired_shares(int(b), int(c), 200))
    assert 0.94 <= covered(0.04, found) <= 0.975


def pair(seed, rows=400, classes=3):
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, classes, rows)
    shared = rng.normal(size=(rows, classes)) + np.eye(classes)[actual]
    better = softmax(shared + 0.3 * rng.normal(size=(rows, classes)) + np.eye(classes)[actual])
    return classified(actual, better), classified(actual, softmax(shared))


def test_a_comparison_is_the_difference_of_what_each_has_alone():
    candidate, champion = pair(11)
    found = compare_classes(candidate, champion)
    compare_scores(candidate, champion, found)
    one, two = values(measure_classes(candidate)), values(measure_classes(champion))
    assert values(found) == pytest.approx({name: one[name] - two[name] for name in found.estimates})
    assert set(found.estimates) == {
        "accuracy",
        "balancedAccuracy",
        "precision",
        "recall",
        "f1",
        "rocAuc",
        "logLoss",
    }
    for name, estimate in found.estimates.items():
        assert estimate.low < estimate.value < estimate.high, name
        assert (estimate.low > 0) != (name == "logLoss")


def test_a_model_compared_with_itself_differs_by_nothing():
    candidate, _ = pair(12)
    found = compare_classes(candidate, candidate)
    compare_scores(candidate, candidate, found)
    assert set(values(found).values()) == {0.0}
    amounts = Estimated(np.arange(1.0, 9.0), np.arange(8.0))
    assert set(values(compare_amounts(amounts, amounts)).values()) == {0.0}


def test_paired_intervals_are_narrower_than_those_of_two_samples():
    rng = np.random.default_rng(13)
    actual = rng.normal(5, 1, 2000)
    noise = rng.normal(size=2000)
    one, two = Estimated(actual, actual + noise), Estimated(actual, actual + 1.1 * noise)
    difference = compare_amounts(one, two).estimates["mae"]
    alone = measure_amounts(one).estimates["mae"]
    assert difference.high < 0
    assert difference.high - difference.low < (alone.high - alone.low) / 5


def test_too_many_cells_have_no_interval_rather_than_a_wrong_one():
    counts = np.ones(30_000, dtype=np.int64)
    (found,) = bootstrap(counts, lambda drawn: drawn[:, :1].astype(float))
    assert found == Estimate(1.0)


def test_the_same_data_gets_the_same_intervals():
    outcome = drawn(14, 300, 4)
    assert measure_classes(outcome) == measure_classes(outcome)


@pytest.mark.parametrize("found", [mean(np.array([3.0])), normal(3.0, np.array([3.0]))])
def test_one_row_has_no_interval(found):
    assert found == Estimate(3.0)


def test_an_area_of_one_has_no_interval():
    assert logit(1.0, np.zeros(9)) == Estimate(1.0)


def test_nothing_is_sorted_twice():
    outcome = drawn(15, 100, 2)
    with mock.patch("mooring_components.classification.rank", wraps=rank) as sorting:
        assert isinstance(measure_classes(outcome), Measured)
    assert sorting.call_count == 1


def test_the_bootstrap_draws_the_same_whether_at_once_or_in_blocks(monkeypatch):
    counts = np.array([40, 3, 2, 55])

    def statistics(drawn):
        return drawn[:, [0, 3]].sum(axis=1, keepdims=True) / drawn.sum(axis=1, keepdims=True)

    whole = intervals.bootstrap(counts, statistics)
    monkeypatch.setattr(intervals, "_MOST_AT_ONCE", 40)
    assert intervals.bootstrap(counts, statistics) == whole


@pytest.mark.parametrize(("labels", "rows"), [(30_000, 60_000), (3_000, 18_000)])
def test_many_labels_are_measured_in_memory_that_follows_the_rows(labels, rows):
    random = np.random.default_rng(0)
    actual = random.permutation(np.arange(rows) % labels)
    # A few other labels each, so that the cells that occur are many, too.
    predicted = np.where(random.random(rows) < 0.5, actual, (actual + random.integers(1, 9, rows)) % labels)
    outcome = Classified(range(labels), actual, predicted)
    tracemalloc.start()
    found = quality.measure(outcome)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A table of all pairs of 30,000 labels has 7 GB.
    assert most < 200e6
    expected = metrics.precision_recall_fscore_support(actual, predicted, average="macro", zero_division=0)
    averages = [found.metrics[name] for name in ("precision", "recall", "f1")]
    assert averages == pytest.approx(expected[:3])
    assert (found.categories, found.confusion) == ([], [])
    beside = quality._beside(found, outcome, outcome)
    assert beside.differences["f1"].value == 0.0
