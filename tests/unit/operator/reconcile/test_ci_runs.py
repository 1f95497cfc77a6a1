"""What a run of a test is given, and by which names the pipeline knows it."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest
import yaml
from mooring_artifacts.demands import parse_demands
from mooring_artifacts.gates import Violation
from mooring_artifacts.run_documents import Verdict as Document
from mooring_artifacts.run_documents import describe_failure
from mooring_components.options import Fairness, parse_options
from mooring_components.registration.step import parse_wanted
from mooring_operator.api.ci import CISpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout.situation import NoVerdict
from mooring_operator.planning.runs.run import OwnPipeline
from mooring_operator.reconcile.ci_runs import CIRuns, _own
from mooring_pipelines.compilation import PACKAGED
from mooring_pipelines.parameters import check_parameters

OWN = {"name": "own"}
CANDIDATE = SimpleNamespace(
    revision="r2",
    format="onnx",
    storage_uri="s3://m/v2",
    content_digest="sha256:" + "2" * 64,
    registered="digits/3",
)
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


def given(gates, champion, data=DATA, demands=None, **ci):
    """The parameters of the run that is asked for."""
    asked = []

    async def launch(request):
        asked.append(request)

    async def address(place, seconds):
        return "s3://a/v.json"

    spec = ModelDeploymentSpec.model_validate(
        {
            "model": {"uri": "s3://m/v2", "format": "onnx"},
            "ci": {"testData": data, "gates": gates, **ci},
        }
    )
    runs = CIRuns(
        SimpleNamespace(launch=launch), SimpleNamespace(address=address), timedelta(hours=1), "http://mlflow"
    )
    owner = Owner("default", "digits", "uid", 1)
    asyncio.run(runs.launch(owner, spec, "run", CANDIDATE, champion, demands=demands))
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
    assert parameters["model_format"] == "onnx"
    parse_options(parameters["test_options"])


def test_what_policies_demand_is_a_parameter_that_the_pipeline_takes():
    demands = {"documents": [{"name": "card", "address": "README.md"}]}
    parameters = given([], None, demands=demands)
    documents = yaml.safe_load_all((PACKAGED / "model-ci.yaml").read_text())
    check_parameters(next(document for document in documents if "pipelineInfo" in document), parameters)
    assert parse_demands(parameters["demands"]).documents[0].address == "README.md"
    assert "demands" not in given([], None)


def test_fields_of_the_spec_are_options_of_the_test():
    parameters = given([], None)
    assert parameters["test_data_digest"] == DATA["digest"]
    assert (parameters["data_schema"], parameters["validates_data"]) == (DATA["schema"], True)
    assert given([], None, {"uri": "s3://d/t"})["validates_data"] is False
    options = parse_options(parameters["test_options"])
    assert options.inputs == {"x": ["a", "b"]}
    assert (options.output, options.classes, options.task) == ("y", ["1", "2"], "Classification")


@pytest.mark.parametrize(("name", "version"), [("digits", "3"), ("others", "")])
def test_a_model_is_registered_where_that_is_asked_for(name, version):
    parameters = given([], None, registerAs=name)
    wanted = parse_wanted(parameters["registration"])
    assert parameters["registers"]
    assert (wanted.name, wanted.version, wanted.tracking_uri) == (name, version, "http://mlflow")
    documents = yaml.safe_load_all((PACKAGED / "model-ci.yaml").read_text())
    check_parameters(next(document for document in documents if "pipelineInfo" in document), parameters)
    assert not {"registers", "registration"} & given([], None).keys()


@pytest.mark.parametrize(
    ("register_as", "told", "registered", "said"),
    [
        ("digits", {"name": "digits", "version": "3"}, "digits/3", "registered as digits version 3"),
        ("digits", {"name": "digits", "problem": "no"}, None, "not registered as digits: no"),
        ("digits", {"name": "others", "version": "3"}, None, "the run says nothing of it"),
        ("digits", None, None, "the run says nothing of it"),
        (None, {"name": "digits", "version": "3"}, None, ""),
    ],
)
def test_a_verdict_tells_what_was_registered_as_was_asked(register_as, told, registered, said):
    found = Document.model_validate(
        {
            "schemaVersion": 1,
            "runId": "run",
            "modelUri": "s3://m",
            "modelDigest": "sha256:" + "2" * 64,
            "passed": True,
            "metrics": {},
            "violations": [],
            "registration": told,
        }
    )

    async def verdict(_):
        return found

    answers = SimpleNamespace(documents=SimpleNamespace(verdict=verdict), uri=lambda place: "s3://a/v.json")
    ci = CISpec.model_validate({"testData": {"uri": "s3://d/t"}, "registerAs": register_as})
    runs = CIRuns(SimpleNamespace(), answers, timedelta(hours=1))
    read = asyncio.run(runs.verdict(Owner("default", "digits", "uid", 1), ci, "run"))
    assert read.registered == registered
    assert said in read.registration
    assert bool(read.registration) == (register_as is not None)


def test_groups_and_noise_are_options_of_the_test():
    parameters = given([], None, fairness={"column": "sex", "positive": "1"}, noise=[0.5])
    options = parse_options(parameters["test_options"])
    assert (options.fairness, options.noise) == (Fairness(column="sex", positive="1"), [0.5])
    options = parse_options(given([], None)["test_options"])
    assert (options.fairness, options.noise) == (None, [])
    # Kubeflow Pipelines carries no null within a parameter.
    assert None not in given([], None, {"uri": "s3://d/t"})["test_options"].values()


def test_the_champion_is_named_where_a_gate_asks_for_it():
    assert given([BESIDE], CHAMPION)["champion_uri"] == "s3://m/v1"
    assert "champion_uri" not in given([], CHAMPION)
    assert "champion_uri" not in given([BESIDE], None)


async def judged(*, pipeline=None, metrics, gates=(), champion=None, passed=True, differences=None, **other):
    """What the operator makes of a verdict of a run, of model-ci or of a pipeline of the user's own."""
    violations = [] if passed else [Violation(metric="f1", value=0.1, min=0.5, max=None, message="f1 is low")]
    document = Document(
        schema_version=1, run_id="run", model_uri="s3://m/v2", passed=passed, metrics=metrics, violations=violations,
        model_digest=other.pop("digest", "sha256:" + "2" * 64), differences=differences or {},
    )  # fmt: skip

    async def verdict(uri):
        return document

    answers = SimpleNamespace(uri=lambda place: "s3://a/v.json", documents=SimpleNamespace(verdict=verdict))
    ci = CISpec.model_validate({"testData": DATA, "gates": list(gates), "pipeline": pipeline, **other})
    runs = CIRuns(SimpleNamespace(), answers, timedelta(hours=1))
    return await runs.verdict(Owner("default", "digits", "uid", 1), ci, "run", champion)


