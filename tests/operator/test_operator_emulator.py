"""The emulator answers as an API server does, where the operator relies on it."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Conflict, Event, Ref, Refused, Unavailable
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.leases import KubernetesLeases
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from tests.operator.faults import CLOSE, EXPIRE, LOSE_ANSWER
from tests.operator.objects import EVENT
from tests.put import drop, put

REF = Ref(INFERENCE_SERVICE, "ns", "digits")


@pytest.fixture
async def connection(emulator, tmp_path):
    connection = Connection(load_config(emulator.kubeconfig(tmp_path / "kubeconfig")))
    yield connection
    await connection.close()


@pytest.fixture
def cluster(connection):
    return KubernetesCluster(connection, page=2)


def service(name="digits", labels=None, **spec):
    metadata = {"namespace": "ns", "name": name, "labels": labels or {}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": spec,
    }


async def test_apply_takes_back_what_it_gave_and_leaves_what_others_gave(cluster, emulator):
    await put(
        cluster, service(predictor={"minReplicas": 1, "model": {"name": "a"}}, canary=[1]), INFERENCE_SERVICE
    )
    emulator.objects.apply(REF, service(predictor={"timeout": 5}), "somebody")
    applied = await put(cluster, service(predictor={"model": {"name": "b"}}), INFERENCE_SERVICE)
    assert applied["spec"] == {"predictor": {"model": {"name": "b"}, "timeout": 5}}


async def test_a_write_that_changes_nothing_gets_no_version(cluster):
    await put(cluster, service(a=1), INFERENCE_SERVICE)
    # With the first apply the creation counts as applied.
    first = await put(cluster, service(a=1), INFERENCE_SERVICE)
    assert await put(cluster, service(a=1), INFERENCE_SERVICE) == first
    assert await cluster.write_status(first, {"x": 1}) != first


async def test_the_generation_counts_changes_of_the_spec_alone(cluster):
    first = await put(cluster, service(a=1), INFERENCE_SERVICE)
    after_status = await cluster.write_status(first, {"ready": True})
    await cluster.set_annotations(await cluster.get(REF), {"note": "x"})
    assert after_status["metadata"]["generation"] == first["metadata"]["generation"] == 1
    second = await put(cluster, service(a=2), INFERENCE_SERVICE)
    assert second["metadata"]["generation"] == 2
    assert second["status"] == {"ready": True}


async def test_a_status_write_changes_the_status_alone(cluster):
    first = await put(cluster, service(a=1), INFERENCE_SERVICE)
    written = await cluster.write_status({**first, "spec": {"a": 2}}, {"ready": True})
    assert (written["spec"], written["status"]) == ({"a": 1}, {"ready": True})


async def test_a_status_of_an_object_that_moved_on_is_a_conflict(cluster):
    first = await put(cluster, service(a=1), INFERENCE_SERVICE)
    await put(cluster, service(a=2), INFERENCE_SERVICE)
    with pytest.raises(Conflict):
        await cluster.write_status(first, {"ready": True})


async def test_annotations_are_set_and_removed_by_value(cluster, emulator):
    created = await put(cluster, service(), INFERENCE_SERVICE)
    await cluster.set_annotations(created, {"mooring.dev/approve": "new"})
    await cluster.remove_annotation(created, "mooring.dev/approve", "old")
    assert emulator.objects.get(REF)["metadata"]["annotations"] == {"mooring.dev/approve": "new"}
    await cluster.remove_annotation(created, "mooring.dev/approve", "new")
    assert emulator.objects.get(REF)["metadata"]["annotations"] == {}


async def test_lists_come_in_pages_that_expire(cluster, emulator):
    for name in "abcde":
        await put(cluster, service(name, labels={"odd": str(name in "ace")}), INFERENCE_SERVICE)
    assert [item["metadata"]["name"] for item in await cluster.list(INFERENCE_SERVICE)] == list("abcde")
    odd = await cluster.list(INFERENCE_SERVICE, namespace="ns", labels={"odd": "True"})
    assert [item["metadata"]["name"] for item in odd] == list("ace")
    assert await cluster.list(INFERENCE_SERVICE, namespace="other") == []
    emulator.fail(410, verb="list", after=1)
    with pytest.raises(Unavailable):
        await cluster.list(INFERENCE_SERVICE)


async def test_only_what_was_read_is_deleted(cluster, emulator):
    first = await put(cluster, service(), INFERENCE_SERVICE)
    await cluster.write_status(first, {"ready": True})
    with pytest.raises(Conflict):
        await cluster.delete(first)
    await drop(cluster, REF)
    await put(cluster, service(), INFERENCE_SERVICE)
    await cluster.delete(first)
    assert emulator.objects.find(REF) is not None


async def test_only_what_was_read_is_written(cluster, emulator):
    first = await put(cluster, service(a=1), INFERENCE_SERVICE)
    await drop(cluster, REF)
    with pytest.raises(Conflict):
        await cluster.apply(service(a=2), first)
    assert emulator.objects.find(REF) is None
    emulator.objects.apply(REF, service(a=3), "somebody")
    for write in (cluster.apply(service(a=2), first), cluster.set_annotations(first, {"note": "x"})):
        with pytest.raises(Conflict):
            await write
    with pytest.raises(Conflict):
        await cluster.create(service(a=2))
    assert emulator.objects.get(REF)["spec"] == {"a": 3}


async def test_an_object_that_got_another_controller_is_not_written(cluster, emulator):
    first = await cluster.create(service(a=1))
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "controller": True}
    emulator.objects.apply(REF, {"metadata": {"ownerReferences": [{**owner, "uid": "theirs"}]}}, "somebody")
    wanted = service(a=2)
    wanted["metadata"]["ownerReferences"] = [{**owner, "uid": "ours"}]
    with pytest.raises(Conflict):
        await cluster.apply(wanted, await cluster.get(REF))
    assert first["spec"] == emulator.objects.get(REF)["spec"]


async def test_fields_of_the_creation_can_be_taken_back(cluster, emulator):
    created = await cluster.create(service(a=1, b=2))
    assert (await cluster.apply(service(a=1), created))["spec"] == {"a": 1}


async def test_events_are_kept(cluster, emulator):
    about = await put(cluster, service(), INFERENCE_SERVICE)
    await cluster.emit(Event.about(about, "Normal", "Promoted", "done"))
    await cluster.emit(Event.about(about, "Normal", "Promoted", "done"))
    events = emulator.objects.list(EVENT, "ns")
    assert [(event["reason"], event["regarding"]["name"]) for event in events] == [("Promoted", "digits")] * 2


async def test_of_two_who_take_a_lease_one_gets_a_conflict(connection):
    leases = KubernetesLeases(connection)
    fresh = {"metadata": {"namespace": "ns", "name": "lease"}, "spec": {}}
    await leases.create(fresh)
    with pytest.raises(Conflict):
        await leases.create(fresh)
    read = await leases.get("ns", "lease")
    await leases.replace({**read, "spec": {"holderIdentity": "one"}})
    with pytest.raises(Conflict):
        await leases.replace({**read, "spec": {"holderIdentity": "two"}})


async def test_a_watch_goes_on_where_another_ended(cluster, emulator):
    first = await put(cluster, service(a=1), INFERENCE_SERVICE)
    await cluster.write_status(first, {"ready": True})
    await drop(cluster, REF)
    async with watch(emulator, version=int(first["metadata"]["resourceVersion"]) - 1) as events:
        seen = [(await anext(events))["type"] for _ in range(3)]
        assert seen == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_watch_with_a_selector_sees_objects_come_and_go_with_their_labels(cluster, emulator):
    async with watch(emulator, version=emulator.objects.version, selector="a=1") as events:
        await put(cluster, service(labels={"b": "1"}), INFERENCE_SERVICE)
        await put(cluster, service(labels={"a": "1"}), INFERENCE_SERVICE)
        assert (await anext(events))["type"] == "ADDED"
        await put(cluster, service(labels={"b": "1"}), INFERENCE_SERVICE)
        assert (await anext(events))["type"] == "DELETED"


async def test_a_watch_from_what_is_forgotten_is_told_so(cluster, emulator):
    await put(cluster, service(), INFERENCE_SERVICE)
    emulator.objects.forget()
    async with watch(emulator, version=1) as events:
        event = await anext(events)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


@pytest.mark.parametrize("how", [CLOSE, EXPIRE])
async def test_a_watch_can_be_broken(emulator, how):
    async with watch(emulator, version=emulator.objects.version) as events:
        assert emulator.break_watches(how) == 1
        if how == EXPIRE:
            assert (await anext(events))["object"]["code"] == 410
        with pytest.raises((StopAsyncIteration, httpx.RemoteProtocolError, httpx.ReadError)):
            await anext(events)


@pytest.mark.parametrize(
    ("how", "error", "happened"),
    [
        (500, Unavailable, False),
        (429, Unavailable, False),
        (409, Conflict, False),
        (422, Refused, False),
        (CLOSE, Unavailable, False),
        (LOSE_ANSWER, Unavailable, True),
    ],
)
async def test_a_fault_strikes_the_call_that_it_is_for(cluster, emulator, how, error, happened):
    fault = emulator.fail(how, verb="patch", resource="inferenceservices", after=1, message="no")
    await put(cluster, service(a=1), INFERENCE_SERVICE)
    with pytest.raises(error):
        await put(cluster, service(a=2), INFERENCE_SERVICE)
    assert emulator.objects.get(REF)["spec"] == {"a": 2 if happened else 1}
    assert [call.name for call in fault.hits] == ["digits"]
    await put(cluster, service(a=3), INFERENCE_SERVICE)


async def test_a_fault_may_say_when_to_come_again(cluster, emulator):
    emulator.fail(429, headers={"Retry-After": "7"})
    with pytest.raises(Unavailable) as caught:
        await cluster.get(Ref(MODEL_DEPLOYMENT, "ns", "digits"))
    assert caught.value.retry_after == 7


@asynccontextmanager
async def watch(emulator, *, version, selector=""):
    query = {"watch": "true", "resourceVersion": str(version), "labelSelector": selector}
    path = "/apis/serving.kserve.io/v1beta1/inferenceservices"
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient(base_url=emulator.url, trust_env=False) as client,
        client.stream("GET", path, params=query) as response,
    ):
        lines = response.aiter_lines()
        yield (json.loads(line) async for line in lines)
