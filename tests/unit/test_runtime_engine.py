"""From changes to reconciles: what is looked at when, and how the engine starts and stops."""

import asyncio

import pytest
from mooring_operator.adapters.cluster import Forbidden, Kind, Ref, Unavailable
from mooring_operator.adapters.recent import RecentObjects
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT
from mooring_operator.runtime.engine import Engine
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key
from mooring_operator.settings import Settings


def resource(kind, name, namespace="ns", policies=(), phase=None, **metadata):
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}", **metadata},
        "spec": {"policies": list(policies)},
        **({"status": {"phase": phase}} if phase else {}),
    }


def deployment(name, namespace="ns"):
    return Key("ModelDeployment", namespace, name)


class Reconciler:
    pools = ()

    def __init__(self, seconds=0.0):
        self.seconds, self.keys, self.gone, self.finished = seconds, [], [], 0
        self.bindings = 0

    async def reconcile(self, key):
        self.keys.append(key)
        await asyncio.sleep(self.seconds)
        self.finished += 1

    async def deleted(self, kind, body):
        self.gone.append(body["metadata"]["name"])

    def bindings_changed(self):
        self.bindings += 1


class Cluster:
    """Lists what it is given, by plural and namespace; fails as often as it is told."""

    def __init__(self, *resources):
        self.resources, self.failures = resources, 0

    async def pages(self, kind, *, namespace=None, labels=None):
        if self.failures:
            self.failures -= 1
            raise Unavailable("down")
        for item in self.resources:
            if item["kind"] == kind.kind and namespace in (None, item["metadata"].get("namespace")):
                yield [item]


@pytest.fixture
async def start(monkeypatch):
    monkeypatch.setattr("mooring_operator.runtime.engine._RETRY_LIST", 0.02)
    engines = []

    async def begin(cluster, reconciler, **settings):
        telemetry = Telemetry()
        engine = Engine(
            Settings(leader_election=False, health_port=0, health_host="127.0.0.1", **settings),
            cluster=cluster,
            leases=None,
            reconcilers=reconciler,
            telemetry=telemetry,
        )
        engine.telemetry = telemetry
        await engine.start()
        engines.append(engine)
        await asyncio.sleep(0.05)
        return engine

    yield begin
    for engine in engines:
        await engine.stop()


async def seen(reconciler):
    await asyncio.sleep(0.03)
    keys, reconciler.keys = reconciler.keys, []
    return keys


async def test_everything_is_looked_at_when_work_begins(start):
    reconciler = Reconciler()
    await start(Cluster(resource("ModelDeployment", "a"), resource("DriftMonitor", "a", "other")), reconciler)
    assert set(await seen(reconciler)) == {deployment("a"), Key("DriftMonitor", "other", "a")}


async def test_only_the_namespaces_that_are_set_are_looked_at(start):
    reconciler = Reconciler()
    resources = [resource("ModelDeployment", "a", namespace) for namespace in ("x", "y", "z")]
    await start(Cluster(*resources), reconciler, namespaces=("x", "y"))
    assert set(await seen(reconciler)) == {deployment("a", "x"), deployment("a", "y")}


async def test_list_that_fails_is_repeated(start):
    cluster, reconciler = Cluster(resource("ModelDeployment", "a")), Reconciler()
    cluster.failures = 2
    await start(cluster, reconciler)
    await asyncio.sleep(0.1)
    assert deployment("a") in await seen(reconciler)


def policy(name="p", kind="ModelPolicy", generation=1, **fields):
    return {**resource(kind, name, generation=generation), **fields}


def cluster_policy(generation=1):
    return {
        "kind": "ClusterModelPolicy",
        "metadata": {"name": "prod", "uid": "uid-prod", "generation": generation},
    }


async def test_change_of_a_policy_reaches_those_that_name_it(start):
    reconciler = Reconciler()
    intake = (await start(Cluster(), reconciler)).intake
    intake.changed("ModelDeployment", resource("ModelDeployment", "user", policies=["p", "q"]))
    intake.changed("ModelDeployment", resource("ModelDeployment", "stranger"))
    intake.changed("ModelDeployment", resource("ModelDeployment", "elsewhere", "other", policies=["p"]))
    intake.changed("DriftMonitor", resource("DriftMonitor", "monitor"))
    await seen(reconciler)
    itself = Key("ModelPolicy", "ns", "p")
    intake.changed("ModelPolicy", policy())
    assert set(await seen(reconciler)) == {itself, deployment("user")}
    # What the operator writes into its status is no change.
    intake.changed("ModelPolicy", policy(status={"conditions": []}))
    assert await seen(reconciler) == []
    intake.deleted("ModelPolicy", policy())
    assert await seen(reconciler) == [deployment("user")]
    intake.changed("ModelDeployment", resource("ModelDeployment", "user", policies=["q"]))
    await seen(reconciler)
    intake.changed("ModelPolicy", policy(generation=2))
    assert await seen(reconciler) == [itself]


