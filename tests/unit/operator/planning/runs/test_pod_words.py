"""What the pod of a run says about why it does not start, or failed."""

import pytest
from mooring_operator.planning.runs.pod_words import cause_of


def pod(made="2026-03-01T12:00:00Z", **state):
    status = {"containerStatuses": [{"name": "run", "state": state}]}
    return {"metadata": {"name": "p", "creationTimestamp": made}, "status": status}


def ended(message, code=1, reason="Error"):
    return pod(terminated={"exitCode": code, "reason": reason, "message": message})


FAILED = '{"message": "run failed", "error": "fetch-model: no such file"}'


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ([], ""),
        ([pod(running={})], ""),
        (
            [pod(waiting={"reason": "ErrImagePull", "message": "no such image"})],
            "container run does not start: ErrImagePull: no such image",
        ),
        ([ended(FAILED)], "fetch-model: no such file"),
        (
            [
                ended(
                    f'cut": 1}}\n{FAILED}\n{{"message": "the failure document is not written", "error": "x"}}'
                )
            ],
            "fetch-model: no such file",
        ),
        (
            [ended('{"message": "run refused", "error": "https://s/x?sig=1 is bad"}')],
            "https://s/x?... is bad",
        ),
        ([ended("Traceback")], "container run ended with exit code 1: Traceback"),
        (
            [ended("Traceback:\n  line 1\nValueError: no rows at https://s/x?sig=1\n\n")],
            "container run ended with exit code 1: ValueError: no rows at https://s/x?...",
        ),
        ([ended("[" * 100_000)], "container run ended with exit code 1: [[["),
        ([ended("[1]")], "container run ended with exit code 1: [1]"),
        (
            [ended(FAILED, 137, "OOMKilled")],
            "container run was killed, for it used more memory than its limit",
        ),
        (
            [ended(FAILED), pod("2026-03-01T12:00:01Z", waiting={"reason": "InvalidImageName"})],
            "container run does not start: InvalidImageName",
        ),
    ],
)
def test_the_newest_pod_says_why(pods, said):
    found = cause_of(reversed(pods))
    assert found.startswith(said)
    assert bool(found) == bool(said)
