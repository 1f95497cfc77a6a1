"""What users get behind a real Envoy that a real Gateway API controller drives."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace
from itertools import cycle

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.routers import gateway_routes as routes
from mooring_operator.adapters.routers.gateways import heard
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE, why_not_taken_up
from mooring_operator.planning.objects.difference import covers
from mooring_operator.planning.routing import Mirror, Routing, Rule
from scipy.stats import binom

from cluster.programs import ProgramUnavailableError
from tests.cluster.gateway_lab import (
    ADDRESS,
    ENTRANCE,
    HOST,
    HOSTS,
    MODELS,
    OWNER,
    ROUTE,
    arms,
    backend,
    gateway_lab,
    load,
    routing,
)

SHIFTS = 100


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    try:
        with gateway_lab(tmp_path_factory.mktemp("gateway")) as lab:
            yield lab
    except ProgramUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
async def lab(everything):
    async with everything.connected() as lab:
        yield lab


def fits(count, total, percent):
    """Whether so many of all are within what chance makes of a share in 99.9% of all cases."""
    least, most = binom.interval(0.999, total, percent / 100)
    return least <= count <= most


@pytest.mark.parametrize(
    "weights",
    [{"r1": 90, "r2": 10}, {"r1": 50, "r2": 30, "r3": 20}, {"r1": 0, "r2": 100}, {"r1": 100, "r2": 0}],
)
async def test_the_split_that_is_measured_is_the_one_that_is_asked(lab, weights):
    await lab.settled(routing(**weights))
    seen = await lab.ask(1000)
    assert seen.failed == []
    assert all(fits(seen.answered[name], seen.total, weight) for name, weight in weights.items()), (
        seen.answered
    )


@pytest.mark.parametrize("host", ["digits.models", "digits.models.svc", "digits.models.svc.cluster.local"])
async def test_every_name_of_the_service_leads_to_the_model(lab, host):
    await lab.settled(routing(r1=100))
    seen = await lab.ask(5, host=host)
    assert (seen.failed, seen.total) == ([], 5)


async def test_the_name_outside_of_the_cluster_leads_to_the_model_and_no_other_does(lab):
    await lab.settled(routing(r1=100))
    assert (await lab.ask(5, host="digits.example.com")).failed == []
    assert len((await lab.ask(5, host="other.models")).failed) == 5


async def test_a_mirror_gets_a_copy_and_users_get_nothing_of_it(lab):
    await lab.settled(replace(routing(r1=100, r2=0), mirror=Mirror("r2", 100)))
    before = await lab.received("r2")
    seen = await lab.ask(200)
    assert (seen.failed, dict(seen.answered)) == ([], {"r1": 200})
    assert await arrives(lab, "r2", before + 200) == before + 200


async def arrives(lab, revision, count):
    async with asyncio.timeout(60):
        while (received := await lab.received(revision)) < count:
            await asyncio.sleep(0.02)
    return received


async def test_headers_and_cookies_decide_in_their_order(lab):
    rules = (
        Rule("r2", "beta", header="x-group"),
        Rule("r3", "7a.b", cookie="group"),
        Rule("r1", "yes", header="x-staff"),
    )
    await lab.settled(Routing(arms(r1=0, r2=0, r3=100), rules=rules))
    for headers, answers in (
        ({"x-group": "beta"}, "r2"),
        ({"x-group": "beta-2"}, "r3"),
        ({"x-staff": "yes"}, "r1"),
        ({"x-staff": "yes", "x-group": "beta"}, "r2"),
        ({"x-staff": "yes", "cookie": "a=b; group=7a.b; c=d"}, "r3"),
        ({"x-staff": "yes", "cookie": "group=7a.b"}, "r3"),
        ({"x-staff": "yes", "cookie": "group=7axb"}, "r1"),
        ({"x-staff": "yes", "cookie": "mygroup=7a.b"}, "r1"),
        ({"x-staff": "yes", "cookie": "group=7a.bc"}, "r1"),
        ({}, "r3"),
    ):
        seen = await lab.ask(10, headers=headers)
        assert (headers, seen.failed, dict(seen.answered)) == (headers, [], {answers: 10})


async def test_a_caller_stays_on_its_arm_while_that_has_traffic(lab):
    await lab.settled(replace(routing(r1=50, r2=50), sticky="mooring-arm"))
    seen = await lab.ask(100)
    given = {re.match("mooring-arm=(r[12]); ", cookie)[1] for cookie in seen.cookies}
    assert (given, len(seen.cookies)) == ({"r1", "r2"}, 100)
    returning = {"cookie": "theme=dark; mooring-arm=r1"}
    assert dict((await lab.ask(50, headers=returning)).answered) == {"r1": 50}
    await lab.settled(replace(routing(r1=1, r2=99), sticky="mooring-arm"))
    assert dict((await lab.ask(50, headers=returning)).answered) == {"r1": 50}
    await lab.settled(replace(routing(r1=0, r2=100), sticky="mooring-arm"))
    assert dict((await lab.ask(50, headers=returning)).answered) == {"r2": 50}


async def test_grpc_is_split_and_matched_like_http(lab):
    await lab.settled(Routing(arms(r1=50, r2=50), rules=(Rule("r3", "beta", header="x-group"),)))
    before = {name: await lab.received(name) for name in ("r1", "r2", "r3")}
    await asks_by_grpc(lab, 200)
    await asks_by_grpc(lab, 10, "x-group=beta")
    got = {name: await lab.received(name) - before[name] for name in before}
    assert (got["r1"] + got["r2"], got["r3"]) == (200, 10)
    assert fits(got["r2"], 200, 50), got


async def asks_by_grpc(lab, count, *metadata):
    """Have requests sent, every one of which is answered."""
    asked = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.cluster.ask_by_grpc", str(lab.gateway.port), HOST, str(count), *metadata
    )
    assert await asked.wait() == 0


async def test_no_request_fails_in_a_hundred_shifts_promotions_and_rollbacks(lab):
    """Two revisions take turns; each comes by steps, and every third one is taken back in the middle."""
    await lab.settled(routing(r1=100))
    shifts = 0
    async with load(lab) as seen:
        stable, others = "r1", cycle(["r2", "r3", "r1"])
        for number, candidate in enumerate(others):
            if candidate == stable:
                continue
            back = number % 3 == 2
            for weight in [10, 50] if back else [10, 50, 90, 100]:
                await lab.put(routing(**{stable: 100 - weight, candidate: weight}))
                shifts += 1
            if not back:
                stable = candidate
            await lab.put(routing(**{stable: 100}))
            shifts += 1
            if shifts >= SHIFTS:
                break
    assert seen.failed == []
    assert min(seen.answered[name] for name in ("r1", "r2", "r3")) > 20


async def test_what_a_gateway_refuses_is_told_and_decides_about_nothing(lab):
    await lab.settled(routing(r1=100))
    wanted = routes.route(OWNER, routing(r9=100), {"r9": backend("r9")}, ENTRANCE, ADDRESS)
    present = await lab.cluster.get(Ref(HTTP_ROUTE, MODELS, ROUTE))
    written = await lab.cluster.apply(wanted, present)
    assert "has not taken up HTTPRoute digits-mooring as it is now" in why_not_taken_up(written)
    assert "does not take up HTTPRoute digits-mooring: BackendNotFound" in await lab.told(why_not_taken_up)


async def test_a_gateway_that_is_not_ours_is_told(lab):
    with lab.listeners({"allowedRoutes": {"namespaces": {"from": "Same"}}}):
        await lab.put(routing(r1=100), wait=False)
        assert "NotAllowedByListeners" in await lab.told(why_not_taken_up)


async def test_a_listener_for_other_names_answers_404_though_the_route_is_taken_up(lab):
    with lab.listeners({"hostname": "*.example.com"}) as gateway:
        await lab.settled(routing(r1=100))
        hosts = HOSTS[:-1]
        assert heard(gateway, list(HOSTS), MODELS) == ["digits.example.com"]
        for host in hosts:
            assert {answer[:3] for answer in (await lab.ask(3, host=host)).failed} == {"404"}
        assert (await lab.ask(3, host=ENTRANCE.host)).failed == []


async def test_a_backend_without_pods_fails_though_the_route_is_taken_up(lab):
    lab.expose("r4", None)
    await lab.settled(routing(r1=50, r4=50))
    seen = await lab.ask(200)
    assert {answer[:3] for answer in seen.failed} == {"503"}
    assert fits(len(seen.failed), 200, 50)


@pytest.mark.parametrize(
    "asked",
    [
        routing(r1=100),
        routing(r1=0, r2=100),
        replace(routing(r1=60, r2=40), sticky="arm", mirror=Mirror("r3", 100)),
        replace(routing(r1=100, r2=0), mirror=Mirror("r2", 1)),
        Routing(
            arms(r1=100, r2=0),
            rules=tuple(Rule(f"r{1 + n % 2}", '"a"; b=\\\\d+ (c)', header=f"x-{n}") for n in range(7)),
        ),
        Routing(arms(r1=100, r2=0), rules=(Rule("r2", '"a"; b=\\\\d+ (c)', cookie="__Host-a"),)),
    ],
)
def test_every_route_is_one_that_the_gateway_api_accepts(everything, asked):
    wanted = routes.route(
        OWNER, asked, {name: backend(name) for name in ("r1", "r2", "r3")}, ENTRANCE, ADDRESS
    )
    named = {**wanted, "metadata": {**wanted["metadata"], "name": "dry"}}
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/models/httproutes?dryRun=All"
    assert covers(everything.api.request("POST", path, named)["spec"], wanted["spec"])
