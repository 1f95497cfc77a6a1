"""Leader election: one leads, others wait, nobody trusts another's clock."""

import asyncio
from copy import deepcopy
from datetime import UTC, datetime

import pytest
from mooring_operator.adapters.cluster import Conflict, Unavailable
from mooring_operator.runtime.election import Election, Step, Terms, held, new_lease, released
from mooring_operator.runtime.leadership import Leadership

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TERMS = Terms(duration=15, renew_deadline=10, retry=2)


def lease_of(holder, beat=0, duration=15):
    lease = new_lease("ns", "mooring")
    lease["spec"] = {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": f"beat {beat}"}
    return lease


def election():
    return Election("me", TERMS)


def test_missing_lease_is_created():
    assert election().decide(None, 0) is Step.CREATE


def test_lease_of_mine_is_renewed():
    assert election().decide(lease_of("me"), 0) is Step.RENEW


def test_released_lease_is_taken_at_once():
    assert election().decide(released(lease_of("other"), NOW), 0) is Step.TAKE


def test_silent_holder_is_replaced_when_its_duration_has_passed_since_we_looked():
    candidate = election()
    assert candidate.decide(lease_of("other"), 100) is Step.WAIT
    assert candidate.decide(lease_of("other"), 114.9) is Step.WAIT
    assert candidate.decide(lease_of("other"), 115) is Step.TAKE


def test_holder_that_renews_is_never_replaced_however_wrong_its_clock():
    candidate = election()
    for beat in range(50):
        assert candidate.decide(lease_of("other", beat), beat * 14.0) is Step.WAIT


def test_holders_own_duration_counts():
    candidate = election()
    candidate.decide(lease_of("other", duration=60), 0)
    assert candidate.decide(lease_of("other", duration=60), 59) is Step.WAIT


def test_change_of_hands_is_counted_and_renewal_keeps_the_time_of_taking():
    first = held(new_lease("ns", "mooring"), "a", 15, NOW)["spec"]
    assert (first["leaseTransitions"], first["holderIdentity"]) == (0, "a")
    again = held({"spec": first}, "a", 15, NOW.replace(hour=1))["spec"]
    assert (again["leaseTransitions"], again["acquireTime"]) == (0, first["acquireTime"])
    assert again["renewTime"] != first["renewTime"]
    assert held({"spec": again}, "b", 15, NOW)["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize("times", [(10, 10, 2), (15, 10, 10), (15, 16, 2), (15, 10, 0)])
def test_times_that_leave_no_time_to_stop_are_refused(times):
    with pytest.raises(ValueError, match="lease duration"):
        Terms(*times)


class Leases:
    """An API server's leases in memory; `down` makes it silent, `hangs` makes it hang."""

    def __init__(self):
        self.lease, self.version, self.down, self.hangs = None, 0, False, False

    async def _answer(self):
        if self.hangs:
            await asyncio.sleep(3600)
        if self.down:
            raise Unavailable("down")

    async def get(self, namespace, name):
        await self._answer()
        return deepcopy(self.lease)

    async def create(self, lease):
        await self._answer()
        if self.lease is not None:
            raise Conflict("exists")
        return self._store(lease)

    async def replace(self, lease):
        await self._answer()
        if lease["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict("moved on")
        return self._store(lease)

    def _store(self, lease):
        self.version += 1
        self.lease = deepcopy(lease)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return deepcopy(self.lease)


class Replica:
    def __init__(self, leases, clock, name, terms=TERMS):
        self.log = []
        self.leadership = Leadership(
            leases,
            Election(name, terms),
            namespace="ns",
            name="mooring",
            gained=lambda: self.log.append("gained"),
            lost=self.lost,
            clock=lambda: clock[0],
        )

    async def lost(self):
        self.log.append("lost")

    async def step(self):
        await self.leadership.step()
        return self.leadership.leading


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def leases():
    return Leases()


async def test_first_replica_leads_and_second_waits(leases, clock):
    a, b = Replica(leases, clock, "a"), Replica(leases, clock, "b")
    for _ in range(20):
        assert await a.step()
        assert not await b.step()
        clock[0] += 2
    assert (a.log, b.log) == (["gained"], [])


async def test_successor_takes_over_at_once_after_release(leases, clock):
    a, b = Replica(leases, clock, "a"), Replica(leases, clock, "b")
    await a.step()
    await b.step()
    await a.leadership.release()
    assert leases.lease["spec"]["holderIdentity"] == ""
    assert await b.step()
    assert leases.lease["spec"]["leaseTransitions"] == 1


async def test_leader_cut_off_stops_before_another_can_lead(leases, clock):
    a, b = Replica(leases, clock, "a"), Replica(leases, clock, "b")
    await a.step()
    await b.step()
    stopped = led = None
    while led is None:
        clock[0] += 1
        leases.down = True
        if not await a.step() and stopped is None:
            stopped = clock[0]
        leases.down = False
        if await b.step():
            led = clock[0]
    assert (stopped, led) == (10, 15)
    assert a.log == ["gained", "lost"]


async def test_leader_whose_lease_was_taken_stops(leases, clock):
    a = Replica(leases, clock, "a")
    await a.step()
    leases._store({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": "thief"}})
    assert not await a.step()
    assert a.log == ["gained", "lost"]


async def test_conflict_during_renewal_does_not_end_leadership(leases, clock):
    a = Replica(leases, clock, "a")
    await a.step()
    get = leases.get

    async def stale(namespace, name):
        lease = await get(namespace, name)
        leases._store(leases.lease)
        return lease

    leases.get = stale
    clock[0] = 2
    assert await a.step()
    leases.get = get
    clock[0] = 11
    assert await a.step()


async def test_two_candidates_of_an_expired_lease_and_one_wins(leases, clock):
    leases._store(lease_of("gone"))
    replicas = [Replica(leases, clock, name) for name in "abc"]
    for replica in replicas:
        await replica.step()
    clock[0] = 15
    results = await asyncio.gather(*(replica.step() for replica in replicas))
    assert sum(results) == 1


async def test_server_that_hangs_ends_leadership_in_time(leases):
    loop = asyncio.get_running_loop()
    replica = Replica(leases, [0], "a", Terms(duration=0.5, renew_deadline=0.2, retry=0.05))
    replica.leadership._clock = loop.time
    await replica.step()
    leases.hangs = True
    start = loop.time()
    while replica.leadership.leading:
        await replica.step()
    assert loop.time() - start < 0.4


async def test_failed_release_is_no_error(leases, clock):
    a = Replica(leases, clock, "a")
    await a.step()
    leases.down = True
    await a.leadership.release()
    assert not a.leadership.leading


async def test_a_leader_that_stood_still_holds_nothing_before_it_has_noticed(leases, clock):
    a = Replica(leases, clock, "a")
    assert not a.leadership.holds
    await a.step()
    clock[0] = 9.9
    assert a.leadership.holds
    clock[0] = 10
    assert (a.leadership.leading, a.leadership.holds) == (True, False)
    assert await a.step()
    assert a.leadership.holds
    leases.down = True
    clock[0] = 20
    await a.step()
    assert not a.leadership.holds
