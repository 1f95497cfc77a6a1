"""The loss of predictions without labels, beside the truth of a simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_components.performance.losses import check, estimate_loss, learn
from mooring_components.performance.terms import PREDICTION, choose_terms


def world(random, count, *, shift=0.0, kind="multiplied", features=4, changed=0.0):
    """Features with predictions, and the absolute error of each.

    kind: how the error depends on features. changed: the share of rows whose target no longer follows the features.
    """
    x = random.normal(size=(count, features))
    x[:, 0] += shift
    x[:, 1] += shift / 2
    bias, deviation = 0.0, 1.0
    if kind == "multiplied":
        deviation = np.exp(0.5 * x[:, 0] + 0.3 * x[:, 1])
    elif kind == "added":
        deviation = 0.5 + np.abs(x[:, 0]) + 0.5 * np.abs(x[:, 1])
    elif kind == "curve":  # a straight line was fitted to one
        bias, deviation = 0.4 * (x[:, 0] ** 2 - 1), 0.5
    error = bias + deviation * random.normal(size=count)
    error += np.where(random.random(count) < changed, 3.0, 0.0)
    columns = {f"x{place}": x[:, place] for place in range(features)}
    return {PREDICTION: 2 * x[:, 0] - x[:, 2], **columns}, np.abs(error)


@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["alike", "multiplied", "added", "curve"])
@pytest.mark.parametrize("features", [4, 20])
def test_the_interval_of_the_mean_error_holds_what_labels_would_show(kind, features, shift):
    random, held, errors = np.random.default_rng(1), 0, []
    for _ in range(50):
        learned = learn(*world(random, 1500, kind=kind, features=features))
        window, truth = world(random, 1000, kind=kind, features=features, shift=shift)
        found = estimate_loss(learned.expect(window))
        held += found.low <= truth.mean() <= found.high
        errors.append(found.value / truth.mean() - 1)
    assert held >= 45
    assert abs(np.mean(errors)) < 0.03


@pytest.mark.parametrize("kind", ["alike", "multiplied", "added", "curve"])
def test_the_interval_of_the_squared_error_holds_of_4000_rows(kind):
    random, held = np.random.default_rng(2), 0
    for _ in range(50):
        rows, loss = world(random, 4000, kind=kind)
        window, truth = world(random, 1000, kind=kind, shift=1.0)
        found = estimate_loss(learn(rows, loss**2).expect(window))
        held += found.low <= (truth**2).mean() <= found.high
    assert held >= 45


def test_it_follows_traffic_where_a_figure_of_before_does_not():
    random = np.random.default_rng(3)
    rows, loss = world(random, 20_000)
    window, truth = world(random, 20_000, shift=1.0)
    found = estimate_loss(learn(rows, loss).expect(window))
    assert truth.mean() > 1.6 * loss.mean()
    assert found.value == pytest.approx(truth.mean(), rel=0.05)


def test_two_numbers_that_matter_together_are_seen():
    random = np.random.default_rng(4)

    def product(count, shift):
        x = np.add(random.normal(size=(count, 3)), (shift, shift, 0))
        rows = {PREDICTION: x[:, 2], "a": x[:, 0], "b": x[:, 1]}
        return rows, np.abs(np.exp(0.3 * x[:, 0] * x[:, 1]) * random.normal(size=count))

    learned = learn(*product(20_000, 0.0))
    window, truth = product(20_000, 0.7)
    assert estimate_loss(learned.expect(window)).value == pytest.approx(truth.mean(), rel=0.05)


def test_without_labels_nobody_sees_that_targets_depend_otherwise_on_the_features():
    random = np.random.default_rng(5)
    learned = learn(*world(random, 20_000))
    window, truth = world(random, 20_000, changed=0.5)
    assert estimate_loss(learned.expect(window)).high < truth.mean() - 0.3


def test_rows_like_none_that_was_learned_are_counted():
    random = np.random.default_rng(6)
    rows, loss = world(random, 20_000)
    rows["kind"] = np.array(["a", "b"], dtype=object)[random.integers(0, 2, 20_000)]
    learned = learn(rows, loss)
    same, _ = world(random, 1000)
    same["kind"] = np.full(1000, "a", dtype=object)
    assert learned.expect(same).outside < 0.005
    far = {**same, "x1": np.where(np.arange(1000) < 300, 50.0, same["x1"])}
    assert learned.expect(far).outside == pytest.approx(0.3, abs=0.005)
    unseen = {**same, "kind": np.where(np.arange(1000) < 200, "new", "a").astype(object)}
    assert learned.expect(unseen).outside == pytest.approx(0.2, abs=0.005)
    missing = {**same, "x2": np.where(np.arange(1000) < 100, np.nan, same["x2"])}
    assert learned.expect(missing).outside == pytest.approx(0.1, abs=0.005)


def test_values_in_their_range_that_never_came_together_are_counted():
    random = np.random.default_rng(7)
    x = random.normal(size=10_000)
    rows = {PREDICTION: x, "twin": x + random.normal(0, 0.01, 10_000)}
    learned = learn(rows, np.abs(random.normal(size=10_000)))
    y = random.normal(size=1000)
    assert learned.expect({PREDICTION: y, "twin": y}).outside < 0.01
    assert learned.expect({PREDICTION: y, "twin": -y}).outside > 0.5


@pytest.mark.parametrize("kind", ["alike", "multiplied", "added", "curve"])
@pytest.mark.parametrize("count", [1000, 10_000])
def test_losses_that_depend_on_features_all_the_time_in_one_way_are_accepted(kind, count):
    random = np.random.default_rng(8)
    refused = [why for _ in range(40) if (why := check(*world(random, count, kind=kind)))]
    assert refused == []


def test_a_loss_that_began_to_depend_otherwise_is_refused():
    random = np.random.default_rng(9)
    one, two = world(random, 3000), world(random, 3000, changed=0.3)
    rows = {name: np.concatenate([one[0][name], two[0][name]]) for name in one[0]}
    assert "in the later half" in check(rows, np.concatenate([one[1], two[1]]))


@pytest.mark.parametrize(
    ("loss", "problem"),
    [
        (np.ones(999), "999 labelled rows cannot show"),
        (np.zeros(2000), "there is no loss to learn from"),
        (np.r_[np.zeros(1000), np.ones(1000)], "began in the later half"),
        (np.r_[np.ones(1999), 1e6], "a few labelled rows have nearly all of the loss"),
    ],
)
def test_losses_that_teach_nothing_are_refused(loss, problem):
    assert problem in check({PREDICTION: np.arange(len(loss), dtype=float)}, loss)


def test_where_rows_are_few_the_columns_that_tell_most_are_taken():
    random = np.random.default_rng(10)
    rows, loss = world(random, 1000, features=90)
    terms = choose_terms(rows, loss)
    assert len(terms.design(rows)[0]) <= 1000 // 20 + 1
    assert {"x0", "x1"} & set(terms.left_out) == set()
    assert len(terms.left_out) > 30


CELLS = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e30, np.nan, np.inf, -np.inf, 3.5])


@given(st.lists(CELLS, min_size=40, max_size=40), st.lists(CELLS, min_size=5, max_size=5), st.integers(0, 99))
def test_no_values_make_an_estimate_that_is_no_number(known, new, seed):
    random = np.random.default_rng(seed)
    rows = {
        PREDICTION: random.normal(size=1000),
        "x": random.choice(np.array(known), 1000),
        "t": random.choice(np.array(["a", "b", None], dtype=object), 1000),
    }
    loss = np.abs(random.normal(size=1000)) * 10.0 ** random.integers(-9, 9)
    window = {
        PREDICTION: random.normal(size=50),
        "x": random.choice(np.array(new), 50),
        "t": random.choice(np.array(["a", None, "z"], dtype=object), 50),
    }
    expected = learn(rows, loss).expect(window)
    found = estimate_loss(expected)
    assert 0 < found.low <= found.value <= found.high < np.inf
    assert loss.min() <= found.value <= loss.max()
    assert 0 <= expected.outside <= 1
    check(rows, loss)


def test_an_estimate_does_not_depend_on_units():
    random = np.random.default_rng(11)
    rows, loss = world(random, 3000)
    window, _ = world(random, 500, shift=0.5)
    found = estimate_loss(learn(rows, loss).expect(window))
    bigger = {name: 1000 * values + 7 for name, values in rows.items()}
    moved = {name: 1000 * values + 7 for name, values in window.items()}
    again = estimate_loss(learn(bigger, 1e6 * loss).expect(moved))
    assert (again.value, again.low, again.high) == pytest.approx(
        (1e6 * found.value, 1e6 * found.low, 1e6 * found.high), rel=1e-6
    )
