"""A weight is in effect where traffic is decided: in the HTTPRoute, as a gateway has taken it up."""

from datetime import timedelta

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE

from tests.operator.world import ROLLOUT, World

ROUTE = Ref(HTTP_ROUTE, "ns", "digits")
AFTER_EVERY_DEADLINE = timedelta(hours=1)


async def wait(world: World, passes: int = 6) -> None:
    """Let an hour pass, in a few passes of the operator."""
    for _ in range(passes):
        await world.step()
        world.now += AFTER_EVERY_DEADLINE / passes


def weights(world: World) -> list[int]:
    return [weight for _, weight in world.kserve.weights]


@pytest.mark.parametrize(
    ("gateway", "phase", "shifted", "said"),
    [
        ("is away", "Canary", [10], "Gateway kserve-ingress-gateway has not taken up HTTPRoute digits as it is now"),
        ("refuses", "Pending", [], "does not take up HTTPRoute digits: NotAllowedByListeners: no such namespace"),
    ],
)  # fmt: skip
async def test_a_weight_that_no_gateway_has_taken_up_is_not_in_effect(
    world: World, gateway, phase, shifted, said
):
    await world.promote("v1")
    world.kserve.gateway = gateway
    world.kserve.play()
    world.deploy("v2", **ROLLOUT)
    await wait(world)
    assert (world.phase, weights(world)) == (phase, shifted)
    assert world.status["stable"]["modelUri"] == "s3://m/v1"
    assert said in world.status["message"]
    condition = world.condition("RouterReady")
    assert (condition["status"], condition["reason"]) == ("False", "RouterNotReady")
    assert said in condition["message"]
    world.kserve.gateway = "takes up"
    world.kserve.play()
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
    condition = world.condition("RouterReady")
    assert (condition["status"], condition["reason"]) == ("True", "RouterRecovered")


async def test_an_answer_about_an_older_route_does_not_count(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    await world.step()
    # At 10%; the next step changes the route, and the gateway is still at this one.
    world.kserve.gateway = "is away"
    await wait(world)
    assert weights(world) == [10, 100]
    route = world.objects.get(ROUTE)
    observed = route["status"]["parents"][0]["conditions"][0]["observedGeneration"]
    assert observed < route["metadata"]["generation"]
    assert (world.phase, world.status["stable"]["modelUri"]) == ("Canary", "s3://m/v1")


async def test_where_nothing_routes_no_candidate_is_begun_and_the_cause_is_said(world: World):
    await world.promote("v1")
    world.kserve.routing = False
    for name in ("digits", "digits-predictor"):
        world.objects.delete(Ref(HTTP_ROUTE, "ns", name))
    world.deploy("v2", **ROLLOUT)
    await wait(world)
    assert (world.phase, world.status["reason"], weights(world)) == ("Pending", "RouterNotReady", [])
    assert "enableGatewayApi" in world.status["message"]
    assert world.condition("RouterReady")["status"] == "False"
    assert "canary" not in world.service["spec"]
    world.kserve.routing = True
    world.kserve.play()
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"


async def test_a_route_that_goes_away_stops_a_rollout_where_it_is(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.kserve.routing = False
    world.objects.delete(ROUTE)
    await wait(world)
    assert (world.phase, weights(world)) == ("Canary", [10])
    assert world.status["stable"]["modelUri"] == "s3://m/v1"
    assert world.condition("RouterReady")["status"] == "False"


async def test_a_route_without_the_candidate_gives_it_nothing(world: World):
    """As KServe before version 0.21 writes it: the status says 10%, and no request comes."""
    await world.promote("v1")
    world.kserve.sharing = False
    world.deploy("v2", **ROLLOUT)
    await wait(world)
    assert world.service["status"]["canaryStatuses"][0]["trafficPercent"] == 10
    assert (world.phase, weights(world)) == ("Canary", [10])
    assert "sends nothing to the candidate" in world.status["message"]
    assert "sends nothing to the candidate" in world.condition("RouterReady")["message"]


async def test_a_route_of_somebody_else_says_nothing(world: World):
    await world.promote("v1")
    world.kserve.routing = False
    theirs = world.objects.get(ROUTE)
    theirs["metadata"]["ownerReferences"] = []
    world.objects.change(ROUTE, lambda before: {**theirs, "status": before["status"]})
    world.deploy("v2", **ROLLOUT)
    await wait(world)
    assert (world.phase, world.status["reason"]) == ("Pending", "RouterNotReady")


async def test_going_back_waits_for_no_route(world: World):
    """Where nothing splits traffic, it follows the stable revision."""
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    left = (await world.settle())["stable"]["revision"]
    world.kserve.routing = False
    for name in ("digits", "digits-predictor"):
        world.objects.delete(Ref(HTTP_ROUTE, "ns", name))
    world.command("rollback", left)
    status = await world.settle()
    assert (status["phase"], status["stable"]["modelUri"]) == ("RolledBack", "s3://m/v1")
    assert "canary" not in world.service["spec"]


async def test_the_first_revision_needs_no_route(world: World):
    world.kserve.routing = False
    world.deploy("v1", **ROLLOUT)
    assert (await world.settle())["phase"] == "Promoted"


async def test_what_rests_looks_at_no_route(world: World):
    await world.promote("v1")
    await world.step()
    assert not [
        call for call in world.emulator.calls if call.resource == "httproutes" and call.who == "operator"
    ]
