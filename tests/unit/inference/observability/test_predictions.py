"""Predictions as counts by cell: the same cells for whatever answers, and few of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_inference.observability.metrics import ServingMetrics
from mooring_inference.observability.predictions import BOUNDS, Predictions

from tests.unit.inference.inference_process import BODY, running, save_negation

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("output", "cell"),
    [
        (np.array([3], dtype=np.int64), "3"),
        (np.array([[3]], dtype=np.uint8), "3"),
        (np.array([-1]), "-1"),
        (np.array([-2]), "other"),
        (np.array([20]), "other"),
        (np.array([True]), "1"),
        (np.array([[0.1, 0.7, 0.2]], dtype=np.float32), "1"),
        (np.array([[0.1, NAN, 0.2]]), "nan"),
        (np.zeros((1, 30)) + np.eye(30)[25], "other"),
        (np.array([0.25]), "<=0.25"),
        (np.array([[0.26]]), "<=0.3"),
        (np.array([0.0]), "<=0"),
        (np.array([-0.05]), "<=0"),
        (np.array([-1e30]), "<=-5000000"),
        (np.array([3e5]), "<=500000"),
        (np.array([INF]), ">5000000"),
        (np.array([NAN]), "nan"),
        (np.array([2.0], dtype=np.float16), "<=2"),
        (np.array(["cat"], dtype=object), "text 12"),
        (np.array([["cat"]], dtype=object), "text 12"),
        (np.array(["\ud800"], dtype=object), "text 0"),
    ],
)
def test_each_answer_is_of_one_cell(output, cell):
    predictions = Predictions()
    predictions.count(output)
    assert predictions.cells == {cell: 1}


@pytest.mark.parametrize(
    "output",
    [
        np.array(1.0),
        np.zeros((0, 3)),
        np.zeros((1, 2, 2)),
        np.array([[1, 2, 3]]),
        np.array([["a", "b"]], dtype=object),
        np.array([{"a": 1}], dtype=object),
    ],
    ids=["a scalar", "no rows", "an image", "several numbers", "several texts", "an object"],
)
def test_what_is_no_prediction_is_not_counted(output):
    predictions = Predictions()
    predictions.count(output)
    assert predictions.cells == {}


def test_a_thousand_rows_are_one_answer_and_rows_take_turns():
    predictions = Predictions()
    for _ in range(4):
        predictions.count(np.array([0, 1] * 500))
    assert predictions.cells == {"0": 2, "1": 2}


@given(arrays.arrays(np.float64, st.integers(1, 5)))
def test_a_value_is_at_most_its_bound_and_above_the_one_before(output):
    predictions = Predictions()
    predictions.count(output[:1])
    (cell,) = predictions.cells
    value = float(output[0])
    if cell == "nan":
        assert value != value
    elif cell.startswith("<="):
        index = BOUNDS.index(float(cell[2:]))
        assert value <= BOUNDS[index]
        assert index == 0 or value > BOUNDS[index - 1]
    else:
        assert value > BOUNDS[-1]


def test_bounds_ascend_and_are_few():
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert len(BOUNDS) + 2 <= 66


def test_counts_of_workers_add_up():
    one, other = ServingMetrics(shows_process=False), ServingMetrics(shows_process=False)
    for metrics, output in ((one, [1]), (one, [2]), (other, [2])):
        metrics.of("m", "r").predicted(np.array(output))
    text = ServingMetrics.sum([one.state(), other.state()]).exposition()[0].decode()
    assert counted(text) == {"1": 1, "2": 2}


async def test_the_server_shows_what_it_answered(tmp_path):
    async with running(save_negation(tmp_path), "--drain_seconds=0") as (_, client):
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200
        assert (await client.post("/v2/models/m/infer", json={"inputs": []})).status_code == 400
        assert counted((await client.get("/metrics")).text) == {"0": 1}


def counted(text):
    found = re.findall(r'^mooring_inference_predictions_total\{.*prediction="([^"]+)".*\} (\S+)$', text, re.M)
    return {cell: float(count) for cell, count in found}
