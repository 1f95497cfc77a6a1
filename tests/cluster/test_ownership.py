"""Objects that are not Mooring's own stay as they are, and Mooring's own are put right: the operator's own process."""

import subprocess
from itertools import count

import pytest

from tests.cluster.rollout_steps import KServe, Model, Operator, install, until

NAMESPACE = "ownership"
NUMBERS = count(1)
SKLEARN = {
    "predictor": {
        "name": "theirs",
        "labels": {"mooring.dev/revision": "theirs"},
        "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://theirs/model"},
    }
}
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"
SCALERS = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"


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
def model(api, operator):
    return Model(api, NAMESPACE, f"m{next(NUMBERS)}")


def theirs(api, model, **metadata):
    """An InferenceService that somebody has made under the name of a ModelDeployment."""
    return api.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": model.name, "namespace": NAMESPACE, **metadata},
            "spec": SKLEARN,
        }
    )


def untouched(service, before):
    """Whether nothing but KServe has written it: the spec, its writers, and who owns it."""
    writers = [entry["manager"] for entry in service["metadata"]["managedFields"]]
    same = all(
        service["metadata"].get(part) == before["metadata"].get(part)
        for part in ("uid", "generation", "labels", "annotations", "ownerReferences")
    )
    return same and service["spec"] == before["spec"] and "mooring" not in writers


def name_taken(model):
    status = until(
        lambda: model.status,
        lambda seen: seen.get("reason") == "NameTaken",
        what="the name is not seen as taken",
    )
    assert {c["type"]: c["status"] for c in status["conditions"]}["Ready"] != "True"
    return status


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        # Labels and annotations like Mooring's own make nothing Mooring's.
        {
            "labels": {"app.kubernetes.io/managed-by": "mooring"},
            "annotations": {"mooring.dev/applied": "3f2a91c0de", "mooring.dev/adopt": "another"},
        },
        # Nor does an owner that is no controller, or another resource of the same name.
        {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}]},
        {
            "ownerReferences": [
                {
                    "apiVersion": "other.dev/v1",
                    "kind": "ModelDeployment",
                    "name": "x",
                    "uid": "u",
                    "controller": True,
                }
            ]
        },
    ],
    ids=["plain", "labelled", "owned", "controlled"],
)
def test_service_of_somebody_else_is_never_written(model, api, metadata):
    before = theirs(api, model, **metadata)
    model.apply("v1")
    status = name_taken(model)
    assert status["phase"] == "Failed"
    assert f"InferenceService {model.name}" in status["message"]
    model.apply("v2", minReplicas=3)
    until(lambda: model.status["observedGeneration"], lambda seen: seen == 2)
    assert untouched(model.service, before)
    api.delete(model.path)
    until(lambda: api.get(model.path), lambda found: found is None)
    assert untouched(model.service, before)


def test_service_of_somebody_else_survives_while_a_revision_is_tested(model, api):
    before = theirs(api, model)
    ci = {"testData": {"uri": "s3://m/test.parquet"}}
    model.apply("v1", spec={"ci": ci})
    name_taken(model)
    assert untouched(model.service, before)


def test_service_that_took_the_place_of_ours_is_left_alone(model, api, operator):
    model.apply("v1")
    model.reaches("Promoted")
    operator.kill()
    api.delete(model.service_path)
    before = theirs(api, model)
    operator.start()
    name_taken(model)
    assert untouched(model.service, before)
    api.delete(model.service_path)
    model.api.merge(model.path, {"metadata": {"annotations": {"look": "again"}}})
    model.reaches("Promoted")


def test_service_is_handed_over_by_annotation(model, api):
    theirs(api, model)
    made = model.apply("v1")
    message = name_taken(model)["message"]
    assert (
        f"kubectl annotate inferenceservice.serving.kserve.io {model.name} mooring.dev/adopt={model.name}"
        in message
    )
    api.merge(model.service_path, {"metadata": {"annotations": {"mooring.dev/adopt": model.name}}})
    model.api.merge(model.path, {"metadata": {"annotations": {"look": "again"}}})
    model.reaches("Promoted")
    (owner,) = model.service["metadata"]["ownerReferences"]
    assert owner["uid"] == made["metadata"]["uid"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": None},
        {"labels": None},
        {"annotations": None},
        {"labels": {"app.kubernetes.io/managed-by": None}},
        {"labels": {"mooring.dev/model-deployment": "another"}},
        {"ownerReferences": None, "labels": None, "annotations": None},
    ],
    ids=["owner", "labels", "annotations", "managed-by", "changed-label", "all"],
)
def test_what_was_taken_from_our_service_comes_back(model, metadata):
    model.apply("v1")
    model.reaches("Promoted")
    ours = {part: model.service["metadata"][part] for part in ("ownerReferences", "labels", "annotations")}
    model.api.merge(model.service_path, {"metadata": metadata})
    model.api.merge(model.path, {"metadata": {"annotations": {"look": "again"}}})
    until(
        lambda: {part: model.service["metadata"].get(part) for part in ours},
        lambda seen: seen == ours,
        what="owner, labels and annotations do not come back",
    )


