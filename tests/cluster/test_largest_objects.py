"""The largest spec that the API server admits has a status that it stores."""

import json
import uuid
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Ref, Refused
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.api.crds import MODEL_DEPLOYMENT as RESOURCE
from mooring_operator.api.crds import custom_resource_definition
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT
from mooring_operator.reconcile.wire import to_wire

from tests.cluster.definitions import install
from tests.put import put
from tests.unit.largest import largest_deployment

ETCD_BYTES = 1_572_864


@pytest.fixture
async def connection(control_plane):
    connection = Connection(load_config(Path(control_plane.kubeconfig)))
    await install(connection)
    yield connection
    await connection.close()


def largest():
    version = custom_resource_definition(RESOURCE)["spec"]["versions"][0]
    return largest_deployment(version["schema"]["openAPIV3Schema"]["properties"])


def object_of(spec):
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.kind,
        "metadata": {"namespace": "default", "name": f"a{uuid.uuid4().hex[:8]}"},
        "spec": spec,
    }


async def test_the_largest_spec_and_its_largest_status_are_stored(connection):
    cluster = KubernetesCluster(connection)
    spec, status = largest()
    made = await put(cluster, object_of(spec), MODEL_DEPLOYMENT)
    made["status"] = {}
    written = await cluster.write_status(made, status)
    read = await cluster.get(Ref(MODEL_DEPLOYMENT, "default", written["metadata"]["name"]))
    # What is read back is what was written, and the operator reads all of it.
    assert read["spec"]["serving"]["env"] == spec["serving"]["env"]
    assert to_wire(ModelDeploymentStatus.model_validate(read["status"])) == to_wire(
        ModelDeploymentStatus.model_validate(status)
    )
    stored = json.dumps(read).replace("<", "\\u003c")
    assert 0.7 * ETCD_BYTES < len(stored) < ETCD_BYTES


async def test_what_is_too_large_for_etcd_is_refused_not_unavailable(connection):
    """Trying again would not make it smaller."""
    cluster = KubernetesCluster(connection)
    spec = {"model": {"uri": "s3://m/v1", "format": "onnx"}}
    made = await put(cluster, object_of(spec), MODEL_DEPLOYMENT)
    with pytest.raises(Refused, match="etcdserver: request is too large"):
        await cluster.write_status(made, {"phase": "Pending", "url": "x" * 1_600_000})
