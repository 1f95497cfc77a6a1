"""Every call of the cluster port, against a real API server."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Conflict, Event, Kind, Ref, Refused, Unavailable
from mooring_operator.adapters.kubernetes import REPORTING_CONTROLLER, KubernetesCluster

from tests.put import drop, put

NAMESPACE = "default"
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
THING = Kind("test.mooring.dev/v1", "Thing", "things")
NOTE = "test.mooring.dev/note"

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.test.mooring.dev"},
    "spec": {
        "group": "test.mooring.dev",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer"}},
                                "x-kubernetes-validations": [
                                    {"rule": "self.size <= 10", "message": "a size above 10 does not fit"}
                                ],
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def thing(name, size=1, **metadata):
    return {
        "apiVersion": THING.api_version,
        "kind": THING.kind,
        "metadata": {"namespace": NAMESPACE, "name": name, **metadata},
        "spec": {"size": size},
    }


def ref(name, kind=THING):
    return Ref(kind, NAMESPACE, name)


@pytest.fixture(scope="module")
def config(control_plane):
    return load_config(Path(control_plane.kubeconfig))


@pytest.fixture(scope="module", autouse=True)
def definition(config):
    async def install():
        connection = Connection(config)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        await connection.send("create", "POST", path, resource="definitions", body=DEFINITION)
        cluster = KubernetesCluster(connection)
        async with asyncio.timeout(30):
            while True:
                try:
                    await put(cluster, thing("probe"), THING)
                    break
                except Unavailable:
                    await asyncio.sleep(0.2)
        await drop(cluster, ref("probe"))
        await connection.close()

    asyncio.run(install())


@pytest.fixture
def requests():
    return Counter()


@pytest.fixture
async def connection(config, requests):
    connection = Connection(config, lambda *request: requests.update([request]))
    yield connection
    await connection.close()


@pytest.fixture
def cluster(connection):
    return KubernetesCluster(connection)


async def test_object_that_is_not_there_is_none(cluster):
    assert await cluster.get(ref("missing")) is None


async def test_kind_that_is_not_there_has_no_objects(cluster):
    unknown = Kind("nowhere.dev/v1", "Nothing", "nothings")
    assert await cluster.get(ref("x", unknown)) is None
    assert await cluster.list(unknown) == []


async def test_applied_object_is_read_back(cluster):
    applied = await put(cluster, thing("applied", 3), THING)
    assert applied["spec"] == {"size": 3}
    found = await cluster.get(ref("applied"))
    assert found == applied
    assert found["metadata"]["managedFields"][0]["manager"] == "mooring"


async def test_applying_the_same_again_changes_nothing(cluster):
    # The API server counts the fields of a creation a little otherwise than those of an apply.
    await put(cluster, thing("idempotent"), THING)
    first = await put(cluster, thing("idempotent"), THING)
    again = await put(cluster, thing("idempotent"), THING)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_apply_takes_fields_over_from_others(cluster, connection):
    await connection.send(
        "create", "POST", f"/apis/{THING.api_version}/namespaces/{NAMESPACE}/things", resource="things",
        body=thing("theirs", 2), params={"fieldManager": "somebody"},
    )  # fmt: skip
    assert (await put(cluster, thing("theirs", 5), THING))["spec"]["size"] == 5


async def test_refusal_carries_the_rules_message(cluster):
    with pytest.raises(Refused, match="a size above 10 does not fit"):
        await put(cluster, thing("big", 11), THING)


async def test_manifest_that_cannot_fit_the_schema_is_refused(cluster):
    misfit = thing("misfit")
    misfit["spec"] = {"size": "large"}
    with pytest.raises(Refused, match="size"):
        await put(cluster, misfit, THING)


async def test_namespace_that_is_not_there_is_a_refusal(cluster):
    elsewhere = thing("x", namespace="elsewhere")
    with pytest.raises(Refused, match="elsewhere"):
        await put(cluster, elsewhere, THING)


async def test_kind_that_is_not_there_may_come(cluster):
    with pytest.raises(Unavailable, match="no kind Nothing"):
        await put(cluster, {**thing("x"), "apiVersion": "nowhere.dev/v1", "kind": "Nothing"}, THING)
    await cluster.get(ref("x", Kind("test.mooring.dev/v1", "Nothing", "nothings")))
    with pytest.raises(Unavailable, match="no kind Nothing"):
        await put(cluster, {**thing("x"), "kind": "Nothing"}, THING)


async def test_list_reads_all_pages(connection, requests):
    paged = KubernetesCluster(connection, page=10)
    for number in range(25):
        await put(
            paged,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"namespace": NAMESPACE, "name": f"page-{number}", "labels": {"set": "paged"}},
            },
            CONFIG_MAP,
        )
    requests.clear()
    found = await paged.list(CONFIG_MAP, namespace=NAMESPACE, labels={"set": "paged"})
    assert {item["metadata"]["name"] for item in found} == {f"page-{number}" for number in range(25)}
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}
    assert requests == {("list", "configmaps", 200): 3}
    assert len(await paged.list(CONFIG_MAP, labels={"set": "paged"})) == 25
    assert await paged.list(CONFIG_MAP, namespace="kube-system", labels={"set": "paged"}) == []


async def test_labels_must_all_match(cluster):
    await put(cluster, thing("both", labels={"a": "1", "b": "2"}), THING)
    await put(cluster, thing("one", labels={"a": "1"}), THING)
    found = await cluster.list(THING, labels={"a": "1", "b": "2"})
    assert [item["metadata"]["name"] for item in found] == ["both"]


async def test_status_is_replaced_not_merged(cluster):
    resource = await put(cluster, thing("status"), THING)
    resource = await cluster.write_status(resource, {"phase": "A", "old": True})
    resource = await cluster.write_status(resource, {"phase": "B"})
    assert resource["status"] == {"phase": "B"}
    assert (await cluster.get(ref("status")))["status"] == {"phase": "B"}


async def test_status_write_leaves_the_spec_and_its_generation_alone(cluster):
    resource = await put(cluster, thing("untouched", 4), THING)
    written = await cluster.write_status({**resource, "spec": {"size": 9}}, {"phase": "A"})
    assert written["spec"] == {"size": 4}
    assert written["metadata"]["generation"] == 1


async def test_status_of_an_object_that_moved_on_is_a_conflict(cluster):
    stale = await put(cluster, thing("moving"), THING)
    await put(cluster, thing("moving", 2), THING)
    with pytest.raises(Conflict):
        await cluster.write_status(stale, {"phase": "A"})


async def test_status_of_an_object_that_is_gone_or_another_is_a_conflict(cluster):
    stale = await put(cluster, thing("gone"), THING)
    await drop(cluster, ref("gone"))
    with pytest.raises(Conflict):
        await cluster.write_status(stale, {"phase": "A"})
    await put(cluster, thing("gone"), THING)
    with pytest.raises(Conflict):
        await cluster.write_status(stale, {"phase": "A"})


async def test_only_what_was_read_is_deleted(cluster):
    first = await cluster.create(thing("doomed"))
    await cluster.write_status(first, {"phase": "A"})
    with pytest.raises(Conflict):
        await cluster.delete(first)
    await drop(cluster, ref("doomed"))
    await cluster.delete(first)
    second = await cluster.create(thing("doomed"))
    await cluster.delete(first)
    assert (await cluster.get(ref("doomed")))["metadata"]["uid"] == second["metadata"]["uid"]


async def test_only_what_was_read_is_written(cluster):
    first = await cluster.create(thing("replaced", 1))
    await drop(cluster, ref("replaced"))
    with pytest.raises(Conflict):
        await cluster.apply(thing("replaced", 2), first)
    assert await cluster.get(ref("replaced")) is None
    await cluster.create(thing("replaced", 3))
    for write in (cluster.apply(thing("replaced", 2), first), cluster.set_annotations(first, {NOTE: "x"})):
        with pytest.raises(Conflict):
            await write
    with pytest.raises(Conflict):
        await cluster.create(thing("replaced", 2))
    left = await cluster.get(ref("replaced"))
    assert left["spec"] == {"size": 3}
    assert "annotations" not in left["metadata"]


async def test_object_that_got_another_controller_is_not_written(cluster, connection):
    created = await cluster.create(thing("adopted", 1))
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "controller": True}
    await connection.send(
        "patch", "PATCH", f"/apis/{THING.api_version}/namespaces/{NAMESPACE}/things/adopted", resource="things",
        body={"metadata": {"ownerReferences": [{**owner, "uid": "theirs"}]}},
        content_type="application/merge-patch+json",
    )  # fmt: skip
    with pytest.raises(Conflict):
        await cluster.apply(
            thing("adopted", 2, ownerReferences=[{**owner, "uid": "ours"}]), await cluster.get(ref("adopted"))
        )
    assert (await cluster.get(ref("adopted")))["spec"] == created["spec"]


async def test_fields_of_the_creation_can_be_taken_back(cluster):
    created = await cluster.create(thing("narrowed", 3, labels={"a": "1", "b": "2"}))
    applied = await cluster.apply(thing("narrowed", 3, labels={"a": "1"}), created)
    assert applied["metadata"]["labels"] == {"a": "1"}
    (entry,) = applied["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("mooring", "Apply")


class WrittenAtOnce(Connection):
    """Of each object that is made, another manager applies something before anybody else can."""

    async def send(self, verb, method, path, **options):
        answer = await super().send(verb, method, path, **options)
        if verb == "create":
            name = answer["metadata"]["name"]
            other = thing(name) | {"spec": None, "metadata": {"name": name, "labels": {"other": "1"}}}
            await super().send(
                "patch", "PATCH", f"{path}/{name}", resource="things", body=other,
                content_type="application/apply-patch+yaml", params={"fieldManager": "other"},
            )  # fmt: skip
        return answer


async def test_a_creation_counts_as_applied_though_somebody_else_wrote_it_at_once(config):
    connection = WrittenAtOnce(config)
    cluster = KubernetesCluster(connection)
    created = await cluster.create(thing("contended", 3, labels={"mine": "1"}))
    applied = await cluster.apply(thing("contended", 3), created)
    await connection.close()
    managers = {(entry["manager"], entry["operation"]) for entry in applied["metadata"]["managedFields"]}
    assert managers == {("mooring", "Apply"), ("other", "Apply")}
    assert applied["metadata"]["labels"] == {"other": "1"}


async def test_annotation_is_set_and_set_again(cluster):
    await put(cluster, thing("noted"), THING)
    for value in ("first", "second/with~odd characters"):
        await cluster.set_annotations(await cluster.get(ref("noted")), {NOTE: value})
        assert (await cluster.get(ref("noted")))["metadata"]["annotations"] == {NOTE: value}


async def test_annotation_is_removed_where_it_still_has_the_value(cluster):
    resource = await put(cluster, thing("command"), THING)
    await cluster.set_annotations(resource, {NOTE: "3f2a by alice"})
    await cluster.remove_annotation(resource, NOTE, "3f2a by bob")
    assert (await cluster.get(ref("command")))["metadata"]["annotations"] == {NOTE: "3f2a by alice"}
    await cluster.remove_annotation(resource, NOTE, "3f2a by alice")
    assert not (await cluster.get(ref("command")))["metadata"].get("annotations")


async def test_annotation_that_is_gone_is_left_alone(cluster):
    resource = await put(cluster, thing("plain"), THING)
    await cluster.remove_annotation(resource, NOTE, "x")
    await drop(cluster, ref("plain"))
    await cluster.remove_annotation(resource, NOTE, "x")


async def test_annotations_go_along_with_the_one_that_is_removed(cluster):
    resource = await put(cluster, thing("signed"), THING)
    for signed in ({}, {f"{NOTE}-by": "alice"}):
        await cluster.set_annotations(resource, {NOTE: "x", "other": "stays", **signed})
        await cluster.remove_annotation(resource, NOTE, "y", along=[f"{NOTE}-by"])
        left = (await cluster.get(ref("signed")))["metadata"]["annotations"]
        assert left == {NOTE: "x", "other": "stays", **signed}
        await cluster.remove_annotation(resource, NOTE, "x", along=[f"{NOTE}-by"])
        assert (await cluster.get(ref("signed")))["metadata"]["annotations"] == {"other": "stays"}


async def test_the_api_server_says_who_we_are(cluster):
    assert await cluster.user() == "admin"


async def test_event_is_recorded_about_the_object(cluster):
    resource = await put(cluster, thing("loud"), THING)
    await cluster.emit(Event.about(resource, "Warning", "TooLoud", "ü" * 2000))
    events = await cluster.list(Kind("events.k8s.io/v1", "Event", "events"), namespace=NAMESPACE)
    (event,) = [event for event in events if event["regarding"]["name"] == "loud"]
    assert event["regarding"]["uid"] == resource["metadata"]["uid"]
    assert (event["type"], event["reason"]) == ("Warning", "TooLoud")
    assert event["reportingController"] == REPORTING_CONTROLLER
    assert event["note"] == "ü" * 512


async def test_requests_are_counted(cluster, requests):
    await cluster.get(ref("missing"))
    resource = await cluster.create(thing("counted"))
    await cluster.write_status(resource, {})
    assert requests == {
        ("get", "things", 404): 1,
        ("create", "things", 201): 1,
        ("update", "things/status", 200): 1,
    }


async def test_server_that_is_away_is_unavailable(requests, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        """
        clusters: [{name: away, cluster: {server: "http://127.0.0.1:9"}}]
        contexts: [{name: away, context: {cluster: away}}]
        current-context: away
        """
    )
    connection = Connection(load_config(kubeconfig), lambda *request: requests.update([request]))
    with pytest.raises(Unavailable):
        await KubernetesCluster(connection).get(ref("x"))
    assert requests == {("get", "things", 0): 1}
    await connection.close()


async def test_stranger_is_unavailable_for_the_token_may_be_renewed(config):
    stranger = config._replace(user=type(config.user)(token="wrong"))
    connection = Connection(stranger)
    with pytest.raises(Unavailable, match="Unauthorized"):
        await KubernetesCluster(connection).get(ref("x"))
    await connection.close()


async def test_missing_permission_is_no_fault_of_the_object(config, connection):
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await connection.send("create", "POST", accounts, resource="", body={"metadata": {"name": "powerless"}})
    answer = await connection.send(
        "create", "POST", f"{accounts}/powerless/token", resource="", body={"spec": {}}
    )
    nobody = Connection(config._replace(user=type(config.user)(token=answer["status"]["token"])))
    with pytest.raises(Unavailable, match="is forbidden: User"):
        await put(KubernetesCluster(nobody), thing("x"), THING)
    await nobody.close()
