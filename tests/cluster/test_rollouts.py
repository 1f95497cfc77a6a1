"""Rollouts from the first revision to the last, by the operator's own process on a real API server.

The test plays KServe: Deployments, autoscalers and status are what KServe would make of each InferenceService.
"""

from datetime import UTC, datetime
from itertools import count

import pytest

from tests.cluster.rollout_steps import KServe, Model, Operator, install, storage_uri, until

NAMESPACE = "rollouts"
STEPS = [
    {"setWeight": 10},
    {"approve": {"message": "compare the error rates"}},
    {"setWeight": 50},
    {"approve": {}},
    {"setWeight": 100},
]
NUMBERS = count(1)


@pytest.fixture(scope="module")
def api(control_plane):
    install(control_plane.api, NAMESPACE)
    return control_plane.api


@pytest.fixture(scope="module")
def kserve(api):
    with KServe(api, NAMESPACE) as player:
        yield player


@pytest.fixture(scope="module")
def operator(api, kserve, control_plane, tmp_path_factory):
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    with Operator(control_plane.kubeconfig, log, namespaces=NAMESPACE) as process:
        yield process


@pytest.fixture
def model(api, kserve, operator):
    """A ModelDeployment that is not there yet, with a name of its own."""
    found = Model(api, NAMESPACE, f"m{next(NUMBERS)}")
    yield found
    api.delete(found.path)
    # Nobody collects garbage here.
    api.delete(found.service_path)


def predictor(model, revision, version, **rest):
    """The predictor that one revision of a model is served by."""
    return {
        "name": f"r{revision[:8]}",
        "labels": {"mooring.dev/revision": revision},
        "model": {
            "modelFormat": {"name": "onnx"},
            "storageUri": storage_uri(model.name, version),
            "env": [{"name": "MOORING_REVISION", "value": revision}],
        },
        **rest,
    }


def promoted(model, version="v1", **wanted):
    model.apply(version, **wanted)
    return model.reaches("Promoted", version)["stable"]["revision"]


def conditions(status):
    return {condition["type"]: condition for condition in status["conditions"]}


def autoscalers(model):
    path = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    return {
        item["metadata"]["name"]
        for item in model.api.items(path)
        if item["metadata"]["name"].startswith(f"{model.name}-")
    }


