"""From requests to a rollback: a real server keeps what it answers, real runs compare it, the real API server is told.

The server has the environment that the operator writes for its container; the S3 server is real, too.
"""

import asyncio
import itertools
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import numpy as np
import obstore
import pytest
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.documents import StoredDocuments
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.adapters.pipelines.jobs import JobPipelines
from mooring_operator.adapters.routers.inference_services.manifest import predictor
from mooring_operator.adapters.signed_urls import SignedUrls
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.drift_monitors import DriftMonitors
from mooring_operator.reconcile.drift_runs import DriftRuns
from mooring_operator.reconcile.kinds import DRIFT_MONITOR
from mooring_operator.reconcile.training_runs import TrainingRuns

from tests.cluster.test_run_jobs import connection, controllers, requests  # noqa: F401
from tests.cluster.test_run_processes import deploy, lab, ref_of  # noqa: F401
from tests.put import put
from tests.unit.inference.inference_process import running, save_negation
from tests.unit.operator.adapters.routers.inference_services.test_fields import expanded

pytestmark = pytest.mark.timeout(400)
ROWS = 20


class Traffic:
    """Rows of two features from callers that come all the time and say what was true; `shift` moves the second."""

    def __init__(self, client) -> None:
        self.shift = 0.0
        self._client, self._random, self._numbers = client, np.random.default_rng(0), itertools.count()

    async def flow(self) -> None:
        while True:
            rows = self._random.normal(loc=(0.0, self.shift), size=(ROWS, 2))
            x = {"name": "x", "datatype": "FP32", "shape": [ROWS, 2], "data": rows.ravel().tolist()}
            request = f"r{next(self._numbers)}"
            answer = await self._client.post("/v2/models/digits/infer", json={"id": request, "inputs": [x]})
            assert answer.status_code == 200
            # The model's scores of two classes are its features, negated.
            label = {"id": request, "value": (-rows).argmax(axis=1).tolist()}
            assert (await self._client.post("/v2/models/digits/labels", json=label)).is_success
            await asyncio.sleep(0.02)  # the pace of the callers


@asynccontextmanager
async def serving(revision: Revision, s3_store, folder):
    """The server of a revision, with what its container is told, and traffic to it."""
    told = {one["name"]: expanded(one["value"]) for one in predictor(revision)["model"]["env"]}
    environment = {**told, **s3_store.environment, "MOORING_CAPTURE_SPOOL_DIR": str(folder / "spool")}
    flags = ["--capture_flush_seconds=1", "--model_name=digits"]
    async with running(save_negation(folder / "model"), *flags, env=environment) as (_, client):
        traffic = Traffic(client)
        flow = asyncio.create_task(traffic.flow())
        yield traffic
        flow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flow


async def monitored(lab, **spec):  # noqa: F811
    """The DriftMonitor of digits, and the operator's part that follows it."""
    wanted = {"target": {"name": "digits"}, "credentialsSecret": "keys", **spec}
    manifest = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": "traffic", "namespace": lab.namespace},
        "spec": wanted,
    }
    monitor = await put(lab.real, manifest, DRIFT_MONITOR)
    answers = Answers(StoredDocuments(), SignedUrls(), lab.artifact_root)
    pipelines = JobPipelines(lab.real, RunPods(), lambda: datetime.now(UTC))
    return ref_of(monitor), DriftMonitors(
        cluster=lab.real,
        runs=DriftRuns(pipelines, answers, RunPods().longest),
        trainings=TrainingRuns(pipelines, answers, RunPods().longest),
        receivers=NoticeJobs(lab.real, RunPods()),
        notifier=KubernetesEvents(lab.real),
        clock=lambda: datetime.now(UTC).replace(microsecond=0),
    )


async def test_what_a_server_keeps_is_watched_until_it_drifts_and_is_rolled_back(lab, s3_store, tmp_path):  # noqa: F811
    capture = {"store": "s3://mooring/captured", "mask": {"x[0]": "bucket:-1,0,1"}}
    await deploy(lab)
    await lab.until_phase("Promoted")
    keys = {"envFrom": [{"secretRef": {"name": "keys"}}]}
    await deploy(lab, serving={"capture": capture, **keys})
    status = await lab.until(lambda s: s.get("phase") == "Promoted" and "capture" in s["stable"]["serving"])
    assert {c["type"]: c["status"] for c in status["conditions"]}["Capturing"] == "Unknown"
    revision = Revision.model_validate(status["stable"])
    monitor, monitors = await monitored(
        lab,
        interval="10s",
        window={"capture": {"grace": "3s"}},
        actions=["Rollback"],
        performance={"grace": "5s", "minLabels": 20, "rules": [{"metric": "accuracy", "limit": 0.9}]},
        baseline={"uri": "s3://mooring/captured/baseline"},
    )

    async def evaluated(*reasons):
        """Let the monitor and its runs act until an evaluation ends as one of these."""
        async with asyncio.timeout(160):
            while True:
                await monitors.reconcile(lab.namespace, "traffic")
                await lab.pods.play()
                found = (await lab.real.get(monitor)).get("status", {})
                if found.get("reason") in reasons:
                    return found
                assert found.get("phase") != "Failed", found

    async with serving(revision, s3_store, tmp_path) as traffic:
        await kept_as_baseline(revision.revision, rows=2000)
        quiet = await evaluated("NoDrift")
        assert quiet["evaluation"]["featuresTested"] == 4
        traffic.shift = 2.0
        drifted = await evaluated("DriftDetected")
    moved = {each["name"] for each in drifted["evaluation"]["features"] if each["drifted"]}
    assert moved == {"x[1]", "prediction.y[1]"}
    assert drifted["evaluation"]["windowUntil"] > quiet["evaluation"]["windowUntil"]
    performance = drifted["performance"]
    assert performance["labels"]["labelled"] == performance["labels"]["answered"] >= ROWS
    assert {each["metric"]: each["value"] for each in performance["metrics"]}["accuracy"] == 1.0
    [held] = [each for each in drifted["conditions"] if each["type"] == "PerformanceDropped"]
    assert (held["status"], held["reason"]) == ("False", "RulesHold")
    status = await lab.until_phase("RolledBack")
    assert status["failedRevision"] == revision.revision
    assert "capture" not in status["stable"].get("serving", {})


async def kept_as_baseline(revision, *, rows):
    """Take the first files that the server has uploaded for a baseline of so many rows at least."""
    bucket = obstore.store.from_url("s3://mooring/")
    kept = f"captured/deployment=digits/revision={revision}/"
    async with asyncio.timeout(60):
        while sum(meta["size"] for page in obstore.list(bucket, kept) for meta in page) < 12 * rows:
            await asyncio.sleep(0.1)
    for page in obstore.list(bucket, kept):
        for meta in page:
            name = meta["path"].rpartition("/")[2]
            content = bytes(obstore.get(bucket, meta["path"]).bytes())
            obstore.put(bucket, f"captured/baseline/{name}", content)
