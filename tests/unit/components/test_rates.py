"""Rows a second and memory are those of batches as the server makes them."""

import numpy as np
import pytest
from mooring_components.feeding import feed_model
from mooring_components.rates import BATCH_P95, BATCH_ROWS, GROWTH, PEAK, RATE, measure_rates
from onnx import TensorProto, helper

from tests.unit.components.test_importances import linear, rows_of, save


class Counting:
    """A backend that keeps how many rows it was asked for, and as much memory as it is told to at each call."""

    def __init__(self, backend, kept=0, device="cpu"):
        self._backend, self._kept, self._held = backend, kept, []
        self.signature, self.platform, self.device = backend.signature, backend.platform, device
        self.asked = []

    def predict(self, inputs, outputs):
        self.asked.append(len(next(iter(inputs.values()))))
        if self._kept:
            self._held.append(np.ones(self._kept, np.uint8))
        return self._backend.predict(inputs, outputs)

    def close(self):
        self._backend.close()


def counted(model, rows=40, **settings):
    backend = Counting(model.backend, **settings)
    return backend, feed_model(type(model)(backend, {}), rows_of(rows), {})


def test_batches_are_full_whatever_the_number_of_rows(tmp_path):
    backend, fed = counted(linear(tmp_path), rows=5)
    found = measure_rates(fed, calls=20, warm_up=2)
    assert backend.asked == [BATCH_ROWS] * (1 + 2 + 20)
    assert found[RATE] > 0
    assert found[BATCH_P95] > 0
    assert found[PEAK] > found[GROWTH] >= 0


def test_a_model_of_one_row_is_asked_for_one(tmp_path):
    one = helper.make_tensor("one", TensorProto.INT64, [2], [1, 4])
    row = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    model = save(tmp_path, [helper.make_node("Reshape", ["x", "one"], ["y"])], [row], [one])
    backend, fed = counted(model)
    measure_rates(fed, calls=3, warm_up=1)
    assert backend.asked == [BATCH_ROWS, 1, 1, 1, 1]


def test_a_fixed_batch_is_asked_for_as_it_is(tmp_path):
    backend, fed = counted(linear(tmp_path, batch=8))
    measure_rates(fed, calls=3, warm_up=1)
    assert backend.asked == [8] * 4


def test_memory_that_calls_leave_behind_is_seen(tmp_path):
    # More than an allocator keeps of what was given back before.
    size = 40 << 20
    _, fed = counted(linear(tmp_path), kept=size)
    found = measure_rates(fed, calls=4, warm_up=1, max_seconds=60.0)
    assert found[GROWTH] == pytest.approx(4 * size / 1e6, rel=0.2)


def test_a_model_elsewhere_has_no_memory_here(tmp_path):
    _, fed = counted(linear(tmp_path), device="remote")
    assert measure_rates(fed, calls=2, warm_up=1).keys() == {RATE, BATCH_P95}


def test_a_slow_model_is_timed_once(tmp_path):
    backend, fed = counted(linear(tmp_path))
    measure_rates(fed, calls=1000, warm_up=1000, max_seconds=0.0)
    assert len(backend.asked) == 3
