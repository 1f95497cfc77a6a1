"""Requests are taken from what is dead though every other worker is at work."""

import asyncio

import pytest
from mooring_operator.runtime.engine import Engine
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key
from mooring_operator.settings import Settings

LABEL = "mooring.dev/model-deployment"
ROUTE = Key("HTTPRoute", "ns", "digits")


class Busy:
    """Never done with a deployment; notes whose route is looked at."""

    pools = ()

    def __init__(self):
        self.routes, self.stalled = [], 0

    async def reconcile(self, key):
        if key.kind == "ModelDeployment":
            self.stalled += 1
            await asyncio.sleep(3600)
        self.routes.append(key)

    async def deleted(self, kind, body):
        pass

    def bindings_changed(self):
        pass


def deployment(name, namespace="ns"):
    metadata = {"namespace": namespace, "name": name, "uid": f"uid-{name}"}
    return {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "spec": {}}


class Cluster:
    """Holds three deployments in as many namespaces, which are looked at first, and the one that counts."""

    async def pages(self, kind, **_):
        for number in range(3):
            if kind.kind == "ModelDeployment":
                yield [deployment(f"m{number}", f"ns{number}")]
        if kind.kind == "ModelDeployment":
            yield [deployment("digits")]


def pods(*ready, name="digits", namespace="ns", kind="EndpointSlice"):
    endpoints = [{"addresses": ["10.0.0.1"], "conditions": {"ready": one}} for one in ready]
    metadata = {"namespace": namespace, "name": f"{name}-x7k2p", "uid": "1", "labels": {LABEL: name}}
    return {"kind": kind, "metadata": metadata, "endpoints": endpoints}


@pytest.fixture
async def engine():
    settings = Settings(leader_election=False, health_port=0, health_host="127.0.0.1", workers=2)
    reconciler = Busy()
    engine = Engine(settings, cluster=Cluster(), leases=None, reconcilers=reconciler, telemetry=Telemetry())
    engine.reconciler = reconciler
    await engine.start()
    async with asyncio.timeout(5):
        while reconciler.stalled < 2:
            await asyncio.sleep(0.001)
    yield engine
    await engine.queue.pause(deadline=5)
    await engine.stop()


async def looked_at(engine):
    """What was looked at when a later one has been."""
    engine.intake.behind_changed(pods(False, name="m0", namespace="ns0"))
    async with asyncio.timeout(5):
        while Key("HTTPRoute", "ns0", "m0") not in engine.reconciler.routes:
            await asyncio.sleep(0.001)
    return engine.reconciler.routes[:-1]


@pytest.mark.parametrize("lost", [pods(False), pods(False, False), pods(), {**pods(), "endpoints": None}])
async def test_it_waits_for_no_worker_of_another_look(engine, lost):
    engine.intake.behind_changed(lost)
    assert await looked_at(engine) == [ROUTE]


@pytest.mark.parametrize(
    "kept",
    [pods(True), pods(True, False), pods(None), pods(False, name="stranger"), pods(kind="Service")],
    ids=["ready", "one of two", "unknown counts as ready", "of nobody we know", "no slice"],
)
async def test_nothing_else_is_a_reason(engine, kept):
    engine.intake.behind_changed(kept)
    assert await looked_at(engine) == []


async def test_a_deployment_that_is_gone_leaves_nothing(engine):
    await engine.queue.pause(deadline=5)
    engine.intake.behind_changed(pods(False))
    engine.intake.deleted("ModelDeployment", deployment("digits"))
    engine.queue.resume()
    assert await looked_at(engine) == []
