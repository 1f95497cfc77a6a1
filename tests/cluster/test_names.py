"""Names in specs that would be other paths, on a real API server: refused by the CRDs, and by the operator alone."""

import asyncio
import copy
import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.cluster import Ref, Refused
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.api.crds import RESOURCES, custom_resource_definition
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.reconcile.drift_monitors import DriftMonitors
from mooring_operator.reconcile.kinds import DRIFT_MONITOR

from cluster.serving.http_routes import httproute_crd
from cluster.serving.inferenceservice_crd import LABELS, inferenceservice_crd
from tests.cluster.definitions import install, put_definition
from tests.cluster.lab import Lab

FOREIGN = "../../{namespace}/modeldeployments/digits"
NAMES = (f"names-{number}" for number in itertools.count())


@pytest.fixture
async def connection(control_plane):
    connection = Connection(load_config(Path(control_plane.kubeconfig)))
    await install(connection, [inferenceservice_crd(), httproute_crd(LABELS)])
    yield connection
    await install(connection)
    await connection.close()


@pytest.fixture
async def cluster(connection):
    return KubernetesCluster(connection)


async def namespace(connection):
    name = next(NAMES)
    await connection.send(
        "create", "POST", "/api/v1/namespaces", resource="", body={"metadata": {"name": name}}
    )
    return name


def monitor(namespace: str, target: str) -> dict[str, Any]:
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": "watch", "namespace": namespace},
        "spec": {
            "target": {"name": target},
            "baseline": {"uri": "s3://data/train"},
            "window": {"uri": "s3://data/live/"},
            "actions": ["Rollback"],
        },
    }


def without_forms(node: Any) -> Any:
    """The schema as a version had it that knew no forms of names."""
    if isinstance(node, dict):
        dropped = ("pattern", "maxLength", "x-kubernetes-validations")
        return {key: without_forms(value) for key, value in node.items() if key not in dropped}
    return [without_forms(item) for item in node] if isinstance(node, list) else node


async def put_old_definitions(connection):
    for resource in RESOURCES:
        definition = copy.deepcopy(custom_resource_definition(resource))
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"] = without_forms(schema["properties"]["spec"])
        await put_definition(connection, definition)


async def until(create, accepted):
    """A changed definition counts a moment after it was written."""
    async with asyncio.timeout(30):
        while True:
            try:
                await create()
            except Refused:
                if not accepted:
                    return
            else:
                if accepted:
                    return
            await asyncio.sleep(0.1)


async def try_out(connection, manifest):
    await connection.send(
        "create",
        "POST",
        f"/apis/mooring.dev/v1alpha1/namespaces/{manifest['metadata']['namespace']}/driftmonitors",
        resource="",
        body=manifest,
        params={"dryRun": "All"},
    )


class NobodyEvaluates:
    def __getattr__(self, name):
        raise AssertionError(f"{name}: nothing is evaluated for a monitor that cannot be read")


async def test_a_target_elsewhere_is_refused_with_one_message(connection, cluster):
    theirs, mine = await namespace(connection), await namespace(connection)
    with pytest.raises(Refused) as raised:
        await cluster.create(monitor(mine, FOREIGN.format(namespace=theirs)))
    said = str(raised.value)
    assert said.count("spec.target.name: ") == 1
    assert f'Invalid value: "{FOREIGN.format(namespace=theirs)}"' in said
    assert "should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'" in said


async def test_a_target_elsewhere_that_an_older_version_let_in_is_refused_by_the_operator(
    connection, cluster
):
    theirs, mine = await namespace(connection), await namespace(connection)
    lab = Lab(cluster, theirs)
    await lab.apply("v1")
    before = await lab.deployment()
    hostile = monitor(mine, FOREIGN.format(namespace=theirs))
    await put_old_definitions(connection)
    await until(lambda: try_out(connection, hostile), accepted=True)
    await cluster.create(hostile)
    await install(connection)
    await until(lambda: try_out(connection, hostile), accepted=False)
    reconciler = DriftMonitors(
        cluster=cluster,
        runs=NobodyEvaluates(),
        trainings=NobodyEvaluates(),
        receivers=NoticeJobs(cluster, RunPods()),
        notifier=KubernetesEvents(cluster),
        clock=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    assert await reconciler.reconcile(mine, "watch") is None
    seen = await cluster.get(Ref(DRIFT_MONITOR, mine, "watch"))
    assert (seen["status"]["phase"], seen["status"]["reason"]) == ("Failed", "InvalidSpec")
    assert seen["status"]["message"] == (
        "spec.target.name: must be the name of a ModelDeployment: at most 37 characters, a to z, 0 to 9 and -, "
        f"starting with a letter, got {FOREIGN.format(namespace=theirs)!r}"
    )
    assert await lab.deployment() == before


async def test_a_policy_elsewhere_that_an_older_version_let_in_is_refused_by_the_operator(
    connection, cluster
):
    theirs, mine = await namespace(connection), await namespace(connection)
    lab = Lab(cluster, mine)
    hostile = monitor(mine, "a/b")
    await put_old_definitions(connection)
    await until(lambda: try_out(connection, hostile), accepted=True)
    hostile_policies = [f"../../{theirs}/modelpolicies/secret"]
    await until(lambda: lab.apply("v1", policies=hostile_policies), accepted=True)
    await install(connection)
    await until(lambda: try_out(connection, hostile), accepted=False)
    assert await lab.step() is None
    status = await lab.status()
    assert (status["phase"], status["reason"]) == ("Failed", "InvalidSpec")
    assert status["message"].startswith("spec.policies[0]: must be the name of a Kubernetes object: ")
    assert lab.cluster.calls.count("get") == 1
    assert await lab.service() is None
