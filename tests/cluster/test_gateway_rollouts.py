"""Whole rollouts by the operator's process on router Gateway: a real Envoy, real model servers, and users."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager, suppress

import pytest
from mooring_operator.adapters.cluster import Conflict, Kind, Ref
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, SERVICE
from scipy.stats import binom

from cluster.programs import ProgramUnavailableError
from tests.cluster.gateway_lab import MODELS, ROUTE, gateway_lab, load
from tests.cluster.gateway_operator import operating
from tests.played_revisions import PlayedRevisions
from tests.put import put

MODEL_DEPLOYMENT = Kind("mooring.dev/v1alpha1", "ModelDeployment", "modeldeployments")
TRIES = itertools.count()
STEPS = [{"setWeight": 10}, {"pause": {"duration": "1s"}}, {"setWeight": 50}, {"setWeight": 100}]


class Nodes:
    """KServe, Kubernetes and the kubelets: model s3://m/rN is served by the lab's server rN."""

    def __init__(self, lab):
        self._lab = lab
        self._played = PlayedRevisions(lab.cluster, MODELS, selects=False)
        self.broken = set()
        self._played.starts = lambda uri: uri not in self.broken

    async def play(self):
        while True:
            # The operator writes too: what came in between is seen the next time.
            with suppress(Conflict):
                await self._played.act()
                for deployment in await self._lab.cluster.list(DEPLOYMENT, namespace=MODELS):
                    await self._follow(deployment)
            await asyncio.sleep(0.05)

    async def _follow(self, deployment):
        """Have the slice of a revision's Service name the server while the revision has pods that are ready."""
        name, cluster = deployment["metadata"]["name"], self._lab.cluster
        service = await cluster.get(Ref(SERVICE, MODELS, name))
        if service is None:
            return
        server = deployment["metadata"]["annotations"]["uri"].rpartition("/")[2]
        ready = deployment.get("status", {}).get("readyReplicas", 0)
        pod = {
            "addresses": [self._lab.servers[server]],
            "conditions": {"ready": True},
            "nodeName": "node",
        }
        wanted = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {"name": name, "namespace": MODELS, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [pod] if ready else [],
            "ports": [{"name": service["spec"]["ports"][0]["name"], "port": 8080}],
        }
        found = await cluster.get(Ref(ENDPOINT_SLICE, MODELS, name))
        if found is None or (found.get("endpoints") or []) != wanted["endpoints"]:
            await put(cluster, wanted, ENDPOINT_SLICE)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    try:
        with gateway_lab(folder, exposed=False) as lab, operating(lab, folder):
            yield lab
    except ProgramUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
async def lab(everything):
    async with everything.connected() as lab:
        yield lab


@asynccontextmanager
async def played(lab):
    nodes = Nodes(lab)
    playing = asyncio.create_task(nodes.play())
    try:
        yield nodes
    finally:
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing


async def deploy(lab, version, *, anew=False, **rollout):
    """Ask for a version of the model; `anew`: as a revision that there has never been, so that no step is skipped."""
    tried = [{"name": "TRY", "value": str(next(TRIES))}] if anew else []
    rollout = {"steps": STEPS, "progressDeadline": "15s", "scaleDownDelay": "2s", **rollout}
    spec = {
        "model": {"uri": f"s3://m/{version}", "format": "onnx"},
        "serving": {"minReplicas": 1, "env": tried},
        "rollout": rollout,
    }
    await put(
        lab.cluster,
        {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.kind,
            "metadata": {"name": "digits", "namespace": MODELS},
            "spec": spec,
        },
        MODEL_DEPLOYMENT,
    )


async def reaches(lab, phase, version, seconds=90):
    """Wait until the spec as it is now is in a phase, with a version of the model stable."""
    deadline = time.monotonic() + seconds
    while True:
        found = await lab.cluster.get(Ref(MODEL_DEPLOYMENT, MODELS, "digits"))
        status = found.get("status", {})
        stable = (status.get("stable") or {}).get("storageUri")
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        if current and (status.get("phase"), stable) == (phase, f"s3://m/{version}"):
            return status
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.05)


