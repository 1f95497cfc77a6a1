"""The samples in docs/: the API server would take them, the models read them, and KServe's predictors follow."""

from pathlib import Path

import pytest
import yaml
from mooring_operator.adapters.routers.inference_services.manifest import components, predictor, scaling
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.cli.validation.check import check_document
from mooring_operator.cli.validation.source import read_objects
from mooring_operator.planning import identity

SAMPLES = sorted((Path(__file__).parents[4] / "docs" / "samples").glob("*.yaml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_is_valid_and_gives_a_predictor(sample):
    [document] = read_objects(sample.read_text())
    report = check_document(document)
    assert (report.kind, report.problems, report.warnings) == ("ModelDeployment", [], [])
    spec = ModelDeploymentSpec.model_validate(yaml.safe_load(sample.read_text())["spec"])
    revision = Revision(
        revision="0123456789",
        model_uri=spec.model.uri,
        storage_uri=spec.model.uri,
        format=spec.model.format,
        serving=identity.serving_snapshot(spec.serving),
    )
    made = {**predictor(revision), **scaling(revision.serving_spec)}
    assert ("model" in made) != spec.serving.is_custom
    assert set(components(revision)) == ({"transformer"} if spec.serving.transformer else set())


def test_there_is_a_sample_of_each_kind_of_server():
    assert {sample.stem for sample in SAMPLES} >= {"vllm", "sklearn", "triton", "custom"}
