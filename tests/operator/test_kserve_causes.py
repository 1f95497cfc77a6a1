"""Why a revision behind KServe's own canary is not ready: what its pods and the Events tell, and what is final."""

from datetime import timedelta
from typing import Any

import pytest
from mooring_operator.adapters.routers.inference_services.inquiry import EVENT, POD
from mooring_operator.api.names import REVISION_LABEL

from tests.operator.world import World

ROLLOUT = {"rollout": {"progressDeadline": "1m", "steps": [{"setWeight": 10}, {"setWeight": 100}]}}
FAILED_ONCE = {
    "transitionStatus": "BlockedByFailedLoad",
    "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "connection reset by the store"},
}


def report(transition: str, reason: str) -> dict[str, Any]:
    return {"transitionStatus": transition, "lastFailureInfo": {"reason": reason, "message": "why"}}


def start_pod(world: World, revision: str, *, ready: bool = False, **status: Any) -> None:
    labels = {REVISION_LABEL: revision, "serving.kserve.io/inferenceservice": "digits"}
    conditions = [{"type": "Ready", "status": str(ready)}]
    world.objects.create(
        POD,
        "ns",
        {
            "metadata": {"name": f"pod-{revision}", "labels": labels},
            "status": {"conditions": conditions, **status},
        },
    )


async def test_a_storage_initializer_that_fails_once_is_told_and_rejects_nobody(world: World):
    world.kserve.startable, world.kserve.reports = lambda address: False, FAILED_ONCE
    world.deploy("v1", **ROLLOUT)
    await world.settle_in("Deploying")
    await world.step()
    assert "connection reset by the store" in world.status["message"]
    world.now += timedelta(seconds=50)
    await world.step()
    assert world.phase == "Deploying"
    world.kserve.startable = lambda address: True
    world.kserve.reports = {"transitionStatus": "UpToDate"}
    await world.settle()
    assert world.phase == "Promoted"


async def test_a_candidate_that_cannot_load_its_model_has_until_the_deadline(world: World):
    await world.promote("v1")
    world.kserve.startable, world.kserve.reports = lambda address: address != "s3://m/v2", FAILED_ONCE
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.now += timedelta(seconds=59)
    await world.step()
    assert world.phase == "Canary"
    world.now += timedelta(seconds=1)
    await world.settle()
    assert (world.phase, world.status["reason"]) == ("RolledBack", "ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            {
                "initContainerStatuses": [
                    {
                        "name": "storage-initializer",
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 1, "message": "403 from the store"}},
                    }
                ]
            },
            "container storage-initializer ended with exit code 1: 403 from the store",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "kserve-container",
                        "state": {},
                        "lastState": {"terminated": {"reason": "OOMKilled"}},
                    }
                ]
            },
            "container kserve-container was killed, for it used more memory than its limit",
        ),
    ],
)
async def test_the_pods_of_a_candidate_say_why_it_is_not_ready(world: World, status, told):
    await world.promote("v1")
    world.kserve.startable = lambda address: address != "s3://m/v2"
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    start_pod(world, world.status["candidate"]["revision"], **status)
    await world.step()
    assert told in world.status["message"]


async def test_events_about_the_service_say_why_where_it_has_no_pods(world: World):
    world.kserve.startable = lambda address: False
    world.deploy("v1", **ROLLOUT)
    await world.settle_in("Deploying")
    event = {
        "metadata": {"name": "e1"},
        "type": "Warning",
        "reason": "InternalError",
        "note": "storage spec: unknown protocol az",
        "regarding": {"kind": "InferenceService", "name": "digits"},
        "deprecatedLastTimestamp": "2026-03-01T12:00:00Z",
    }
    world.objects.create(EVENT, "ns", event)
    await world.step()
    assert "storage spec: unknown protocol az" in world.status["message"]


@pytest.mark.parametrize(
    ("reported", "reason"),
    [
        (report("InvalidSpec", "NoSupportingRuntime"), "CandidateBlocked"),
        (report("InvalidSpec", "RuntimeNotRecognized"), "Deploying"),
    ],
)
async def test_only_what_waiting_does_not_help_rejects_at_once(world: World, reported, reason):
    world.kserve.startable, world.kserve.reports = lambda address: False, reported
    world.deploy("v1", **ROLLOUT)
    for _ in range(4):
        await world.step()
    assert world.status["reason"] == reason
