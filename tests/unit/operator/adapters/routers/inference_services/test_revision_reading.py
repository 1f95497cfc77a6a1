"""What an InferenceService of one revision and its Deployments say."""

import pytest
from mooring_operator.adapters.routers.inference_services.revision_manifest import revision_service
from mooring_operator.adapters.routers.inference_services.revision_reading import (
    components_of,
    lags_behind,
    read_variant,
)
from mooring_operator.planning.status.pod_causes import Cause

from tests.unit.operator.adapters.routers.revisions import OWNER, revision

KEDA = {"autoscaling": {"scaler": "KEDA"}}
FIXED = {"minReplicas": 4, "autoscaling": {"scaler": "None"}}
REVISION = revision()


def service(revision=REVISION, status=None, stopped=False, **components):
    made = revision_service(OWNER, revision, pods=0 if stopped else None)
    for name, said in components.items():
        made["spec"][name] = {**made["spec"].get(name, {}), **said}
    return {
        **made,
        "status": {"conditions": [{"type": "Ready", "status": "False"}]} if status is None else status,
    }


def deployment(ready, replicas=1, generation=1, **status):
    counts = {"readyReplicas": ready, "replicas": replicas, "observedGeneration": 1}
    return {
        "metadata": {"name": "digits-raaaabbbb-predictor", "generation": generation},
        "spec": {"replicas": replicas},
        "status": {**counts, **status},
    }


def read(deployments, cause=None, revision=REVISION, **how):
    return read_variant(revision, service(revision, **how), deployments, cause)


def test_a_revision_is_ready_with_its_pods_whatever_the_inference_service_says():
    seen = read({"predictor": deployment(3, 4)})
    assert (seen.ready, seen.pods, seen.message, seen.waiting, seen.blocked) == (True, 3, "", "", None)
    assert seen.weight is None


def test_pods_that_an_autoscaler_adds_make_nothing_unready():
    conditions = [{"type": "Available", "status": "False", "message": "minimum availability"}]
    assert read({"predictor": deployment(1, 4, unavailableReplicas=3, conditions=conditions)}).ready


@pytest.mark.parametrize(
    ("made", "how", "pods"),
    [
        (deployment(2, 0), {}, 0),
        (deployment(4, 2), {}, 2),
        (deployment(2, 2), {"revision": revision(**FIXED), "predictor": {"minReplicas": 0}}, 0),
        (deployment(2, 2), {"predictor": {"minReplicas": 0}}, 2),
        (deployment(2, 2), {"revision": revision(**KEDA), "stopped": True}, 0),
        (deployment(2, 2), {"revision": revision(**KEDA), "stopped": False}, 2),
    ],
    ids=["none asked for", "fewer", "fixed at none", "an autoscaler's least", "stopped", "not stopped"],
)
def test_pods_that_are_to_end_do_not_count(made, how, pods):
    seen = read({"predictor": made}, **how)
    assert (seen.ready, seen.pods) == (pods > 0, pods)


def test_pods_that_were_counted_before_they_were_asked_for_as_now_may_be_on_their_way_out():
    assert lags_behind({"predictor": deployment(1, 1, generation=2)})
    assert lags_behind({"predictor": deployment(1), "transformer": deployment(1, 1, generation=2)})
    assert not lags_behind({"predictor": deployment(1), "transformer": None})


def test_a_component_without_pods_holds_the_revision_up():
    composed = REVISION.model_copy(update={"serving": {"transformer": {"containers": [{"name": "t"}]}}})
    assert components_of(composed) == ["predictor", "transformer"]
    down = {"predictor": deployment(2, 2), "transformer": deployment(0)}
    seen = read(down, revision=composed)
    assert (seen.ready, seen.pods) == (False, 0)
    assert read({**down, "transformer": deployment(1)}, revision=composed).pods == 2
    assert "-transformer." in seen.address


def test_a_transformer_that_somebody_added_is_no_part_of_the_revision():
    made = service(transformer={"containers": [{"name": "t"}]})
    seen = read_variant(REVISION, made, {"predictor": deployment(2, 2)})
    assert "-predictor." in seen.address
    assert components_of(REVISION) == ["predictor"]


@pytest.mark.parametrize(
    ("deployments", "how", "word"),
    [
        ({"predictor": None}, {"status": {}}, "KServe has not taken up InferenceService digits-raaaabbbb"),
        ({"predictor": deployment(0, generation=2)}, {}, "Kubernetes has not taken up Deployment"),
        ({"predictor": deployment(0, 0)}, {"revision": revision(**FIXED)}, "KServe has not scaled"),
        ({"predictor": deployment(1, 1)}, {"revision": revision(**FIXED)}, "KServe has not scaled"),
    ],
)
def test_a_controller_that_is_away_is_waited_for(deployments, how, word):
    assert read(deployments, **how).waiting.startswith(word)


@pytest.mark.parametrize(
    ("deployments", "how"),
    [
        ({"predictor": None}, {}),
        ({"predictor": deployment(0)}, {}),
        ({"predictor": deployment(3, 7)}, {}),
        ({"predictor": deployment(2, 4)}, {"revision": revision(**FIXED)}),
    ],
)
def test_pods_that_are_on_their_way_are_the_revisions_own_doing(deployments, how):
    assert read(deployments, **how).waiting == ""


def failure(transition, reason):
    info = {"reason": reason, "message": "why"}
    return {
        "status": {
            "conditions": [{}],
            "modelStatus": {"transitionStatus": transition, "lastFailureInfo": info},
        }
    }


@pytest.mark.parametrize(
    ("how", "blocked"),
    [
        (failure("InvalidSpec", "NoSupportingRuntime"), "KServe reports NoSupportingRuntime: why"),
        (failure("InvalidSpec", "RuntimeNotRecognized"), None),
        (failure("BlockedByFailedLoad", "ModelLoadFailed"), None),
        (failure("InProgress", "NoSupportingRuntime"), None),
    ],
)
def test_only_what_cannot_heal_is_final(how, blocked):
    how["status"]["conditions"] = [{"type": "Ready", "status": "False", "message": ""}]
    assert read({"predictor": deployment(0)}, **how).blocked == blocked
    assert read({"predictor": deployment(1)}, **how).blocked is None


def test_the_cause_is_told_and_the_conditions_where_there_is_none():
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
    down = {"predictor": deployment(0, conditions=conditions)}
    assert read(down).message == "exceeded quota"
    assert read(down, Cause("no image")).message == "no image"
    assert read(down, Cause("no image", final=True)).blocked == "no image"
    said = {"conditions": [{"type": "PredictorReady", "status": "False", "message": "no runtime"}]}
    assert read({"predictor": None}, status=said).message == "no runtime"


def test_a_controller_that_has_told_why_is_not_away():
    seen = read({"predictor": None}, Cause("InternalError: unsupported storage"), status={})
    assert (seen.waiting, seen.message) == ("", "InternalError: unsupported storage")
