"""Which install works on an object: what is looked up, how often, and what people are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.cluster import Forbidden, Unavailable
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.reconcile.installs import AGAIN_S, SOON_S, Installs, operator_of

ME, OTHER = "mine/mooring-operator", "theirs/mooring-operator"
KEY = ("ModelDeployment", "team-a", "fraud")


class Cluster:
    """Has one Lease, and counts who asks."""

    def __init__(self):
        self.lease = {"spec": {"holderIdentity": "pod", "leaseDurationSeconds": 15, "renewTime": "0"}}
        self.asked, self.error = [], None

    async def get(self, ref):
        self.asked.append(f"{ref.kind.plural} {ref.namespace}/{ref.name}")
        if self.error is not None:
            raise self.error
        return self.lease

    def renew(self, time):
        self.lease = {"spec": {**self.lease["spec"], "renewTime": str(time)}}


class Told:
    def __init__(self):
        self.notices = []

    async def notify(self, about, notice):
        self.notices.append((about["metadata"]["name"], notice))

    @property
    def reasons(self):
        return [notice.reason for _, notice in self.notices]


class Seen:
    """One install, at a time that the test sets."""

    def __init__(self, me=ME):
        self.cluster, self.told, self.now = Cluster(), Told(), 0.0
        self.installs = Installs(self.cluster, self.told, me, clock=lambda: self.now)

    async def look(self, operator=OTHER, *, at, renewed=True, uid="u", name="fraud"):
        self.now = at
        if renewed:
            self.cluster.renew(at)
        return await self.installs.leave(resource(operator, uid=uid, name=name))


def resource(operator, *, uid="u", name="fraud"):
    metadata = {"namespace": "team-a", "name": name, "uid": uid}
    return {"kind": "ModelDeployment", "metadata": metadata, "status": {"operator": operator}}


@pytest.fixture
def seen():
    return Seen()


@pytest.mark.parametrize(
    "operator", ["", ME, None, 7, ["a/b"], "a", "a/b/c", "../x/y", "A/b", "a/b\n", "a/b?c"]
)
async def test_what_is_ours_or_nobodys_costs_no_request(seen, operator):
    assert await seen.look(operator, at=0) is None
    assert (seen.cluster.asked, seen.told.notices, seen.installs.left) == ([], [], 0)


@pytest.mark.parametrize("status", [None, [], "text", {}])
def test_a_status_of_any_form_names_nobody(status):
    assert operator_of({"status": status}) == ""


async def test_what_another_works_on_is_left_alone_and_told_once(seen):
    assert await seen.look(at=0) == SOON_S
    assert seen.told.notices == []
    assert await seen.look(at=5) == AGAIN_S
    for at in (20, 35, 50):
        assert await seen.look(at=at) == AGAIN_S
    [(name, notice)] = seen.told.notices
    assert (name, notice.type, notice.reason) == ("fraud", "Warning", "OtherOperator")
    for part in (ME, OTHER, "MOORING_NAMESPACES", "its Lease is renewed"):
        assert part in notice.message
    assert seen.installs.leaves(*KEY)
    assert seen.installs.left == 1


async def test_what_nobody_renews_is_taken_over_and_nobody_was_told_that_it_is(seen):
    assert await seen.look(at=0) == SOON_S
    assert await seen.look(at=12.9, renewed=False) == SOON_S
    assert await seen.look(at=15, renewed=False) is None
    assert seen.told.notices == []
    assert (seen.installs.left, seen.installs.leaves(*KEY)) == (0, False)


async def test_what_was_renewed_until_now_is_taken_over_when_that_ends(seen):
    for at in (0, 5):
        await seen.look(at=at)
    assert await seen.look(at=17.9, renewed=False) == AGAIN_S
    assert await seen.look(at=20, renewed=False) is None


@pytest.mark.parametrize("lease", [None, {}, {"spec": None}, {"spec": {"holderIdentity": ""}}])
async def test_a_lease_that_nobody_holds_frees_what_it_had_at_once(seen, lease):
    seen.cluster.lease = lease
    assert await seen.look(at=0, renewed=False) is None


async def test_one_look_at_a_lease_is_for_all_that_it_has(seen):
    for name in ("a", "b", "c"):
        await seen.look(at=0, name=name)
    assert seen.cluster.asked == ["leases theirs/mooring-operator"]
    await seen.look(at=3, name="a")
    assert len(seen.cluster.asked) == 2
    assert seen.installs.left == 3


async def test_a_lease_that_may_not_be_read_is_taken_for_held_and_that_is_said(seen):
    seen.cluster.error = Forbidden("leases is forbidden")
    assert await seen.look(at=0) == AGAIN_S
    [(_, notice)] = seen.told.notices
    assert "cannot be seen whether that is at work: leases is forbidden" in notice.message
    # To remove one of the two would help nobody who cannot see it.
    assert "take status.operator away" in notice.message
    assert "Remove one" not in notice.message
    seen.cluster.error = None
    assert await seen.look(at=5) == SOON_S
    assert await seen.look(at=30, renewed=False) is None


async def test_an_api_server_that_does_not_answer_decides_nothing(seen):
    seen.cluster.error = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await seen.look(at=0)
    seen.cluster.error = None
    assert await seen.look(at=0) == SOON_S


async def test_another_object_of_the_name_is_told_of_too(seen):
    for at in (0, 5):
        await seen.look(at=at)
    await seen.look(at=10, uid="another")
    assert seen.told.reasons == ["OtherOperator"] * 2


async def test_what_is_gone_is_forgotten(seen):
    await seen.look(at=0)
    seen.installs.forget(*KEY)
    assert seen.installs.left == 0


async def test_who_holds_no_lease_leaves_alone_what_others_have_and_claims_nothing():
    alone = Seen(me="")
    for at in (0, 5):
        assert await alone.look(at=at) is not None
    assert "this operator, which holds no Lease," in alone.told.notices[0][1].message
    assert alone.installs.sign(ModelDeploymentStatus(operator=OTHER)).operator is None


@pytest.mark.parametrize("status", [ModelDeploymentStatus, DriftMonitorStatus])
def test_a_status_that_is_written_names_the_install(seen, status):
    signed = seen.installs.sign(status(phase="Failed", operator=OTHER))
    assert (signed.operator, signed.phase) == (ME, "Failed")


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), min_size=1, max_size=15))
async def test_nothing_is_taken_over_whose_lease_was_renewed_within_its_duration(looks):
    """However it is looked at. What is taken over has another name from then on."""
    seen, now, renewed_at = Seen(), 0.0, 0.0
    for pause, renewed in looks:
        now += pause
        renewed_at = now if renewed else renewed_at
        if await seen.look(at=now, renewed=renewed) is None:
            assert now - renewed_at >= 15
            break
