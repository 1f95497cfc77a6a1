"""Why pods are not ready, in a sentence."""

import pytest
from mooring_operator.planning.status.pod_causes import (
    Cause,
    cause_of_events,
    cause_of_pod,
    first_unready,
)


def pod(name="p", ready="False", conditions=(), init=(), containers=(), **metadata):
    return {
        "metadata": {"name": name, **metadata},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}, *conditions],
            "initContainerStatuses": list(init),
            "containerStatuses": list(containers),
        },
    }


def waiting(reason, message="", name="kserve-container", **more):
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code, reason="Error", message=""):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("found", "text", "final"),
    [
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: no GPU\n"}]),
            "pods cannot be scheduled: 0/3 nodes: no GPU",
            False,
        ),
        (
            pod(containers=[waiting("ImagePullBackOff", "Back-off pulling image a")]),
            "container kserve-container does not start: ImagePullBackOff: Back-off pulling image a",
            False,
        ),
        (
            pod(containers=[waiting("InvalidImageName", "cannot parse")]),
            "container kserve-container does not start: InvalidImageName: cannot parse",
            True,
        ),
        (
            pod(containers=[waiting("CreateContainerConfigError", 'secret "s3" not found')]),
            'container kserve-container does not start: CreateContainerConfigError: secret "s3" not found',
            False,
        ),
        (
            pod(containers=[waiting("CrashLoopBackOff", "back-off 5m", lastState=ended(137, "OOMKilled"))]),
            "container kserve-container was killed, for it used more memory than its limit",
            False,
        ),
        (
            pod(containers=[{"name": "c", "state": ended(1, message="no such model")}]),
            "container c ended with exit code 1: no such model",
            False,
        ),
        (
            pod(
                init=[{"name": "storage-initializer", "state": ended(1, message="access denied")}],
                containers=[waiting("PodInitializing")],
            ),
            "container storage-initializer ended with exit code 1: access denied",
            False,
        ),
        (
            {"metadata": {}, "status": {"phase": "Failed", "reason": "Evicted", "message": "out of disk"}},
            "the pod was ended: Evicted: out of disk",
            False,
        ),
    ],
)  # fmt: skip
def test_a_pod_says_why_it_is_not_ready(found, text, final):
    assert cause_of_pod(found) == Cause(text, final)


@pytest.mark.parametrize("state", [waiting("ContainerCreating"), {"name": "c", "state": {"running": {}}}, {}])
def test_a_pod_that_only_starts_has_no_cause(state):
    assert cause_of_pod(pod(containers=[state])) is None
    assert cause_of_pod({"metadata": {"name": "p"}}) is None


def test_the_pod_that_fails_tells_more_than_one_that_starts():
    starts, fails = (
        pod("a", containers=[waiting("ContainerCreating")]),
        pod("b", containers=[waiting("ErrImagePull")]),
    )
    assert first_unready([starts, fails]) is fails
    assert first_unready([starts]) is starts
    assert first_unready([pod("c", ready="True"), pod("d", deletionTimestamp="t")]) is None


def test_the_last_warning_that_is_no_consequence_is_told():
    def event(reason, note, time, type="Warning"):
        return {
            "reason": reason,
            "note": note,
            "eventTime": None,
            "deprecatedLastTimestamp": time,
            "type": type,
        }

    events = [
        event("FailedMount", 'secret "certs" not found', "2026-03-01T12:00:02Z"),
        event("Unhealthy", "Readiness probe failed", "2026-03-01T12:00:01Z"),
        event("BackOff", "Back-off restarting failed container", "2026-03-01T12:00:03Z"),
        event("Scheduled", "to node a", "2026-03-01T12:00:04Z", "Normal"),
        event("VirtualServiceCRDNotFound", "", "2026-03-01T12:00:05Z"),
    ]
    noise = {"VirtualServiceCRDNotFound"}
    assert cause_of_events(events, noise) == Cause('FailedMount: secret "certs" not found')
    assert cause_of_events(events[2:], noise) is None
    assert cause_of_events(events[2:]) == Cause("VirtualServiceCRDNotFound")


def test_what_pods_and_events_say_is_one_short_printable_line():
    cause = cause_of_events(
        [{"type": "Warning", "reason": "InternalError", "note": "a\x1b[31m\n" + "b" * 5000}]
    )
    assert cause is not None
    assert len(cause.text) <= 300
    assert cause.text.startswith("InternalError: a?[31m b")
