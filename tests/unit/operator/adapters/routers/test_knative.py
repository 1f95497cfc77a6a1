"""What is written for KServe in Knative mode."""

import pytest
from mooring_operator.adapters.routers import knative
from mooring_operator.adapters.routers.inference_services.status import read_condition
from mooring_operator.planning.routing import Arm

from tests.unit.operator.adapters.routers.revisions import OWNER, revision


def test_a_rejected_revision_is_kept_at_nothing():
    candidate = revision("ddddeeeeff", "v2", mode="Knative")
    tried = knative.split(OWNER, Arm(candidate, 20))["spec"]
    assert tried["predictor"]["canaryTrafficPercent"] == 20
    assert tried["predictor"]["model"]["storageUri"] == "s3://m/v2"
    assert "name" not in tried["predictor"]
    assert "canary" not in tried
    left = knative.reject(OWNER, candidate)["spec"]["predictor"]
    assert (left["canaryTrafficPercent"], left["model"]["storageUri"]) == (0, "s3://m/v2")
    promoted = knative.serve(OWNER, candidate)["spec"]["predictor"]
    assert "canaryTrafficPercent" not in promoted


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"message": "no image", "reason": "RevisionFailed"}, "no image"),
        (
            {"reason": "PredictorConfigurationReady"},
            "KServe reports Ready False: PredictorConfigurationReady",
        ),
        ({}, "KServe reports Ready False"),
    ],
)
def test_a_condition_without_a_message_is_told_as_one(said, told):
    status = {"conditions": [{"type": "Ready", "status": "False", **said}]}
    assert read_condition(status, "Ready") == (False, told)
