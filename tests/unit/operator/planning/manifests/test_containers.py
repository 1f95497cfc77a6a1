"""A container of the user's in the compiled pipeline that trains."""

import re

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from mooring_operator.planning.manifests.containers import fault_of, with_trainer
from mooring_operator.planning.runs.pipeline_contract import CONTRACTS, violations
from mooring_operator.planning.runs.run import Trainer
from mooring_pipelines.compilation import PACKAGED

RETRAIN = (PACKAGED / "retrain.yaml").read_text()
TRAINER = Trainer("registry.example.com/train:1", ("python", "/train.py"), ("--epochs", "3", "a: {b"))


def test_it_stands_in_the_one_step_with_the_training_as_its_last_argument():
    pipeline, platform = yaml.safe_load_all(with_trainer(RETRAIN, TRAINER))
    assert json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec()).root.dag.tasks.keys() == {
        "train"
    }
    assert pipeline["deploymentSpec"]["executors"]["exec-train"]["container"] == {
        "image": "registry.example.com/train:1",
        "command": ["python", "/train.py"],
        "args": ["--epochs", "3", "a: {b", "{{$.inputs.parameters['training']}}"],
    }
    assert platform == list(yaml.safe_load_all(RETRAIN))[1]


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        (Trainer("train:1"), "spec.retrain.command is missing"),
        (Trainer("train:1", ("python", "{{$.inputs.parameters['credentials_secret']}}")), "would replace"),
        (Trainer("train:1", ("python",), ("{{$.pipeline_job_name}}",)), "would replace"),
    ],
)
def test_what_kubeflow_pipelines_cannot_run_is_told(trainer, said):
    assert said in fault_of(trainer)
    with pytest.raises(ValueError, match=re.escape(said)):
        with_trainer(RETRAIN, trainer)


def test_a_pipeline_that_trains_has_a_contract_of_its_own():
    lacking = [
        "parameter model_uri is missing: declare it as a STRING",
        "parameter question is none that Mooring gives: give it a default",
        "parameter report_uri is none that Mooring gives: give it a default",
    ]
    [evaluation, _] = yaml.safe_load_all((PACKAGED / "drift-evaluation.yaml").read_text())
    assert violations(evaluation, CONTRACTS["Training"]) == lacking
