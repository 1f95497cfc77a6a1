"""How often noise changes what a model says."""

from dataclasses import replace

import numpy as np
import onnx
import pyarrow as pa
import pytest
from mooring_components.datasets import TestData
from mooring_components.feeding import feed_model
from mooring_components.models import open_model
from mooring_components.options import Fairness, TestOptions
from mooring_components.outcomes import Estimated, observe
from mooring_components.quality import evaluate
from mooring_components.robustness import _moved, measure_stability
from onnx import TensorProto, helper

ROWS = 4000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Calls a row by the sign of its first feature."""
    folder = tmp_path_factory.mktemp("sign")
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [-1.0, 1.0, 0.0, 0.0])
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", rows[:1], rows[1:], [weights]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, folder / "m.onnx")
    return open_model(folder)


def rows_of(scale=1.0, seed=0, kind=np.float64):
    values = scale * np.random.default_rng(seed).normal(size=ROWS)
    return TestData(
        {"a": pa.array(values.astype(kind)), "b": pa.array(np.zeros(ROWS))},
        (values > 0).astype(np.int64),
        "rows",
    )


@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.parametrize("seed", [0, 1], ids=["the seed that most have", "another"])
def test_the_share_that_stays_is_that_of_the_normal_distribution_in_any_unit(model, scale, seed):
    levels = [0.1, 1.0]
    found = evaluate(model, rows_of(scale, seed), TestOptions(noise=levels))
    for each, level in zip(found.evidence.stability, levels, strict=True):
        # The angle between x and x + level * noise, by which their signs differ.
        truth = 1 - np.arctan(level) / np.pi
        assert each.noise == level
        assert each.share == pytest.approx(truth, abs=4 * np.sqrt(truth * (1 - truth) / ROWS))
        assert each.interval.low < each.share < each.interval.high
    assert found.metrics["noiseStability"] == found.evidence.stability[1].share
    assert found.intervals["noiseStability"] == found.evidence.stability[1].interval
    assert evaluate(model, rows_of(scale, seed), TestOptions(noise=levels)).evidence == found.evidence


def test_noise_is_the_same_in_whatever_order_columns_come(model):
    data, options = rows_of(), TestOptions(noise=[0.5])
    fed = feed_model(model, data, {})
    outcome = observe(fed, data, options)
    found = [
        measure_stability(replace(fed, columns=columns), data, options, outcome)
        for columns in (dict(sorted(fed.columns.items())), dict(sorted(fed.columns.items(), reverse=True)))
    ]
    assert found[0] == found[1]


def test_without_levels_nothing_is_measured_and_a_column_of_groups_feeds_nothing(model):
    data = rows_of()
    groups = TestData({**data.columns, "sex": pa.array(np.arange(ROWS) % 2)}, data.labels, "rows")
    found = evaluate(model, groups, TestOptions(fairness=Fairness(column="sex")))
    assert found.unmeasured["noiseStability"] == "spec.ci.noise is empty"
    assert found.metrics["equalizedOddsDifference"] == 0.0
    assert found.metrics["equalizedOddsRatio"] == 1.0
    assert "demographicParityRatio" in found.intervals


def test_amounts_and_integers_have_no_stability(model):
    amounts = Estimated(np.zeros(ROWS), np.zeros(ROWS))
    options = TestOptions(noise=[0.1])
    assert "amounts" in measure_stability(None, rows_of(), options, amounts)
    data = rows_of(scale=10, kind=np.int64)
    data = TestData({**data.columns, "b": pa.array(np.zeros(ROWS, np.int64))}, data.labels, "rows")
    assert evaluate(model, data, options).unmeasured["noiseStability"] == (
        "no column of floating point feeds the model"
    )


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, None, float("nan"), 3.0, float("inf")]),
        pa.array([1.0, 2.0, 3.0], pa.float32()),
        pa.array([[1.0, 10.0], [2.0, 20.0]], pa.list_(pa.float64(), 2)),
        pa.array([5.0, 5.0]),
        pa.array([None, None], pa.float64()),
    ],
    ids=["holes", "float32", "lists", "constant", "empty"],
)
def test_noise_keeps_types_holes_and_columns_that_do_not_vary(column):
    moved = _moved(column, 0.5, np.random.default_rng(1))
    assert len(moved) == len(column)
    assert moved.type == column.type
    flat, before = (
        (each.flatten() if pa.types.is_fixed_size_list(column.type) else each).to_numpy(zero_copy_only=False)
        for each in (moved, column)
    )
    assert (np.isfinite(flat) == np.isfinite(before)).all()
    known = before[np.isfinite(before)]
    if len(known) and known.std() == 0:
        assert (flat == before).all()
    elif len(known):
        assert (flat != before)[np.isfinite(before)].all()
