"""InferenceServices that the operator writes."""

from datetime import UTC, datetime

import pytest
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning import inference_service
from mooring_operator.planning.situation import Owner

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["$(DB_PASSWORD)", "$$(DB_PASSWORD)", "plain"])
def test_variables_of_a_spec_are_not_expanded_in_the_pod(text):
    revision = Revision(
        revision="abc1234567",
        model_uri="s3://m/v1",
        storage_uri="s3://m/v1",
        format="onnx",
        serving={"env": [{"name": "A", "value": text}]},
    )
    manifest = inference_service.serve(Owner("ns", "digits", "uid", 1), revision)
    written, ours = manifest["spec"]["predictor"]["model"]["env"]
    assert written == {"name": "A", "value": text.replace("$", "$$")}
    assert ours == {"name": "MOORING_REVISION", "value": "abc1234567"}


def test_models_are_given_no_token_of_the_api_server():
    revision = Revision(
        revision="abc1234567",
        model_uri="s3://m/v1",
        storage_uri="s3://m/v1",
        format="onnx",
        workload="rabc12345",
    )
    candidate = Candidate(
        **{**revision.model_dump(), "revision": "def1234567", "workload": "rdef12345", "weight": 10},
        started_at=START,
        step_started_at=START,
    )
    spec = inference_service.split(Owner("ns", "digits", "uid", 1), revision, candidate)["spec"]
    assert spec["predictor"]["automountServiceAccountToken"] is False
    assert spec["canary"][0]["predictor"]["automountServiceAccountToken"] is False