def test_first_revision_gets_all_traffic_at_once(model):
    made = model.apply("v1", steps=STEPS, minReplicas=2)
    status = model.reaches("Promoted")
    revision = status["stable"]["revision"]
    service = model.service
    assert service["spec"] == {
        "predictor": predictor(model, revision, "v1", minReplicas=2, maxReplicas=2),
    }
    metadata = service["metadata"]
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "mooring",
        "app.kubernetes.io/part-of": "mooring",
        "mooring.dev/model-deployment": model.name,
    }
    assert metadata["annotations"].keys() == {
        "mooring.dev/applied",
        "serving.kserve.io/deploymentMode",
        "serving.kserve.io/autoscalerClass",
    }
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "mooring.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": model.name,
            "uid": made["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    owner = next(entry for entry in metadata["managedFields"] if "f:spec" in entry["fieldsV1"])
    assert (owner["manager"], owner["operation"]) == ("mooring", "Apply")
    assert status["url"] == f"http://{NAMESPACE}.example.com/{model.name}"
    model.reported("Deploying", "Promoted")


def test_canary_gets_10_50_and_100_percent_and_takes_over(model, kserve):
    first = promoted(model, steps=STEPS, minReplicas=2)
    before = autoscalers(model)
    model.apply("v2", steps=STEPS, minReplicas=2)
    status = model.reaches("AwaitingApproval", weight=10)
    second = status["candidate"]["revision"]
    canary = predictor(model, second, "v2")
    canary["model"]["name"] = ""
    stable = predictor(model, first, "v1", minReplicas=2, maxReplicas=2)
    assert model.service["spec"] == {
        "predictor": stable,
        "canary": [{"trafficPercent": 10, "predictor": canary}],
    }
    assert "compare the error rates" in status["message"]

    model.command("approve", f"{second}/1 by alice")
    model.reaches("AwaitingApproval", weight=50)
    assert model.service["spec"]["canary"] == [{"trafficPercent": 50, "predictor": canary}]

    # One replica of two: ready, as KServe says it, and not enough to take over.
    kserve.most[storage_uri(model.name, "v2")] = 1
    model.command("approve", second)
    model.reaches("Canary", weight=100)
    entry = {"trafficPercent": 100, "predictor": {**canary, "minReplicas": 2}}
    until(lambda: model.service["spec"], lambda spec: spec.get("canary") == [entry])
    until(
        lambda: model.service["status"].get("canaryStatuses", [{}])[0],
        lambda seen: (seen.get("ready"), seen.get("trafficPercent")) == (True, 100),
    )
    assert model.service["spec"]["predictor"] == stable

    assert len(autoscalers(model) - before) == 1
    kserve.most.clear()
    status = model.reaches("Promoted", "v2")
    assert model.service["spec"] == {
        "predictor": predictor(model, second, "v2", minReplicas=2, maxReplicas=2)
    }
    until(
        lambda: autoscalers(model),
        {f"{model.name}-r{second[:8]}-predictor"}.__eq__,
        what="the stable predictor's autoscaler of before is not deleted",
    )
    assert status["previous"]["revision"] == first
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted", "Promoted"]
    expected = ["SettingWeight", "AwaitingApproval", "Approved"] * 2 + [
        "SettingWeight",
        "Promoting",
        "Promoted",
    ]
    model.reported("Deploying", "Promoted", *expected)


def test_canary_that_never_gets_ready_is_rolled_back_at_the_deadline(model, kserve):
    first = promoted(model, minReplicas=1)
    spec = model.service["spec"]
    kserve.most[storage_uri(model.name, "v2")] = 0
    model.apply("v2", steps=STEPS, deadline="3s", minReplicas=1)
    until(lambda: model.service["spec"].get("canary"))
    status = model.reaches("RolledBack", "v1")
    assert status["reason"] == "ProgressDeadlineExceeded"
    assert f"revision {first} keeps serving" in status["message"]
    assert until(lambda: model.service["spec"], lambda now: "canary" not in now) == spec
    shown = conditions(status)
    assert {name: shown[name]["status"] for name in ("Ready", "Stalled")} == {
        "Ready": "False",
        "Stalled": "True",
    }
    assert "Reconciling" not in shown
    model.reported("Deploying", "Promoted", "SettingWeight", "ProgressDeadlineExceeded")


def test_change_of_serving_alone_keeps_the_predictors_name(model):
    first = promoted(model, minReplicas=1)
    model.apply("v1", steps=STEPS, minReplicas=1, env=[{"name": "THREADS", "value": "4"}])
    second = model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"]
    entry = model.service["spec"]["canary"][0]["predictor"]
    assert entry["name"] == f"r{second[:8]}"
    model.command("promote", second)
    status = until(
        lambda: model.status, lambda now: now["phase"] == "Promoted" and now["stable"]["revision"] == second
    )
    served = model.service["spec"]["predictor"]
    assert served["name"] == status["stable"]["workload"] == f"r{first[:8]}"
    assert served["labels"] == {"mooring.dev/revision": second}
    assert {"name": "THREADS", "value": "4"} in served["model"]["env"]


def test_conditions_and_observed_generation_follow_every_change_of_the_spec(model):
    promoted(model, minReplicas=1)
    before = model.status
    assert before["observedGeneration"] == model.resource["metadata"]["generation"] == 1
    assert conditions(before)["Ready"]["status"] == "True"
    model.apply("v2", steps=STEPS, minReplicas=1)
    under_way = model.reaches("AwaitingApproval", weight=10)
    assert under_way["observedGeneration"] == model.resource["metadata"]["generation"] == 2
    shown = conditions(under_way)
    assert (shown["Ready"]["status"], shown["Reconciling"]["status"]) == ("Unknown", "True")
    assert all(condition["observedGeneration"] == 2 for condition in shown.values())
    # Another reason, and no transition: the time stays.
    since = shown["Ready"]["lastTransitionTime"]
    until(lambda: f"{datetime.now(UTC):%FT%TZ}", lambda now: now > since)
    model.command("approve", under_way["candidate"]["revision"])
    assert conditions(model.reaches("AwaitingApproval", weight=50))["Ready"]["lastTransitionTime"] == since
