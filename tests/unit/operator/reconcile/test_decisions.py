"""Decisions are recorded before they take effect, each once; going back waits for no store."""

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

    async def append(self, namespace, entries):
        if self.away:
            raise AuditUnavailable("the store is away")
        self.log += [int(one.id, 16) for one in entries]

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
    return Decisions(played, played)


def resource(version="1"):
    return {"metadata": {"namespace": "ns", "name": "digits", "uid": "u", "resourceVersion": version}}


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