async def test_promotions_and_a_rollback_lose_no_request_and_a_broken_model_gets_none(lab):
    async with played(lab) as nodes:
        await deploy(lab, "r1")
        status = await reaches(lab, "Promoted", "r1")
        assert status["router"] == {
            "name": "Gateway",
            "message": "Gateway gateways/front works and takes the deployment's host names",
        }
        assert status["url"] == "http://digits.models.svc.cluster.local"
        front = await lab.cluster.get(Ref(SERVICE, MODELS, "digits"))
        assert front["spec"]["externalName"] == "envoy.gateways.svc.cluster.local"
        async with load(lab) as seen:
            await deploy(lab, "r2")
            await reaches(lab, "Promoted", "r2")
            promoted = dict(seen.answered)
            nodes.broken.add("s3://m/r3")
            await deploy(lab, "r3")
            await reaches(lab, "RolledBack", "r2")
            rejected = dict(seen.answered)
            await deploy(lab, "r1")
            await reaches(lab, "Promoted", "r1")
        assert seen.failed == []
        assert min(promoted["r1"], promoted["r2"]) > 0
        assert set(rejected) == {"r1", "r2"}
        assert seen.answered["r1"] > rejected["r1"]
        assert dict((await lab.ask(50)).answered) == {"r1": 50}


async def reaches_reason(lab, reason, seconds=60):
    """Wait until the deployment stands where a reason says."""
    deadline = time.monotonic() + seconds
    while True:
        status = (await lab.cluster.get(Ref(MODEL_DEPLOYMENT, MODELS, "digits"))).get("status", {})
        if status.get("reason") == reason:
            return status
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.05)


async def approve(lab, candidate):
    ref = Ref(MODEL_DEPLOYMENT, MODELS, "digits")
    await lab.cluster.set_annotations(await lab.cluster.get(ref), {"mooring.dev/approve": candidate})


async def stable(lab, version):
    """Have a version promoted, whatever came before."""
    await deploy(lab, version, anew=True, steps=[{"setWeight": 100}])
    await reaches(lab, "Promoted", version)


async def test_blue_green_previews_and_switches_at_once(lab):
    async with played(lab):
        await stable(lab, "r1")
        async with load(lab) as seen:
            await deploy(lab, "r2", anew=True, strategy="BlueGreen", steps=[{"setWeight": 100}])
            status = await reaches_reason(lab, "PausedByStep")
            await preview_answers(lab, "r2")
            assert set(seen.answered) == {"r1"}
            await approve(lab, status["candidate"]["revision"])
            await reaches(lab, "Promoted", "r2")
        assert seen.failed == []
        assert seen.answered["r2"] > 0
        assert dict((await lab.ask(50)).answered) == {"r2": 50}
        gone = await lab.ask(1, host="digits-preview.models")
        assert [text[:3] for text in gone.failed] == ["404"]


async def preview_answers(lab, version, seconds=60):
    deadline = time.monotonic() + seconds
    while (seen := await lab.ask(20, host="digits-preview.models")).failed:
        assert time.monotonic() < deadline, seen.failed[0]
    assert dict(seen.answered) == {version: 20}


async def test_a_shadow_gets_copies_and_nobody_its_answers(lab):
    async with played(lab):
        await stable(lab, "r1")
        async with load(lab) as seen:
            before = await lab.received("r2")
            await deploy(
                lab, "r2", anew=True, strategy="Shadow", shadow={"percent": 20}, steps=[{"setWeight": 100}]
            )
            status = await reaches_reason(lab, "PausedByStep")
            [router] = [c for c in status["conditions"] if c["type"] == "RouterReady"]
            # Nothing says what this gateway does, and it copies all.
            assert (router["status"], router["reason"]) == ("True", "RouterImprecise")
            assert "does not say what it supports" in router["message"]
            asked = await lab.ask(100)
            assert dict(asked.answered) == {"r1": 100}
            assert await lab.received("r2") - before >= 100
            await approve(lab, status["candidate"]["revision"])
            await reaches(lab, "Promoted", "r2")
        assert seen.failed == []


async def test_an_ab_test_sends_who_matches_and_ends_at_its_time(lab):
    async with played(lab):
        await stable(lab, "r1")
        match = {"header": "X-Group", "value": "b"}
        test = {"weight": 0, "matches": [match], "duration": "3s", "then": "Promote"}
        async with load(lab) as seen:
            await deploy(lab, "r2", anew=True, strategy="ABTest", abTest=test, steps=[{"setWeight": 100}])
            await reaches_reason(lab, "SideBySide")
            assert dict((await lab.ask(50, headers={"x-group": "b"})).answered) == {"r2": 50}
            assert dict((await lab.ask(50)).answered) == {"r1": 50}
            await reaches(lab, "Promoted", "r2")
        assert seen.failed == []
        assert min(seen.answered["r1"], seen.answered["r2"]) > 0


