"""Which router a deployment has, before the API emulator."""

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Forbidden, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers import ROUTERS, DefaultGateway, Routers, likely_router
from mooring_operator.adapters.routers.gateway_classes import GATEWAY_CLASS
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.api.serving import ServingSpec

from tests.operator.objects import DEFINITION
from tests.played_gateway import NAME, NAMESPACE, PlayedGateway
from tests.put import drop
from tests.unit.operator.adapters.routers.revisions import OWNER, revision

DEFAULT = DefaultGateway(NAME, NAMESPACE, "envoy.projectcontour.svc.cluster.local")
NONE_NAMED = "no Gateway is named, by spec.rollout.gateway or the operator's MOORING_GATEWAY"


@pytest.fixture
async def cluster(emulator, tmp_path):
    connection = Connection(load_config(emulator.kubeconfig(tmp_path / "kubeconfig")))
    yield KubernetesCluster(connection)
    await connection.close()


def spec(mode="Standard", **rollout):
    return ModelDeploymentSpec.model_validate(
        {"model": {"uri": "s3://m/v1", "format": "onnx"}, "serving": {"mode": mode}, "rollout": rollout}
    )


async def choose(cluster, asked, status=None, default=DEFAULT):
    chosen = await Routers(cluster, default).choose(OWNER, asked, status or ModelDeploymentStatus())
    return chosen.name, chosen.why, chosen.held


async def test_a_gateway_that_works_is_chosen(cluster):
    await PlayedGateway(cluster, "ns").open()
    why = "Gateway gateways/front works and takes the deployment's host names"
    assert await choose(cluster, spec()) == ("Gateway", why, "")
    own = spec(gateway={"name": NAME, "namespace": NAMESPACE})
    assert await choose(cluster, own, default=None) == ("Gateway", why, "")


class Hidden:
    """A cluster of which one namespace may be read."""

    async def get(self, ref):
        raise Forbidden(f"{ref.kind.plural} is forbidden")


async def test_what_may_not_be_looked_at_stops_nothing():
    why = "; what is installed in the cluster is hidden"
    assert await choose(Hidden(), spec()) == (
        "KServe", f"not Gateway: the operator may not read Gateway gateways/front{why}", ""
    )  # fmt: skip
    name, said, _ = await choose(Hidden(), spec(), default=None)
    assert (name, said.endswith(why)) == ("KServe", True)


async def traits(cluster, asked, default=DEFAULT):
    return await Routers(cluster, default).traits(OWNER, asked, "Gateway")


SHADOW = {"strategy": "Shadow", "shadow": {"percent": 10}}
STICKY = {"strategy": "ABTest", "abTest": {"sticky": "arm"}}


async def test_what_the_class_of_a_gateway_does_not_list_is_not_asked_of_it(cluster, emulator):
    await PlayedGateway(cluster, "ns").open()
    unknown = await traits(cluster, spec(**SHADOW))
    assert (unknown.mirrors, unknown.mirrors_part) == (True, False)
    listed = [{"name": name} for name in ("HTTPRoute", "HTTPRouteRequestMirror")]
    listing = {"metadata": {"name": "played"}, "status": {"supportedFeatures": listed}}
    emulator.objects.create(GATEWAY_CLASS, "", listing)
    emulator.objects.set_status(Ref(GATEWAY_CLASS, "", "played"), listing["status"])
    known = await traits(cluster, spec(**SHADOW))
    assert (known.mirrors, known.mirrors_part) == (True, False)
    assert known.lacking.startswith("GatewayClass played does not list HTTPRouteRequestPercentageMirror, ")
    assert not (await traits(cluster, spec(**STICKY))).sticks


@pytest.mark.parametrize("rollout", [{}, {"strategy": "BlueGreen"}, {"strategy": "ABTest", "abTest": {}}])
async def test_a_class_is_asked_for_what_only_some_have(emulator, cluster, rollout):
    await PlayedGateway(cluster, "ns").open()
    emulator.calls.clear()
    assert await traits(cluster, spec(**rollout)) is ROUTERS["Gateway"].traits
    assert emulator.calls == []


async def test_a_gateway_that_is_missing_or_a_class_that_is_hidden_stops_nothing(cluster):
    assert await traits(cluster, spec(**SHADOW)) is ROUTERS["Gateway"].traits
    assert await traits(cluster, spec(**SHADOW), default=None) is ROUTERS["Gateway"].traits
    await PlayedGateway(cluster, "ns").open()

    class Narrow(KubernetesCluster):
        async def get(self, ref):
            if ref.kind is GATEWAY_CLASS:
                raise Forbidden("gatewayclasses is forbidden")
            return await cluster.get(ref)

    hidden = await traits(Narrow.__new__(Narrow), spec(**SHADOW))
    assert hidden.lacking == "GatewayClass played does not say what it supports"


async def test_knative_mode_has_one_router(cluster):
    await PlayedGateway(cluster, "ns").open()
    assert await choose(cluster, spec("Knative")) == ("Knative", "spec.serving.mode is Knative", "")


