"""Runs as Jobs: the manifest."""

import json
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api.resources import Resources
from mooring_operator.planning.manifests import run_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.runs.run import Trainer

from tests.unit.operator.planning.jobs import OWNER, RUN
from tests.unit.operator.planning.manifests.test_pods import expanded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def container(made: dict[str, Any]) -> dict[str, Any]:
    return made["spec"]["template"]["spec"]["containers"][0]


def variables(made: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container(made)["env"]}


def test_a_job_runs_the_pipeline_once_as_nobody_in_particular():
    made = run_jobs.job_of(RUN, RunPods(image="mirror/components:1"))
    pod, spec = made["spec"]["template"]["spec"], made["spec"]
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == (f"mooring-run-{RUN.run_id}", "team")
    assert (spec["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert "suspend" not in spec
    assert (container(made)["command"], container(made)["args"], container(made)["image"]) == (
        ["python", "-I", "-m", "mooring_pipelines", "run"],
        ["--pipeline=model-ci"],
        "mirror/components:1",
    )
    assert variables(made)["MOORING_RUN_ID"] == RUN.run_id
    assert json.loads(expanded(variables(made)["MOORING_RUN_PARAMETERS"])) == RUN.parameters
    assert (pod["automountServiceAccountToken"], pod["securityContext"]["runAsNonRoot"]) == (False, True)
    assert "serviceAccountName" not in pod
    assert "envFrom" not in container(made)
    [reference] = made["metadata"]["ownerReferences"]
    assert (reference["uid"], reference["controller"]) == (OWNER.uid, True)


TRAINING = {"modelUri": "s3://team/models/$(KEY)/1", "rows": {}}


def training(**fields):
    trainer = Trainer("registry.example.com/train:1", **fields)
    run = replace(RUN, pipeline="retrain", trainer=trainer, parameters={"training": TRAINING})
    return run_jobs.job_of(replace(run, credentials_secret="keys"), RunPods(memory="3Gi"))


def test_a_training_runs_the_users_container_with_what_it_is_about_as_the_last_argument():
    made = training(command=("python", "/train.py"), args=("--epochs=$EPOCHS", "3"))
    own = container(made)
    assert (own["image"], [expanded(word) for word in own["command"]]) == (
        "registry.example.com/train:1",
        ["python", "/train.py"],
    )
    *args, told = [expanded(word) for word in own["args"]]
    assert (args, json.loads(told)) == (["--epochs=$EPOCHS", "3"], TRAINING)
    assert variables(made) == {"MOORING_RUN_ID": RUN.run_id, "HOME": "/tmp"}
    assert own["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert own["resources"]["limits"]["memory"] == "3Gi"


def test_a_training_is_as_restricted_as_every_other_run():
    ours, theirs = run_jobs.job_of(RUN, RunPods()), training()
    pods = [made["spec"]["template"]["spec"] for made in (ours, theirs)]
    for field in ("securityContext", "automountServiceAccountToken", "volumes", "restartPolicy"):
        assert pods[0][field] == pods[1][field]
    assert container(ours)["securityContext"] == container(theirs)["securityContext"]
    assert (
        ours["spec"]["template"]["metadata"]["labels"].keys()
        == theirs["spec"]["template"]["metadata"]["labels"].keys()
    )
    assert "command" not in container(theirs)


def test_a_job_has_the_identity_that_the_spec_names():
    made = run_jobs.job_of(replace(RUN, service_account="ci", credentials_secret="keys"), RunPods())
    pod = made["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("ci", False)
    assert container(made)["envFrom"] == [{"secretRef": {"name": "keys"}}]


@pytest.mark.parametrize(
    ("asked", "longest", "deadline"),
    [
        (timedelta(minutes=30), timedelta(hours=4), 1800),
        (timedelta(hours=99999), timedelta(hours=4), 14400),
        (timedelta(0), timedelta(hours=4), 1),
    ],
)
def test_no_run_takes_longer_than_the_administrator_allows(asked, longest, deadline):
    made = run_jobs.job_of(replace(RUN, timeout=asked), RunPods(longest=longest))
    assert made["spec"]["activeDeadlineSeconds"] == deadline


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 86400), (timedelta(minutes=10), 600), (timedelta(days=9), 86400)]
)
def test_a_finished_job_goes_after_its_time(asked, seconds):
    assert run_jobs.job_of(replace(RUN, kept=asked), RunPods())["spec"]["ttlSecondsAfterFinished"] == seconds


@pytest.mark.parametrize(
    ("asked", "requests", "limits"),
    [
        (None, {"cpu": "1", "memory": "2Gi"}, {"cpu": "1", "memory": "2Gi"}),
        (Resources(requests={"memory": "8Gi"}), {"memory": "8Gi"}, {"cpu": "1", "memory": "8Gi"}),
        (Resources(requests={"cpu": "100m"}), {"cpu": "100m"}, {"cpu": "1", "memory": "2Gi"}),
        (Resources(limits={"memory": "512Mi"}), {}, {"cpu": "1", "memory": "512Mi"}),
    ],
)
def test_a_pod_is_limited_whatever_the_spec_asks_for(asked, requests, limits):
    resources = container(run_jobs.job_of(replace(RUN, resources=asked), RunPods()))["resources"]
    assert (resources["requests"], resources["limits"]) == (requests, limits)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(max_size=40), st.text(max_size=40))
def test_whatever_a_spec_says_arrives_as_it_was_and_nowhere_else(parameters, pipeline, run_id):
    made = run_jobs.job_of(replace(RUN, parameters=parameters, pipeline=pipeline, run_id=run_id), RunPods())
    assert json.loads(expanded(variables(made)["MOORING_RUN_PARAMETERS"])) == parameters
    assert expanded(variables(made)["MOORING_RUN_ID"]) == run_id
    assert expanded(container(made)["args"][0]) == f"--pipeline={pipeline}"
    assert container(made)["command"] == ["python", "-I", "-m", "mooring_pipelines", "run"]


def test_parameters_that_no_process_could_be_given_are_refused():
    many = replace(RUN, pipeline="drift-evaluation", parameters={"features": ["x" * 250] * 600})
    with pytest.raises(ValueError, match=r"drift-evaluation have \d+ bytes; a pod takes 122880"):
        run_jobs.job_of(many, RunPods())


def test_one_question_has_one_name():
    ids = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number % 5))) for number in range(10)]
    names = {run_jobs.name_of(run_id) for run_id in ids}
    assert len(names) == 5
    assert all(len(name) <= 63 for name in names)
