"""The loop of a stream consumer with a source and a sink in memory that fail as they are told."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.stream.answering import Answerer
from mooring_inference.stream.interfaces import Delivery, Unavailable
from mooring_inference.stream.loop import Limits, StreamLoop
from mooring_inference.stream.messages import Codec
from mooring_inference.stream.metrics import StreamMetrics
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (None, 2)),), (TensorSpec("y", DATATYPES["FP32"], (None, 1)),)
)
FAST = Limits(
    batch=4, wait=0.01, linger=0.0, attempts=3, keep=60, grace=0.2, backoff=0.001, longest_backoff=0.002
)


class Sums:
    """y is the sum of x; -1 makes the whole call fail, as it is with models."""

    signature = SIGNATURE

    def __init__(self):
        self.calls = []
        self.released = threading.Event()
        self.released.set()

    def predict(self, inputs, outputs):
        assert self.released.wait(60)
        x = inputs["x"]
        self.calls.append(len(x))
        if (x == -1).any():
            raise RuntimeError("cannot take -1\nwith details")
        return [x.sum(axis=1, keepdims=True)]


class Faults:
    """Says for each call whether it fails."""

    def __init__(self, plan=()):
        self.plan = list(plan)

    def strike(self):
        if self.plan and self.plan.pop(0):
            raise Unavailable("as planned")


class MemorySource:
    def __init__(self, bodies, faults=(), attempts=1):
        self.waiting = [Delivery(body, f"in/{index}", attempts, index) for index, body in enumerate(bodies)]
        self.taken, self.acked, self.kept, self.faults = {}, [], [], Faults(faults)
        self.most_held = 0
        self.closed_with = None
        self.on_ack = lambda delivery: None

    async def connect(self):
        self.faults.strike()

    async def read(self, limit, wait, linger):
        self.faults.strike()
        found, self.waiting = self.waiting[:limit], self.waiting[limit:]
        if not found:
            await asyncio.sleep(0.001)
        self.taken |= {delivery.token: delivery for delivery in found}
        self.most_held = max(self.most_held, len(self.taken) - len(self.acked))
        return found

    async def ack(self, deliveries):
        self.faults.strike()
        for delivery in deliveries:
            self.on_ack(delivery)
            self.acked.append(delivery.token)

    async def keep(self, deliveries):
        self.kept.append([delivery.token for delivery in deliveries])

    async def backlog(self):
        return len(self.waiting)

    async def close(self, unfinished):
        self.closed_with = [delivery.token for delivery in unfinished]


class MemorySink:
    def __init__(self, faults=(), refuses=lambda answer: None):
        self.written, self.faults, self.refuses = {}, Faults(faults), refuses
        self.closed = False

    async def connect(self):
        self.faults.strike()

    async def write(self, answers):
        half = len(answers) // 2
        for answer in answers[:half]:
            if not self.refuses(answer):
                self.written.setdefault(answer.key, []).append(orjson.loads(answer.body))
        self.faults.strike()
        for answer in answers[half:]:
            if not self.refuses(answer):
                self.written.setdefault(answer.key, []).append(orjson.loads(answer.body))
        return {place: reason for place, answer in enumerate(answers) if (reason := self.refuses(answer))}

    async def close(self):
        self.closed = True


def body(index, *features):
    return orjson.dumps({"id": f"m{index}", "features": list(features)})


def make_loop(source, sink, dead, model=None, limits=FAST):
    model = model or Sums()
    answerer = Answerer(model, Codec(SIGNATURE, "m", "1"))
    return StreamLoop(source, sink, dead, answerer, limits, StreamMetrics())


async def run_until(loop, condition, seconds=30):
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(seconds):
        while not condition() and not task.done():
            await asyncio.sleep(0.001)
        loop.stop()
        return await task


good = st.tuples(st.just("good"), st.integers(0, 9))
kinds = st.one_of(good, good, st.just(("bad", 0)), st.just(("failing", 0)), st.just(("empty", 0)))
faults = st.lists(st.booleans(), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(kinds, max_size=14), faults, faults, faults, st.booleans())
def test_whatever_fails_every_message_is_answered_or_buried_before_it_is_acknowledged(
    messages, source_faults, sink_faults, dead_faults, has_dead_letters
):
    bodies = {
        "good": lambda index, value: body(index, value, 1),
        "bad": lambda index, value: body(index, 1),
        "failing": lambda index, value: body(index, -1, 1),
        "empty": lambda index, value: None,
    }
    source = MemorySource(
        [bodies[kind](index, value) for index, (kind, value) in enumerate(messages)], source_faults
    )
    sink = MemorySink(sink_faults)
    dead = MemorySink(dead_faults) if has_dead_letters else None
    graves = dead or sink

    def key(token):
        return f"in/{token}" if messages[token][0] == "empty" else f"m{token}"

    def check(delivery):
        place = sink if messages[delivery.token][0] == "good" else graves
        assert key(delivery.token) in place.written

    source.on_ack = check
    loop = make_loop(source, sink, dead)
    left = asyncio.run(run_until(loop, lambda: len(source.acked) == len(messages)))
    assert left == 0
    assert sorted(source.acked) == list(range(len(messages)))
    for token, (kind, value) in enumerate(messages):
        if kind == "good":
            answers = sink.written[key(token)]
            assert all(one["outputs"] == {"y": [value + 1.0]} for one in answers)
        elif dead is not None:
            assert key(token) not in sink.written
            assert all(one["reason"] for one in dead.written[key(token)])
        else:
            assert all(one["error"] for one in sink.written[key(token)])


async def test_no_more_is_taken_than_two_batches_while_the_model_works():
    model = Sums()
    model.released.clear()
    source = MemorySource([body(index, 1, 1) for index in range(40)])
    loop = make_loop(source, MemorySink(), None, model)
    task = asyncio.create_task(loop.run())
    while len(source.taken) < 8:
        await asyncio.sleep(0.001)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(source.taken) == 8
    model.released.set()
    while len(source.acked) < 40:
        await asyncio.sleep(0.001)
    loop.stop()
    assert await task == 0
    assert source.most_held <= 8
    assert max(model.calls) == 4


async def test_a_stop_finishes_what_was_taken_and_takes_no_more():
    model = Sums()
    model.released.clear()
    source, sink = MemorySource([body(index, 1, 1) for index in range(40)]), MemorySink()
    loop = make_loop(source, sink, None, model)
    task = asyncio.create_task(loop.run())
    while len(source.taken) < 8:
        await asyncio.sleep(0.001)
    loop.stop()
    model.released.set()
    assert await task == 0
    assert sorted(source.acked) == sorted(source.taken) == list(range(8))
    assert source.closed_with == []
    assert sink.closed


async def test_a_stop_without_a_sink_hands_messages_back_after_the_grace_period():
    source, sink = MemorySource([body(index, 1, 1) for index in range(3)]), MemorySink()
    sink.faults = Faults([False] + [True] * 100_000)
    loop = make_loop(source, sink, None)
    assert await run_until(loop, lambda: len(source.taken) == 3) == 3
    assert source.acked == []
    assert source.closed_with == [0, 1, 2]


async def test_one_failing_message_costs_its_batch_nothing():
    source, sink, dead = (
        MemorySource([body(0, 1, 1), body(1, -1, 1), body(2, 2, 2)]),
        MemorySink(),
        MemorySink(),
    )
    model = Sums()
    await run_until(make_loop(source, sink, dead, model), lambda: len(source.acked) == 3)
    assert {key: one["outputs"]["y"] for key, [one] in sink.written.items()} == {"m0": [2.0], "m2": [4.0]}
    [letter] = dead.written["m1"]
    assert letter["reason"] == "the model failed: cannot take -1 (3 attempts)"
    assert letter["message"] == body(1, -1, 1).decode()
    # Three together, each alone, and the failing one twice more.
    assert model.calls == [3, 1, 1, 1, 1, 1]


async def test_what_was_delivered_too_often_is_buried_untried():
    source, dead = MemorySource([body(0, 1, 1)], attempts=4), MemorySink()
    model = Sums()
    await run_until(make_loop(source, MemorySink(), dead, model), lambda: source.acked)
    assert dead.written["in/0"][0]["reason"] == "3 attempts had no outcome"
    assert model.calls == []


async def test_what_was_delivered_before_is_tried_alone():
    source = MemorySource([body(index, 1, 1) for index in range(3)], attempts=2)
    model = Sums()
    await run_until(make_loop(source, MemorySink(), None, model), lambda: len(source.acked) == 3)
    assert model.calls == [1, 1, 1]


async def test_an_answer_that_the_sink_never_takes_goes_to_dead_letters():
    source, dead = MemorySource([body(0, 1, 1), body(1, 2, 2)]), MemorySink()
    sink = MemorySink(refuses=lambda answer: "too large" if answer.key == "m1" else None)
    loop = make_loop(source, sink, dead)
    await run_until(loop, lambda: len(source.acked) == 2)
    assert sink.written.keys() == {"m0"}
    assert dead.written["m1"][0]["reason"] == "too large"


async def test_a_message_that_comes_again_while_it_is_held_is_answered_once():
    first = MemorySource([body(0, 1, 1)])
    first.waiting += [replace(first.waiting[0], attempts=2)]
    sink = MemorySink()
    await run_until(make_loop(first, sink, None, limits=replace(FAST, batch=1)), lambda: first.acked)
    assert len(sink.written["m0"]) == 1


async def test_held_messages_are_kept():
    model = Sums()
    model.released.clear()
    source = MemorySource([body(0, 1, 1)])
    loop = make_loop(source, MemorySink(), None, model, replace(FAST, keep=0.001))
    task = asyncio.create_task(loop.run())
    while not source.kept:
        await asyncio.sleep(0.001)
    model.released.set()
    loop.stop()
    assert await task == 0
    assert source.kept[0] == [0]


def test_rows_of_several_messages_come_back_to_their_own():
    def v2(index, rows):
        tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), 2], "data": rows}
        return orjson.dumps({"id": f"m{index}", "inputs": [tensor]})

    bodies = [v2(0, [[1, 2], [3, 4]]), body(1, 5, 6), v2(2, []), v2(3, [[7, 8]])]
    deliveries = [Delivery(one, f"in/{index}", 1, index) for index, one in enumerate(bodies)]
    model = Sums()
    outcomes = Answerer(model, Codec(SIGNATURE, "m", "1")).answer(deliveries)
    answers = [orjson.loads(outcome.body) for outcome in outcomes]
    assert [answer["outputs"][0]["data"] for answer in (answers[0], answers[2], answers[3])] == [
        [3, 7],
        [],
        [15],
    ]
    assert answers[1] == {"id": "m1", "outputs": {"y": [11.0]}}
    assert model.calls == [4]


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_a_model_of_a_fixed_batch_size_answers_any_number_of_messages(rows):
    class Fixed(Sums):
        signature = Signature((TensorSpec("x", DATATYPES["FP32"], (3, 2)),), SIGNATURE.outputs)

        def predict(self, inputs, outputs):
            assert inputs["x"].shape == (3, 2)
            return super().predict(inputs, outputs)

    model = Fixed()
    codec = Codec(SIGNATURE, "m", "1")
    deliveries = [Delivery(body(index, index, 1), str(index), 1, index) for index in range(rows)]
    outcomes = Answerer(model, codec).answer(deliveries)
    values = [orjson.loads(outcome.body)["outputs"]["y"][0] for outcome in outcomes]
    np.testing.assert_array_equal(values, np.arange(rows) + 1.0)


def answered(model, *bodies, **options):
    deliveries = [Delivery(orjson.dumps(one), str(place), 1, place) for place, one in enumerate(bodies)]
    outcomes = Answerer(model, Codec(model.signature, "m", "1"), **options).answer(deliveries)
    return [orjson.loads(outcome.body)["outputs"] for outcome in outcomes]


def row(*values):
    return {"features": list(values)}


def rows(*values):
    return {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [len(values), 2], "data": list(values)}],
    }


def test_messages_of_a_model_whose_rows_depend_on_each_other_are_answered_each_by_itself():
    class Centred(Sums):
        signature = Signature(SIGNATURE.inputs, (TensorSpec("y", DATATYPES["FP32"], (None, 2)),))

        def predict(self, inputs, outputs):
            return [inputs["x"] - inputs["x"].mean(axis=0)]

    assert not warm_up(Centred()).batchable
    found = answered(Centred(), row(1, 2), row(5, 8), rows([1, 2], [3, 8]), batchable=False)
    assert found[:2] == [{"y": [0, 0]}] * 2
    assert found[2][0]["data"] == [-1, -3, 1, 3]


def test_outputs_that_have_no_rows_are_answered_as_they_are():
    class Total(Sums):
        signature = Signature(SIGNATURE.inputs, (TensorSpec("y", DATATYPES["FP32"], ()),))

        def predict(self, inputs, outputs):
            return [inputs["x"].sum()[()].reshape(())]

    assert not warm_up(Total()).batchable
    found = answered(Total(), row(1, 2), rows([1, 2], [3, 4]), rows(), batchable=False)
    assert found[0] == {"y": 3}
    assert [(one[0]["shape"], one[0]["data"]) for one in found[1:]] == [([], [10]), ([], [0])]


@pytest.mark.parametrize("found", [0, 1, 2, 3])
def test_what_a_model_finds_in_a_row_is_answered_whole(found):
    """Such as boxes in a picture: none of them had ended the consumer, and of several the first alone was answered."""

    class Finding(Sums):
        signature = Signature(SIGNATURE.inputs, (TensorSpec("y", DATATYPES["FP32"], (None, 2)),))

        def predict(self, inputs, outputs):
            return [np.repeat(inputs["x"], found, axis=0)]

    expected = [1, 2] if found == 1 else [[1, 2]] * found
    assert answered(Finding(), row(1, 2), batchable=False) == [{"y": expected}]


def test_an_answer_that_cannot_be_written_is_a_reason_and_not_the_end():
    class Odd(Sums):
        signature = Signature(SIGNATURE.inputs, (TensorSpec("y", DATATYPES["BYTES"], (None,)),))

        def predict(self, inputs, outputs):
            return [np.array(["\ud800" if total > 5 else "few" for total in inputs["x"].sum(axis=1)], object)]

    model = Odd()
    deliveries = [
        Delivery(orjson.dumps(row(*one)), str(place), 1, place) for place, one in enumerate([(1, 2), (5, 8)])
    ]
    good, bad = Answerer(model, Codec(model.signature, "m", "1")).answer(deliveries)
    assert orjson.loads(good.body)["outputs"] == {"y": "few"}
    assert (bad.body, bad.final) == (None, True)
    assert bad.reason.startswith("the answer cannot be written: ")


@pytest.mark.parametrize("shape", [(None,), (None, 1)])
def test_text_is_answered_for_a_row(shape):
    class Labels(Sums):
        signature = Signature(SIGNATURE.inputs, (TensorSpec("y", DATATYPES["BYTES"], shape),))

        def predict(self, inputs, outputs):
            labels = np.array(["few", "many"], dtype=object)[(inputs["x"].sum(axis=1) > 5).astype(int)]
            return [labels.reshape([-1, *shape[1:]])]

    found = answered(Labels(), row(1, 2), row(5, 8))
    assert found == [{"y": label if shape == (None,) else [label]} for label in ("few", "many")]


class MemoryExchange(MemorySource):
    """Writes all that it is given, or nothing."""

    def __init__(
        self, bodies, faults=(), settle_faults=(), refuses=lambda answer: None, has_dead_letters=True
    ):
        super().__init__(bodies, faults)
        self.has_dead_letters, self.refuses = has_dead_letters, refuses
        self.settle_faults, self.written, self.transactions = Faults(settle_faults), {}, []

    async def settle(self, finished):
        self.settle_faults.strike()
        refused = {
            place: reason
            for place, one in enumerate(finished)
            if one.answer is not None and (reason := self.refuses(one.answer))
        }
        if not refused:
            self.transactions.append([one.delivery.token for one in finished])
            self.acked += [one.delivery.token for one in finished]
            for one in finished:
                if one.answer is not None:
                    found = self.written.setdefault((one.is_letter, one.answer.key), [])
                    found.append(orjson.loads(one.answer.body))
        return refused


@settings(max_examples=40, deadline=None)
@given(st.lists(kinds, max_size=14), faults, faults, st.booleans())
def test_an_exchange_is_given_each_message_once_with_all_of_its_batch(
    messages, source_faults, settle_faults, has_dead_letters
):
    bodies = {
        "good": lambda index, value: body(index, value, 1),
        "bad": lambda index, value: body(index, 1),
        "failing": lambda index, value: body(index, -1, 1),
        "empty": lambda index, value: None,
    }
    exchange = MemoryExchange(
        [bodies[kind](index, value) for index, (kind, value) in enumerate(messages)],
        source_faults,
        settle_faults,
        has_dead_letters=has_dead_letters,
    )
    loop = make_loop(exchange, None, None)
    assert asyncio.run(run_until(loop, lambda: len(exchange.acked) == len(messages))) == 0
    # One that is tried again holds up its batch: what is committed is all up to some message.
    given_in_order = [token for batch in exchange.transactions for token in sorted(batch)]
    assert given_in_order == list(range(len(messages)))
    for token, (kind, value) in enumerate(messages):
        key = f"in/{token}" if kind == "empty" else f"m{token}"
        [one] = exchange.written[kind != "good", key]
        if kind == "good":
            assert one["outputs"] == {"y": [value + 1.0]}
        else:
            assert one["reason" if has_dead_letters else "error"]


async def test_what_an_exchange_refuses_is_a_dead_letter_and_a_refused_letter_is_left_out():
    exchange = MemoryExchange(
        [body(0, 1, 1), body(1, 2, 2), body(2, 1)],
        refuses=lambda answer: (
            "too large" if answer.key == "m2" or (answer.key == "m1" and not answer.is_refusal) else None
        ),
    )
    await run_until(make_loop(exchange, None, None), lambda: len(exchange.acked) == 3)
    assert exchange.written.keys() == {(False, "m0"), (True, "m1")}
    assert exchange.written[True, "m1"][0]["reason"] == "too large"


class AnsweredAtTheEnd(MemorySource):
    """Its last read ends the loop in the moment in which the system says how much waits."""

    def __init__(self):
        super().__init__([])
        self.asked = None
        self.stop = lambda: None

    async def backlog(self):
        self.asked = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(self.asked, 60)

    async def read(self, limit, wait, linger):
        if self.asked is None:
            return await super().read(limit, wait, linger)
        self.stop()
        self.asked.set_result(0)
        return []


async def test_a_call_that_is_answered_as_the_loop_ends_does_not_keep_it(monkeypatch):
    monkeypatch.setattr("mooring_inference.stream.loop._BACKLOG_SECONDS", 0)
    source = AnsweredAtTheEnd()
    codec = Codec(SIGNATURE, "m", "1")
    loop = StreamLoop(source, MemorySink(), None, Answerer(Sums(), codec), FAST, StreamMetrics())
    source.stop = loop.stop
    async with asyncio.timeout(20):
        assert await loop.run() == 0
    assert source.closed_with == []
