"""The InferenceService of one revision."""

import pytest
from mooring_operator.adapters.routers.inference_services.revision_manifest import (
    LONGEST_NAME,
    LONGEST_NAMES,
    name_of,
    revision_service,
)
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning.objects.owner import Owner

from tests.unit.operator.adapters.routers.revisions import OWNER, revision

FIXED = {"minReplicas": 4, "autoscaling": {"scaler": "None"}}
KEDA = {"autoscaling": {"scaler": "KEDA", "metric": "cpu"}}


def replicas(pods, serving, **how):
    predictor = revision_service(OWNER, revision(**serving), pods=pods, **how)["spec"]["predictor"]
    return predictor["minReplicas"], predictor["maxReplicas"]


@pytest.mark.parametrize(
    ("pods", "serving", "expected"),
    [
        (None, FIXED, (4, 4)),
        (2, FIXED, (2, 2)),
        (0, FIXED, (0, 1)),
        (9, FIXED, (9, 9)),
        (None, {"minReplicas": 2, "maxReplicas": 5}, (2, 5)),
        (4, {"minReplicas": 2, "maxReplicas": 5}, (4, 5)),
        (1, {"minReplicas": 2, "maxReplicas": 5}, (2, 5)),
        (8, {"minReplicas": 2, "maxReplicas": 5}, (8, 8)),
        (0, {"minReplicas": 2, "maxReplicas": 5}, (2, 5)),
    ],
)
def test_pods_become_replicas_that_kserve_takes_up(pods, serving, expected):
    assert replicas(pods, serving) == expected


def test_a_router_that_weighs_by_pods_gets_exactly_those():
    assert replicas(3, {"minReplicas": 2, "maxReplicas": 5}, exact=True) == (3, 3)
    assert replicas(None, {"minReplicas": 2, "maxReplicas": 5}, exact=True) == (2, 5)


@pytest.mark.parametrize("serving", [FIXED, {"maxReplicas": 5}, KEDA])
def test_nothing_but_the_scaling_changes_while_pods_live(serving):
    def rest(pods):
        made = revision_service(OWNER, revision(**serving), pods=pods)
        for name in ("minReplicas", "maxReplicas"):
            made["spec"]["predictor"].pop(name)
        return made

    assert rest(None) == rest(1) == rest(7)


def test_keda_brings_no_pods_back_to_a_revision_that_is_kept():
    def stopped(pods):
        return revision_service(OWNER, revision(**KEDA), pods=pods)["metadata"]["annotations"][
            "serving.kserve.io/stop"
        ]

    assert [stopped(pods) for pods in (None, 1, 0)] == ["false", "false", "true"]


def test_kserve_routes_nothing_by_itself_and_services_can_select_the_pods():
    made = revision_service(OWNER, revision(), pods=None)
    labels = {"mooring.dev/model-deployment": "digits", "mooring.dev/revision": "aaaabbbbcc"}
    assert made["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    assert made["metadata"]["labels"].items() >= labels.items()
    assert made["spec"]["predictor"]["labels"].items() >= labels.items()
    assert "canary" not in made["spec"]


def test_the_longest_names_fit_into_labels_of_kubernetes_and_dns():
    owner = Owner("n" * (LONGEST_NAMES - LONGEST_NAME), "m" * LONGEST_NAME, "uid-1", 1)
    name = name_of(owner, revision())
    assert len(f"isvc.{name}-predictor") == 63
    assert len(f"{name}-predictor-{owner.namespace}") == 63


def test_a_pinned_runtime_is_the_revisions_own_and_keeps_the_models_name():
    runtime = PinnedRuntime(
        kind="ClusterServingRuntime", name="kserve-mlserver", server_type="mlserver", spec={}
    )
    model = revision_service(OWNER, revision().model_copy(update={"runtime": runtime}), pods=None)["spec"][
        "predictor"
    ]["model"]
    assert model["runtime"] == "digits-raaaabbbb"
    assert {"name": "MLSERVER_MODEL_NAME", "value": "digits"} in model["env"]
    own = revision(env=[{"name": "MLSERVER_MODEL_NAME", "value": "mine"}]).model_copy(
        update={"runtime": runtime}
    )
    environment = revision_service(OWNER, own, pods=None)["spec"]["predictor"]["model"]["env"]
    assert [entry["value"] for entry in environment if entry["name"] == "MLSERVER_MODEL_NAME"] == ["mine"]
