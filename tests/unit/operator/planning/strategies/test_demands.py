"""What a strategy demands, and which router can carry it out."""

import pytest
from mooring_operator.adapters.routers import ROUTERS
from mooring_operator.planning.strategies.demands import why_otherwise, why_unsupported

from tests.unit.operator.planning.world import spec_of

AB = {
    "strategy": "ABTest",
    "abTest": {"weight": 0, "matches": [{"header": "x", "value": "y"}], "sticky": "arm"},
}
NEW = "or make another ModelDeployment with a router that can"


def said(router, **rollout):
    return why_unsupported(spec_of("v1", rollout=rollout).rollout, ROUTERS[router].traits, router)


@pytest.mark.parametrize(
    ("router", "rollout", "message"),
    [
        (
            "KServe",
            {"strategy": "Shadow"},
            "spec.rollout.strategy Shadow: router KServe cannot serve each revision by itself, nor copy requests; "
            f"write Canary, {NEW}",
        ),
        (
            "Endpoints",
            {"strategy": "Shadow"},
            "spec.rollout.strategy Shadow: router Endpoints cannot copy requests; write one of Canary, BlueGreen, "
            f"ABTest, Recreate, {NEW}",
        ),
        (
            "Endpoints",
            AB,
            "spec.rollout.abTest.matches, spec.rollout.abTest.sticky: router Endpoints cannot send requests "
            f"by a header or a cookie, nor keep a caller with a revision; write one of Canary, BlueGreen, "
            f"Recreate, {NEW}",
        ),
        (
            "Knative",
            {"maxSurge": 1},
            f"spec.rollout.maxSurge: router Knative cannot count the pods of each revision; change them, {NEW}",
        ),
    ],
)
def test_the_fields_the_router_and_the_way_out_are_named(router, rollout, message):
    assert said(router, **rollout) == message


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("policy", ["Follow", "Pinned"])
@pytest.mark.parametrize("custom", [False, True])
def test_pods_that_follow_an_edit_in_spite_of_the_spec_are_told(router, policy, custom):
    own = {"template": {"containers": [{"name": "kserve-container", "image": "a"}]}} if custom else {}
    told = why_otherwise(spec_of("v1", serving={"runtimePolicy": policy, **own}), ROUTERS[router].traits)
    assert told.startswith("spec.serving.runtimePolicy Pinned: ") == bool(told)
    assert bool(told) == (policy == "Pinned" and not custom and router in ("KServe", "Knative"))


OTHER_PODS = "router Endpoints cannot give a revision other pods than its share of the traffic"


@pytest.mark.parametrize(
    ("rollout", "says"),
    [
        (
            {"steps": [{"setReplicas": 4}, {"setWeight": 10}, {"setWeight": 100}]},
            f"spec.rollout.steps: {OTHER_PODS} (setReplicas before a weight below 100); change them, {NEW}",
        ),
        (
            {"steps": [{"setWeight": 0}, {"setReplicas": "50%"}, {"setWeight": 10}, {"setWeight": 100}]},
            f"spec.rollout.steps: {OTHER_PODS} (setReplicas before a weight below 100); change them, {NEW}",
        ),
        (
            {"steps": [{"setWeight": 10}, {"setReplicas": 4}, {"setWeight": 100}]},
            f"spec.rollout.steps: {OTHER_PODS} (setReplicas before a weight below 100); change them, {NEW}",
        ),
        (
            {"strategy": "ABTest", "abTest": {"replicas": "50%"}},
            f"spec.rollout.abTest.replicas: {OTHER_PODS}; change them, {NEW}",
        ),
        (
            {"strategy": "ABTest", "abTest": {"replicas": 3, "sticky": "arm"}},
            f"spec.rollout.abTest.replicas, spec.rollout.abTest.sticky: {OTHER_PODS}, nor keep a caller with a "
            f"revision; write one of Canary, BlueGreen, Recreate, {NEW}",
        ),
        (
            {"maxSurge": "25%"},
            "spec.rollout.maxSurge: router Endpoints cannot bound the pods beyond those of the stable revision; change "
            f"them, {NEW}",
        ),
    ],
)
def test_pods_that_do_not_follow_from_shares_are_refused_where_they_must(rollout, says):
    assert said("Endpoints", **rollout) == says
    assert said("Gateway", **rollout) == ""


@pytest.mark.parametrize(
    "rollout",
    [
        {"steps": [{"setWeight": 0}, {"setReplicas": 4}, {"setWeight": 100}]},
        {"steps": [{"setReplicas": "100%"}, {"setWeight": 100}]},
        {"steps": [{"setWeight": 50}, {"setWeight": 100}, {"setReplicas": 4}]},
        {"strategy": "ABTest", "abTest": {"weight": 20}},
        {"strategy": "BlueGreen"},
        {"strategy": "Recreate"},
    ],
)
def test_pods_beside_no_share_or_all_of_it_are_anybodys(rollout):
    assert said("Endpoints", **rollout) == ""


@pytest.mark.parametrize("strategy", ["Canary", "BlueGreen", "Shadow", "Recreate"])
def test_the_gateway_can_all(strategy):
    assert said("Gateway", strategy=strategy) == said("Gateway", **AB) == ""


@pytest.mark.parametrize("router", ROUTERS)
def test_no_router_is_blamed_for_copies_that_nobody_asked_for(router):
    traits = ROUTERS[router].traits
    for rollout in ({}, {"strategy": "Shadow"}, {"strategy": "BlueGreen"}, AB):
        assert why_otherwise(spec_of("v1", rollout=rollout), traits) == ""
