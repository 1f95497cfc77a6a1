"""Two installs of Mooring that watch one namespace: one works on an object, and the other leaves it alone."""

import asyncio
from datetime import timedelta

import pytest
from mooring_operator.adapters.cluster import Conflict, Ref
from mooring_operator.reconcile.failures import InternalError
from mooring_operator.reconcile.installs import AGAIN_S, SOON_S
from mooring_operator.runtime.workqueue import Key

from tests.operator.faults import Fault
from tests.operator.objects import LEASE
from tests.operator.world import DIGITS, World

FIRST, SECOND = "one/mooring-operator", "two/mooring-operator"


class Install(World):
    """One of the two, with a Lease that is renewed as long as it lives."""

    def __init__(self, emulator, folder, lease):
        self.lease, self.alive = lease, True
        folder.mkdir()
        super().__init__(emulator, folder, install=lease, who=lease.partition("/")[0])

    def renew(self):
        namespace, _, name = self.lease.partition("/")
        ref = Ref(LEASE, namespace, name)
        spec = {"holderIdentity": self.lease, "leaseDurationSeconds": 15, "renewTime": self.now.isoformat()}
        self.objects.apply(ref, {"metadata": {"name": name}, "spec": spec}, self.lease)

    def wrote(self):
        """What it has written, but for Events."""
        return [
            call.resource
            for call in self.emulator.writes(who=self.lease.partition("/")[0])
            if call.resource != "events"
        ]


@pytest.fixture
async def installs(emulator, tmp_path):
    both = [Install(emulator, tmp_path / name, f"{name}/mooring-operator") for name in ("one", "two")]
    for each in both:
        await each.start()
        each.renew()
    yield both
    for each in both:
        await each.stop()


def pass_time(installs, seconds):
    """Time goes on for both, and those that live renew their Leases."""
    for each in installs:
        each.now += timedelta(seconds=seconds)
        if each.alive:
            each.renew()


async def looks(install, installs, kind="ModelDeployment", name="digits"):
    """Look until it is known who works on it."""
    assert await install.step(kind, name) == SOON_S
    pass_time(installs, SOON_S)
    return await install.step(kind, name)


async def test_of_two_that_see_an_object_at_once_one_works_on_it(installs, emulator):
    one, two = installs
    one.deploy("v1")
    # Both have read and decided before the first of them has written.
    held = Fault(0.3, verb="update", resource="modeldeployments/status")
    emulator.faults.append(held)
    results = await asyncio.gather(one.step(), two.step(), return_exceptions=True)
    [lost] = [result for result in results if isinstance(result, BaseException)]
    assert isinstance(lost, Conflict)
    winner, loser = (one, two) if one.status["operator"] == FIRST else (two, one)
    assert loser.wrote() == ["modeldeployments/status"]
    assert await looks(loser, installs) == AGAIN_S
    await winner.settle()
    assert winner.phase == "Promoted"
    assert winner.status["operator"] == winner.lease
    assert loser.wrote() == ["modeldeployments/status"]


async def test_what_another_works_on_is_told_once_and_costs_no_write(installs):
    one, two = installs
    one.deploy("v1")
    await one.settle()
    before = one.status
    assert await looks(two, installs) == AGAIN_S
    for _ in range(5):
        pass_time(installs, AGAIN_S)
        assert await two.step() == AGAIN_S
    assert (two.wrote(), one.status) == ([], before)
    assert one.events().count("OtherOperator") == 1
    assert two.operator.left == 1
    # A change is the other's as well, and is carried out once.
    one.deploy("v2")
    assert await two.step() == AGAIN_S
    await one.settle()
    assert (two.wrote(), one.status["stable"]["modelUri"]) == ([], "s3://m/v2")


async def test_what_a_dead_install_had_is_taken_over_as_it_is(installs):
    one, two = installs
    one.deploy("v1", rollout={"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]})
    await one.settle()
    one.deploy("v2", rollout={"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]})
    await one.settle()
    waiting = one.status
    one.alive = False
    assert await two.step() == SOON_S
    pass_time(installs, 15)
    await two.settle()
    assert two.status == {**waiting, "operator": SECOND}
    assert two.wrote() == ["modeldeployments/status"]
    assert "OtherOperator" not in one.events()
    two.command("approve", two.status["candidate"]["revision"])
    await two.settle()
    assert (two.phase, two.status["stable"]["modelUri"]) == ("Promoted", "s3://m/v2")
    # It comes back, and finds that another works on it.
    one.alive, written = True, len(one.wrote())
    pass_time(installs, 1)
    assert await looks(one, installs) == AGAIN_S
    assert len(one.wrote()) == written


async def test_a_status_of_before_is_taken_and_one_of_another_form_too(installs):
    one, two = installs
    one.deploy("v1")
    await one.settle()
    before = one.status
    for named in (None, "", "nobody's", 7):
        one.objects.set_status(DIGITS, {**before, "operator": named})
        await two.settle()
        assert two.status["operator"] == SECOND


async def test_a_monitor_is_worked_on_by_one_too(installs):
    one, two = installs
    one.deploy("v1")
    await one.settle()
    one.monitor()
    await one.check_drift()
    assert one.drift["operator"] == FIRST
    before = one.drift
    assert await looks(two, installs, "DriftMonitor", "traffic") == AGAIN_S
    assert (two.wrote(), one.drift) == ([], before)
    assert one.events("traffic").count("OtherOperator") == 1
    one.alive = False
    pass_time(installs, 20)
    await two.check_drift()
    assert two.drift["operator"] == SECOND


async def test_what_the_other_fails_at_is_not_said_on_it_and_a_deletion_is_its_own(installs):
    one, two = installs
    one.deploy("v1")
    await one.settle()
    before = one.objects.get(DIGITS)
    await two.operator.failed(Key("ModelDeployment", "ns", "digits"), InternalError(KeyError()))
    tested = {"runId": "r", "revision": "r", "startedAt": "2026-03-01T12:00:00Z"}
    testing = {**before, "status": {**before["status"], "ci": tested}}
    for each in installs:
        each.runs.keep("r", {"phase": "Running"})
        await each.operator.deleted("ModelDeployment", testing)
    assert (one.objects.get(DIGITS), two.wrote()) == (before, [])
    assert [each.runs.read("r")["phase"] for each in installs] == ["Canceled", "Running"]
    await one.operator.failed(Key("ModelDeployment", "ns", "digits"), InternalError(KeyError()))
    assert one.condition("Reconciled")["status"] == "False"


async def test_an_operator_without_a_lease_names_none(world):
    world.deploy("v1")
    await world.settle()
    assert "operator" not in world.status
