"""The calls of leader election, against a real API server."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Conflict
from mooring_operator.adapters.leases import KubernetesLeases
from mooring_operator.runtime.election import held, new_lease

NAMESPACE = "default"


@pytest.fixture
async def connection(control_plane):
    connection = Connection(load_config(Path(control_plane.kubeconfig)))
    yield connection
    await connection.close()


async def test_lease_is_created_once_and_replaced_by_those_who_read_it(connection):
    leases = KubernetesLeases(connection)
    assert await leases.get(NAMESPACE, "turn") is None
    created = await leases.create(new_lease(NAMESPACE, "turn"))
    with pytest.raises(Conflict):
        await leases.create(new_lease(NAMESPACE, "turn"))
    replaced = await leases.replace(held(created, "me", 15, datetime.now(UTC)))
    assert replaced["spec"]["holderIdentity"] == "me"
    with pytest.raises(Conflict):
        await leases.replace(held(created, "you", 15, datetime.now(UTC)))