@pytest.mark.parametrize(
    "added",
    [
        {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}},
        {"metadata": {"annotations": {"serving.kserve.io/disable-auto-update": "true"}}},
        {"spec": {"canary": [{"trafficPercent": 50, "predictor": {"name": "x"}}]}},
        {"spec": {"transformer": {"containers": [{"name": "t", "image": "t"}]}}},
    ],
    ids=["stop", "no-updates", "canary", "transformer"],
)
def test_what_decides_over_what_runs_is_taken_out_of_our_service(model, added):
    model.apply("v1")
    model.reaches("Promoted")
    ours = model.service["spec"], model.service["metadata"]["annotations"]
    model.api.merge(model.service_path, added)
    model.api.merge(model.path, {"metadata": {"annotations": {"look": "again"}}})
    until(
        lambda: (model.service["spec"], model.service["metadata"]["annotations"]),
        lambda seen: seen == ours,
        what="what was added stays",
    )


def test_orphan_of_an_earlier_deployment_is_taken_up(model, api):
    model.apply("v1")
    model.reaches("Promoted")
    orphan = model.service["metadata"]["uid"]
    api.request("DELETE", model.path, {"propagationPolicy": "Orphan"})
    # The garbage collector's part, which nobody plays here.
    api.merge(model.path, {"metadata": {"finalizers": None}})
    api.merge(model.service_path, {"metadata": {"ownerReferences": None}})
    until(lambda: api.get(model.path), lambda found: found is None)
    made = model.apply("v1")
    model.reaches("Promoted")
    metadata = model.service["metadata"]
    assert (metadata["uid"], metadata["ownerReferences"][0]["uid"]) == (orphan, made["metadata"]["uid"])


def test_service_of_an_earlier_deployment_is_waited_for(model, api):
    model.apply("v1")
    model.reaches("Promoted")
    before = model.service
    api.delete(model.path)
    until(lambda: api.get(model.path), lambda found: found is None)
    model.apply("v2")
    status = name_taken(model)
    assert status["phase"] == "Pending"
    assert model.service["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    api.delete(model.service_path)
    model.reaches("Promoted", "v2")


def test_cron_job_of_somebody_else_is_left_alone(model, api):
    name = f"{model.name}-batch"
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "none"}]}
    spec = {"schedule": "1 1 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    metadata = {"name": name, "namespace": NAMESPACE}
    before = api.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec})
    batch = {"schedule": "0 3 * * *", "input": "s3://rows/in/", "output": "s3://rows/out/"}
    model.apply("v1", spec={"batch": batch})
    model.reaches("Promoted")
    found = {c["type"]: c for c in model.status["conditions"]}
    assert found["BatchApplied"]["reason"] == "NameTaken"
    assert untouched(api.get(f"{JOBS}/{name}"), before)
    model.apply("v1")
    until(lambda: "batch" in model.status, lambda there: not there, what="status keeps the CronJob")
    api.delete(model.path)
    until(lambda: api.get(model.path), lambda found: found is None)
    assert untouched(api.get(f"{JOBS}/{name}"), before)


def test_autoscaler_of_somebody_else_is_left_alone(model, api):
    labels = {"serving.kserve.io/inferenceservice": model.name, "component": "predictor"}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}
    metadata = {"name": f"{model.name}-theirs", "namespace": NAMESPACE, "labels": labels}
    api.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata,
            "spec": {"scaleTargetRef": target, "maxReplicas": 2},
        }
    )
    for version in ("v1", "v2"):
        model.apply(version)
        model.reaches("Promoted", version)

    def scalers():
        return {
            item["metadata"]["name"] for item in api.items(SCALERS) if model.name in item["metadata"]["name"]
        }

    until(scalers, lambda seen: len(seen) == 2, what="KServe's leftover is not deleted")
    assert f"{model.name}-theirs" in scalers()


def test_describe_says_how_to_go_on(model, api, control_plane):
    theirs(api, model)
    model.apply("v1")
    name_taken(model)
    command = [
        "kubectl",
        "--kubeconfig",
        str(control_plane.kubeconfig),
        "-n",
        NAMESPACE,
        "get",
        "mdep",
        model.name,
    ]
    shown = subprocess.run([*command, "-o", "wide"], capture_output=True, text=True, check=True).stdout
    assert "was not made for this resource" in shown
