"""MAE and RMSE of requests that no label has come for, from what the runtime kept of them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.feature_settings import FeatureSettings, parse_setting
from mooring_components.performance.measuring import measure_performance
from mooring_components.performance.wording import describe_performance

from tests.unit.components.performance.test_performance import AMOUNTS, MEMORY, Traffic, ask
from tests.unit.inference.capture.capture_records import record

RULES = {"rules": [{"metric": "mae", "margin": 0.2}], "estimate": True}


def amounts(count, seed, shift=0.0):
    """A feature, predictions, and what is true: the error grows with the feature."""
    random = np.random.default_rng(seed)
    x = random.normal(shift, 1, count)
    return x, 2 * x, 2 * x + np.exp(x / 2) * random.normal(size=count)


def baseline(folder, rows=20_000, *, name="base", **columns):
    x, said, truth = amounts(rows, 0)
    table = {"x": x, "prediction.y": said, "label": truth, **columns}
    pq.write_table(
        pa.table({column: values for column, values in table.items() if values is not None}),
        folder / f"{name}.parquet",
    )
    return {"uri": f"file://{folder}/{name}.parquet"}


def kept(folder, x, said):
    traffic = Traffic(folder, AMOUNTS)
    for place in range(len(x)):
        row = {"y": said[place : place + 1, None].astype(np.float32)}
        record(traffic.capture, f"r{place}", [[float(x[place])]], row, sig=AMOUNTS)
    return traffic


def estimated(folder, x, said, asked, **more):
    kept(folder, x, said).close()
    return measure_performance(asked, MEMORY, asked.requests, **more)


def test_traffic_with_larger_errors_breaks_a_rule_before_any_label_has_come(tmp_path):
    x, said, truth = amounts(1500, 1, shift=1.0)
    found = estimated(tmp_path, x, said, ask(tmp_path, baseline=baseline(tmp_path), **RULES))
    assert found.problem.reason == "InsufficientLabels"
    mae, (rmse,) = found.estimate.metric, found.estimate.others
    assert (mae.metric, rmse.metric, found.estimate.rows, found.estimate.reference) == (
        "mae",
        "rmse",
        1500,
        20_000,
    )
    assert mae.low <= np.abs(said - truth).mean() <= mae.high
    assert rmse.low <= np.sqrt(np.square(said - truth).mean()) <= rmse.high
    assert mae.value > mae.baseline + 0.3
    assert [each.metric for each in found.estimate.broken] == ["mae"]
    assert "1500 requests: mae 1." in describe_performance(found)


def test_the_same_traffic_breaks_none_and_without_rules_nothing_does(tmp_path):
    x, said, _ = amounts(1500, 1)
    for more in (RULES, {"estimate": True}):
        asked = ask(tmp_path, baseline=baseline(tmp_path), **more)
        found = estimated(tmp_path, x, said, asked).estimate
        assert found.metric.value == pytest.approx(found.metric.baseline, rel=0.05)
        assert (found.broken, found.problem) == ([], "")


def test_labels_of_earlier_requests_teach_where_no_rows_are_named(tmp_path):
    x, said, truth = amounts(1200, 0)
    traffic = kept(tmp_path, x, said)
    traffic.label({f"r{place}": float(value) for place, value in enumerate(truth)})
    traffic.close()
    asked = ask(tmp_path, figures={"mae": 0.1}, figureRows=5000, **RULES)
    found = measure_performance(asked, MEMORY, asked.requests)
    assert found.problem is None
    assert found.estimate.reference == 1200
    assert found.estimate.metric.value == pytest.approx(found.metrics[0].value, rel=0.02)
    assert [each.metric for each in found.estimate.broken] == ["mae"]


def test_a_window_that_is_like_no_labelled_row_has_no_estimate(tmp_path):
    x, said, _ = amounts(500, 1, shift=8.0)
    found = estimated(tmp_path, x, said, ask(tmp_path, baseline=baseline(tmp_path), **RULES)).estimate
    assert found.metric is None
    assert "% of the window's rows are like no labelled row" in found.problem


def test_a_share_of_rows_that_is_like_no_labelled_row_is_said(tmp_path):
    x, said, _ = amounts(1000, 1)
    x[:50] = 9.0
    asked = ask(tmp_path, baseline=baseline(tmp_path), **RULES)
    found = estimated(tmp_path, x, said, asked).estimate
    assert found.metric is not None
    assert found.hint.startswith(("5.0%", "5.1%", "5.2%"))
    assert "are like no labelled row" in found.hint


def test_columns_that_one_side_lacks_or_that_nobody_asked_for_are_not_looked_at(tmp_path):
    x, said, _ = amounts(1000, 1)
    more = baseline(tmp_path, only_before=np.arange(20_000))
    asked = ask(tmp_path, baseline=more, **RULES)
    found = estimated(tmp_path, x, said, asked).estimate
    assert found.hint.endswith("not looked at: 'only_before'")
    found = measure_performance(asked, MEMORY, asked.requests, features=["only_before"]).estimate
    assert found.metric is not None
    codes, ignored = (FeatureSettings([parse_setting(f"x={kind}")]) for kind in ("Category", "Ignored"))
    declared = measure_performance(asked, MEMORY, asked.requests, features=["x"], settings=codes).estimate
    assert "like no labelled row" in declared.problem
    without = measure_performance(asked, MEMORY, asked.requests, settings=ignored).estimate
    assert without.metric == found.metric


def test_a_few_errors_that_are_all_of_the_squared_loss_leave_the_mean_error(tmp_path):
    _x, _said, truth = amounts(20_000, 0)
    truth[::1000] += 300.0
    before = baseline(tmp_path, label=truth)
    found = estimated(tmp_path, *amounts(1000, 1)[:2], ask(tmp_path, baseline=before, **RULES)).estimate
    assert (found.metric.metric, found.others) == ("mae", [])
    assert "no estimate of rmse: a few labelled rows" in found.hint


def test_a_model_that_gives_several_numbers_for_a_row_has_no_estimate(tmp_path):
    x, said, _truth = amounts(3000, 0)
    wide = baseline(
        tmp_path, 3000, **{"prediction.y": None, "prediction.y[0]": said, "prediction.y[1]": said}
    )
    found = estimated(tmp_path, x[:300], said[:300], ask(tmp_path, baseline=wide, task="Regression", **RULES))
    assert found.estimate.metric is None
    assert "one number per row" in found.estimate.problem
