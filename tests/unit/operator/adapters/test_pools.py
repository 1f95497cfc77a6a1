"""Calls to outside systems: bounded in number and in time, by system and by tenant."""

import asyncio
import threading
from contextvars import ContextVar

import pytest
from mooring_operator.adapters.pools import Pool, Room, tenant


class Away(Exception):
    """The system does not answer."""


@pytest.fixture
def stall():
    """Blocks threads until the test ends, or lets them go."""
    gate = threading.Event()
    yield gate
    gate.set()


def pool(**options):
    return Pool("store", Away, **{"size": 2, "deadline": 5.0, "patience": 0.05, **options})


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def as_tenant(name, work):
    async def call():
        tenant.set(name)
        return await work

    return await asyncio.create_task(call())


async def test_a_thread_gives_its_answer_or_its_error():
    calls = pool()
    assert await calls.thread(lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(KeyError):
        await calls.thread(lambda: {}["missing"])
    assert (calls.busy, calls.abandoned) == (0, 0)


async def test_a_thread_sees_the_callers_context():
    variable = ContextVar("variable")
    variable.set("mine")
    assert await pool().thread(variable.get) == "mine"


async def test_a_thread_that_stalls_is_abandoned_and_keeps_its_place_until_it_ends(stall):
    calls = pool(deadline=0.05)
    with pytest.raises(Away, match=r"store: no answer within 0\.05 s"):
        await calls.thread(stall.wait)
    assert (calls.busy, calls.abandoned, calls.expired) == (1, 1, 1)
    stall.set()
    await until(lambda: calls.busy == 0)
    assert calls.abandoned == 0


async def test_no_more_threads_than_places_whatever_stalls(stall):
    calls = pool(deadline=0.02, size=3)
    before = threading.active_count()
    for number in range(20):
        with pytest.raises(Away):
            await as_tenant(f"ns{number}", calls.thread(stall.wait))
    assert threading.active_count() - before == calls.busy == 3
    assert (calls.expired, calls.refused) == (3, 17)


async def test_a_full_pool_says_so_and_does_not_touch_another(stall):
    full, other = pool(size=1), pool()
    stalled = asyncio.create_task(full.thread(stall.wait))
    await until(lambda: full.busy == 1)
    with pytest.raises(Away, match="too many calls are under way and do not end"):
        await full.thread(str)
    assert await other.thread(lambda: "answer") == "answer"
    stall.set()
    assert await stalled


async def test_a_place_that_becomes_free_is_waited_for(stall):
    calls = pool(size=1, patience=5.0)
    first = asyncio.create_task(calls.thread(stall.wait))
    await until(lambda: calls.busy == 1)
    second = asyncio.create_task(calls.thread(lambda: "mine"))
    await asyncio.sleep(0)
    stall.set()
    assert await second == "mine"
    assert await first


async def test_a_tenant_whose_calls_stall_leaves_places_for_others(stall):
    calls = pool(size=4)
    stalled = [asyncio.create_task(as_tenant("flood", calls.thread(stall.wait))) for _ in range(10)]
    await until(lambda: calls.refused == 8)
    assert calls.busy == 2
    assert await as_tenant("quiet", calls.thread(lambda: "answer")) == "answer"
    stall.set()
    answers = await asyncio.gather(*stalled, return_exceptions=True)
    assert answers.count(True) == 2


async def test_a_call_is_cancelled_at_its_deadline():
    calls = pool(deadline=0.02)
    ended = []

    async def slow():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with pytest.raises(Away, match="no answer within"):
        await calls.call(slow)
    assert ended == ["cancelled"]
    assert (calls.busy, calls.expired) == (0, 1)


async def test_a_time_out_of_the_call_itself_is_its_own():
    async def own():
        raise TimeoutError("inner")

    calls = pool()
    with pytest.raises(TimeoutError, match="inner"):
        await calls.call(own)
    assert (calls.busy, calls.expired) == (0, 0)


async def test_a_caller_who_is_cancelled_leaves_an_abandoned_thread(stall):
    calls = pool()
    caller = asyncio.create_task(calls.thread(stall.wait))
    await until(lambda: calls.busy == 1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (calls.busy, calls.abandoned) == (1, 1)
    stall.set()
    await until(lambda: calls.busy == 0)
    assert calls.abandoned == 0


async def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch):
    calls = pool()
    monkeypatch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("limit")))
    with pytest.raises(Away, match="no thread can be started: limit"):
        await calls.thread(str)
    assert calls.busy == 0


async def test_several_systems_that_stall_leave_room_together(stall):
    room = Room(3)
    first, second, third = (pool(size=2, room=room) for _ in range(3))
    stalled = [
        asyncio.create_task(as_tenant(f"ns{number}", calls.thread(stall.wait)))
        for number, calls in enumerate((first, second, first))
    ]
    await until(lambda: room.is_full)
    with pytest.raises(Away, match="too many calls"):
        await third.thread(str)
    assert (third.busy, third.refused) == (0, 1)
    stall.set()
    assert await asyncio.gather(*stalled) == [True] * 3
    assert await third.thread(lambda: "answer") == "answer"
    assert not room.is_full


async def test_an_abandoned_thread_takes_no_room(stall):
    room = Room(1)
    calls, other = pool(deadline=0.02, room=room), pool(room=room)
    with pytest.raises(Away):
        await calls.thread(stall.wait)
    assert (calls.busy, room.is_full) == (1, False)
    assert await other.thread(lambda: "answer") == "answer"


async def test_room_that_another_system_leaves_is_waited_for(stall):
    room = Room(1)
    calls, other = pool(room=room), pool(patience=5.0, room=room)
    first = asyncio.create_task(calls.thread(stall.wait))
    await until(lambda: room.is_full)
    second = asyncio.create_task(other.thread(lambda: 2))
    await asyncio.sleep(0)
    stall.set()
    assert (await first, await second) == (True, 2)
