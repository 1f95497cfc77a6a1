"""What keeps a Gateway from routing is one sentence that names the field and the way out; traffic stays meanwhile."""

from datetime import timedelta

import pytest
from mooring_operator.adapters.api_server import Connection
from mooring_operator.adapters.cluster import ClusterError, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers.gateways import GATEWAY
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME

from tests.operator.test_operator_endpoints import runtime
from tests.operator.world import World
from tests.played_gateway import NAME, NAMESPACE, PlayedGateway
from tests.put import drop

ROLLOUT = {
    "router": "Gateway",
    "gateway": {"name": NAME, "namespace": NAMESPACE},
    "steps": [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}],
    "progressDeadline": "1m",
}
V1 = {"s3://m/v1": 100}


class Played:
    """The world, with Kubernetes, KServe and a Gateway played."""

    def __init__(self, world: World, connection: Connection) -> None:
        self.world, self.cluster = world, KubernetesCluster(connection)
        self.gateway = PlayedGateway(self.cluster, "ns")

    def deploy(self, model: str, **rollout):
        self.world.deploy(model, rollout={**ROLLOUT, **rollout}, serving={"minReplicas": 1})

    async def go_on(self, passes=10):
        for _ in range(passes):
            try:
                pause = await self.world.step()
            except ClusterError:
                pause = 1
            await self.gateway.act()
            self.world.now += timedelta(seconds=pause or 1)
        return self.world.status

    async def promoted(self, *hosts, **rollout):
        await self.gateway.open(*hosts)
        self.deploy("v1", **rollout)
        assert (await self.go_on())["phase"] == "Promoted"


@pytest.fixture
def played(world, players):
    world.objects.create(CLUSTER_SERVING_RUNTIME, "", runtime("onnx-server"))
    return Played(world, players)


async def lose_the_gateway(played):
    await drop(played.cluster, Ref(GATEWAY, NAMESPACE, NAME))


async def lose_the_listener(played):
    await played.gateway.open("*.example.org")


def close_the_listener(**allowed):
    async def close(played):
        await played.gateway.open()
        ref = Ref(GATEWAY, NAMESPACE, NAME)
        [listener] = played.world.objects.get(ref)["spec"]["listeners"]
        spec = {"gatewayClassName": "played", "listeners": [{**listener, "allowedRoutes": allowed}]}
        played.world.objects.change(ref, lambda before: {**before, "spec": spec})

    return close


CLOSED = (
    "no listener of Gateway gateways/front takes HTTPRoutes of namespace ns: have the allowedRoutes of one take them "
    "(namespaces, kinds), or name another Gateway in spec.rollout.gateway"
)


async def nothing(_):
    pass


@pytest.mark.parametrize(
    ("fault", "asked", "says"),
    [
        (
            lose_the_gateway,
            {},
            "there is no Gateway gateways/front: make it, or name one that exists in spec.rollout.gateway",
        ),
        (
            lose_the_listener,
            {},
            "no listener of Gateway gateways/front takes digits.ns, they take *.example.org: give a spec.rollout.host "
            "that a listener takes",
        ),
        (
            lose_the_listener,
            {"host": "digits.example.com"},
            "no listener of Gateway gateways/front takes spec.rollout.host digits.example.com, they take "
            "*.example.org: give one that a listener takes",
        ),
        (close_the_listener(namespaces={"from": "Same"}), {}, CLOSED),
        (close_the_listener(kinds=[{"kind": "GRPCRoute"}]), {}, CLOSED),
        (
            nothing,
            {"gateway": {"name": "mine"}},
            "there is no Gateway ns/mine: make it, or name one that exists in spec.rollout.gateway",
        ),
        (
            nothing,
            {"router": "Endpoints"},
            "spec.rollout.router Endpoints: what is served stays with router Gateway, for pods and addresses cannot be "
            "handed over; write Gateway or Auto, or make another ModelDeployment with Endpoints",
        ),
    ],
)
async def test_a_candidate_waits_with_the_cause_and_goes_on_without_it(played, fault, asked, says):
    await played.promoted()
    await fault(played)
    played.deploy("v2", **asked)
    status = await played.go_on()
    assert (status["phase"], status["reason"]) == ("Pending", "RouterNotReady")
    assert f"waits for its traffic: {says}; revision " in status["message"]
    condition = played.world.condition("RouterReady")
    assert (condition["status"], condition["message"]) == ("False", says)
    assert (played.gateway.weights, status["stable"]["storageUri"]) == (V1, "s3://m/v1")
    # Of the condition, and not again of the phase, which follows when the candidate's runtime is known.
    assert played.world.events().count("RouterNotReady") == 1
    await played.gateway.open()
    played.deploy("v2")
    status = await played.go_on()
    assert (status["phase"], played.gateway.weights) == (
        "AwaitingApproval",
        {"s3://m/v1": 50, "s3://m/v2": 50},
    )
    assert played.world.condition("RouterReady")["reason"] == "RouterRecovered"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lose_the_gateway, "there is no Gateway gateways/front: make it, or name one"),
        (lose_the_listener, "no listener of Gateway gateways/front takes digits.ns"),
        (close_the_listener(namespaces={"from": "Same"}), CLOSED),
    ],
    ids=["gateway", "listener", "allowed routes"],
)
async def test_what_is_lost_in_a_rollout_moves_nothing_and_the_rollout_goes_on_when_it_is_back(
    played, fault, says
):
    await played.promoted()
    played.deploy("v2")
    status = await played.go_on()
    both = {"s3://m/v1": 50, "s3://m/v2": 50}
    assert (status["phase"], played.gateway.weights) == ("AwaitingApproval", both)
    await fault(played)
    await played.go_on(3)
    played.world.command("approve", status["candidate"]["revision"])
    status = await played.go_on(20)
    assert (status["stable"]["storageUri"], status["candidate"]["storageUri"]) == ("s3://m/v1", "s3://m/v2")
    assert says in played.world.condition("RouterReady")["message"]
    route = await played.cluster.get(Ref(HTTP_ROUTE, "ns", "digits-mooring"))
    assert {entry["weight"] for entry in route["spec"]["rules"][0]["backendRefs"]} == {50}
    await played.gateway.open()
    assert (await played.go_on(20))["phase"] == "Promoted"
    assert played.gateway.weights == {"s3://m/v2": 100}


