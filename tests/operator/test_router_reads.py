"""What a look at a rollout reads: a few requests, and the same whatever others make beside it."""

from collections import Counter

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kubernetes import PAGE, KubernetesCluster
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, SERVICE
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.planning.objects.owner import Owner

from tests.operator.test_gateway_router import FIRST, SECOND, open_stage, split
from tests.operator.test_routers_contract_emulator import Others
from tests.routers_contract import ENDPOINTS, UID, V1, V2, Stage


@pytest.fixture
async def gateway(emulator, tmp_path):
    """Two revisions behind a Gateway: how to look at them, and what that has asked."""
    async with open_stage(emulator, tmp_path) as stage:
        await stage.serve(FIRST)
        await stage.serve(FIRST, SECOND, routing=split(10))

        async def look():
            seen = await stage.look(FIRST, SECOND)
            return seen.variants, seen.problem, seen.url

        yield look, stage.cluster, stage.requests


@pytest.fixture
async def endpoints(emulator, tmp_path):
    """The same without a gateway."""
    requests = []
    connection = Connection(
        load_config(emulator.kubeconfig(tmp_path / "kubeconfig")), lambda *asked: requests.append(asked[:2])
    )
    cluster = KubernetesCluster(connection)
    stage = Stage(
        cluster,
        Owner("ns", "digits", UID + "1", 1),
        "Endpoints",
        Others(emulator.objects),
        requests,
        **ENDPOINTS,
    )
    stable = await stage.promoted(V1)
    candidate = stage.revision(V2)
    await stage.split(stable, candidate, 50)

    async def look():
        seen = await stage.look(stable, candidate)
        return seen.variants, seen.problem, seen.manifest["ports"], seen.manifest["selectors"]

    yield look, cluster, requests
    await connection.close()


@pytest.fixture(params=["gateway", "endpoints"])
def rollout(request):
    return request.getfixturevalue(request.param)


async def test_services_and_pods_are_read_by_one_request_each(rollout):
    look, _, requests = rollout
    requests.clear()
    await look()
    asked = Counter(found for found in requests if found[1] in ("services", "endpointslices"))
    # The preview's name may be somebody else's.
    assert asked == {("list", "services"): 1, ("get", "services"): 1, ("list", "endpointslices"): 1}


@pytest.mark.parametrize("kind", [SERVICE, ENDPOINT_SLICE], ids=lambda kind: kind.kind)
async def test_what_others_have_taken_the_label_from_is_found_by_its_name(rollout, kind):
    look, cluster, _ = rollout
    before = await look()
    for made in await cluster.list(kind, namespace="ns"):
        await cluster.change(made, {"metadata": {"labels": {DEPLOYMENT_LABEL: None}}})
    assert await look() == before


@pytest.mark.parametrize("kind", [SERVICE, ENDPOINT_SLICE], ids=lambda kind: kind.kind)
async def test_a_crowd_of_others_with_the_label_hides_nothing_and_costs_nothing(rollout, kind):
    look, cluster, requests = rollout
    before = await look()
    requests.clear()
    await look()
    usual = len(requests)
    for number in range(3 * PAGE):
        metadata = {
            "name": f"a-{number:03}",
            "namespace": "ns",
            "labels": {DEPLOYMENT_LABEL: "digits", MANAGED_BY: MANAGED_BY_VALUE},
        }
        made = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        more = {"spec": {"ports": []}} if kind is SERVICE else {"addressType": "IPv4", "endpoints": []}
        await cluster.create({**made, **more})
    requests.clear()
    assert await look() == before
    assert len(requests) <= usual + 4


async def test_pods_that_are_gone_are_found_gone_whatever_others_claim(gateway):
    """A slice with the deployment's label and no Service's says nothing of a Service."""
    look, cluster, _ = gateway
    name = f"digits-{SECOND.workload}-predictor"
    found = await cluster.get(Ref(ENDPOINT_SLICE, "ns", name))
    unready = [{**one, "conditions": {"ready": False}} for one in found["endpoints"]]
    await cluster.change(found, {"endpoints": unready})
    metadata = {"name": "a", "namespace": "ns", "labels": {DEPLOYMENT_LABEL: "digits"}}
    await cluster.create(
        {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": metadata,
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}],
        }
    )
    variants, _, _ = await look()
    assert not variants[SECOND.revision].ready
    assert variants[FIRST.revision].ready
