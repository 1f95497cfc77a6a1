"""Plays the kubelet for the pods of runs: the Job controller is the real one, and the pods' statuses are scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mooring_operator.adapters.api_server import Connection, NotFound
from mooring_operator.adapters.cluster import Conflict, Refused

from tests.cluster.lab import digest
from tests.operator.surroundings import write_document
from tests.unit.operator.planning.manifests.test_pods import expanded

NOW = "2026-03-01T12:00:00Z"
LOST = """put": true}
{"level": "error", "message": "run failed", "error": "write-verdict: no route to https://s3/v.json?X-Amz-Signature=1"}
{"level": "error", "message": "the failure document is not written", "error": "StoreUnavailable: no route"}
"""
"""The last lines of a run's log, as the kubelet cuts and keeps them."""


@dataclass
class JobPods:
    """The pods of one namespace. `outcome` says what becomes of a run, by its parameters.

    succeed, fail: exit codes 0 and 1; oom: killed for memory; hold: it runs on; stuck: its image cannot be had;
    lost: it fails, and cannot write why.
    """

    connection: Connection
    namespace: str
    outcome: Callable[[dict[str, Any]], str] = lambda parameters: "succeed"
    good: Callable[[str], bool] = lambda uri: True
    ran: list[str] = field(default_factory=list)
    """The run ids whose pods have begun to run: one that is here twice ran twice."""

    async def play(self) -> None:
        """Bring every pod one step further."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        for pod in (await self.connection.send("list", "GET", path, resource=""))["items"]:
            if (
                pod["status"].get("phase") in ("Succeeded", "Failed")
                or "deletionTimestamp" in pod["metadata"]
            ):
                continue
            await self._play(pod)

    async def _play(self, pod: dict[str, Any]) -> None:
        environment = environment_of(pod)
        parameters = json.loads(environment["MOORING_RUN_PARAMETERS"])
        outcome = self.outcome(parameters)
        began = bool(pod["status"].get("containerStatuses"))
        if outcome == "stuck":
            waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
            await self._report(pod, "Pending", {"waiting": waiting}, ready=False)
            return
        if not began:
            self.ran.append(environment["MOORING_RUN_ID"])
            await self._report(pod, "Running", {"running": {"startedAt": NOW}}, ready=True)
        elif outcome == "succeed":
            if "verdict_uri" in parameters:
                write_verdict(parameters, passed=self.good(parameters["model_uri"]))
            await self._report(pod, "Succeeded", _ended(0, "Completed"), ready=False)
        elif outcome in ("fail", "oom", "lost"):
            ended = _ended(137, "OOMKilled") if outcome == "oom" else _ended(1, "Error")
            if outcome == "lost":
                ended["terminated"]["message"] = LOST
            await self._report(pod, "Failed", ended, ready=False)

    async def _report(self, pod: dict[str, Any], phase: str, state: dict[str, Any], *, ready: bool) -> None:
        container = pod["spec"]["containers"][0]
        status = {
            "phase": phase,
            "startTime": NOW,
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": NOW}],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": ready,
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/status"
        # It may have been deleted, or ended by its Job, since it was listed.
        with suppress(NotFound, Conflict, Refused):
            await self.connection.send(
                "patch", "PATCH", path, resource="", body={"status": status},
                content_type="application/merge-patch+json",
            )  # fmt: skip


def environment_of(pod: dict[str, Any]) -> dict[str, str]:
    """The variables that the kubelet would give the run's container."""
    return {variable["name"]: expanded(variable["value"]) for variable in pod["spec"]["containers"][0]["env"]}


def write_verdict(parameters: dict[str, Any], *, passed: bool) -> None:
    """Write what the pipeline model-ci would write."""
    message = "accuracy 0.5 is below the minimum 0.9"
    violation = {"metric": "accuracy", "value": 0.5, "min": 0.9, "max": None, "message": message}
    verdict = {
        "schemaVersion": 1,
        "runId": parameters["run_id"],
        "modelUri": parameters["model_uri"],
        "modelDigest": f"sha256:{digest(parameters['model_uri'])}",
        "passed": passed,
        "metrics": {"accuracy": 0.95 if passed else 0.5},
        "violations": [] if passed else [violation],
    }
    write_document(parameters["verdict_uri"], verdict)


def _ended(code: int, reason: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": NOW, "finishedAt": NOW}}
