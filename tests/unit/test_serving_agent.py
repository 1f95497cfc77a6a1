"""The local serving agent's decisions: merging, weights, revisions, status. No process, no API."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.serving import knative, predictors
from cluster.serving.conditions import Condition, ready_condition, render_conditions
from cluster.serving.fleet import Fleet
from cluster.serving.inferenceservice_crd import inferenceservice_crd
from cluster.serving.predictors import InvalidSpecError, merge_predictor
from cluster.serving.routing import SmoothRoundRobin, standard_weights
from cluster.serving.service import Service
from cluster.serving.status import Failure
from cluster.serving.storage import UnusablePredictorError, copy_model, model_source

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
V1, V2 = {"storageUri": "file:///m/v1"}, {"storageUri": "file:///m/v2"}


class FakeReplica:
    backend = None
    pid = 1
    restarts = 0

    def __init__(self, deployment):
        self.deployment = deployment
        self.failure = None
        self.ready = False
        self.stopped = False

    async def stop(self):
        self.stopped = True
        self.ready = False


class Cluster:
    """One InferenceService over fake replicas."""

    def __init__(self, *, mode="Standard", **spec):
        self.replicas = []
        self.obj = {
            "metadata": {
                "name": "iris",
                "namespace": "shop",
                "annotations": {"serving.kserve.io/deploymentMode": mode},
            },
            "spec": spec,
        }
        self.service = Service(self.obj, start=self.start, base_url="http://front")

    def start(self, deployment):
        self.replicas.append(FakeReplica(deployment))
        return self.replicas[-1]

    def of(self, name):
        return self.service.fleet.replicas(name)

    def set(self, *names, ready=True):
        for name in names:
            for replica in self.of(name):
                replica.ready = ready

    def fail(self, name, message="bad model"):
        for replica in self.of(name):
            replica.failure = Failure("ModelLoadFailed", message, 1)

    def reconcile(self, now=NOW, **spec):
        self.obj["spec"] = self.obj["spec"] | spec
        self.service.observe({**self.obj, "status": self.service.status})
        self.service.status = self.service.reconcile(now)
        return self.service.status

    def condition(self, name):
        return next((c for c in self.service.status["conditions"] if c["type"] == name), None)


def canary(name="v2", percent=25, **predictor):
    return {"trafficPercent": percent, "predictor": {"name": name, "model": V2, **predictor}}


# Merging ---------------------------------------------------------------------------------------------------------


def test_maps_merge_lists_replace_and_nothing_is_unset():
    stable = {
        "minReplicas": 4,
        "maxReplicas": 9,
        "labels": {"a": "1", "b": "1"},
        "tolerations": [{"key": "x"}],
        "model": {
            "modelFormat": {"name": "onnx"},
            "storageUri": "s3://v1",
            "env": [{"name": "A"}, {"name": "B"}],
        },
    }
    over = {
        "name": "v2",
        "labels": {"b": "2"},
        "tolerations": [],
        "nodeSelector": None,
        "model": {"storageUri": "s3://v2", "env": [{"name": "C"}]},
    }
    assert merge_predictor(stable, over, 1) == {
        "name": "v2",
        "minReplicas": 1,
        "labels": {"a": "1", "b": "2"},
        "tolerations": [{"key": "x"}],
        "model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://v2", "env": [{"name": "C"}]},
    }


@pytest.mark.parametrize(
    ("stable", "percent", "own", "replicas"),
    [
        (4, 25, None, 1),
        (4, 26, None, 2),
        (4, 0, None, 0),
        (4, 0, 1, 1),
        (None, 10, None, 1),
        (2, 100, None, 2),
    ],
)
def test_canary_replicas(stable, percent, own, replicas):
    entry = canary(percent=percent) if own is None else canary(percent=percent, minReplicas=own)
    assert predictors.canary_replicas({"minReplicas": stable}, entry) == replicas


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"trafficPercent": 5, "predictor": {}}], "name is required"),
        ([canary(), canary()], "duplicated"),
        ([canary("v1")], "conflicts with stable"),
        ([canary("a", 60), canary("b", 60)], "sum up"),
        ([canary("a", -1)], "0 to 100"),
        ([canary("a", minReplicas=2)], "must not exceed"),
    ],
)
def test_specs_that_the_webhook_would_refuse(entries, message):
    with pytest.raises(InvalidSpecError, match=message):
        predictors.canaries("iris", {"predictor": {"name": "v1", "model": V1}, "canary": entries})


def test_a_promoted_canary_has_the_same_identity():
    spec = {
        "predictor": {"minReplicas": 4, "maxReplicas": 8, "labels": {"a": "1"}, "model": V1},
        "canary": [canary()],
    }
    (entry,) = predictors.canaries("iris", spec)
    promoted = predictors.stable_deployment(
        "iris",
        {"predictor": {"name": "v2", "minReplicas": 4, "maxReplicas": 8, "labels": {"a": "1"}, "model": V2}},
    )
    assert (promoted.name, promoted.digest) == (entry.deployment.name, entry.deployment.digest)
    assert promoted.replicas != entry.deployment.replicas


def test_empty_values_are_no_content():
    defaulted = {"name": "v2", "labels": {}, "model": {"name": "", "resources": {"limits": None}, **V2}}
    assert predictors.digest(defaulted) == predictors.digest({"name": "v2", "model": V2})
    assert predictors.digest({"a": 0}) != predictors.digest({})


def test_the_revision_is_what_the_model_declares_then_the_predictors_name():
    env = [{"name": "MOORING_REVISION", "value": "r9"}, {"name": "SECRET", "valueFrom": {}}]
    assert predictors.make_deployment("d", {"name": "v2", "model": {"env": env}}, 1).revision == "r9"
    assert predictors.make_deployment("d", {"name": "v2", "model": {}}, 1).revision == "v2"
    assert predictors.make_deployment("d", {"model": {}}, 1).revision == "d"


# Routing ---------------------------------------------------------------------------------------------------------


def test_an_unready_canary_leaves_stable_its_share():
    assert standard_weights("s", [("a", 10, True), ("b", 30, False)]) == {"s": 90, "a": 10}


weights = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 100), min_size=1).filter(
    lambda w: sum(w.values())
)


@given(weights)
def test_proportions_are_exact_over_a_round(given):
    deal = SmoothRoundRobin()
    deal.update(given)
    total = sum(given.values())
    assert Counter(deal.pick() for _ in range(total)) == Counter({k: v for k, v in given.items() if v})


@given(st.lists(weights, min_size=1, max_size=5))
def test_a_change_of_weights_never_picks_what_has_none(changes):
    deal = SmoothRoundRobin()
    for change in changes:
        deal.update(change)
        for _ in range(7):
            assert change[deal.pick()] > 0


def test_nothing_is_picked_without_weights():
    assert SmoothRoundRobin().pick() is None


# Conditions ------------------------------------------------------------------------------------------------------


def test_an_unchanged_condition_keeps_its_time():
    before = render_conditions([Condition("A", "True"), Condition("B", "True")], [], NOW)
    after = render_conditions([Condition("A", "True"), Condition("B", "False", "Why")], before, LATER)
    assert [c["lastTransitionTime"] for c in after] == [NOW, LATER]


def test_ready_takes_the_reason_of_what_is_not():
    unknown, false = Condition("A", "Unknown", "Later"), Condition("B", "False", "Broken", "text")
    assert ready_condition([unknown, false]) == Condition("Ready", "False", "Broken", "text")
    assert ready_condition([unknown]).status == "Unknown"


# Standard mode ---------------------------------------------------------------------------------------------------


async def test_a_first_start():
    cluster = Cluster(predictor={"model": V1, "minReplicas": 2})
    status = cluster.reconcile()
    assert len(cluster.of("iris-predictor")) == 2
    assert (status["modelStatus"]["transitionStatus"], "url" in status) == ("InProgress", False)
    assert cluster.condition("Ready")["status"] == "False"
    assert cluster.condition("IngressReady")["message"] == "Predictor HTTPRoute not created"

    cluster.set("iris-predictor")
    status = cluster.reconcile()
    assert (cluster.condition("PredictorReady")["status"], "url" in status) == ("True", False)
    assert cluster.condition("Ready")["message"] == "Predictor HttpRouteNotReady"

    status = cluster.reconcile()
    assert cluster.condition("Ready")["status"] == "True"
    assert status["url"] == "http://front/shop/iris"
    assert status["address"]["url"] == "http://iris-predictor.shop.svc.cluster.local"
    assert status["components"]["predictor"]["url"] == "http://front/shop/iris-predictor"
    assert status["modelStatus"]["states"] == {"activeModelState": "Loaded", "targetModelState": "Loaded"}
    assert status["modelStatus"]["copies"]["totalCopies"] == 2
    assert status["deploymentMode"] == "Standard"
    assert "canaryStatuses" not in status
    assert cluster.condition("CanaryPredictorReady") is None


async def test_status_does_not_change_without_a_cause():
    cluster = Cluster(predictor={"model": V1}, canary=[canary()])
    cluster.reconcile()
    cluster.set("iris-predictor")
    cluster.reconcile(NOW)
    assert cluster.reconcile(NOW) == cluster.reconcile(LATER)


async def test_a_canary_comes_fails_and_goes():
    cluster = Cluster(predictor={"model": V1, "minReplicas": 4})
    cluster.reconcile()
    cluster.set("iris-predictor")
    cluster.reconcile()
    status = cluster.reconcile(canary=[canary()])
    assert cluster.service.weights == {"iris-predictor": 100}
    assert status["canaryStatuses"][0] | {"modelStatus": 0} == {
        "name": "v2",
        "ready": False,
        "trafficPercent": 25,
        "modelStatus": 0,
    }
    assert cluster.condition("CanaryPredictorReady")["reason"] == "CanariesNotReady"
    assert cluster.condition("Ready")["status"] == "True"
    assert len(cluster.of("iris-predictor")) == 4

    cluster.fail("iris-v2-predictor")
    cluster.reconcile()
    assert cluster.condition("CanaryPredictorReady")["message"] == "v2: bad model"

    cluster.set("iris-v2-predictor")
    cluster.reconcile()
    assert cluster.service.weights == {"iris-predictor": 75, "iris-v2-predictor": 25}
    assert cluster.condition("CanaryPredictorReady")["reason"] == "AllCanariesReady"
    cluster.reconcile()
    assert len(cluster.of("iris-predictor")) == 3  # the canary's replicas are taken off stable's

    replica = cluster.of("iris-v2-predictor")[0]
    status = cluster.reconcile(canary=[])
    await cluster.service.fleet.settled()
    assert replica.stopped
    assert cluster.service.weights == {"iris-predictor": 100}
    assert "canaryStatuses" not in status
    assert cluster.condition("CanaryPredictorReady") is None


async def test_promotion_keeps_the_replica_and_ends_stable():
    cluster = Cluster(predictor={"model": V1}, canary=[canary(percent=100, minReplicas=1)])
    cluster.reconcile()
    cluster.set("iris-predictor", "iris-v2-predictor")
    cluster.reconcile()
    (old,), (new,) = cluster.of("iris-predictor"), cluster.of("iris-v2-predictor")

    cluster.reconcile(predictor={"name": "v2", "model": V2}, canary=[])
    assert cluster.of("iris-v2-predictor") == [new]
    assert cluster.service.weights == {"iris-v2-predictor": 100}
    await cluster.service.fleet.settled()
    assert old.stopped
    assert not new.stopped


async def test_stable_serves_until_its_unready_successor_does():
    cluster = Cluster(predictor={"name": "v1", "model": V1})
    cluster.reconcile()
    cluster.set("iris-v1-predictor")
    cluster.reconcile()
    (old,) = cluster.of("iris-v1-predictor")
    cluster.reconcile(predictor={"name": "v2", "model": V2})
    assert cluster.service.endpoints(cluster.service.pick()) == [old]
    cluster.set("iris-v2-predictor")
    cluster.reconcile()
    await cluster.service.fleet.settled()
    assert old.stopped
    assert cluster.service.endpoints(cluster.service.pick()) == cluster.of("iris-v2-predictor")


async def test_a_new_model_replaces_the_old_once_it_is_ready():
    cluster = Cluster(predictor={"model": V1})
    cluster.reconcile()
    cluster.set("iris-predictor")
    cluster.reconcile()
    (old,) = cluster.of("iris-predictor")
    status = cluster.reconcile(predictor={"model": V2})
    assert status["observedGeneration"] == 2
    new = next(replica for replica in cluster.replicas if replica is not old)
    assert cluster.service.endpoints("iris-predictor") == [old]

    new.failure = Failure("ModelLoadFailed", "bad model", 1)
    status = cluster.reconcile()
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert status["modelStatus"]["lastFailureInfo"] == {
        "reason": "ModelLoadFailed",
        "message": "bad model",
        "exitCode": 1,
    }
    assert cluster.condition("Ready")["status"] == "True"

    new.ready = True
    status = cluster.reconcile()
    await cluster.service.fleet.settled()
    assert old.stopped
    assert cluster.service.endpoints("iris-predictor") == [new]
    assert status["modelStatus"]["transitionStatus"] == "UpToDate"
    assert status["modelStatus"]["lastFailureInfo"]["message"] == "bad model"  # KServe leaves it there


async def test_back_to_a_model_that_still_runs_starts_nothing():
    cluster = Cluster(predictor={"model": V1})
    cluster.reconcile()
    cluster.set("iris-predictor")
    cluster.reconcile()
    (old,) = cluster.of("iris-predictor")
    cluster.reconcile(predictor={"model": V2})
    cluster.reconcile(predictor={"model": V1})
    assert cluster.of("iris-predictor") == [old]


async def test_an_invalid_spec_leaves_everything_running():
    cluster = Cluster(predictor={"model": V1})
    cluster.reconcile()
    cluster.set("iris-predictor")
    cluster.reconcile()
    status = cluster.reconcile(canary=[canary("a", 60), canary("b", 60)])
    assert status["modelStatus"]["transitionStatus"] == "InvalidSpec"
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "InvalidPredictorSpec"
    assert cluster.service.weights == {"iris-predictor": 100}


async def test_a_canary_in_knative_mode_is_invalid():
    cluster = Cluster(mode="Knative", predictor={"model": V1}, canary=[canary()])
    assert cluster.reconcile()["modelStatus"]["transitionStatus"] == "InvalidSpec"


async def test_stop_and_resume():
    cluster = Cluster(predictor={"model": V1})
    cluster.reconcile()
    cluster.set("iris-predictor")
    cluster.reconcile()
    (replica,) = cluster.of("iris-predictor")
    cluster.obj["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"
    status = cluster.reconcile()
    await cluster.service.fleet.settled()
    assert replica.stopped
    assert "address" not in status
    assert (cluster.condition("Ready")["reason"], cluster.condition("Stopped")["status"]) == (
        "Stopped",
        "True",
    )
    assert cluster.service.pick() is None
    del cluster.obj["metadata"]["annotations"]["serving.kserve.io/stop"]
    cluster.reconcile()
    cluster.set("iris-predictor")
    cluster.reconcile()
    cluster.reconcile()
    assert cluster.condition("Ready")["status"] == "True"


# Knative mode ----------------------------------------------------------------------------------------------------


def revisions(status):
    component = status["components"]["predictor"]
    keys = (
        "latestCreatedRevision",
        "latestReadyRevision",
        "latestRolledoutRevision",
        "previousRolledoutRevision",
    )
    return tuple(component.get(key, "-")[-1] for key in keys)


async def test_knative_canary_promotion_and_rollback():
    cluster = Cluster(mode="Knative", predictor={"model": V1})
    status = cluster.reconcile()
    assert revisions(status) == ("1", "-", "-", "-")
    assert cluster.condition("Ready")["status"] == "Unknown"
    cluster.set("iris-predictor-00001")
    status = cluster.reconcile()
    assert revisions(status) == ("1", "1", "1", "-")
    assert cluster.condition("Ready")["status"] == "True"
    assert status["components"]["predictor"]["traffic"] == [
        {"revisionName": "iris-predictor-00001", "latestRevision": True, "percent": 100}
    ]

    # A second revision with a fifth of the traffic; all of it stays where it is until that is ready.
    status = cluster.reconcile(predictor={"model": V2, "canaryTrafficPercent": 20})
    assert revisions(status) == ("2", "1", "1", "-")
    assert cluster.service.weights == {"iris-predictor-00001": 100}
    assert cluster.condition("LatestDeploymentReady")["status"] == "Unknown"
    cluster.set("iris-predictor-00002")
    status = cluster.reconcile()
    assert revisions(status) == ("2", "2", "1", "-")
    assert cluster.service.weights == {"iris-predictor-00002": 20, "iris-predictor-00001": 80}
    assert status["components"]["predictor"]["traffic"][1]["tag"] == "prev"

    # Back to nothing: the first revision has all the traffic.
    cluster.reconcile(predictor={"model": V2, "canaryTrafficPercent": 0})
    assert cluster.service.weights == {"iris-predictor-00002": 0, "iris-predictor-00001": 100}
    assert cluster.service.pick() == "iris-predictor-00001"

    # Without a percentage it is promoted, on the processes that run.
    (replica,) = cluster.of("iris-predictor-00002")
    status = cluster.reconcile(predictor={"model": V2})
    assert revisions(status) == ("2", "2", "2", "1")
    assert cluster.service.weights == {"iris-predictor-00002": 100}
    assert cluster.of("iris-predictor-00002") == [replica]
    cluster.reconcile()
    await cluster.service.fleet.settled()
    assert cluster.of("iris-predictor-00001") == []


async def test_a_split_survives_a_restart_of_the_agent():
    cluster = Cluster(mode="Knative", predictor={"model": V1})
    cluster.reconcile()
    cluster.set("iris-predictor-00001")
    cluster.reconcile()
    cluster.reconcile(predictor={"model": V2, "canaryTrafficPercent": 20})
    cluster.set("iris-predictor-00002")
    before = cluster.reconcile()

    again = Cluster(mode="Knative", **cluster.obj["spec"])
    again.service.status = before
    again.reconcile()
    again.set("iris-predictor-00002")
    assert revisions(again.reconcile()) == ("2", "2", "1", "-")
    # What the first revision was is not known any more: the second answers for it.
    assert all(again.service.endpoints(again.service.pick()) for _ in range(10))


async def test_a_failed_knative_revision_gets_no_traffic():
    cluster = Cluster(mode="Knative", predictor={"model": V1})
    cluster.reconcile()
    cluster.set("iris-predictor-00001")
    cluster.reconcile()
    cluster.reconcile(predictor={"model": V2, "canaryTrafficPercent": 50})
    cluster.fail("iris-predictor-00002")
    status = cluster.reconcile()
    assert cluster.service.weights == {"iris-predictor-00001": 100}
    assert status["modelStatus"]["lastFailureInfo"]["message"] == "bad model"
    assert cluster.condition("PredictorReady")["reason"] == "RevisionFailed"


def test_revisions_are_known_again_after_a_restart():
    component = {"latestCreatedRevision": "iris-predictor-00007"}
    history = knative.adopt(component, {"model": V1, "canaryTrafficPercent": 5})
    assert knative.record(history, "iris", {"model": V1}) is history
    assert knative.record(history, "iris", {"model": V2}).revisions[-1].name == "iris-predictor-00008"
    assert not knative.adopt({}, {"model": V1})


# Storage and definition ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "reason", "message"),
    [
        (None, "InvalidPredictorSpec", "missing"),
        ("s3://bucket/m", "ModelLoadFailed", "only file:///"),
        ("file://host/m", "ModelLoadFailed", "it names a host"),
        ("file:///etc/passwd", "ModelLoadFailed", "outside"),
        ("file://{root}/../up", "ModelLoadFailed", "the segment '..'"),
        ("file://{root}/none", "ModelLoadFailed", "there is nothing"),
    ],
)
def test_storage_that_cannot_be_used(tmp_path, uri, reason, message):
    model = {"storageUri": uri.format(root=tmp_path)} if uri else {}
    with pytest.raises(UnusablePredictorError, match=message) as caught:
        model_source({"model": model}, [tmp_path])
    assert caught.value.failure.reason == reason


def test_a_model_file_and_a_model_folder_end_up_the_same(tmp_path):
    folder = tmp_path / "v 1"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"x")
    for number, name in enumerate(("v%201", "v%201/model.onnx")):
        source = model_source({"model": {"storageUri": f"file://{tmp_path}/{name}"}}, [tmp_path])
        target = tmp_path / f"target{number}"
        copy_model(source, target)
        copy_model(source, target)
        assert [path.name for path in target.iterdir()] == ["model.onnx"]


def test_the_definition_is_served_with_status():
    (version,) = inferenceservice_crd()["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    assert [c["name"] for c in version["additionalPrinterColumns"]][:2] == ["URL", "READY"]


async def test_a_fleet_ends_what_is_not_wanted():
    started = []
    fleet = Fleet(lambda deployment: started.append(FakeReplica(deployment)) or started[-1])
    fleet.apply([predictors.make_deployment("a", {"model": V1}, 3)])
    fleet.apply([predictors.make_deployment("a", {"model": V1}, 1)])
    await fleet.settled()
    assert [replica.stopped for replica in started] == [False, True, True]
    await fleet.stop()
    assert all(replica.stopped for replica in started)
    assert fleet.names() == []