LEAST = {"metric": "accuracy", "min": 0.9}


async def test_a_verdict_names_the_files_unless_the_model_was_tested_as_it_will_be_served():
    found = await judged(metrics={"accuracy": 0.95}, digest=None)
    assert found == NoVerdict("the verdict has no modelDigest: nobody knows which files were tested")
    found = await judged(metrics={"accuracy": 0.95}, digest=None, target="Endpoint")
    assert (found.passed, found.digest) == (True, None)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("reason", ["StoreUnavailable", "InvalidInput", "StepFailed"])
async def test_that_a_store_was_out_is_told_from_other_ends(reason, copied):
    async def verdict(uri):
        return describe_failure("run", reason, "validate-data: s3 said no")

    answers = SimpleNamespace(uri=lambda place: "s3://a/v.json", documents=SimpleNamespace(verdict=verdict))
    runs, owner = CIRuns(SimpleNamespace(), answers, timedelta(hours=1)), Owner("default", "digits", "uid", 1)
    ci = CISpec.model_validate({"testData": DATA})
    found = await (runs.copied(owner, "run") if copied else runs.verdict(owner, ci, "run"))
    assert found == NoVerdict("validate-data: s3 said no", outage=reason == "StoreUnavailable")
    assert await runs.copied(owner, "another") is None


@pytest.mark.parametrize(
    ("case", "violations"),
    [
        ({"pipeline": OWN, "metrics": {"accuracy": 0.5}, "gates": [LEAST]},
         ("accuracy 0.5 is below the minimum 0.9",)),
        ({"pipeline": OWN, "metrics": {}, "gates": [LEAST]}, ("accuracy was not measured",)),
        ({"pipeline": OWN, "metrics": {"accuracy": 0.95}, "gates": [LEAST], "passed": False}, ("f1 is low",)),
        ({"pipeline": OWN, "metrics": {"accuracy": 0.95}, "gates": [BESIDE], "champion": CHAMPION},
         ("accuracy cannot be compared with the champion's: it was not measured",)),
        ({"pipeline": OWN, "metrics": {"accuracy": 0.95}, "gates": [BESIDE]}, ()),
        ({"pipeline": OWN, "metrics": {"accuracy": 0.95}, "gates": [LEAST]}, ()),
        # Of our own, what the document says counts: it knows why something was not measured.
        ({"pipeline": None, "metrics": {}, "gates": [LEAST]}, ()),
    ],
)  # fmt: skip
async def test_what_a_pipeline_of_the_users_measured_is_judged_by_the_gates_of_the_spec(case, violations):
    found = await judged(**case)
    assert (found.passed, found.violations) == (not violations, violations)


def test_a_pipeline_of_the_users_is_named_in_the_request():
    spec = {"testData": DATA, "gates": [BESIDE], "pipeline": {"name": "my ci", "version": "v3"}}
    assert _own(CISpec.model_validate(spec)) == OwnPipeline("my ci", "v3", ("champion_uri",))
    asked = _own(CISpec.model_validate(spec), ("demands",))
    assert asked == OwnPipeline("my ci", "v3", ("champion_uri", "demands"))
    assert _own(CISpec.model_validate({"testData": DATA})) is None
