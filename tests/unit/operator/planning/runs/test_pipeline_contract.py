"""What a pipeline has to take that stands for model-ci, and what it is given."""

import copy

import pytest
import yaml
from mooring_operator.planning.runs.pipeline_contract import CONTRACTS, taken, violations
from mooring_pipelines.compilation import PACKAGED

TEST, TRAINING = CONTRACTS["Test"], CONTRACTS["Training"]


def packaged(name):
    documents = yaml.safe_load_all((PACKAGED / f"{name}.yaml").read_text())
    return next(document for document in documents if "pipelineInfo" in document)


MODEL_CI = packaged("model-ci")


def changed(change):
    spec = copy.deepcopy(MODEL_CI)
    change(spec["root"]["inputDefinitions"], spec["root"])
    return spec


def steps(root):
    return [step["inputs"]["parameters"] for step in root["dag"]["tasks"].values()]


def test_the_contract_is_what_our_own_pipeline_takes():
    assert violations(MODEL_CI, TEST, ("champion_uri", "endpoint", "registration")) == []
    own = MODEL_CI["root"]["inputDefinitions"]["parameters"]
    assert {name: own[name]["parameterType"] for name in TEST.parameters} == dict(TEST.parameters)


def test_a_pipeline_for_something_else_is_told_all_that_it_lacks():
    assert violations(packaged("drift-evaluation"), TEST) == [
        "parameter model_uri is missing: declare it as a STRING",
        "parameter verdict_uri is missing: declare it as a STRING",
        "parameter question is none that Mooring gives: give it a default",
        "parameter report_uri is none that Mooring gives: give it a default",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda inputs, root: inputs["parameters"].update(epochs={"parameterType": "NUMBER_INTEGER"}),
         "parameter epochs is none that Mooring gives: give it a default"),
        (lambda inputs, root: inputs["parameters"].update(model_uri={"parameterType": "LIST"}),
         "parameter model_uri is of type LIST; Mooring gives a STRING"),
        (lambda inputs, root: inputs["parameters"].pop("champion_uri"),
         "parameter champion_uri is missing, which gates with notWorseThan need: declare it as a STRING"),
        (lambda inputs, root: inputs.update(artifacts={"model": {}}),
         "input artifact model cannot be given: runs get parameters alone"),
        (lambda inputs, root: root["dag"].pop("tasks"), "there are no steps in root.dag.tasks"),
        (lambda _, root: [given.pop(name) for given in steps(root) for name in [*given] if "verdict_uri" in name],
         "parameter verdict_uri is given to no step, so that no verdict can be written by it"),
    ],
)  # fmt: skip
def test_each_violation_is_one_line(change, told):
    assert violations(changed(change), TEST, ("champion_uri", "endpoint")) == [told]


def test_what_has_a_default_or_is_optional_is_the_pipelines_own():
    def change(inputs, root):
        own = {
            "depth": {"parameterType": "NUMBER_INTEGER", "defaultValue": 0.0},
            "note": {"isOptional": True},
        }
        inputs["parameters"].update(own)
        inputs["artifacts"] = {"rows": {"isOptional": True}}

    assert violations(changed(change), TEST) == []


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"root": 1},
        {"root": {"inputDefinitions": [], "dag": 3}},
        {"root": {"dag": {"tasks": {"a": None}}}},
        [],
        None,
    ],
)
def test_what_is_no_pipeline_is_told_and_breaks_nothing(spec):
    assert violations(spec, TEST)


def test_a_pipeline_is_given_what_it_takes_and_nothing_else():
    spec = changed(lambda inputs, root: inputs["parameters"].pop("gates"))
    assert taken(spec, {"model_uri": "s3://m", "gates": [], "run_id": "1"}) == {
        "model_uri": "s3://m",
        "run_id": "1",
    }