def route_of_somebody_else(played, name):
    ref = Ref(HTTP_ROUTE, "ns", name)
    gateway = {"name": NAME, "namespace": NAMESPACE}
    theirs = {"metadata": {"name": name}, "spec": {"parentRefs": [gateway], "rules": []}}
    played.world.objects.apply(ref, theirs, "someone")
    return lambda: played.world.objects.get(ref)["spec"] == theirs["spec"]


async def test_a_route_of_somebody_else_is_left_alone_and_named(played):
    untouched = route_of_somebody_else(played, "digits-mooring")
    await played.gateway.open()
    played.deploy("v1")
    status = await played.go_on(4)
    assert (status["phase"], status["reason"]) == ("Failed", "NameTaken")
    assert "HTTPRoute digits-mooring" in status["message"]
    assert untouched()


async def test_a_deployment_that_is_called_like_a_preview_stops_the_preview_alone(played):
    await played.promoted()
    untouched = route_of_somebody_else(played, "digits-preview-mooring")
    played.deploy("v2", strategy="BlueGreen", steps=[{"setWeight": 100}])
    status = await played.go_on()
    assert (status["phase"], played.gateway.weights) == ("Canary", V1)
    assert "its preview address does not lead to it yet: " in status["message"]
    assert "HTTPRoute digits-preview-mooring" in status["message"]
    played.deploy("v3", steps=[{"setWeight": 100}])
    assert (await played.go_on(20))["phase"] == "Promoted"
    assert untouched()


HOST = "digits.example.com"
TAKEN = f"spec.rollout.host {HOST} is taken by HTTPRoute ns/theirs; give another host name"


def theirs(played, host=HOST, gateway=NAME):
    """Make a route that is no deployment's."""
    spec = {"parentRefs": [{"name": gateway, "namespace": NAMESPACE}], "hostnames": [host], "rules": []}
    made = {"metadata": {"name": "theirs"}, "spec": spec}
    played.world.objects.apply(Ref(HTTP_ROUTE, "ns", "theirs"), made, "someone")


async def test_a_host_name_of_anybodys_route_is_not_asked_for(played):
    theirs(played)
    await played.gateway.open()
    played.deploy("v1", host=HOST)
    status = await played.go_on()
    assert (status["phase"], played.world.condition("RouterReady")["message"]) == ("Deploying", TAKEN)
    # What answers there is theirs.
    assert "url" not in status
    assert await played.cluster.get(Ref(HTTP_ROUTE, "ns", "digits-mooring")) is None
    played.deploy("v1", host="other.example.com")
    status = await played.go_on()
    assert (status["phase"], status["url"]) == ("Promoted", "http://other.example.com")


async def test_what_serves_keeps_its_host_names_when_the_new_one_is_anybodys(played):
    theirs(played)
    await played.promoted(host="mine.example.com")
    played.deploy("v2", host=HOST)
    status = await played.go_on()
    assert (status["reason"], played.world.condition("RouterReady")["message"]) == ("RouterNotReady", TAKEN)
    assert (played.gateway.weights, status["url"]) == (V1, "http://mine.example.com")


@pytest.mark.parametrize(
    "other", [{"host": "*.example.com"}, {"host": "digits.example.org"}, {"gateway": "other"}]
)
async def test_a_route_for_other_requests_takes_no_host_name(played, other):
    theirs(played, **other)
    await played.promoted(host=HOST)
    assert (played.world.status["url"], played.gateway.weights) == (f"http://{HOST}", V1)


async def test_a_host_name_that_came_first_is_kept(played):
    await played.promoted(host=HOST)
    theirs(played)
    played.deploy("v2", host=HOST)
    assert (await played.go_on())["phase"] == "AwaitingApproval"


async def test_a_route_that_somebody_emptied_is_put_back(played):
    await played.promoted()
    ref = Ref(HTTP_ROUTE, "ns", "digits-mooring")
    played.world.objects.change(ref, lambda before: {**before, "spec": {**before["spec"], "rules": []}})
    await played.go_on(3)
    assert (played.world.phase, played.gateway.weights) == ("Promoted", V1)