async def test_change_of_a_cluster_policy_reaches_every_deployment(start):
    reconciler = Reconciler()
    intake = (await start(Cluster(), reconciler)).intake
    for name, namespace in (("a", "x"), ("b", "y")):
        intake.changed("ModelDeployment", resource("ModelDeployment", name, namespace))
    intake.changed("DriftMonitor", resource("DriftMonitor", "monitor"))
    await seen(reconciler)
    everything = {deployment("a", "x"), deployment("b", "y")}
    itself = Key("ClusterModelPolicy", "", "prod")
    intake.changed("ClusterModelPolicy", cluster_policy())
    assert set(await seen(reconciler)) == {itself, *everything}
    assert reconciler.bindings == 1
    intake.changed("ClusterModelPolicy", {**cluster_policy(), "status": {"conditions": []}})
    assert await seen(reconciler) == []
    intake.changed("ClusterModelPolicy", cluster_policy(generation=2))
    assert set(await seen(reconciler)) == {itself, *everything}
    intake.deleted("ClusterModelPolicy", cluster_policy(generation=2))
    assert set(await seen(reconciler)) == everything
    assert reconciler.bindings == 3


@pytest.mark.parametrize("kind", ["AnalysisTemplate", "ClusterAnalysisTemplate"])
async def test_change_of_a_template_reaches_those_that_are_judged_by_it(start, kind):
    reconciler = Reconciler()
    intake = (await start(Cluster(), reconciler)).intake

    def judged(name, namespace, cluster_scope):
        template = {"name": "house", **({"clusterScope": True} if cluster_scope else {})}
        rollout = {"analysis": {"templates": [template, 1, {}]}}
        return {**resource("ModelDeployment", name, namespace), "spec": {"rollout": rollout}}

    for namespace in ("x", "y"):
        intake.changed("ModelDeployment", judged("own", namespace, False))
        intake.changed("ModelDeployment", judged("shared", namespace, True))
        intake.changed("ModelDeployment", resource("ModelDeployment", "stranger", namespace))
    await seen(reconciler)
    template = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "house", "uid": "u", "generation": 1},
    }
    users = {deployment("shared", "x"), deployment("shared", "y")}
    if kind == "AnalysisTemplate":
        template["metadata"]["namespace"] = "x"
        users = {deployment("own", "x")}
    itself = Key(kind, template["metadata"].get("namespace", ""), "house")
    intake.changed(kind, template)
    assert set(await seen(reconciler)) == {itself, *users}
    intake.changed(kind, {**template, "status": {"observedGeneration": 1}})
    assert await seen(reconciler) == []
    intake.deleted(kind, template)
    assert set(await seen(reconciler)) == users


async def test_change_of_a_namespaces_labels_reaches_its_deployments(start):
    reconciler = Reconciler()
    intake = (await start(Cluster(), reconciler)).intake
    for name, namespace in (("a", "x"), ("b", "y")):
        intake.changed("ModelDeployment", resource("ModelDeployment", name, namespace))
    await seen(reconciler)
    for labels, looked_at in (
        ({}, [deployment("a", "x")]),
        ({}, []),
        ({"stage": "prod"}, [deployment("a", "x")]),
    ):
        intake.namespace_changed({"metadata": {"name": "x", "labels": labels}})
        assert await seen(reconciler) == looked_at
    assert reconciler.bindings == 2
    intake.namespace_deleted({"metadata": {"name": "x"}})
    assert await seen(reconciler) == []


async def test_policies_are_looked_at_when_work_begins(start):
    reconciler = Reconciler()
    await start(Cluster(policy(), cluster_policy()), reconciler)
    assert set(await seen(reconciler)) == {
        Key("ModelPolicy", "ns", "p"),
        Key("ClusterModelPolicy", "", "prod"),
    }


