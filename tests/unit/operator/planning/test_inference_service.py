"""InferenceServices that the operator writes."""

import pytest
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning import inference_service
from mooring_operator.planning.situation import Owner


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
