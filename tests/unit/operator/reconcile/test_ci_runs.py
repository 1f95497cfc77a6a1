"""What a run of a test is given, and by which names the pipeline knows it."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest
import yaml
from mooring_components.options import parse_options
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.reconcile.ci_runs import CIRuns
from mooring_pipelines.compilation import PACKAGED
from mooring_pipelines.parameters import check_parameters

CANDIDATE = SimpleNamespace(revision="r2", storage_uri="s3://m/v2", content_digest="sha256:" + "2" * 64)
CHAMPION = SimpleNamespace(revision="r1", storage_uri="s3://m/v1", content_digest=None)
DATA = {
    "uri": "s3://d/t",
    "digest": "sha256:" + "3" * 64,
    "schema": "columns: [{name: a, type: integer}]",
    "inputs": [{"name": "x", "columns": ["a", "b"]}],
    "output": "y",
    "classes": ["1", "2"],
    "task": "Classification",
    "slices": ["country"],
}


def given(gates, champion, data=DATA):
    """The parameters of the run that is asked for."""
    asked = []

    async def launch(request):
        asked.append(request)

    async def address(place, seconds):
        return "s3://a/v.json"

    spec = ModelDeploymentSpec.model_validate(
        {
            "model": {"uri": "s3://m/v2", "format": "onnx"},
            "ci": {"testData": data, "gates": gates},
        }
    )
    runs = CIRuns(SimpleNamespace(launch=launch), SimpleNamespace(address=address), timedelta(hours=1))
    owner = Owner("default", "digits", "uid", 1)
    asyncio.run(runs.launch(owner, spec, "run", CANDIDATE, champion))
    (request,) = asked
    return request.parameters


BESIDE = {"metric": "accuracy", "notWorseThan": "champion", "margin": 0.01, "means": "Bound"}


@pytest.mark.parametrize("data", [DATA, {"uri": "s3://d/t"}])
@pytest.mark.parametrize("gates", [[], [BESIDE], [{"metric": "f1", "min": 0.5}]])
def test_the_pipeline_takes_what_it_is_given(gates, data):
    parameters = given(gates, CHAMPION, data)
    documents = yaml.safe_load_all((PACKAGED / "model-ci.yaml").read_text())
    check_parameters(next(document for document in documents if "pipelineInfo" in document), parameters)
    assert parameters["gates"] == gates
    parse_options(parameters["test_options"])


def test_fields_of_the_spec_are_options_of_the_test():
    parameters = given([], None)
    assert parameters["test_data_digest"] == DATA["digest"]
    assert (parameters["data_schema"], parameters["validates_data"]) == (DATA["schema"], True)
    assert given([], None, {"uri": "s3://d/t"})["validates_data"] is False
    options = parse_options(parameters["test_options"])
    assert options.inputs == {"x": ["a", "b"]}
    assert (options.output, options.classes, options.task) == ("y", ["1", "2"], "Classification")


def test_the_champion_is_named_where_a_gate_asks_for_it():
    assert given([BESIDE], CHAMPION)["champion_uri"] == "s3://m/v1"
    assert "champion_uri" not in given([], CHAMPION)
    assert "champion_uri" not in given([BESIDE], None)
