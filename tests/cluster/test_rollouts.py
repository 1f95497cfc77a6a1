"""Rollouts from the first revision to the last, by the operator's own process on a real API server.

The test plays KServe: Deployments, autoscalers and status are what KServe would make of each InferenceService.
"""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import count

import pytest
from mooring_operator.api.names import REQUESTED_BY

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
        "annotations": {"mooring.dev/applied": revision},
        "automountServiceAccountToken": False,
        "model": {
            "modelFormat": {"name": "onnx"},
            # KServe's definition says both where nobody does.
            "name": "",
            "resources": {},
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


def commands(model):
    annotations = model.resource["metadata"].get("annotations", {})
    # Who asked for the revision stays, where the API server notes it.
    return {name for name in annotations if name.startswith("mooring.dev/")} - {REQUESTED_BY}


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
    assert service["spec"] == {"predictor": predictor(model, revision, "v1", minReplicas=2, maxReplicas=2)}
    metadata = service["metadata"]
    managed = {"app.kubernetes.io/managed-by": "mooring", "app.kubernetes.io/part-of": "mooring"}
    assert metadata["labels"] == {**managed, "mooring.dev/model-deployment": model.name}
    assert metadata["annotations"].pop("mooring.dev/applied")
    assert metadata["annotations"] == {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "hpa",
    }
    owner = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment", "name": model.name}
    owner["uid"] = made["metadata"]["uid"]
    assert metadata["ownerReferences"] == [{**owner, "controller": True, "blockOwnerDeletion": True}]
    writers = [entry for entry in metadata["managedFields"] if "f:spec" in entry["fieldsV1"]]
    assert [(entry["manager"], entry["operation"]) for entry in writers] == [("mooring", "Update")]
    assert status["url"] == f"http://{NAMESPACE}.example.com/{model.name}"
    model.reported("Deploying", "Promoted")


def test_canary_gets_10_50_and_100_percent_and_takes_over(model, kserve):
    first = promoted(model, steps=STEPS, minReplicas=2)
    before = autoscalers(model)
    model.apply("v2", steps=STEPS, minReplicas=2)
    status = model.reaches("AwaitingApproval", weight=10)
    second = status["candidate"]["revision"]
    canary = predictor(model, second, "v2")
    stable = predictor(model, first, "v1", minReplicas=2, maxReplicas=2)
    at_10 = {"trafficPercent": 10, "predictor": canary}
    assert model.service["spec"] == {"predictor": stable, "canary": [at_10]}
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
    served = predictor(model, second, "v2", minReplicas=2, maxReplicas=2)
    assert model.service["spec"] == {"predictor": served}
    mine = {f"{model.name}-r{second[:8]}-predictor"}
    until(lambda: autoscalers(model), lambda names: names == mine)
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
    assert (shown["Ready"]["status"], shown["Stalled"]["status"]) == ("False", "True")
    assert "Reconciling" not in shown
    model.reported("Deploying", "Promoted", "SettingWeight", "ProgressDeadlineExceeded")


def test_change_of_serving_alone_keeps_the_predictors_name(model):
    first = promoted(model, minReplicas=1)
    model.apply("v1", steps=STEPS, minReplicas=1, env=[{"name": "THREADS", "value": "4"}])
    second = model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"]
    assert model.service["spec"]["canary"][0]["predictor"]["name"] == f"r{second[:8]}"
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


def test_commands_pause_resume_abort_retry_and_roll_back(model):
    first = promoted(model)
    model.apply("v2", steps=STEPS)
    second = model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"]
    model.command("pause", f"{second} by alice: looking at it")
    model.command("approve", second)
    # The approval ends its step, the pause holds before the next.
    assert "looking at it" in model.reaches("Paused", weight=10)["message"]
    model.command("pause", None)
    model.reaches("AwaitingApproval", weight=50)
    model.command("abort", f"{second} too slow")
    status = model.reaches("RolledBack", "v1")
    assert (status["reason"], status["failedRevision"]) == ("Aborted", second)
    assert "too slow" in status["message"]
    until(lambda: "canary" not in model.service["spec"])
    until(lambda: not commands(model), what="commands that are done are not removed")
    model.command("retry", second)
    assert model.reaches("AwaitingApproval", weight=10)["candidate"]["attempt"] == 2
    model.command("promote", second)
    model.reaches("Promoted", "v2")
    model.command("rollback", f"{second} drifted")
    status = model.reaches("RolledBack", "v1")
    assert (status["stable"]["revision"], status["reason"]) == (first, "RollbackRequested")
    assert "drifted" in status["message"]
    served = predictor(model, first, "v1", minReplicas=1, maxReplicas=1)
    until(lambda: model.service["spec"], lambda spec: spec == {"predictor": served})
    model.command("approve", "0123456789")
    until(lambda: not commands(model), what="a command that fits nothing is not removed")


def test_operator_that_was_killed_goes_on_where_it_was(model, operator):
    promoted(model)
    model.apply("v2", steps=STEPS)
    second = model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"]
    service, status = model.service["metadata"]["generation"], model.status
    operator.kill()
    model.command("approve", second)
    assert model.status == status
    operator.start()
    model.reaches("AwaitingApproval", weight=50)
    assert model.service["metadata"]["generation"] == service + 1
    model.command("promote", second)
    model.reaches("Promoted", "v2")
    assert not operator.messages("error", "critical")


def test_what_somebody_changes_by_hand_is_put_right(model):
    promoted(model)
    model.apply("v2", steps=STEPS)
    model.reaches("AwaitingApproval", weight=10)
    spec = model.service["spec"]

    def as_it_was(now):
        return now == spec

    model.api.merge(model.service_path, {"spec": {"canary": [{**spec["canary"][0], "trafficPercent": 90}]}})
    until(lambda: model.service["spec"], as_it_was, what="the canary keeps a traffic that nobody gave it")
    model.api.merge(model.service_path, {"spec": {"predictor": {"minReplicas": 0}, "canary": None}})
    until(lambda: model.service["spec"], as_it_was, what="the canary stays away")
    model.api.delete(model.service_path)
    until(lambda: (model.service or {}).get("spec"), as_it_was, what="the service stays away")
    assert model.reaches("AwaitingApproval", weight=10)["candidate"]["attempt"] == 1


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_kubectl_shows_how_far_a_rollout_is(model, control_plane):
    def kubectl(*arguments):
        command = ["kubectl", "--kubeconfig", control_plane.kubeconfig, "-n", NAMESPACE, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    first = promoted(model)
    model.apply("v2", steps=STEPS)
    second = model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"]
    header, row = kubectl("get", "mdep", model.name).splitlines()
    assert header.split() == ["NAME", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "URL", "AGE"]
    url = f"http://{NAMESPACE}.example.com/{model.name}"
    assert row.split()[:-1] == [model.name, "AwaitingApproval", first, second, "10", url]
    message = f"revision {second} at 10% of traffic awaits approval: compare the error rates"
    header, row = kubectl("get", "mdep", model.name, "-o", "wide").splitlines()
    assert header.endswith("AGE   MESSAGE")
    assert row.endswith(message)
    model.reported("Deploying", "Promoted", "SettingWeight", "AwaitingApproval")
    described, events = kubectl("describe", "mdep", model.name).split("Events:")
    assert message in described
    assert re.search(rf"Normal +AwaitingApproval .* mooring.dev/operator +{message}", events)
    explained = kubectl("explain", "mdep.spec.rollout", "--recursive")
    fields = re.findall(r"^ +(\w+)\t", explained, re.MULTILINE)
    steps = fields[fields.index("steps") : fields.index("strategy")]
    kinds = {"analyse", "approve", "job", "pause", "setReplicas", "setWeight", "webhook"}
    assert kinds <= set(steps)
    assert steps[steps.index("pause") :][:2] == ["pause", "duration"]
    assert {"abTest", "blueGreen", "shadow", "maxSurge", "progressDeadline", "scaleDownDelay"} <= set(fields)
