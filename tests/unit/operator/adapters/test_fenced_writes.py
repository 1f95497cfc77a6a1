"""A process that may not write any more sends nothing that changes anything, but what makes it the leader again."""

import json

import pytest
from lightkube import SingleConfig
from lightkube.config.models import Cluster, Context, User
from mooring_operator.adapters.api_http import Answer
from mooring_operator.adapters.api_server import Connection
from mooring_operator.adapters.cluster import Kind, Ref, Unavailable
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.leases import KubernetesLeases
from mooring_operator.runtime.election import new_lease

CONFIG = SingleConfig(
    context_name="x",
    context=Context(cluster="x", user="x"),
    cluster=Cluster(server="http://127.0.0.1:1"),
    user=User(),
)
SERVICE = Kind("v1", "Service", "services")
REF = Ref(SERVICE, "ns", "iris")
MANIFEST = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"namespace": "ns", "name": "iris", "uid": "u", "resourceVersion": "1"},
    "spec": {},
}


class Recorded:
    """Implements `Http`: gives the same object to everybody, and keeps what was asked."""

    def __init__(self):
        self.asked = []

    async def request(self, method, path, *, content, params, headers):
        self.asked.append((method, path))
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(MANIFEST).encode())

    async def close(self):
        """Nothing is open."""


@pytest.fixture
def http():
    return Recorded()


@pytest.fixture
def leading():
    return [True]


@pytest.fixture
def connection(http, leading):
    return Connection(CONFIG, http=http, may_write=lambda: leading[0])


WRITES = {
    "apply": lambda cluster: cluster.apply(MANIFEST, MANIFEST),
    "change": lambda cluster: cluster.change(MANIFEST, {"spec": {"type": "ClusterIP"}}),
    "create": lambda cluster: cluster.create(MANIFEST),
    "delete": lambda cluster: cluster.delete(MANIFEST),
    "status": lambda cluster: cluster.write_status(MANIFEST, {"phase": "Promoted"}),
    "annotations": lambda cluster: cluster.set_annotations(MANIFEST, {"a": "b"}),
}


@pytest.mark.parametrize("write", WRITES)
async def test_nothing_is_written_once_another_may_lead(write, connection, http, leading):
    cluster = KubernetesCluster(connection)
    leading[0] = False
    assert await cluster.get(REF) == MANIFEST
    with pytest.raises(Unavailable, match="another replica may lead"):
        await WRITES[write](cluster)
    assert {method for method, _ in http.asked} == {"GET"}


async def test_the_lease_is_written_by_who_does_not_lead_yet(connection, http, leading):
    leading[0] = False
    await KubernetesLeases(connection).create(new_lease("ns", "mooring"))
    assert http.asked == [("POST", "/apis/coordination.k8s.io/v1/namespaces/ns/leases")]
