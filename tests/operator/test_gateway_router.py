"""The Gateway router before the API emulator; what users get by it is in tests/cluster/test_gateway_traffic.py."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.outages import Outages
from mooring_operator.adapters.routers.gateway import GatewayRouter
from mooring_operator.adapters.routers.gateway_routes import Entrance
from mooring_operator.adapters.routers.gateways import GATEWAY
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.owned import SERVICE
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.adapters.routers.route_writer import RouteWriter
from mooring_operator.planning.routes import Beside
from mooring_operator.planning.routing import Arm, Mirror, Routing, Rule

from tests.played_gateway import NAME, NAMESPACE, PlayedGateway
from tests.put import drop
from tests.unit.operator.adapters.routers.revisions import OWNER, revision

V1, V2 = "s3://m/v1", "s3://m/v2"
FRONT = "envoy.projectcontour.svc.cluster.local"
FIRST = revision(minReplicas=1)
SECOND = revision(name="ddddeeeeff", model="v2", minReplicas=1)


class Stage:
    def __init__(self, cluster, requests):
        self.cluster, self.requests = cluster, requests
        self.played = PlayedGateway(cluster, "ns")
        self.now = 0.0
        self.outages = Outages(lambda: self.now)
        self.enter()

    def enter(self, host="", front=FRONT):
        writer, door = RouteWriter(self.cluster, 0, 0), Entrance(NAME, NAMESPACE, host)
        self.router = GatewayRouter(self.cluster, door, front, writer, outages=self.outages)

    async def look(self, *revisions, owner=OWNER):
        return await self.router.observe(owner, revisions)

    async def route(self, routing, *revisions, owner=OWNER):
        await self.router.route(owner, routing, await self.look(*revisions, owner=owner))
        await self.played.act()
        return await self.look(*revisions, owner=owner)

    async def serve(self, *revisions, routing=None):
        """Have the first of the revisions served."""
        asked = routing or Routing((Arm(revisions[0], 100),))
        for _ in range(3):
            seen = await self.route(asked, *revisions)
        return seen

    async def find(self, kind, name):
        return await self.cluster.get(Ref(kind, "ns", name))


@asynccontextmanager
async def open_stage(emulator, folder):
    requests = []
    config = load_config(emulator.kubeconfig(folder / "kubeconfig"))
    connection = Connection(config, lambda verb, resource, *_: requests.append((verb, resource)))
    stage = Stage(KubernetesCluster(connection), requests)
    await stage.played.open()
    yield stage
    await connection.close()


@pytest.fixture
async def stage(emulator, tmp_path):
    async with open_stage(emulator, tmp_path) as stage:
        yield stage


def split(weight, **more):
    return Routing((Arm(FIRST, 100 - weight), Arm(SECOND, weight)), **more)


async def test_nothing_is_seen_of_what_is_not_served(stage):
    assert await stage.look() is None


async def test_a_first_revision_is_ready_once_requests_reach_it(stage):
    asked = Routing((Arm(FIRST, 100),))
    stage.played.slow = True
    seen = await stage.serve(FIRST)
    variant = seen.variants[FIRST.revision]
    assert (variant.ready, variant.weight) == (False, 0)
    assert variant.waiting == "no gateway has answered for HTTPRoute digits-mooring yet"
    stage.played.slow = False
    seen = await stage.route(asked, FIRST)
    variant = seen.variants[FIRST.revision]
    assert (variant.ready, variant.weight, seen.shared, seen.problem) == (True, 100, False, "")
    assert seen.url == "http://digits.ns.svc.cluster.local"
    assert await stage.played.weights_of() == {V1: 100}


@pytest.mark.parametrize("weight", [0, 1, 50, 99, 100])
async def test_a_candidate_gets_its_weight(stage, weight):
    await stage.serve(FIRST)
    seen = await stage.serve(FIRST, SECOND, routing=split(weight))
    assert seen.variants[SECOND.revision].weight == weight
    assert seen.variants[FIRST.revision].weight == 100 - weight
    assert seen.shared
    assert not seen.unsettled
    assert await stage.played.weights_of() == {k: v for k, v in {V1: 100 - weight, V2: weight}.items() if v}


async def test_after_an_outage_a_gateway_gets_to_know_new_pods_before_they_get_requests(stage):
    await stage.serve(FIRST)
    stage.outages.note(0)
    stage.now = 8.0
    stage.outages.note(200)
    seen = await stage.serve(FIRST, SECOND, routing=split(20))
    assert seen.variants[SECOND.revision].weight == 0
    assert seen.variants[SECOND.revision].waiting == (
        "the API server was away a moment ago, and Gateway gateways/front may not know its pods yet"
    )
    assert seen.variants[FIRST.revision].waiting == ""
    assert await stage.played.weights_of() == {V1: 100}
    stage.now += 18
    seen = await stage.serve(FIRST, SECOND, routing=split(20))
    assert (seen.variants[SECOND.revision].weight, seen.variants[SECOND.revision].waiting) == (20, "")
    stage.outages.note(0)
    seen = await stage.serve(FIRST, SECOND, routing=split(50))
    assert seen.variants[SECOND.revision].weight == 50, "it knows them"


async def test_a_weight_that_no_gateway_has_taken_up_is_none(stage):
    await stage.serve(FIRST)
    await stage.serve(FIRST, SECOND, routing=split(10))
    stage.played.slow = True
    seen = await stage.route(split(50), FIRST, SECOND)
    assert seen.variants[SECOND.revision].weight == 0
    assert seen.variants[FIRST.revision].ready
    assert seen.problem == "Gateway front has not taken up HTTPRoute digits-mooring as it is now"
    assert seen.unsettled, "its requests may still go as they went before"


async def test_pods_that_kubernetes_sends_nothing_to_get_no_weight(stage):
    await stage.serve(FIRST)
    stage.played.unselected = True
    seen = await stage.serve(FIRST, SECOND, routing=split(50))
    assert seen.variants[SECOND.revision].waiting == "Kubernetes has not taken up its pods for requests yet"
    stage.played.unselected = False
    await stage.played.act()
    seen = await stage.serve(FIRST, SECOND, routing=split(50))
    assert (seen.variants[SECOND.revision].ready, seen.variants[SECOND.revision].weight) == (True, 50)


async def test_a_promotion_and_a_rollback_leave_what_is_kept_and_nothing_else(stage):
    await stage.serve(FIRST)
    await stage.serve(FIRST, SECOND, routing=split(50))
    seen = await stage.serve(SECOND, FIRST, routing=Routing((Arm(SECOND, 100),), kept=(FIRST,)))
    assert await stage.played.weights_of() == {V2: 100}
    assert seen.variants[FIRST.revision].pods == 0
    await stage.serve(SECOND, FIRST, routing=Routing((Arm(SECOND, 100),), ended=True))
    names = {s["metadata"]["name"] for s in await stage.cluster.list(INFERENCE_SERVICE, namespace="ns")}
    assert names == {"digits-rddddeeee"}


async def test_what_is_kept_comes_up_from_no_pods_and_answers_beside_two_others(stage):
    third = revision(name="aabbccddee", model="v3", minReplicas=1)
    await stage.serve(FIRST)
    await stage.serve(SECOND, FIRST, routing=Routing((Arm(SECOND, 100),), kept=(FIRST,)))
    arms = (Arm(SECOND, 100), Arm(third, 0, 1), Arm(FIRST, 0, 1))
    seen = await stage.serve(SECOND, third, FIRST, routing=Routing(arms))
    assert (seen.variants[FIRST.revision].pods, await stage.played.weights_of()) == (1, {V2: 100})
    arms = (Arm(SECOND, 50), Arm(third, 20, 1), Arm(FIRST, 30, 1))
    rules = (Rule(FIRST.revision, "b", header="X-Group"),)
    seen = await stage.serve(SECOND, third, FIRST, routing=Routing(arms, rules, sticky="arm"))
    assert await stage.played.weights_of() == {V2: 50, "s3://m/v3": 20, V1: 30}
    assert {name: variant.weight for name, variant in seen.variants.items()} == {
        SECOND.revision: 50,
        third.revision: 20,
        FIRST.revision: 30,
    }
    seen = await stage.serve(SECOND, third, FIRST, routing=Routing((Arm(SECOND, 100),), kept=(FIRST,)))
    assert await stage.played.weights_of() == {V2: 100}
    assert (seen.variants[FIRST.revision].pods, third.revision in seen.variants) == (0, False)


async def test_pods_of_what_is_kept_go_after_its_traffic(stage):
    await stage.serve(FIRST)
    await stage.serve(FIRST, SECOND, routing=split(50))
    stage.requests.clear()
    await stage.router.route(
        OWNER, Routing((Arm(SECOND, 100),), kept=(FIRST,)), await stage.look(SECOND, FIRST)
    )
    writes = [resource for verb, resource in stage.requests if verb == "patch"]
    assert writes.index("httproutes") < writes.index("deployments/scale")


async def test_calls_that_are_repeated_write_nothing(stage):
    await stage.serve(FIRST)
    asked = split(
        10, rules=(Rule(SECOND.revision, "beta", header="x-group"),), mirror=Mirror(SECOND.revision, 5)
    )
    await stage.serve(FIRST, SECOND, routing=asked)
    stage.requests.clear()
    await stage.router.route(OWNER, asked, await stage.look(FIRST, SECOND))
    assert {verb for verb, _ in stage.requests} <= {"get", "list"}


ADDED = {
    "a filter": {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "evil.example"}}]},
    "a method": {"matches": [{"path": {"type": "PathPrefix", "value": "/"}, "method": "GET"}]},
    "a rule's name": {"name": "mine"},
}


@pytest.mark.parametrize("added", ADDED.values(), ids=ADDED)
async def test_nobody_adds_to_what_a_route_decides(stage, added):
    await stage.serve(FIRST)
    route = await stage.find(HTTP_ROUTE, "digits-mooring")
    rules = [{**rule, **added} for rule in route["spec"]["rules"]]
    await stage.cluster.change(route, {"spec": {"rules": rules}})
    await stage.serve(FIRST)
    assert (await stage.find(HTTP_ROUTE, "digits-mooring"))["spec"] == route["spec"]


async def test_a_transformer_that_somebody_added_gets_no_request(stage):
    await stage.serve(FIRST)
    service = await stage.find(INFERENCE_SERVICE, "digits-raaaabbbb")
    await stage.cluster.change(service, {"spec": {"transformer": {"containers": [{"image": "t"}]}}})
    await stage.played.act()
    seen = await stage.route(Routing((Arm(FIRST, 100),)), FIRST)
    assert seen.variants[FIRST.revision].ready
    assert names_of(await stage.find(HTTP_ROUTE, "digits-mooring")) == {"digits-raaaabbbb-predictor"}


def names_of(route):
    return {ref["name"] for rule in route["spec"]["rules"] for ref in rule["backendRefs"]}


async def test_a_route_stays_with_the_listeners_of_its_gateway(stage):
    await stage.serve(FIRST)
    route = await stage.find(HTTP_ROUTE, "digits-mooring")
    parents = [{**parent, "sectionName": "other"} for parent in route["spec"]["parentRefs"]]
    await stage.cluster.change(route, {"spec": {"parentRefs": parents}})
    await stage.serve(FIRST)
    assert (await stage.find(HTTP_ROUTE, "digits-mooring"))["spec"] == route["spec"]


async def test_what_a_revision_gets_beside_its_weight_is_what_a_gateway_has_taken_up(stage):
    await stage.serve(FIRST)
    await stage.serve(FIRST, SECOND, routing=split(0))
    asked = split(
        0,
        rules=(Rule(SECOND.revision, "beta", header="x-group"),),
        mirror=Mirror(SECOND.revision, 5),
        preview=SECOND.revision,
    )
    stage.played.slow = True
    seen = await stage.route(asked, FIRST, SECOND)
    assert seen.variants[SECOND.revision].beside == Beside(0, False, False)
    stage.played.slow = False
    seen = await stage.route(asked, FIRST, SECOND)
    assert seen.variants[SECOND.revision].beside == Beside(5, True, True)
    assert seen.variants[FIRST.revision].beside == Beside(0, False, False)


async def test_a_listener_that_takes_no_preview_has_none_to_wait_for(stage):
    await stage.played.open("digits.example.com")
    stage.enter(host="digits.example.com")
    await stage.serve(FIRST)
    seen = await stage.serve(FIRST, SECOND, routing=split(0, preview=SECOND.revision))
    assert seen.variants[SECOND.revision].beside == Beside(0, False, None)


async def test_a_preview_has_an_address_of_its_own(stage):
    await stage.serve(FIRST)
    await stage.serve(FIRST, SECOND, routing=split(0, preview=SECOND.revision))
    assert await stage.played.weights_of("digits-preview") == {V2: 100}
    assert (await stage.find(SERVICE, "digits-preview"))["spec"]["externalName"] == FRONT
    await stage.serve(FIRST, SECOND, routing=split(0))
    assert await stage.find(HTTP_ROUTE, "digits-preview-mooring") is None
    assert await stage.find(SERVICE, "digits-preview") is None


async def test_the_service_of_fixed_name_is_there_where_the_gateways_own_is_known(stage):
    await stage.serve(FIRST)
    assert (await stage.find(SERVICE, "digits"))["spec"] == {"type": "ExternalName", "externalName": FRONT}
    await stage.router.remove(OWNER, await stage.look(FIRST))
    assert await stage.find(SERVICE, "digits") is None


async def test_a_service_of_somebody_else_is_told_and_left_alone(stage):
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "digits", "namespace": "ns"}}
    await stage.cluster.create(
        {**theirs, "metadata": {**theirs["metadata"], "ownerReferences": [OTHER]}, "spec": {}}
    )
    with pytest.raises(ServiceNameTaken, match="Service digits belongs to Deployment other"):
        await stage.look(FIRST)


OTHER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other", "uid": "1", "controller": True}


async def test_routes_are_removed_before_what_they_lead_to(stage):
    await stage.serve(FIRST)
    stage.requests.clear()
    await stage.router.remove(OWNER, await stage.look(FIRST))
    deletes = [resource for verb, resource in stage.requests if verb == "delete"]
    assert deletes.index("httproutes") < deletes.index("inferenceservices")


async def test_what_is_removed_is_gone(stage):
    await stage.serve(FIRST)
    await stage.serve(FIRST, SECOND, routing=split(50))
    await stage.router.remove(OWNER, await stage.look(FIRST, SECOND))
    for kind in (HTTP_ROUTE, INFERENCE_SERVICE):
        assert await stage.cluster.list(kind, namespace="ns") == []
    assert await stage.look() is None


# --- what keeps it from routing ----------------------------------------------------------------


async def test_a_gateway_that_is_missing_is_told_and_traffic_stays_where_it_was(stage):
    await stage.serve(FIRST)
    await drop(stage.cluster, Ref(GATEWAY, NAMESPACE, NAME))
    seen = await stage.serve(FIRST, SECOND, routing=split(10))
    assert seen.problem == (
        "there is no Gateway gateways/front: make it, or name one that exists in spec.rollout.gateway"
    )
    assert seen.variants[SECOND.revision].weight == 0
    hostnames = (await stage.find(HTTP_ROUTE, "digits-mooring"))["spec"]["hostnames"]
    assert hostnames == ["digits.ns.svc.cluster.local", "digits.ns.svc", "digits.ns"]


async def test_without_a_gateway_no_first_route_is_made(stage):
    await drop(stage.cluster, Ref(GATEWAY, NAMESPACE, NAME))
    seen = await stage.serve(FIRST)
    assert seen.variants[FIRST.revision].waiting.startswith("there is no Gateway gateways/front")
    assert await stage.find(HTTP_ROUTE, "digits-mooring") is None


async def test_a_rollback_is_written_even_while_the_gateway_is_gone(stage):
    await stage.serve(FIRST)
    await stage.serve(FIRST, SECOND, routing=split(50))
    await drop(stage.cluster, Ref(GATEWAY, NAMESPACE, NAME))
    await stage.serve(FIRST, SECOND)
    assert await stage.played.weights_of() == {V1: 100}


@pytest.mark.parametrize(
    ("hostnames", "host", "said"),
    [
        (
            ["*.example.com"],
            "",
            "no listener of Gateway gateways/front takes digits.ns, they take *.example.com: give a "
            "spec.rollout.host that a listener takes",
        ),
        (
            ["*.example.com", "a.b"],
            "digits.example.org",
            "no listener of Gateway gateways/front takes spec.rollout.host digits.example.org, they take "
            "*.example.com, a.b: give one that a listener takes",
        ),
    ],
)
async def test_host_names_that_no_listener_takes_are_told(stage, hostnames, host, said):
    await stage.played.open(*hostnames)
    stage.enter(host)
    assert (await stage.serve(FIRST)).problem == said


async def test_a_listener_for_one_domain_serves_the_name_of_that_domain_alone(stage):
    await stage.played.open("*.example.com")
    stage.enter("digits.example.com")
    seen = await stage.serve(FIRST)
    assert (seen.problem, seen.url) == ("", "http://digits.example.com")
    assert (await stage.find(HTTP_ROUTE, "digits-mooring"))["spec"]["hostnames"] == ["digits.example.com"]
    assert await stage.find(SERVICE, "digits") is None


async def test_of_two_deployments_that_want_one_host_name_the_first_has_it(stage):
    stage.enter("digits.example.com")
    await stage.serve(FIRST)
    other = replace(OWNER, name="other", uid="9a1f2f6e-0000-4000-8000-000000000077")
    third = revision(name="eeeeffff00", model="v3")
    for _ in range(3):
        seen = await stage.route(Routing((Arm(third, 100),)), third, owner=other)
    assert seen.problem == (
        "spec.rollout.host digits.example.com is taken by HTTPRoute ns/digits-mooring; give another host name"
    )
    assert not seen.variants[third.revision].ready
    assert await stage.find(HTTP_ROUTE, "other-mooring") is None
    assert (await stage.look(FIRST)).problem == ""


async def test_a_route_that_the_gateway_refuses_serves_nobody(stage):
    stage.played.refuses = "NotAllowedByListeners"
    seen = await stage.serve(FIRST)
    said = (
        "Gateway front does not take up HTTPRoute digits-mooring: NotAllowedByListeners; have a listener's "
        "allowedRoutes take HTTPRoutes of this namespace (namespaces, kinds), or name another Gateway"
    )
    assert (seen.problem, seen.variants[FIRST.revision].ready) == (said, False)


async def test_a_gateway_that_does_not_work_is_told(stage):
    await stage.played.open(programmed="False")
    assert (await stage.serve(FIRST)).problem.startswith("Gateway gateways/front is not programmed")
