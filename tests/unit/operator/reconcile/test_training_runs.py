"""What a training, and the run after it, are told."""

from datetime import UTC, datetime, timedelta

import pytest
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import Evaluation, FeatureDrift
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.retraining import Retraining
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.training_runs import TrainingRuns

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("ns", "traffic", "uid-1", 3)
TRAINING = Retraining(
    alarm=NOON,
    asked="0",
    stage="Training",
    run_id="run-1",
    registration_id="run-2",
    baseline=Sought(uri="s3://d/train"),
    window=Sought(uri="s3://kept", since=NOON - timedelta(hours=1), until=NOON),
    labels=Sought(uri="s3://labels", since=NOON - timedelta(hours=1)),
    model_uri="s3://models/run-1",
    started_at=NOON,
    stage_at=NOON,
)


class Backend:
    """Keeps what it is asked to launch; `narrow` as Kubeflow Pipelines is."""

    def __init__(self, *, narrow):
        self.narrow, self.runs = narrow, []

    async def launch(self, run):
        self.runs.append(run)


class Addresses:
    async def put_url(self, uri, lasts):
        return f"{uri}?signed"


@pytest.fixture
def launch():
    async def launch(training=TRAINING, *, narrow=False, **asked):
        backend = Backend(narrow=narrow)
        runs = TrainingRuns(
            backend, Answers(None, Addresses(), "s3://runs"), timedelta(hours=4), "http://mlflow"
        )
        retrain = {"image": "train:1", "output": "s3://models", "timeout": "9h", **asked}
        spec = DriftMonitorSpec.model_validate({"target": {"name": "digits"}, "retrain": retrain})
        names = ("age", "mood \N{GRINNING FACE}", "{{$.x}}")
        features = [FeatureDrift(name=name, drifted=True) for name in names]
        status = DriftMonitorStatus(evaluation=Evaluation(time=NOON, features=features))
        assert await runs.launch(OWNER, spec, status, training) is None
        return backend.runs[0]

    return launch


async def test_a_training_is_told_its_rows_their_labels_and_where_the_model_goes(launch):
    run = await launch(command=["train"], args=["--fast"], credentialsSecret="keys")
    hour = "2026-03-01T11:00:00Z"
    assert run.parameters == {
        "training": {
            "runId": "run-1",
            "modelUri": "s3://models/run-1",
            "rows": {
                "baseline": {"uri": "s3://d/train"},
                "window": {"uri": "s3://kept", "since": hour, "until": "2026-03-01T12:00:00Z"},
                "labels": {"uri": "s3://labels", "since": hour},
            },
            "deployment": "digits",
            "namespace": "ns",
            "monitor": "traffic",
            "driftedFeatures": ["age", "mood \N{GRINNING FACE}"],
        }
    }
    assert (run.trainer.command, run.trainer.args, run.credentials_secret) == (
        ("train",),
        ("--fast",),
        "keys",
    )
    assert (run.run_id, run.timeout, run.own) == ("run-1", timedelta(hours=4), None)


async def test_names_that_a_run_cannot_carry_are_left_out(launch):
    run = await launch(narrow=True, command=["train"])
    assert run.parameters["training"]["driftedFeatures"] == ["age"]


async def test_a_pipeline_of_the_users_is_told_the_address_by_itself(launch):
    run = await launch(image=None, pipeline={"name": "mine", "version": "v2"})
    assert (run.own.name, run.own.version, run.own.purpose, run.trainer) == ("mine", "v2", "Training", None)
    assert (run.parameters["model_uri"], run.parameters["run_id"]) == ("s3://models/run-1", "run-1")


async def test_the_run_after_it_registers_under_the_name_and_alias_that_are_asked_for(launch):
    registering = TRAINING.model_copy(update={"stage": "Registering"})
    run = await launch(registering, registerAs="iris", alias="candidate")
    assert (run.run_id, run.pipeline) == ("run-2", "register-model")
    assert run.parameters["verdict_uri"] == "s3://runs/ns/traffic/training/run-2/verdict.json?signed"
    assert run.parameters["registration"] == {
        "name": "iris",
        "alias": "candidate",
        "trackingUri": "http://mlflow",
        "reason": "DriftMonitor ns/traffic saw drift, or worse performance, from 2026-03-01T12:00:00Z on",
        "rows": ["s3://d/train", "s3://kept"],
    }
    assert (await launch(registering)).parameters["registration"] == {}
    assert "converts" not in run.parameters
    assert run.timeout == timedelta(minutes=10)


async def test_what_is_converted_goes_beside_the_model_and_has_the_trainings_time_and_memory(launch):
    registering = TRAINING.model_copy(update={"stage": "Registering"})
    run = await launch(registering, convert="ONNX", resources={"limits": {"memory": "8Gi"}})
    assert (run.parameters["converts"], run.parameters["model_uri"], run.parameters["converted_uri"]) == (
        True,
        "s3://models/run-1",
        "s3://models/run-1-onnx",
    )
    assert (run.timeout, run.resources.limits["memory"]) == (timedelta(hours=4), "8Gi")