@pytest.mark.parametrize("used", [True, False])
async def test_an_operator_of_some_namespaces_may_lack_rights_in_the_cluster(start, used):
    class Namespaced(Cluster):
        asked = 0

        async def pages(self, kind, *, namespace=None, labels=None):
            if not kind.namespaced:
                self.asked += 1
                raise Forbidden("clustermodelpolicies is forbidden")
            async for page in super().pages(kind, namespace=namespace, labels=labels):
                yield page

    cluster, reconciler = Namespaced(resource("ModelDeployment", "a")), Reconciler()
    await start(cluster, reconciler, namespaces=("ns",), cluster_policies=used)
    await asyncio.sleep(0.1)
    # Looked at once, and not as after a failure.
    assert await seen(reconciler) == [deployment("a")]
    assert cluster.asked == (2 if used else 0)


async def test_change_of_what_is_behind_reaches_its_deployment(start):
    reconciler = Reconciler()
    intake = (await start(Cluster(), reconciler)).intake
    for label in ("A_b", "a.b", "", "a" * 38):
        intake.behind_changed(
            resource("InferenceService", "y", labels={"mooring.dev/model-deployment": label})
        )
    intake.behind_changed(
        resource("EndpointSlice", "digits-x7k2p", labels={"mooring.dev/model-deployment": "digits"})
    )
    intake.behind_changed(resource("InferenceService", "theirs"))
    async with asyncio.timeout(5):
        while not (found := await seen(reconciler)):
            await asyncio.sleep(0.01)
    assert found == [deployment("digits")]


SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")


def service(version):
    return {
        **resource("InferenceService", "digits", resourceVersion=str(version)),
        "apiVersion": SERVICE.api_version,
    }


@pytest.fixture
def recent(monkeypatch):
    """Give what an engine of the test remembers."""
    made = RecentObjects()
    monkeypatch.setattr("mooring_operator.runtime.engine.RecentObjects", lambda: made)
    return made


async def test_what_the_watch_tells_is_remembered_until_it_tells_that_it_is_gone(start, recent):
    intake = (await start(Cluster(), Reconciler())).intake
    new = resource("ModelDeployment", "digits", resourceVersion="1")
    intake.changed("ModelDeployment", new)
    assert recent.recall(Ref(MODEL_DEPLOYMENT, "ns", "digits")) == new
    intake.deleted("ModelDeployment", new)
    assert recent.recall(Ref(MODEL_DEPLOYMENT, "ns", "digits")) is None
    ref = Ref(SERVICE, "ns", "digits")
    recent.answered(ref, service(1))
    intake.behind_changed(service(2))
    assert recent.recall(ref) == service(2)
    intake.behind_gone(service(2))
    recent.answered(ref, service(2))
    assert recent.recall(ref) is None


@pytest.mark.parametrize("kind", ["ServingRuntime", "ClusterServingRuntime", "AnalysisTemplate"])
async def test_answer_is_kept_until_the_watch_tells_of_the_object(start, recent, kind):
    intake = (await start(Cluster(), Reconciler())).intake
    found, ref = resource(kind, "onnx"), Ref(Kind("mooring.dev/v1alpha1", kind, "any"), "ns", "onnx")
    change, end = intake.changed, intake.deleted
    if kind != "AnalysisTemplate":
        change, end = intake.runtime_changed, intake.runtime_deleted
    change(kind, found)
    for tell in (change, end):
        recent.answers.answered(recent.answers.ask(ref), found)
        assert recent.answers.recall(ref) is not None
        tell(kind, found)
        assert recent.answers.recall(ref) is None


async def test_list_by_which_a_watch_begins_is_told_as_such(start, recent, monkeypatch):
    said = []
    monkeypatch.setattr(recent, "told", lambda manifest, *, listed: said.append((manifest["kind"], listed)))
    intake = (await start(Cluster(), Reconciler())).intake
    for listed in (True, False):
        intake.changed("ModelDeployment", resource("ModelDeployment", "digits"), listed=listed)
        intake.behind_changed(service(1), listed=listed)
    assert said == [
        ("ModelDeployment", True),
        ("InferenceService", True),
        ("ModelDeployment", False),
        ("InferenceService", False),
    ]


async def test_list_is_not_taken_for_what_the_watch_tells(start, recent):
    listed = resource("ModelDeployment", "digits", resourceVersion="1")
    await start(Cluster(listed), Reconciler())
    assert recent.recall(Ref(MODEL_DEPLOYMENT, "ns", "digits")) is None


async def test_replica_that_begins_to_lead_remembers_nothing(start, recent):
    ref = Ref(SERVICE, "ns", "digits")
    recent.answered(ref, service(1))
    recent.told(service(1))
    assert recent.recall(ref) is not None
    await start(Cluster(), Reconciler())
    assert recent.recall(ref) is None


