"""From requests to a rollback: a real server keeps what it answers, real runs compare it, the real API server is told.

The server has the environment that the operator writes for its container; the S3 server is real, too. The monitor
begins at a window that has ended, and the traffic changes at once: where a run takes longer than a window, few windows
lie before those that matter.
"""

import asyncio
import io
import itertools
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import obstore
import onnx
import pyarrow.parquet as pq
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
from onnx import TensorProto

from tests.cluster.test_run_jobs import PAUSE, connection, controllers, requests  # noqa: F401
from tests.cluster.test_run_processes import deploy, lab, ref_of  # noqa: F401
from tests.put import put
from tests.unit.inference.inference_process import running
from tests.unit.operator.adapters.routers.inference_services.test_fields import expanded

pytestmark = pytest.mark.timeout(900)
ROWS = 20
WINDOW = timedelta(seconds=10)
LATE = timedelta(seconds=3)
BASELINE_ROWS = 1000
FAILS, IS_SLOW = 1e6, 1e5
"""Numbers on which the model fails, and with which it takes long."""
SLOW_SIZE = 1600
LABELS = {"grace": "5s", "minLabels": 20, "rules": [{"metric": "accuracy", "limit": 0.9}]}


def save_model(folder):
    """y = -x on [n, 2]; it fails on rows with a number as large as FAILS, and multiplies matrices for IS_SLOW."""
    make, tensor, node = onnx.helper.make_tensor_value_info, onnx.helper.make_tensor, onnx.helper.make_node
    nodes = [
        node("ReduceMax", ["x"], ["largest"], keepdims=0),
        node("Greater", ["largest", "slow_above"], ["is_slow"]),
        node("Where", ["is_slow", "large", "small"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["zeros"]),
        node("MatMul", ["zeros", "zeros"], ["product"]),
        node("ReduceMax", ["product"], ["zero"], keepdims=0),
        node("Greater", ["largest", "fails_above"], ["fails"]),
        node("Cast", ["fails"], ["place"], to=TensorProto.INT64),
        # There is nothing at place 1.
        node("Gather", ["one", "place"], ["factor"]),
        node("Neg", ["x"], ["negated"]),
        node("Mul", ["negated", "factor"], ["scaled"]),
        node("Add", ["scaled", "zero"], ["y"]),
    ]
    constants = [
        tensor("slow_above", TensorProto.FLOAT, [], [IS_SLOW / 2]),
        tensor("large", TensorProto.INT64, [2], [SLOW_SIZE, SLOW_SIZE]),
        tensor("small", TensorProto.INT64, [2], [1, 1]),
        tensor("fails_above", TensorProto.FLOAT, [], [FAILS / 2]),
        tensor("one", TensorProto.FLOAT, [1], [1.0]),
    ]
    rows = [make(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", rows[:1], rows[1:], constants)
    folder.mkdir()
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
    return folder


class Traffic:
    """Rows of two features from callers that come all the time and say what was true.

    `shift` moves the second feature; the others are shares of requests: `wrong` of those that were answered wrongly,
    as their labels say, `failing` of those which the model fails on, `slow` of those that take it long.
    """

    def __init__(self, client) -> None:
        self.shift = self.wrong = self.failing = self.slow = 0.0
        self.began = datetime.now(UTC)
        self._client, self._random, self._numbers = client, np.random.default_rng(0), itertools.count()

    async def flow(self) -> None:
        while True:
            await self._ask(f"r{next(self._numbers)}")
            await asyncio.sleep(0.05)  # the pace of the callers

    async def _ask(self, request: str) -> None:
        rows = self._random.normal(loc=(0.0, self.shift), size=(ROWS, 2))
        is_wrong, fails, is_slow = self._random.random(3) < (self.wrong, self.failing, self.slow)
        if fails or is_slow:
            rows[0, 0] = FAILS if fails else IS_SLOW
        x = {"name": "x", "datatype": "FP32", "shape": [ROWS, 2], "data": rows.ravel().tolist()}
        answer = await self._client.post("/v2/models/digits/infer", json={"id": request, "inputs": [x]})
        assert (answer.status_code == 200) is not fails, answer.text
        # The model's scores of two classes are its features, negated.
        label = {"id": request, "value": (rows if is_wrong else -rows).argmax(axis=1).tolist()}
        assert (await self._client.post("/v2/models/digits/labels", json=label)).is_success


@asynccontextmanager
async def serving(revision: Revision, s3_store, folder):
    """The server of a revision, with what its container is told, and traffic to it."""
    told = {one["name"]: expanded(one["value"]) for one in predictor(revision)["model"]["env"]}
    environment = {**told, **s3_store.environment, "MOORING_CAPTURE_SPOOL_DIR": str(folder / "spool")}
    flags = ["--capture_flush_seconds=1", "--model_name=digits"]
    async with running(save_model(folder / "model"), *flags, env=environment) as (_, client):
        traffic = Traffic(client)
        async with asyncio.TaskGroup() as group:
            flow = group.create_task(traffic.flow())
            yield traffic
            flow.cancel()


class Watch:
    """A deployment whose requests are kept, from its promotion on, and the monitor that watches them."""

    def __init__(self, laboratory, revision, **spec) -> None:
        self.lab, self.revision, self._spec = laboratory, revision, spec

    async def begin(self, traffic) -> None:
        """Make the monitor when the newest window that has ended is all of this traffic."""
        await kept_as_baseline(self.lab.namespace, self.revision.revision)
        since = traffic.began
        await reached(lambda: datetime.now(UTC) > since + 2 * WINDOW + LATE)
        self._monitor, self._monitors = await monitored(self.lab, **self._spec)
        await self._monitors.reconcile(self.lab.namespace, "traffic")

    async def until(self, holds):
        """Let the monitor and its runs act until its status is as wanted; give that."""
        found = {}
        try:
            async with asyncio.timeout(420):
                while True:
                    await self._monitors.reconcile(self.lab.namespace, "traffic")
                    await self.lab.pods.play()
                    found = (await self.lab.real.get(self._monitor)).get("status", {})
                    if holds(found):
                        return found
                    assert found.get("phase") != "Failed", found
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            pytest.fail(f"the monitor's status is still {found}")

    async def until_condition(self, kind, status):
        """Let the monitor act until a condition is as wanted; give its reason, and the monitor's status."""
        found = await self.until(lambda seen: conditions(seen).get(kind, ("",))[0] == status)
        return conditions(found)[kind][1], found

    async def rolled_back(self) -> None:
        """Wait until the deployment is back at the revision before."""
        status = await self.lab.until_phase("RolledBack")
        assert status["failedRevision"] == self.revision.revision
        assert "capture" not in status["stable"].get("serving", {})


async def watch(lab, **spec):  # noqa: F811
    """Promote a revision that keeps its requests, to be watched."""
    capture = {"store": f"s3://mooring/{lab.namespace}/captured", "mask": {"x[0]": "bucket:-1,0,1"}}
    await deploy(lab)
    before = await lab.until_phase("Promoted")
    keys = {"envFrom": [{"secretRef": {"name": "keys"}}]}
    await deploy(lab, serving={"capture": capture, **keys})
    status = await lab.until(lambda s: s.get("phase") == "Promoted" and "capture" in s["stable"]["serving"])
    assert conditions(status)["Capturing"][0] == "Unknown"
    revision = Revision.model_validate(status["stable"])
    assert revision.revision != before["stable"]["revision"]
    return Watch(lab, revision, **spec)


async def monitored(lab, **spec):  # noqa: F811
    """The DriftMonitor of digits, and the operator's part that follows it."""
    wanted = {
        "target": {"name": "digits"},
        "credentialsSecret": "keys",
        "baseline": {"uri": f"s3://mooring/{lab.namespace}/baseline"},
        "window": {"capture": {"grace": f"{LATE.seconds}s"}},
        "interval": f"{WINDOW.seconds}s",
        "minRows": 20,
        # One quiet window in a hundred would name a feature.
        "detectors": {"ks": {"alpha": 1e-6}},
        **spec,
    }
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


async def kept_as_baseline(folder, revision) -> None:
    """Take the first files that the server has uploaded for a baseline, when they have rows enough.

    Other tests keep requests of the same revision in other folders of the store.
    """
    bucket = obstore.store.from_url("s3://mooring/")
    kept = f"{folder}/captured/deployment=digits/revision={revision}/"

    def files():
        paths = [meta["path"] for page in obstore.list(bucket, kept) for meta in page]
        return {path: bytes(obstore.get(bucket, path).bytes()) for path in paths}

    def rows():
        return sum(pq.read_metadata(io.BytesIO(content)).num_rows for content in files().values())

    await reached(lambda: rows() >= BASELINE_ROWS)
    for path, content in files().items():
        obstore.put(bucket, f"{folder}/baseline/{path.rpartition('/')[2]}", content)


async def reached(holds) -> None:
    async with asyncio.timeout(180):
        while not holds():
            await asyncio.sleep(0.2)


def conditions(status):
    return {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions", [])}


async def test_what_a_server_keeps_is_watched_until_it_drifts_and_is_rolled_back(lab, s3_store, tmp_path):  # noqa: F811
    watched = await watch(lab, actions=["Rollback"], performance=LABELS)
    async with serving(watched.revision, s3_store, tmp_path) as traffic:
        await watched.begin(traffic)
        traffic.shift = 2.0
        quiet = await watched.until(lambda status: status.get("reason") == "NoDrift")
        assert quiet["evaluation"]["featuresTested"] == 4
        drifted = await watched.until(lambda status: status.get("reason") == "DriftDetected")
    moved = {each["name"] for each in drifted["evaluation"]["features"] if each["drifted"]}
    assert moved == {"x[1]", "prediction.y[1]"}
    assert drifted["evaluation"]["windowUntil"] > quiet["evaluation"]["windowUntil"]
    performance = drifted["performance"]
    assert performance["labels"]["labelled"] == performance["labels"]["answered"] >= ROWS
    assert {each["metric"]: each["value"] for each in performance["metrics"]}["accuracy"] == 1.0
    assert conditions(drifted)["PerformanceDropped"] == ("False", "RulesHold")
    await watched.rolled_back()


async def test_predictions_that_labels_find_wrong_are_rolled_back(lab, s3_store, tmp_path):  # noqa: F811
    """The traffic is as before: it is the model that does not fit any more."""
    watched = await watch(lab, performance={**LABELS, "actions": ["Rollback"]})
    async with serving(watched.revision, s3_store, tmp_path) as traffic:
        await watched.begin(traffic)
        traffic.wrong = 0.8
        assert (await watched.until_condition("PerformanceDropped", "False"))[0] == "RulesHold"
        reason, dropped = await watched.until_condition("PerformanceDropped", "True")
    assert reason == "RuleBroken"
    [rule] = dropped["performance"]["broken"]
    assert "accuracy" in rule
    assert conditions(dropped)["Drifted"] == ("False", "NoDrift")
    await watched.rolled_back()


@pytest.mark.parametrize(
    ("trouble", "rules", "rule"),
    [
        # A busy machine is slow by itself.
        ("failing", {"errorRate": 0.1, "latencyRatio": 1000}, "requests failed"),
        ("slow", {"errorRate": 0.99, "latencyRatio": 2}, "times as long is allowed"),
    ],
    ids=["failing", "slow"],
)
async def test_requests_that_fail_or_take_long_are_rolled_back(lab, s3_store, tmp_path, trouble, rules, rule):  # noqa: F811
    watched = await watch(lab, operation={**rules, "actions": ["Rollback"]}, features=["x[1]"])
    async with serving(watched.revision, s3_store, tmp_path) as traffic:
        await watched.begin(traffic)
        setattr(traffic, trouble, 0.4)
        assert (await watched.until_condition("OperationDegraded", "False"))[0] == "RulesHold"
        reason, degraded = await watched.until_condition("OperationDegraded", "True")
    assert reason == "RuleBroken"
    assert any(rule in broken for broken in degraded["operation"]["broken"])
    assert conditions(degraded)["Drifted"] == ("False", "NoDrift")
    await watched.rolled_back()