async def test_three_revisions_answer_side_by_side_and_a_variant_wins_without_a_lost_request(lab):
    async with played(lab):
        await stable(lab, "r1")
        status = await reaches(lab, "Promoted", "r1")
        older = status["stable"]["revision"]
        await stable(lab, "r2")
        test = {
            "weight": 20,
            "variants": [{"name": "b", "revision": older, "weight": 30}],
            "matches": [{"header": "X-Group", "value": "b", "to": "b"}],
        }
        async with load(lab) as seen:
            await deploy(lab, "r3", anew=True, strategy="ABTest", abTest=test, steps=[{"setWeight": 100}])
            status = await reaches_reason(lab, "AwaitingApproval")
            assert f"variant b ({older})" in status["message"]
            [told] = [known for known in status["retained"] if known["revision"] == older]
            assert (told["variant"], told["weight"], told["routed"]) == ("b", 30, 30)
            answered = dict((await lab.ask(2000)).answered)
            for version, share in (("r1", 0.3), ("r2", 0.5), ("r3", 0.2)):
                low, high = binom.interval(0.9997, 2000, share)
                assert low <= answered[version] <= high, answered
            assert dict((await lab.ask(50, headers={"x-group": "b"})).answered) == {"r1": 50}
            ref = Ref(MODEL_DEPLOYMENT, MODELS, "digits")
            won = {"mooring.dev/promote": f"{older} best conversion"}
            await lab.cluster.set_annotations(await lab.cluster.get(ref), won)
            status = await reaches(lab, "RolledBack", "r1")
            assert "it won the test as variant b: best conversion" in status["message"]
            await settled(lab, "r1")
        assert seen.failed == []


async def test_recreate_loses_what_comes_in_its_gap_and_nothing_else(lab):
    async with played(lab):
        await stable(lab, "r1")
        async with load(lab) as seen:
            await deploy(lab, "r2", anew=True, strategy="Recreate", steps=[{"setWeight": 100}])
            status = await reaches_reason(lab, "Recreating")
            assert "nothing answers until that is ready" in status["message"]
            assert seen.failed == []
            await reaches(lab, "Promoted", "r2")
            await settled(lab, "r2")
        assert {text[:3] for text in seen.failed} <= {"503"}
        assert min(seen.answered["r1"], seen.answered["r2"]) > 0


async def settled(lab, version):
    assert dict((await lab.ask(50)).answered) == {version: 50}


REWRITTEN = {
    "type": "RequestHeaderModifier",
    "requestHeaderModifier": {"set": [{"name": "x-tenant", "value": "other"}]},
}
ROUTE_EDITS = {
    "weights": lambda spec: {"rules": [_weightless(spec["rules"][0])]},
    "host names": lambda spec: {"hostnames": ["stolen.example.com"]},
    "a filter": lambda spec: {"rules": [{**rule, "filters": [REWRITTEN]} for rule in spec["rules"]]},
    "a header": lambda spec: {
        "rules": [
            {**rule, "matches": [_with_header(one) for one in rule["matches"]]} for rule in spec["rules"]
        ]
    },
    "a listener": lambda spec: {"parentRefs": [{**spec["parentRefs"][0], "sectionName": "absent"}]},
}


def _weightless(rule):
    return {**rule, "backendRefs": [{**each, "weight": 0} for each in rule["backendRefs"]]}


def _with_header(match):
    return {**match, "headers": [{"type": "Exact", "name": "x-secret", "value": "1"}]}


@pytest.mark.parametrize("edit", ROUTE_EDITS.values(), ids=ROUTE_EDITS)
async def test_an_edited_route_is_put_back_at_once(lab, edit):
    """The operator looks at what is promoted when something of it changes, and not before."""
    async with played(lab):
        await stable(lab, "r1")
        ref = Ref(HTTP_ROUTE, MODELS, ROUTE)
        route = await lab.cluster.get(ref)
        await lab.cluster.change(route, {"spec": edit(route["spec"])})
        began = time.monotonic()
        while (await lab.cluster.get(ref))["spec"] != route["spec"]:
            # Nothing but a change makes the operator look within ten minutes.
            assert time.monotonic() < began + 60
            await asyncio.sleep(0.02)
