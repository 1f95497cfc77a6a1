"""What the worst small change of rows leaves right, beside what is known of linear models."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_components.adversarial import ROWS
from mooring_components.datasets import TestData
from mooring_components.models import Model
from mooring_components.options import TestOptions
from mooring_components.quality import evaluate
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

from tests.unit.components.test_importances import linear, rows_of

WEIGHTS = np.array([2.0, -1.0, 0.5, 0.0])
LEVELS = [0.05, 0.2, 5.0]


class Linear:
    """Scores by sums of columns, with their gradients: of two classes, or the probability of one."""

    platform, device = "made_up", "cpu"

    def __init__(self, single):
        self._single = single
        outputs = [None] if single else [None, 2]
        self.signature = Signature(
            (TensorSpec("x", DATATYPES["FP32"], (None, 4)),),
            (TensorSpec("y", DATATYPES["FP32"], tuple(outputs)),),
        )

    @np.errstate(invalid="ignore", over="ignore")
    def predict(self, inputs, outputs):
        leads = inputs["x"].astype(np.float64) @ WEIGHTS
        if self._single:
            return [(1 / (1 + np.exp(-leads))).astype("f4")]
        return [np.stack([-leads, leads], axis=1).astype("f4")]

    def gradients(self, inputs, output, targets):
        rows = inputs["x"]
        if self._single:
            likely = 1 / (1 + np.exp(-(rows.astype(np.float64) @ WEIGHTS)))
            return {"x": ((likely * (1 - likely))[:, None] * WEIGHTS).astype("f4")}
        return {"x": (np.where(targets == 1, 1.0, -1.0)[:, None] * WEIGHTS).astype("f4")}

    def close(self):
        pass


def made(single=False, rows=3000):
    table = np.random.default_rng(7).normal(size=(rows, 4)) * [1.0, 3.0, 10.0, 1.0]
    labels = (table @ WEIGHTS + np.random.default_rng(8).normal(size=rows) > 0).astype(np.int64)
    data = TestData({name: pa.array(table[:, place]) for place, name in enumerate("abcd")}, labels, "rows")
    return Model(Linear(single), {}), data, table, labels


@pytest.mark.parametrize("single", [False, True], ids=["two scores", "a probability"])
def test_of_a_linear_model_what_stays_right_is_known(single):
    model, data, table, labels = made(single)
    found = evaluate(model, data, TestOptions(noise=LEVELS))
    chosen = np.unique(np.linspace(0, len(table) - 1, ROWS).astype(int))
    rows, sides = table[chosen], np.where(labels[chosen] == 1, 1.0, -1.0)
    reach = np.abs(WEIGHTS) @ rows.std(axis=0)
    for each, level in zip(found.evidence.attacks, LEVELS, strict=True):
        assert each.noise == level
        assert each.share == pytest.approx((sides * (rows @ WEIGHTS) > level * reach).mean(), abs=0.005)
        assert each.interval.low <= each.share <= each.interval.high
    assert found.metrics["adversarialAccuracy"] == found.evidence.attacks[-1].share == 0.0
    # Noise that looks for nothing moves far fewer.
    assert found.evidence.stability[1].share > found.evidence.attacks[1].share + 0.05


def test_a_row_of_a_label_without_a_score_is_wrong():
    model, data, _, _ = made(rows=300)
    there = TestData(data.columns, np.where(data.labels == 1, 1, 7), "rows")
    found = evaluate(model, there, TestOptions(noise=[1e-6]))
    right = ((np.arange(300) >= 0) & (there.labels == 1)).mean()
    assert found.evidence.attacks[0].share <= right


def test_the_metric_has_a_reason_where_there_is_no_attack(tmp_path):
    model, data, _, _ = made(rows=20)
    assert evaluate(model, data).unmeasured["adversarialAccuracy"] == "spec.ci.noise is empty"
    amounts = evaluate(linear(tmp_path), rows_of(), TestOptions(noise=[0.1]))
    assert amounts.unmeasured["adversarialAccuracy"] == "the model gives no scores of classes"


def test_a_format_without_gradients_is_named(monkeypatch):
    model, data, _, _ = made(rows=20)
    monkeypatch.delattr(Linear, "gradients")
    why = evaluate(model, data, TestOptions(noise=[0.1])).unmeasured["adversarialAccuracy"]
    assert why == "the model's format gives no gradients"


def test_a_model_that_fails_while_it_is_differentiated_still_has_its_other_metrics(monkeypatch):
    model, data, _, _ = made(rows=20)

    def fail(*_):
        raise RuntimeError("no derivative of round\nat line 3")

    monkeypatch.setattr(Linear, "gradients", fail)
    found = evaluate(model, data, TestOptions(noise=[0.1]))
    assert found.unmeasured["adversarialAccuracy"] == (
        "the model cannot be differentiated: no derivative of round"
    )
    assert found.metrics["noiseStability"] > 0.5
