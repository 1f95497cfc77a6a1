"""The work queue: nothing lost, nothing twice at once, patience after failures."""

import asyncio
import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.adapters.cluster import Conflict, Unavailable
from mooring_operator.runtime.workqueue import Key, WorkQueue

A, B = Key("ModelDeployment", "ns", "a"), Key("ModelDeployment", "ns", "b")


class Clock:
    """Time that passes only when everybody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.sleepers = []

    def __call__(self):
        return self.now

    async def sleep(self, delay):
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self.sleepers, (self.now + delay, random.random(), woken))
        await woken

    async def settle(self):
        for _ in range(30):
            await asyncio.sleep(0)

    async def advance(self, seconds):
        end = self.now + seconds
        await self.settle()
        while self.sleepers and self.sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self.sleepers)
            if not woken.done():
                self.now = max(self.now, due)
                woken.set_result(None)
                await self.settle()
        self.now = end
        await self.settle()


class Worker:
    """Processes keys as a script says, and notes when."""

    def __init__(self, clock, seconds=0.0, answers=()):
        self.clock, self.seconds, self.answers = clock, seconds, list(answers)
        self.calls, self.finished, self.active, self.most = [], [], [], 0

    async def __call__(self, key):
        assert key not in self.active, "two workers on one key"
        self.calls.append((self.clock.now, key))
        self.active.append(key)
        self.most = max(self.most, len(self.active))
        try:
            if self.seconds:
                await self.clock.sleep(self.seconds)
            answer = self.answers.pop(0) if self.answers else None
            if isinstance(answer, Exception):
                raise answer
            self.finished.append(key)
            return answer
        finally:
            self.active.remove(key)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(clock):
    tasks = []

    def begin(worker, workers=2):
        queue = WorkQueue(worker, workers=workers, clock=clock, sleep=clock.sleep, rand=lambda: 0.5)
        tasks.append(asyncio.create_task(queue.run()))
        queue.resume()
        return queue

    yield begin
    for task in tasks:
        task.cancel()


def times(worker):
    return [at for at, _ in worker.calls]


async def test_key_added_twice_is_worked_on_once(clock, start):
    worker = Worker(clock)
    queue = start(worker)
    queue.add(A)
    queue.add(A)
    await clock.advance(1)
    assert times(worker) == [0]


async def test_key_added_while_worked_on_is_worked_on_again_afterwards(clock, start):
    worker = Worker(clock, seconds=5)
    queue = start(worker)
    queue.add(A)
    await clock.advance(1)
    queue.add(A)
    await clock.advance(20)
    assert times(worker) == [0, 5]


async def test_of_two_times_the_earlier_counts(clock, start):
    worker = Worker(clock)
    queue = start(worker)
    queue.add_after(A, 30)
    queue.add_after(A, 10)
    queue.add_after(A, 20)
    await clock.advance(100)
    assert times(worker) == [10]


async def test_plain_add_beats_a_timer(clock, start):
    worker = Worker(clock)
    queue = start(worker)
    queue.add_after(A, 30)
    await clock.advance(5)
    queue.add(A)
    await clock.advance(100)
    assert times(worker) == [5]


async def test_returned_seconds_are_waited(clock, start):
    worker = Worker(clock, answers=[7.0, 3.0, None])
    start(worker).add(A)
    await clock.advance(100)
    assert times(worker) == [0, 7, 10]


async def test_no_more_than_the_workers_at_once(clock, start):
    worker = Worker(clock, seconds=1)
    queue = start(worker, workers=3)
    for number in range(10):
        queue.add(Key("ModelDeployment", f"ns{number}", "a"))
    await clock.advance(0)
    assert (queue.depth, worker.most) == (7, 3)
    await clock.advance(10)
    assert (len(worker.finished), worker.most, queue.depth) == (10, 3, 0)


async def test_failures_wait_longer_each_time_until_one_succeeds(clock, start):
    boom = RuntimeError("boom")
    worker = Worker(clock, answers=[boom, boom, boom, 5.0, boom, None])
    start(worker).add(A)
    await clock.advance(100)
    assert times(worker) == [0, 1, 3, 7, 12, 13]


async def test_conflict_is_tried_at_once(clock, start):
    worker = Worker(clock, answers=[Conflict("moved on"), None])
    start(worker).add(A)
    await clock.advance(0.5)
    assert times(worker) == [0, 0]


async def test_endless_conflicts_do_not_spin(clock, start):
    worker = Worker(clock, answers=[Conflict("moved on")] * 1000)
    start(worker).add(A)
    await clock.advance(10)
    assert len(worker.calls) < 12


async def test_retry_after_is_honoured(clock, start):
    worker = Worker(clock, answers=[Unavailable("busy", retry_after=25), None])
    start(worker).add(A)
    await clock.advance(100)
    assert times(worker) == [0, 25]


async def test_a_failing_key_does_not_hold_others(clock, start):
    worker = Worker(clock, answers=[RuntimeError("boom"), None])
    queue = start(worker, workers=1)
    queue.add(A)
    queue.add(B)
    await clock.advance(0)
    assert worker.calls == [(0, A), (0, B)]


async def test_pause_cancels_work_and_resume_repeats_it(clock, start):
    worker = Worker(clock, seconds=5)
    queue = start(worker)
    queue.add(A)
    await clock.advance(1)
    assert await queue.pause(deadline=1)
    queue.add(B)
    await clock.advance(60)
    assert (worker.calls, worker.active) == ([(0, A)], [])
    queue.resume()
    await clock.advance(10)
    assert worker.finished in ([A, B], [B, A])


async def test_age_is_of_keys_that_wait_and_counts_from_when_work_could_be_done(clock, start):
    worker = Worker(clock, seconds=50)
    queue = start(worker, workers=1)
    queue.add(A)
    queue.add_after(B, 10)
    await clock.advance(5)
    assert (queue.oldest_age, queue.longest_work, queue.busy) == (0, 5, 1)
    await clock.advance(25)
    assert (queue.oldest_age, queue.longest_work) == (20, 30)
    await queue.pause(deadline=1)
    assert (queue.oldest_age, queue.longest_work, queue.busy) == (0, 0, 0)
    await clock.advance(100)
    queue.resume()
    await clock.advance(3)
    assert (queue.oldest_age, queue.longest_work) == (3, 3)


async def test_a_key_that_is_discarded_is_not_worked_on(clock, start):
    worker = Worker(clock)
    queue = start(worker)
    queue.add_after(A, 10)
    queue.add_after(B, 10)
    queue.discard(A)
    await clock.advance(100)
    assert worker.calls == [(10, B)]


async def test_keys_of_a_namespace_that_stalls_leave_workers_for_others(clock, start):
    worker = Worker(clock, seconds=1000)
    queue = start(worker, workers=8)
    for number in range(100):
        queue.add(Key("ModelDeployment", "flood", str(number)))
    await clock.advance(10)
    queue.add(A)
    await clock.advance(0)
    assert worker.calls[-1] == (10, A)
    assert len(worker.calls) == 5


async def test_with_many_due_keys_of_one_namespace_another_is_worked_on_next(clock, start):
    worker = Worker(clock, seconds=0.01)
    queue = start(worker, workers=2)
    for number in range(2000):
        queue.add(Key("ModelDeployment", "flood", str(number)))
    await clock.advance(1)
    queue.add(A)
    await clock.advance(0.02)
    assert A in worker.finished


async def test_stop_lets_work_finish_and_takes_no_more():
    done = []

    async def process(key):
        await asyncio.sleep(0.05)
        done.append(key)

    queue = WorkQueue(process, workers=1)
    running = asyncio.create_task(queue.run())
    queue.resume()
    queue.add(A)
    queue.add(B)
    await asyncio.sleep(0.01)
    assert await queue.stop(deadline=2)
    assert done == [A]
    await running


async def test_stop_cancels_what_does_not_finish():
    async def process(key):
        await asyncio.sleep(60)

    queue = WorkQueue(process, workers=1)
    running = asyncio.create_task(queue.run())
    queue.resume()
    queue.add(A)
    await asyncio.sleep(0.01)
    assert not await queue.stop(deadline=0.05)
    await running


async def test_expected_failures_are_one_line_and_others_have_a_traceback(clock, start, caplog):
    worker = Worker(clock, answers=[Unavailable("down"), RuntimeError("boom"), None])
    start(worker).add(A)
    await clock.advance(10)
    warned, failed = caplog.records
    assert (warned.levelname, warned.exc_info) == ("WARNING", None)
    assert failed.levelname == "ERROR"
    assert failed.exc_info


SCRIPT = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0, 10), st.sampled_from([0, 1, 4]), st.booleans()),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(SCRIPT, st.integers(1, 3), st.integers(0, 2**32).map(random.Random))
def test_every_change_is_seen_by_a_later_pass(script, workers, rng):
    """After the last add of a key, the key is worked on to the end, whatever fails or pauses."""

    async def scenario():
        clock = Clock()
        version, seen = {}, {}

        async def process(key):
            current = version[key]
            assert key not in active
            active.add(key)
            try:
                await clock.sleep(rng.choice([0, 0.5, 3]))
                if rng.random() < 0.3:
                    raise Unavailable("boom")
                seen[key] = max(seen.get(key, 0), current)
            finally:
                active.discard(key)

        active = set()
        queue = WorkQueue(process, workers=workers, clock=clock, sleep=clock.sleep, rand=rng.random)
        task = asyncio.create_task(queue.run())
        queue.resume()
        for number, pause, delay, interrupt in script:
            key = Key("ModelDeployment", "ns", str(number))
            version[key] = version.get(key, 0) + 1
            queue.add_after(key, delay)
            await clock.advance(pause)
            if interrupt:
                await queue.pause(deadline=1)
                queue.resume()
        await clock.advance(5000)
        assert seen == version
        task.cancel()

    asyncio.run(scenario())