async def test_change_of_status_alone_is_no_reason_to_look_again(start):
    reconciler = Reconciler()
    intake = (await start(Cluster(), reconciler)).intake
    before = resource("ModelDeployment", "digits")
    intake.changed("ModelDeployment", before)
    assert await seen(reconciler) == [deployment("digits")]
    intake.changed("ModelDeployment", {**before, "status": {"phase": "Testing"}})
    assert await seen(reconciler) == []
    for field, value in (("generation", 2), ("annotations", {"mooring.dev/abort": "x"}), ("uid", "another")):
        before = {**before, "metadata": {**before["metadata"], field: value}}
        intake.changed("ModelDeployment", before)
        assert await seen(reconciler) == [deployment("digits")]


async def test_deletion_is_cleaned_up_after(start):
    reconciler = Reconciler()
    engine = await start(Cluster(), reconciler)
    engine.intake.changed("ModelDeployment", resource("ModelDeployment", "a", phase="Canary"))
    engine.intake.deleted("ModelDeployment", resource("ModelDeployment", "a"))
    await asyncio.sleep(0.03)
    assert reconciler.gone == ["a"]
    assert b'phase="Canary"} 1.0' not in engine.telemetry.exposition()


async def test_resources_that_a_list_does_not_have_are_forgotten(start):
    engine = await start(Cluster(), Reconciler())
    engine.intake.changed("ModelDeployment", resource("ModelDeployment", "a", policies=["p"], phase="Canary"))
    assert b'mooring_resources{kind="ModelDeployment",phase="Canary"} 1.0' in engine.telemetry.exposition()
    engine.intake.listed_all("ModelDeployment", engine.intake.listed("ModelDeployment", []))
    assert b'mooring_resources{kind="ModelDeployment",phase="Canary"} 0.0' in engine.telemetry.exposition()


async def test_deletions_do_not_fill_the_queue_of_a_replica_that_stands_by(monkeypatch):
    monkeypatch.setattr("mooring_operator.runtime.dispatch._MOST_DELETED", 10)
    engine = Engine(
        Settings(leader_election=True),
        cluster=None,
        leases=None,
        reconcilers=Reconciler(),
        telemetry=Telemetry(),
    )
    for number in range(100):
        gone = resource("ModelDeployment", f"r{number}")
        engine.intake.changed("ModelDeployment", gone)
        engine.intake.deleted("ModelDeployment", gone)
    back = resource("ModelDeployment", "r0", uid="another")
    engine.intake.changed("ModelDeployment", back)
    for number in range(100, 200):
        engine.intake.deleted("ModelDeployment", resource("ModelDeployment", f"r{number}"))
    engine.queue.queues["ModelDeployment"]._resumed_at = 0.0
    assert engine.queue.queues["ModelDeployment"].depth == 11


async def test_an_object_of_no_known_form_stops_no_other(start):
    reconciler = Reconciler()
    strange = resource("ModelDeployment", "strange")
    strange["spec"], strange["status"] = {"policies": [{"a": "b"}, 7]}, {"phase": ["x"]}
    engine = await start(Cluster(strange, resource("ModelDeployment", "a")), reconciler)
    assert set(await seen(reconciler)) == {deployment("strange"), deployment("a")}
    assert b'phase="Pending"} 2.0' in engine.telemetry.exposition()


async def test_a_worker_that_does_not_come_back_is_no_sign_of_life(start, monkeypatch):
    monkeypatch.setattr("mooring_operator.runtime.engine.LOST_AFTER", -14.9)
    reconciler = Reconciler(seconds=0.3)
    engine = await start(Cluster(), reconciler, reconcile_deadline=5)
    assert engine.healthy() is None
    engine.intake.changed("ModelDeployment", resource("ModelDeployment", "a"))
    async with asyncio.timeout(5):
        while engine.healthy() is None:
            await asyncio.sleep(0.01)
    assert "a worker has been at work for" in engine.healthy()
    async with asyncio.timeout(5):
        while engine.healthy() is not None:
            await asyncio.sleep(0.01)


async def test_stop_waits_for_running_work(start):
    reconciler = Reconciler(seconds=0.2)
    engine = await start(Cluster(resource("ModelDeployment", "a")), reconciler)
    await engine.stop()
    assert (len(reconciler.keys), reconciler.finished) == (1, 1)
