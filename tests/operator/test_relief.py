"""A revision whose pods are gone gets no requests any more, before anybody has looked at the rest."""

import pytest
from mooring_operator.adapters.cluster import Conflict, Ref
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE
from mooring_operator.adapters.routers.relief import Relief
from mooring_operator.planning.routing import Arm, Routing

from tests.operator.test_gateway_router import FIRST, SECOND, V1, V2, open_stage, split
from tests.unit.operator.adapters.routers.revisions import OWNER

ROUTE = Ref(HTTP_ROUTE, "ns", "digits-mooring")


@pytest.fixture
async def stage(emulator, tmp_path):
    """Two revisions behind a route, 90 to 10."""
    async with open_stage(emulator, tmp_path) as stage:
        await stage.serve(FIRST)
        await stage.serve(FIRST, SECOND, routing=split(10))
        stage.requests.clear()
        yield stage


async def lose(stage, revision, *others):
    """Have the slices of revisions name no pod that is ready."""
    for lost in (revision, *others):
        name = f"digits-{lost.workload}-predictor"
        found = await stage.find(ENDPOINT_SLICE, name)
        endpoints = [{**one, "conditions": {"ready": False}} for one in found["endpoints"]]
        await stage.cluster.change(found, {"endpoints": endpoints})
    stage.requests.clear()


async def relieve(stage, cluster=None):
    await Relief(cluster or stage.cluster).relieve("ns", "digits")
    return await stage.played.weights_of()


async def test_it_takes_two_reads_and_a_write(stage):
    await lose(stage, SECOND)
    await Relief(stage.cluster).relieve("ns", "digits")
    assert sorted(stage.requests) == [
        ("get", "httproutes"),
        ("list", "endpointslices"),
        ("patch", "httproutes"),
    ]
    assert await stage.played.weights_of() == {V1: 100}


async def test_what_is_left_to_another_operator_is_not_even_read(stage):
    await lose(stage, SECOND)
    left = {("ns", "digits")}
    await Relief(stage.cluster, lambda *name: name in left).relieve("ns", "digits")
    assert stage.requests == []
    left.clear()
    await Relief(stage.cluster, lambda *name: name in left).relieve("ns", "digits")
    assert await stage.played.weights_of() == {V1: 100}


async def test_the_next_look_finds_it_as_it_would_have_made_it(stage):
    await lose(stage, SECOND)
    await relieve(stage)
    relieved = await stage.find(HTTP_ROUTE, ROUTE.name)
    await stage.router.route(OWNER, split(10), await stage.look(FIRST, SECOND))
    assert (await stage.find(HTTP_ROUTE, ROUTE.name))["spec"] == relieved["spec"]


async def test_what_is_ready_keeps_what_it_has(stage):
    assert await relieve(stage) == {V1: 90, V2: 10}
    assert ("patch", "httproutes") not in stage.requests


async def test_nobody_is_sent_to_a_stable_revision_that_is_dead_too(stage):
    await lose(stage, FIRST, SECOND)
    assert await relieve(stage) == {V1: 90, V2: 10}
    await lose(stage, FIRST)
    assert await relieve(stage) == {V1: 90, V2: 10}


async def test_a_newer_route_is_not_overwritten(stage):
    """Somebody decides between the read and the write: what was read is old."""
    await lose(stage, SECOND)

    class Meanwhile:
        def __getattr__(self, name):
            return getattr(stage.cluster, name)

        async def apply(self, wanted, seen):
            await stage.cluster.change(seen, {"metadata": {"labels": {"decided": "meanwhile"}}})
            return await stage.cluster.apply(wanted, seen)

    with pytest.raises(Conflict):
        await relieve(stage, Meanwhile())
    assert await stage.played.weights_of() == {V1: 90, V2: 10}
    assert await relieve(stage) == {V1: 100}


async def test_a_route_of_somebody_else_is_left_alone(stage):
    await lose(stage, SECOND)
    route = await stage.find(HTTP_ROUTE, ROUTE.name)
    theirs = {**route["metadata"]["ownerReferences"][0], "name": "another"}
    await stage.cluster.change(route, {"metadata": {"ownerReferences": [theirs]}})
    assert await relieve(stage) == {V1: 90, V2: 10}


async def test_without_a_route_there_is_nothing_to_do(stage):
    await stage.router.route(OWNER, Routing((Arm(FIRST, 100),)), await stage.look(FIRST))
    await stage.cluster.delete(await stage.find(HTTP_ROUTE, ROUTE.name))
    assert await relieve(stage) == {}
