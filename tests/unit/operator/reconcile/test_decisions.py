"""Decisions are recorded before they take effect, each once; going back waits for no store."""

import asyncio

import pytest
from mooring_operator.adapters.audit import AuditUnavailable
from mooring_operator.adapters.cluster import Conflict
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.reconcile.decisions import Decisions

from tests.unit.artifacts.audit.test_audit_records import entry

STATUS = ModelDeploymentStatus(phase="Promoted")


class Played:
    """A cluster and a trail; `log` has what they were asked, in order."""

    def __init__(self):
        self.log, self.away, self.conflicts = [], False, 0
        self.stalls, self.recorded = False, asyncio.Condition()

    async def append(self, namespace, entries):
        await asyncio.sleep(0)
        if self.stalls:
            await asyncio.Event().wait()
        for one in entries:
            if self.away is True or self.away == int(one.id, 16):
                raise AuditUnavailable("the store is away")
            async with self.recorded:
                self.log.append(int(one.id, 16))
                self.recorded.notify_all()

    async def write_status(self, resource, status):
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody else")
        self.log.append("status")
        return {**resource, "status": status}


@pytest.fixture
def played():
    return Played()


@pytest.fixture
def decisions(played):
    return Decisions(played, played, again=0.001)


def resource(version="1", uid="u"):
    return {"metadata": {"namespace": "ns", "name": "digits", "uid": uid, "resourceVersion": version}}


async def is_recorded(played, *ids):
    async with asyncio.timeout(10), played.recorded:
        await played.recorded.wait_for(lambda: set(ids) <= set(played.log))


async def test_it_is_recorded_before_it_takes_effect(played, decisions):
    written = await decisions.write(resource(), STATUS, [entry(1), entry(2)])
    assert played.log == [1, 2, "status"]
    assert written["status"]["phase"] == "Promoted"


async def test_what_cannot_be_recorded_is_not_decided(played, decisions):
    played.away = True
    with pytest.raises(AuditUnavailable):
        await decisions.write(resource(), STATUS, [entry(1)])
    assert played.log == []
    # What tells nobody anything new waits for nothing.
    await decisions.write(resource(), STATUS)
    played.away = False
    await decisions.write(resource(), STATUS, [entry(1)])
    assert played.log == ["status", 1, "status"]


async def test_going_back_is_recorded_when_the_store_is_there_again(played, decisions):
    played.away = True
    await decisions.write(resource(), STATUS, [entry(1)], waits=False)
    with pytest.raises(AuditUnavailable):
        await decisions.write(resource("2"), STATUS, [entry(2)])
    played.away = False
    await decisions.write(resource("2"), STATUS, [entry(2)])
    assert played.log == ["status", 1, 2, "status"]


async def test_what_is_decided_again_after_a_conflict_is_one_decision(played, decisions):
    played.conflicts = 1
    with pytest.raises(Conflict):
        await decisions.write(resource(), STATUS, [entry(1)])
    await decisions.write(resource("2"), STATUS, [entry(2)])
    assert played.log == [1, "status"]
    # The same once more, later, is another one.
    await decisions.write(resource("3"), STATUS, [entry(3)])
    assert played.log == [1, "status", 3, "status"]


async def test_what_many_decide_at_once_while_the_store_is_away_is_all_recorded(played, decisions):
    played.away = True
    back = [decisions.write(resource(uid=str(n)), STATUS, [entry(n)], waits=False) for n in range(1, 9)]
    await asyncio.gather(*back)
    assert played.log == ["status"] * 8
    played.away = False
    await is_recorded(played, *range(1, 9))
    assert [one for one in played.log if one != "status"] == list(range(1, 9))


async def test_going_back_is_recorded_though_nothing_more_is_decided(played, decisions):
    played.away = True
    await decisions.write(resource(), STATUS, [entry(1)], waits=False)
    played.away = False
    await is_recorded(played, 1)


async def test_going_back_waits_a_moment_for_a_store_that_stalls(played, decisions):
    played.stalls = True
    async with asyncio.timeout(10):
        await decisions.write(resource(), STATUS, [entry(1)], waits=False)
    assert played.log == ["status"]


async def test_what_is_not_recorded_in_time_is_in_the_log(played, decisions, caplog):
    played.away = True
    await decisions.write(resource(), STATUS, [entry(1)], waits=False)
    assert "Promoted by alice: it is" in caplog.text


async def test_a_store_that_goes_away_between_two_records_has_each_once(played, decisions):
    played.away = 2
    with pytest.raises(AuditUnavailable):
        await decisions.write(resource(), STATUS, [entry(1), entry(2, message="and more")])
    # That the store is away is said, which is another version of the object: what is decided again has other ids.
    await decisions.write(resource(), STATUS)
    played.away = False
    await decisions.write(resource("2"), STATUS, [entry(3), entry(4, message="and more")])
    assert played.log == [1, "status", 4, "status"]


async def test_what_is_recorded_first_and_written_later_is_recorded_again_when_it_is_decided_again(
    played, decisions
):
    """As of a DriftMonitor, that tells people in between: the same sentence, a week later, is another decision."""
    for number in (1, 2):
        await decisions.record(resource(str(number)), [entry(number)])
        await decisions.write_recorded(resource(str(number)), STATUS)
    assert played.log == [1, "status", 2, "status"]


async def test_a_status_that_says_why_nothing_is_decided_forgets_nothing_that_was_recorded(played, decisions):
    await decisions.record(resource(), [entry(1)])
    await decisions.write(resource(), STATUS)
    await decisions.record(resource("2"), [entry(2)])
    assert played.log == [1, "status"]
