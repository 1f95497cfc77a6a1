"""Every row comes back once, to its caller, whatever arrives when, fails or is given up."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_inference.errors import RequestError
from mooring_inference.models.batching.batcher import Batcher
from mooring_inference.models.batching.call import Call
from mooring_inference.models.batching.queue import BatchLimits, CallQueue
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

FP32 = DATATYPES["FP32"]
SIGNATURE = Signature(
    (TensorSpec("x", FP32, (None, None)),),
    (TensorSpec("y", FP32, (None, None)), TensorSpec("z", FP32, (None,))),
)
POISON = -1.0


class Doubler:
    """y = 2x, z = the sum of each row; refuses rows that hold POISON, and notes what it was given."""

    signature = SIGNATURE
    platform = "test"
    device = "cpu"

    def __init__(self):
        self.batches = []
        self.is_closed = False
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, inputs, outputs):
        assert not self.is_closed
        assert self.gate.wait(20)
        rows = inputs["x"]
        self.batches.append(len(rows))
        if (rows == POISON).any():
            raise ValueError("poison")
        found = {"y": rows * 2, "z": rows.sum(axis=1)}
        return [found[name] for name in outputs]

    def close(self):
        self.is_closed = True


def rows(*values, width=2):
    return np.repeat(np.array(values, np.float32)[:, None], width, axis=1)


def submit(batcher, array, outputs=("y",), deadline=None):
    """A future of a call."""
    future = asyncio.get_running_loop().create_future()
    call = Call({"x": array}, outputs, lambda _: future.set_result(None), deadline=deadline)
    batcher.submit(call)

    async def result():
        await future
        if call.error:
            raise call.error
        return call.results

    return call, asyncio.ensure_future(result())


async def test_calls_of_one_tick_are_one_batch():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits())
    calls = [submit(batcher, rows(i)) for i in range(5)]
    for i, (call, result) in enumerate(calls):
        assert (await result)[0].tolist() == rows(2 * i).tolist()
        assert call.batch_rows == 5
        assert call.submitted <= call.started <= call.finished
    assert model.batches == [5]


async def test_a_busy_model_takes_what_has_come_meanwhile():
    model = Doubler()
    model.gate.clear()
    batcher = Batcher(model, limits=BatchLimits(max_batch_rows=4), expected_seconds=1.0)
    _, first = submit(batcher, rows(0))
    while not batcher._running:
        await asyncio.sleep(0)
    others = [submit(batcher, rows(i))[1] for i in range(1, 7)]
    model.gate.set()
    await asyncio.gather(first, *others)
    assert model.batches == [1, 4, 2]


async def test_a_bad_call_costs_the_others_nothing():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits())
    good, bad, fine = (submit(batcher, rows(value))[1] for value in (1, POISON, 3))
    assert (await good)[0][0, 0] == 2
    assert (await fine)[0][0, 0] == 6
    with pytest.raises(ValueError, match="poison"):
        await bad


async def test_a_call_larger_than_a_batch_is_run_in_parts():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits(max_batch_rows=4))
    _, result = submit(batcher, rows(*range(10)), outputs=("z", "y"))
    z, y = await result
    assert (z.tolist(), y.tolist()) == (
        [2.0 * i for i in range(10)],
        rows(*(2 * i for i in range(10))).tolist(),
    )
    assert model.batches == [4, 4, 2]


async def test_different_widths_and_outputs_do_not_mix():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits())
    wide = submit(batcher, rows(1, width=3))[1]
    narrow = submit(batcher, rows(1))[1]
    sums = submit(batcher, rows(1), outputs=("z",))[1]
    assert [(await r)[0].shape for r in (wide, narrow, sums)] == [(1, 3), (1, 2), (1,)]
    assert model.batches == [1, 1, 1]


async def test_an_empty_batch_is_run_by_itself():
    batcher = Batcher(Doubler(), limits=BatchLimits())
    empty, full = submit(batcher, rows())[1], submit(batcher, rows(1))[1]
    assert (await empty)[0].shape == (0, 2)
    assert (await full)[0].shape == (1, 2)


async def test_a_model_that_is_not_batchable_runs_every_call_as_it_came():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits(max_batch_rows=4), batchable=False)
    await asyncio.gather(submit(batcher, rows(*range(9)))[1], submit(batcher, rows(1))[1])
    assert model.batches == [9, 1]


async def test_a_model_that_loses_rows_is_run_call_by_call():
    class Reduces(Doubler):
        def predict(self, inputs, outputs):
            return [inputs["x"].sum(axis=0, keepdims=True)]

    batcher = Batcher(Reduces(), limits=BatchLimits())
    results = await asyncio.gather(*(submit(batcher, rows(i, i))[1] for i in (1, 2)))
    assert [r[0].tolist() for r in results] == [[[2.0, 2.0]], [[4.0, 4.0]]]


async def test_a_full_queue_refuses_and_recovers():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits(max_queue_rows=3))
    taken = [submit(batcher, rows(i))[1] for i in range(3)]
    with pytest.raises(RequestError, match="at most 3 may") as refused:
        batcher.submit(Call({"x": rows(1)}, ("y",), lambda _: None))
    assert refused.value.status == 429
    await asyncio.gather(*taken)
    await submit(batcher, rows(1))[1]


async def test_a_passed_deadline_is_504_and_the_model_is_not_run():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits())
    _, late = submit(batcher, rows(1), deadline=perf_counter() - 1)
    _, fine = submit(batcher, rows(2))
    with pytest.raises(RequestError) as passed:
        await late
    assert passed.value.status == 504
    assert (await fine)[0][0, 0] == 4
    assert model.batches == [1]


async def test_who_waits_for_a_model_that_hangs_is_told_at_the_deadline():
    model = Doubler()
    model.gate.clear()
    batcher = Batcher(model, limits=BatchLimits(), expected_seconds=1.0)
    _, running = submit(batcher, rows(1), deadline=perf_counter() + 1000)
    while not batcher._running:
        await asyncio.sleep(0)
    _, waiting = submit(batcher, rows(2), deadline=perf_counter() + 1000)
    batcher.expire(perf_counter() + 500)
    assert not running.done()
    batcher.expire(perf_counter() + 1500)
    for result in (running, waiting):
        with pytest.raises(RequestError, match="deadline"):
            await result
    model.gate.set()
    await batcher.close()


async def test_abandoned_calls_are_not_run():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits())
    gone, _ = submit(batcher, rows(1, 1, 1))
    gone.abandon()
    await submit(batcher, rows(2))[1]
    assert model.batches == [1]


async def test_waiting_for_more_ends_when_the_batch_is_full_or_the_time_is_over():
    model = Doubler()
    batcher = Batcher(model, limits=BatchLimits(max_batch_rows=2, max_wait_seconds=0.2))
    started = perf_counter()
    await asyncio.gather(submit(batcher, rows(1))[1], submit(batcher, rows(2))[1])
    await submit(batcher, rows(3))[1]
    assert perf_counter() - started >= 0.2
    assert model.batches == [2, 1]


async def test_closing_finishes_what_was_taken_and_refuses_more():
    model = Doubler()
    model.gate.clear()
    batcher = Batcher(model, limits=BatchLimits(max_batch_rows=1), expected_seconds=1.0)
    results = [submit(batcher, rows(i))[1] for i in range(4)]
    while not batcher._running:
        await asyncio.sleep(0)
    closing = asyncio.ensure_future(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(RequestError, match="unloaded"):
        submit(batcher, rows(1))
    model.gate.set()
    await closing
    assert model.is_closed
    assert [(await r)[0][0, 0] for r in results] == [0, 2, 4, 6]
    idle = Batcher(Doubler(), limits=BatchLimits())
    await idle.close()


calls = st.lists(
    st.tuples(
        st.integers(0, 6),  # rows
        st.sampled_from([2, 3]),  # width
        st.sampled_from([("y",), ("z", "y")]),
        st.sampled_from(["good"] * 6 + ["poison", "abandoned"]),
        st.booleans(),  # whether the loop ticks afterwards
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=150)
@given(calls, st.integers(1, 8), st.booleans())
def test_every_row_comes_back_once_to_its_caller(wanted, max_batch, in_thread):
    async def scenario():
        model = Doubler()
        limits = BatchLimits(max_batch_rows=max_batch, max_queue_rows=10_000)
        batcher = Batcher(model, limits=limits, expected_seconds=1.0 if in_thread else 0.0)
        started, told = [], []
        for number, (count, width, outputs, fate, ticks) in enumerate(wanted):
            array = rows(*(number * 10 + i for i in range(count)), width=width)
            if fate == "poison" and count:
                array[-1] = POISON
            call = Call({"x": array}, outputs, told.append)
            batcher.submit(call)
            if fate == "abandoned":
                call.abandon()
            started.append((call, array, fate))
            if ticks:
                await asyncio.sleep(0)
        await batcher.close()
        alive = [call for call, _, fate in started if fate != "abandoned"]
        assert sorted(map(id, told)) == sorted(map(id, alive))
        for call, array, fate in started:
            if fate == "abandoned":
                continue
            if fate == "poison" and len(array):
                assert isinstance(call.error, ValueError)
                continue
            expected = {"y": array * 2, "z": array.sum(axis=1)}
            assert call.error is None
            for name, result in zip(call.outputs, call.results, strict=True):
                np.testing.assert_array_equal(result, expected[name])

    asyncio.run(scenario())


def test_calls_that_nobody_waits_for_leave_a_full_queue():
    queue = CallQueue(BatchLimits(max_queue_rows=3))
    calls = [Call({}, (key,), lambda _: None) for key in "aab"]
    for call in calls:
        queue.put(call.outputs, call)
    with pytest.raises(RequestError):
        queue.put(("a",), Call({}, ("a",), lambda _: None))
    calls[0].abandon()
    calls[2].abandon()
    for _ in range(2):
        queue.put(("a",), Call({}, ("a",), lambda _: None))
    assert (queue.rows, len(list(queue))) == (3, 3)


def test_groups_take_turns():
    queue = CallQueue(BatchLimits(max_batch_rows=2))
    order = []
    for key in "aaaaab":
        call = Call({}, (key,), lambda _: None)
        queue.put(key, call)
    while batch := queue.take(0.0)[0]:
        order.append("".join(call.outputs[0] for call in batch))
    assert order == ["aa", "b", "aa", "a"]
    assert queue.rows == 0
