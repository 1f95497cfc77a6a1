"""From keys to reconciles: deletions first, all within a deadline, failures in words."""

import asyncio

import pytest
from mooring_operator.adapters.cluster import Conflict, Refused, Unavailable
from mooring_operator.api import reasons
from mooring_operator.reconcile.failures import ReconcileFailed, StatusUnreadable
from mooring_operator.runtime import dispatch as module
from mooring_operator.runtime.dispatch import Dispatch
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key

KEY = Key("ModelDeployment", "ns", "a")


class Recorder:
    pools = ()

    def __init__(self, error=None, seconds=0.0):
        self.error, self.seconds = error, seconds
        self.calls, self.failures = [], []
        self.deletions_fail = False
        self.report_takes, self.report_error = 0.0, None

    async def reconcile(self, key):
        self.calls.append(("reconcile", key))
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return 5.0

    async def deleted(self, kind, body):
        self.calls.append(("deleted", body["metadata"]["uid"]))
        if self.deletions_fail:
            raise Unavailable("down")

    async def failed(self, key, failure):
        self.failures.append((key, failure.reason, failure.message))
        await asyncio.sleep(self.report_takes)
        if self.report_error is not None:
            raise self.report_error


def body(uid, namespace="ns", **fields):
    return {"metadata": {"uid": uid, "namespace": namespace, "name": f"name-{uid}"}, **fields}


def key_of(body):
    return Key("ModelDeployment", body["metadata"]["namespace"], body["metadata"]["name"])


async def test_deletions_are_worked_on_before_the_object_and_until_they_succeed():
    recorder = Recorder()
    dispatch = Dispatch(recorder, Telemetry())
    dispatch.note_deleted(KEY, body("1"))
    dispatch.note_deleted(Key("ModelDeployment", "ns", "b"), body("2"))
    recorder.deletions_fail = True
    with pytest.raises(Unavailable):
        await dispatch(KEY)
    recorder.deletions_fail = False
    assert await dispatch(KEY) == 5.0
    await dispatch(KEY)
    assert recorder.calls == [("deleted", "1")] * 2 + [("reconcile", KEY)] * 2


async def test_of_a_deleted_object_no_more_is_kept_than_cleaning_up_needs():
    kept = []

    class Keeper(Recorder):
        async def deleted(self, kind, body):
            kept.append(body)

    dispatch = Dispatch(Keeper(), Telemetry())
    big = {"spec": {"env": "x" * 100_000}, "status": {"phase": "Testing"}}
    last = body("1", **big)
    last["metadata"] |= {"managedFields": ["x"] * 1000, "annotations": {"a": "x" * 100_000}}
    dispatch.note_deleted(KEY, last)
    await dispatch(KEY)
    assert kept == [body("1", status={"phase": "Testing"})]


def test_a_flood_of_deletions_pushes_out_its_own_and_nobody_elses(monkeypatch):
    monkeypatch.setattr(module, "_MOST_DELETED", 10)
    dispatch = Dispatch(Recorder(), Telemetry())
    quiet = body("quiet", "quiet")
    assert dispatch.note_deleted(key_of(quiet), quiet) is None
    forgotten = []
    for number in range(50):
        one = body(str(number), "flood")
        forgotten.append(dispatch.note_deleted(key_of(one), one))
    pushed_out = [key for key in forgotten if key is not None]
    assert len(pushed_out) == 41
    assert {key.namespace for key in pushed_out} == {"flood"}
    assert pushed_out[0].name == "name-0"


async def test_work_that_takes_too_long_is_cancelled_and_said():
    recorder, telemetry = Recorder(seconds=60), Telemetry()
    dispatch = Dispatch(recorder, telemetry, deadline=0.02)
    async with asyncio.timeout(5):
        with pytest.raises(ReconcileFailed):
            await dispatch(KEY)
    ((key, reason, message),) = recorder.failures
    assert (key, reason) == (KEY, reasons.DEADLINE_EXCEEDED)
    assert "0.02 s" in message
    count = telemetry.registry.get_sample_value
    labels = {"kind": "ModelDeployment", "reason": "DeadlineExceeded"}
    assert count("mooring_reconcile_errors_total", labels) == 1


@pytest.mark.parametrize("error", [RuntimeError("boom"), Refused("no"), TimeoutError("of somebody else")])
async def test_an_unforeseen_error_is_said_without_its_text(error):
    recorder = Recorder(error)
    with pytest.raises(ReconcileFailed) as raised:
        await Dispatch(recorder, Telemetry())(KEY)
    ((key, reason, message),) = recorder.failures
    assert (key, reason) == (KEY, reasons.INTERNAL_ERROR)
    assert type(error).__name__ in message
    assert str(error) not in message
    assert raised.value.__cause__ is error


async def test_the_same_error_has_the_same_reference_and_another_place_another_one():
    class Failing(Recorder):
        async def reconcile(self, key):
            if len(self.failures) < 2:
                raise RuntimeError("boom")
            raise RuntimeError("boom")

    recorder = Failing()
    for _ in range(3):
        with pytest.raises(ReconcileFailed):
            await Dispatch(recorder, Telemetry())(KEY)
    first, second, elsewhere = [message for _, _, message in recorder.failures]
    assert first == second != elsewhere


async def test_a_failure_that_has_words_keeps_them():
    recorder = Recorder(StatusUnreadable("status.stable cannot be read"))
    with pytest.raises(StatusUnreadable):
        await Dispatch(recorder, Telemetry())(KEY)
    assert recorder.failures == [(KEY, reasons.STATUS_UNREADABLE, "status.stable cannot be read")]


@pytest.mark.parametrize("error", [Conflict("moved on"), Unavailable("down")])
async def test_an_expected_error_is_left_to_the_queue(error):
    recorder = Recorder(error)
    with pytest.raises(type(error)):
        await Dispatch(recorder, Telemetry())(KEY)
    assert recorder.failures == []


@pytest.mark.parametrize("trouble", ["slow", "away", "refused"])
async def test_a_failure_that_cannot_be_said_is_logged_and_the_worker_freed(monkeypatch, caplog, trouble):
    monkeypatch.setattr(module, "REPORT_DEADLINE", 0.02)
    recorder = Recorder(RuntimeError("boom"))
    recorder.report_takes = 60 if trouble == "slow" else 0.0
    recorder.report_error = {"away": Unavailable("down"), "refused": Refused("too large")}.get(trouble)
    async with asyncio.timeout(5):
        with pytest.raises(ReconcileFailed):
            await Dispatch(recorder, Telemetry())(KEY)
    assert "InternalError cannot be said on the resource" in caplog.text


async def test_cancelled_work_is_no_failure():
    recorder = Recorder(seconds=60)
    working = asyncio.create_task(Dispatch(recorder, Telemetry())(KEY))
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert recorder.failures == []
