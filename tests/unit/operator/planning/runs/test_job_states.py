"""Runs as Jobs: what a status means, and whose a Job is."""

from datetime import UTC, datetime

import pytest
from mooring_operator.planning.manifests.run_jobs import OWNER_ANNOTATION, RunPods, job_of
from mooring_operator.planning.runs import job_states, turns

from tests.unit.operator.planning.jobs import MADE, OWNER, RUN, job

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
    state = job_states.state_of(job(status=status), RUN.run_id)
    assert state is not None
    assert (state.run_id, state.phase) == (RUN.run_id, phase)
    assert said in state.message
    assert state.timed_out is ("longer than" in state.message)
    assert state.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("condition", ["SuccessCriteriaMet", "FailureTarget"])
def test_a_job_whose_pods_are_ending_says_nothing_of_pods_that_it_has_not(condition):
    state = job_states.state_of(
        job(status={"conditions": [{"type": condition, "status": "True"}]}), RUN.run_id
    )
    assert state is not None
    assert (state.phase, state.message) == ("Pending", "")


@pytest.mark.parametrize(
    ("status", "phase", "said"),
    [
        ({"active": 1}, "Pending", "its pod has not started: no image"),
        (
            {"conditions": [{**FAILED, "reason": "BackoffLimitExceeded"}]},
            "Failed",
            "its pod failed: no image; kubectl logs",
        ),
    ],
)
def test_what_a_pod_says_is_told_in_place_of_where_to_look(status, phase, said):
    found = job(status=status)
    assert job_states.needs_pods(found)
    state = job_states.state_of(found, RUN.run_id, "no image")
    assert state is not None
    assert (state.phase, said in state.message) == (phase, True)


def test_pods_are_looked_at_only_where_they_tell_more():
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    for status in ({}, {"active": 1, "ready": 1}, ended):
        assert not job_states.needs_pods(job(status=status))
    assert not job_states.needs_pods(turns.suspended(job(status={"active": 1})))


def test_a_job_that_is_being_deleted_is_no_run_any_more():
    assert job_states.state_of(job(metadata={"deletionTimestamp": MADE}), RUN.run_id) is None


def test_a_waiting_run_is_queued_and_its_time_begins_when_it_is_let_go():
    waits = turns.suspended(job())
    state = job_states.state_of(waits, RUN.run_id)
    assert state is not None
    assert (state.phase, state.queued, state.started_at) == ("Pending", True, None)
    assert "MOORING_RUNS_PER_NAMESPACE" in state.message
    patch = turns.let_go(datetime(2026, 3, 1, 13, tzinfo=UTC))
    gone = {**waits, "spec": {**waits["spec"], **patch["spec"]}}
    gone["metadata"] = {**waits["metadata"], **patch["metadata"]}
    state = job_states.state_of(gone, RUN.run_id)
    assert state is not None
    assert (state.queued, state.started_at) == (False, datetime(2026, 3, 1, 13, tzinfo=UTC))


@pytest.mark.parametrize("turn", ["", "never", "2026-03-01", "2026-03-01T12:00:00", "9" * 40])
def test_a_turn_that_somebody_wrote_is_no_time(turn):
    state = job_states.state_of(job(metadata={"annotations": {job_states.TURN_ANNOTATION: turn}}), RUN.run_id)
    assert state is not None
    assert state.started_at is None


def test_a_job_that_somebody_else_suspended_is_said_and_not_let_go():
    held = job(spec={**job()["spec"], "suspend": True})
    state = job_states.state_of(held, RUN.run_id)
    assert state is not None
    assert (state.phase, state.queued) == ("Pending", False)
    assert "somebody suspended" in state.message
    assert turns.whose_turn([held], 4) == []


def test_whose_a_job_is():
    other = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "x", "uid": "u", "controller": True}
    assert job_states.owner_uid(job(), apart=False) == OWNER.uid
    reference = job()["metadata"]["ownerReferences"][0]
    # Whoever may write Jobs beside the resource could write the label.
    labels = {job_states.OWNER_LABEL: OWNER.uid}
    for references in ([], [other], [{**reference, "controller": False}]):
        namesake = job(metadata={"ownerReferences": references, "labels": labels})
        assert job_states.owner_uid(namesake, apart=False) is None


def test_a_job_apart_belongs_to_its_resource_by_a_label_for_no_reference_leads_there():
    made = job_of(RUN, RunPods(apart=True))
    metadata = made["metadata"]
    assert "ownerReferences" not in metadata
    assert metadata["annotations"] == {OWNER_ANNOTATION: RUN.name}
    assert turns.suspended(made)["metadata"]["annotations"][OWNER_ANNOTATION] == RUN.name
    assert job_states.owner_uid(made, apart=True) == OWNER.uid
    # One that another controller made there is none of ours, and neither is one that anybody else made.
    labels = metadata["labels"]
    assert job_states.owner_uid(job(metadata={"labels": labels}), apart=True) is None
    assert job_states.owner_uid(job(metadata={"ownerReferences": []}), apart=True) is None