@pytest.mark.parametrize(
    ("listeners", "programmed", "rollout", "lacking"),
    [
        (None, "", {}, "there is no Gateway gateways/front"),
        (None, "", {"gateway": {"name": "mine"}}, "there is no Gateway ns/mine"),
        (["*.example.com"], "True", {}, "takes digits.ns, they take *.example.com"),
        (
            ["*.example.com"],
            "True",
            {"host": "a.b.example.org"},
            "takes a.b.example.org, they take *.example.com",
        ),
        ([""], "False", {}, "Gateway gateways/front is not programmed: Programmed"),
    ],
)
async def test_what_the_cluster_lacks_is_told_with_the_choice(
    cluster, listeners, programmed, rollout, lacking
):
    if listeners is not None:
        await PlayedGateway(cluster, "ns").open(*listeners, programmed=programmed)
    name, why, held = await choose(cluster, spec(**rollout))
    assert (name, held) == ("KServe", "")
    assert why.startswith("not Gateway: ")
    assert lacking in why


async def test_without_a_gateway_that_is_named_kserve_splits_traffic(cluster):
    await PlayedGateway(cluster, "ns").open()
    assert await choose(cluster, spec(), default=None) == ("KServe", f"not Gateway: {NONE_NAMED}", "")


async def test_without_the_gateway_api_pods_split_traffic(cluster):
    await drop(cluster, Ref(DEFINITION, "", "httproutes.gateway.networking.k8s.io"))
    why = f"not Gateway: {NONE_NAMED}; not KServe: the Gateway API is not installed"
    assert await choose(cluster, spec(), default=None) == ("Endpoints", why, "")


@pytest.mark.parametrize(
    ("asked", "router", "why"),
    [
        ({"strategy": "BlueGreen"}, "Endpoints", "it cannot serve each revision by itself, and not give a revision an"),
        ({"strategy": "Recreate"}, "Endpoints", "it cannot serve each revision by itself"),
        ({"strategy": "ABTest", "abTest": {"weight": 20}}, "Endpoints", "it cannot serve each revision by itself"),
        ({"steps": [{"setWeight": 0}, {"setWeight": 100}]}, "Endpoints", "it cannot run a revision without traffic"),
        ({"steps": [{"setReplicas": 2}, {"setWeight": 100}]}, "Endpoints", "pods of its own (setReplicas)"),
        ({"transformer": {"containers": [{"name": "a", "image": "b"}]}}, "Endpoints", "a transformer"),
        ({"runtimePolicy": "Pinned"}, "Endpoints", "it cannot keep a revision on its runtime as it was"),
        ({"strategy": "Shadow"}, "KServe", ""),
        ({"maxSurge": 1}, "KServe", ""),
        ({"steps": [{"setWeight": 10}, {"setWeight": 100}]}, "KServe", ""),
    ],
)  # fmt: skip
async def test_by_itself_the_router_is_one_that_can_what_is_asked_for(cluster, asked, router, why):
    serving = {name: value for name, value in asked.items() if name in ("transformer", "runtimePolicy")}
    rollout = {name: value for name, value in asked.items() if name not in serving}
    wanted = spec(**rollout).model_copy(update={"serving": ServingSpec.model_validate(serving)})
    name, said, held = await choose(cluster, wanted, default=None)
    assert (name, held) == (router, "")
    because = said.removeprefix(f"not Gateway: {NONE_NAMED}")
    assert because.startswith("; not KServe: it cannot ") if router == "Endpoints" else because == ""
    assert why in because
    assert likely_router(wanted) in (router, "Gateway")


async def test_what_is_served_stays_with_its_router(cluster):
    await PlayedGateway(cluster, "ns").open()
    before = ModelDeploymentStatus(stable=revision())
    assert (await choose(cluster, spec(), before))[0] == "KServe"
    chosen = ModelDeploymentStatus.model_validate(
        {
            "stable": revision().model_dump(by_alias=True),
            "router": {"name": "Endpoints", "message": "because"},
        }
    )
    assert await choose(cluster, spec(), chosen) == ("Endpoints", "because", "")
    assert await choose(cluster, spec(router="Endpoints"), chosen) == (
        "Endpoints",
        "spec.rollout.router asks for it",
        "",
    )


@pytest.mark.parametrize("asked", ["Endpoints", "Gateway"])
async def test_what_an_earlier_spec_asked_for_is_no_reason_any_more(cluster, asked):
    stable = {"stable": revision().model_dump(by_alias=True)}
    first = ModelDeploymentStatus.model_validate(
        {**stable, "router": {"name": "Endpoints", "message": "because"}}
    )
    _, told, _ = await choose(cluster, spec(router=asked), first)
    then = ModelDeploymentStatus.model_validate({**stable, "router": {"name": "Endpoints", "message": told}})
    assert await choose(cluster, spec(), then) == ("Endpoints", "what is served stays with it", "")


@pytest.mark.parametrize("asked", ["Gateway", "KServe"])
async def test_another_router_for_what_is_served_is_refused_with_the_way_out(cluster, asked):
    status = ModelDeploymentStatus.model_validate(
        {"stable": revision().model_dump(by_alias=True), "router": {"name": "Endpoints"}}
    )
    name, _, held = await choose(cluster, spec(router=asked), status)
    assert name == "Endpoints"
    assert held.startswith(f"spec.rollout.router {asked}: what is served stays with router Endpoints")
    assert f"or make another ModelDeployment with {asked}" in held
