"""What the Job of a check says of it: Pass, Fail, Insufficient, or that it goes on."""

import pytest
from mooring_operator.planning.runs.check_states import state_of

NAME = "mooring-check-1"


def job(reason=None, message="", kind="Failed", **status):
    conditions = [{"type": kind, "status": "True", "reason": reason, "message": message}] if reason else []
    metadata = {"name": NAME, "namespace": "ns", "creationTimestamp": "2026-03-01T12:00:00Z"}
    return {"metadata": metadata, "spec": {}, "status": {"conditions": conditions, **status}}


def exited(code):
    """As Kubernetes 1.36 says it."""
    message = f"Container check for pod ns/{NAME}-x7k2p failed with exit code {code} matching FailJob rule at index 1"
    return job("PodFailurePolicy", message)


@pytest.mark.parametrize(
    ("found", "of_job", "of_webhook"),
    [
        (job("CompletionsReached", kind="Complete"), "Pass", "Pass"),
        (exited(75), "Insufficient", "Insufficient"),
        (exited(10), "Fail", "Fail"),
        (job("BackoffLimitExceeded", "Job has reached the specified backoff limit"), "Fail", "Insufficient"),
        (job("DeadlineExceeded", "Job was active longer than specified deadline"), "Insufficient", "Insufficient"),
        (job("FailedIndexes"), "Fail", "Insufficient"),
        (job("CompletionsReached", kind="SuccessCriteriaMet"), None, None),
        (exited(75) | {"status": {"conditions": [{"type": "FailureTarget", "status": "True"}]}}, None, None),
        (job(active=1, ready=1), None, None),
        (job(), None, None),
    ],
)  # fmt: skip
def test_outcomes(found, of_job, of_webhook):
    assert state_of(found, "1", "job").outcome == of_job
    assert state_of(found, "1", "webhook").outcome == of_webhook


def test_a_job_that_is_being_deleted_says_nothing():
    found = job("CompletionsReached", kind="Complete")
    found["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    assert state_of(found, "1", "job") is None


def test_its_last_words_are_told_as_one_line_with_where_to_look():
    state = state_of(job("BackoffLimitExceeded"), "1", "job", "p99 is 900 ms\x1b[0m")
    assert state.message.startswith(
        "p99 is 900 ms?[0m (its pod failed; kubectl logs -n ns job/mooring-check-1"
    )
    state = state_of(exited(10), "1", "webhook", "it answered 403: no")
    assert state.message == "it answered 403: no"


def test_the_longest_last_words_leave_a_message_that_is_kept_whole():
    state = state_of(job("BackoffLimitExceeded"), "1", "job", "x" * 4096)
    assert len(state.message) <= 256
