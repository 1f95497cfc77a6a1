"""Runs as Jobs: the manifest, what a status means, and whose turn it is."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api.serving import Resources
from mooring_operator.planning import run_jobs
from mooring_operator.planning.run_jobs import RunPods
from mooring_operator.planning.runs import RunOwner, RunRequest

from tests.unit.operator.planning.test_pods import expanded

OWNER = RunOwner("mooring.dev/v1alpha1", "ModelDeployment", "digits", "9a1f2f6e-0000-4000-8000-000000000000")
RUN = RunRequest(
    run_id="0b9d7e0a-3c8e-5d57-9d0c-000000000001",
    name="team/digits",
    pipeline="model-ci",
    parameters={"model_uri": "s3://m/v1", "gates": [{"metric": "accuracy", "min": 0.9}]},
    namespace="team",
    owner=OWNER,
    timeout=timedelta(minutes=30),
)
MADE = "2026-03-01T12:00:00Z"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def job(**changes: Any) -> dict[str, Any]:
    """The Job of RUN as the API server has it."""
    made = run_jobs.job_of(RUN, RunPods())
    metadata = {**made["metadata"], "creationTimestamp": MADE, "uid": "j", "resourceVersion": "1"}
    return {**made, "metadata": {**metadata, **changes.pop("metadata", {})}, **changes}


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


# --- what a Job's status means ------------------------------------------------------------------

FAILED = {"type": "Failed", "status": "True"}


@pytest.mark.parametrize(
    ("status", "phase", "said"),
    [
        ({}, "Pending", "kubectl describe job"),
        ({"active": 1}, "Pending", "kubectl describe pod"),
        ({"active": 1, "ready": 1}, "Running", ""),
        ({"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}, "Pending", ""),
        ({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}, "Succeeded", ""),
        ({"conditions": [{"type": "Complete", "status": "False"}], "ready": 1}, "Running", ""),
        ({"conditions": [{**FAILED, "reason": "BackoffLimitExceeded"}]}, "Failed", "out of memory"),
        ({"conditions": [{**FAILED, "reason": "DeadlineExceeded"}]}, "Failed", "longer than 1800 s"),
        ({"conditions": [{**FAILED, "reason": "Odd", "message": "evicted"}]}, "Failed", "Odd: evicted"),
        ({"conditions": [FAILED]}, "Failed", "its Job failed"),
    ],
)  # fmt: skip
def test_a_status_is_read(status, phase, said):
    state = run_jobs.state_of(job(status=status), RUN.run_id)
    assert state is not None
    assert (state.run_id, state.phase) == (RUN.run_id, phase)
    assert said in state.message
    assert state.timed_out is ("longer than" in state.message)
    assert state.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_job_that_is_being_deleted_is_no_run_any_more():
    assert run_jobs.state_of(job(metadata={"deletionTimestamp": MADE}), RUN.run_id) is None


def test_a_waiting_run_is_queued_and_its_time_begins_when_it_is_let_go():
    waits = run_jobs.suspended(job())
    state = run_jobs.state_of(waits, RUN.run_id)
    assert state is not None
    assert (state.phase, state.queued, state.started_at) == ("Pending", True, None)
    assert "MOORING_RUNS_PER_NAMESPACE" in state.message
    patch = run_jobs.let_go(datetime(2026, 3, 1, 13, tzinfo=UTC))
    gone = {**waits, "spec": {**waits["spec"], **patch["spec"]}}
    gone["metadata"] = {**waits["metadata"], **patch["metadata"]}
    state = run_jobs.state_of(gone, RUN.run_id)
    assert state is not None
    assert (state.queued, state.started_at) == (False, datetime(2026, 3, 1, 13, tzinfo=UTC))


@pytest.mark.parametrize("turn", ["", "never", "2026-03-01", "2026-03-01T12:00:00", "9" * 40])
def test_a_turn_that_somebody_wrote_is_no_time(turn):
    state = run_jobs.state_of(job(metadata={"annotations": {run_jobs.TURN_ANNOTATION: turn}}), RUN.run_id)
    assert state is not None
    assert state.started_at is None


def test_a_job_that_somebody_else_suspended_is_said_and_not_let_go():
    held = job(spec={**job()["spec"], "suspend": True})
    state = run_jobs.state_of(held, RUN.run_id)
    assert state is not None
    assert (state.phase, state.queued) == ("Pending", False)
    assert "somebody suspended" in state.message
    assert run_jobs.whose_turn([held], 4) == []


def test_whose_a_job_is():
    other = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "x", "uid": "u", "controller": True}
    assert run_jobs.belongs_to(job(), OWNER)
    assert not run_jobs.belongs_to(job(), replace(OWNER, uid="another"))
    assert run_jobs.belongs_to_us(job())
    for references in ([], [other], [{**job()["metadata"]["ownerReferences"][0], "controller": False}]):
        assert not run_jobs.belongs_to_us(job(metadata={"ownerReferences": references}))


# --- turns --------------------------------------------------------------------------------------


def at(number: int, **changes: Any) -> dict[str, Any]:
    made = f"2026-03-01T12:{number % 60:02}:00Z"
    return job(metadata={"name": f"mooring-run-{number:03}", "creationTimestamp": made}, **changes)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["running", "waiting", "over"]), max_size=12),
    st.integers(min_value=1, max_value=5),
    st.randoms(),
)
def test_runs_go_in_the_order_in_which_they_came_and_never_too_many(kinds, limit, random):
    over = {"conditions": [{"type": "Complete", "status": "True"}]}
    made = {
        "running": at,
        "waiting": lambda n: run_jobs.suspended(at(n)),
        "over": lambda n: at(n, status=over),
    }
    jobs = [made[kind](number) for number, kind in enumerate(kinds)]
    waiting = [job["metadata"]["name"] for job, kind in zip(jobs, kinds, strict=True) if kind == "waiting"]
    random.shuffle(jobs)
    going = [job["metadata"]["name"] for job in run_jobs.whose_turn(jobs, limit)]
    assert going == waiting[: len(going)]
    assert len(going) == max(0, min(len(waiting), limit - kinds.count("running")))
    assert run_jobs.must_wait(jobs, limit) is (len(jobs) - kinds.count("over") >= limit)


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=4), st.integers(min_value=1, max_value=20))
def test_every_run_gets_its_turn(limit, count):
    """Runs come faster than they end; the first to come is the first to go all the same."""
    jobs: dict[str, dict[str, Any]] = {}
    gone: list[str] = []
    for number in range(count):
        made = at(number)
        jobs[made["metadata"]["name"]] = (
            run_jobs.suspended(made) if run_jobs.must_wait(jobs.values(), limit) else made
        )
    while jobs:
        running = next(name for name, made in jobs.items() if not run_jobs.is_waiting(made))
        gone.append(running)
        del jobs[running]
        for made in run_jobs.whose_turn(jobs.values(), limit):
            jobs[made["metadata"]["name"]] = {**made, "spec": {**made["spec"], "suspend": False}}
    assert gone == sorted(gone)
