"""Whole tests of models and evaluations of drift as Jobs: the pods' command lines run as processes, for real.

The API server, its controllers and the S3 server are real; a pod is a process with the arguments and the
environment that the kubelet would give it, the Secret's included.
"""

import asyncio
import base64
import itertools
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import obstore
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.data_versions.references import parse_dataset
from mooring_artifacts.grants import Grant, Grants
from mooring_artifacts.storage import content_digest
from mooring_components.data_versions import push
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.documents import StoredDocuments
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.mlflow import MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.notifier import KubernetesEvents
from mooring_operator.adapters.pipelines.jobs import JOB, JobPipelines
from mooring_operator.adapters.signed_urls import SignedUrls
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.rollout.situation import Resolved
from mooring_operator.reconcile.answers import Answers
from mooring_operator.reconcile.drift_monitors import DriftMonitors
from mooring_operator.reconcile.drift_runs import DriftRuns
from mooring_operator.reconcile.kinds import DRIFT_MONITOR
from mooring_operator.reconcile.training_runs import TrainingRuns
from onnx import TensorProto, helper

from tests.cluster.job_pods import NOW, JobPods, environment_of
from tests.cluster.test_run_jobs import PAUSE, JobsLab, connection, controllers, post, requests, until  # noqa: F401
from tests.put import put
from tests.real_mlflow import running_mlflow
from tests.unit.operator.planning.manifests.test_pods import expanded

NAMES = (f"processes-{number}" for number in itertools.count())
pytestmark = pytest.mark.timeout(280)


class Processes(JobPods):
    """Runs each pod's container as a process, and reports how it ended."""

    async def _play(self, pod):
        if pod["status"].get("containerStatuses"):
            return
        self.ran.append(environment_of(pod)["MOORING_RUN_ID"])
        await self._report(pod, "Running", {"running": {"startedAt": NOW}}, ready=True)
        code, output = await self._run(pod)
        ended = {"exitCode": code, "reason": "Completed", "startedAt": NOW, "finishedAt": NOW}
        if code:
            # FallbackToLogsOnError.
            ended |= {"reason": "Error", "message": output[-2048:]}
        await self._report(pod, "Failed" if code else "Succeeded", {"terminated": ended}, ready=False)

    async def _run(self, pod) -> tuple[int, str]:
        container = pod["spec"]["containers"][0]
        command = [expanded(part) for part in [*container["command"], *container["args"]]]
        assert command[0] == "python"
        variables = {**await self._secrets(container), **environment_of(pod)}
        with tempfile.TemporaryDirectory() as folder:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command[1:],
                cwd=folder,
                env={"PATH": os.environ["PATH"], **variables, "HOME": folder, "TMPDIR": folder},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
        print(output.decode())
        return process.returncode, output.decode()

    async def _secrets(self, container) -> dict[str, str]:
        found = {}
        for source in container.get("envFrom", []):
            path = f"/api/v1/namespaces/{self.namespace}/secrets/{source['secretRef']['name']}"
            data = (await self.connection.send("get", "GET", path, resource=""))["data"]
            found.update({name: base64.b64decode(value).decode() for name, value in data.items()})
        return found


@pytest.fixture
async def lab(connection, s3_store, tmp_path):  # noqa: F811
    namespace = next(NAMES)
    await post(connection, "/api/v1/namespaces", {"metadata": {"name": namespace}})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    await until(lambda: connection.send("get", "GET", account, resource=""))
    secret = {"metadata": {"name": "keys"}, "stringData": s3_store.environment}
    await post(connection, f"/api/v1/namespaces/{namespace}/secrets", secret)
    upload(tmp_path)
    lab = JobsLab(KubernetesCluster(connection), namespace, Processes(connection, namespace), tmp_path)
    lab.artifact_root = f"s3://{s3_store.bucket}/artifacts"
    lab.registry.resolve = address_alone
    lab.restart()
    return lab


async def address_alone(model, namespace=""):
    """The operator has no grant to look into the tenant's bucket."""
    return Resolved(model.uri, None)


def upload(folder: Path) -> None:
    """A model that predicts its second feature's sign, data it gets 3 of 4 rows right on, and two windows."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.0, 0.0, -1.0, 1.0])
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", rows[:1], rows[1:], [weights]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx"
    )
    test = {"a": [0.0] * 4, "b": [1.0, 1.0, -1.0, -1.0], "label": np.array([1, 1, 0, 1])}
    random = np.random.default_rng(0)
    tables = {
        "test": pa.table(test),
        "baseline": pa.table({"a": random.normal(size=2000), "b": random.normal(size=2000)}),
        "drifted": pa.table({"a": random.normal(size=500), "b": random.normal(2.0, size=500)}),
    }
    bucket = obstore.store.from_url("s3://mooring/")
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    for file in ("m.onnx", "test.parquet", "baseline.parquet", "drifted.parquet"):
        obstore.put(bucket, f"tenant/{file}", (folder / file).read_bytes())


def ci(*gates):
    data = {"uri": "s3://mooring/tenant/test.parquet"}
    return {"testData": data, "gates": list(gates), "credentialsSecret": "keys"}


async def deploy(lab, **spec):
    await lab.apply("unused", **spec)
    deployment = await lab.deployment()
    await lab.real.change(deployment, {"spec": {"model": {"uri": "s3://mooring/tenant/m.onnx"}}})


async def test_a_model_is_tested_where_it_is_served_and_its_digest_pinned(lab):
    await deploy(lab, ci=ci({"metric": "accuracy", "min": 0.7}))
    status = await lab.until_phase("Promoted")
    assert status["ci"]["metrics"]["accuracy"] == 0.75
    assert status["stable"]["digest"].startswith("sha256:")
    [job] = await lab.real.list(JOB, namespace=lab.namespace)
    parameters = environment_of(job["spec"]["template"])["MOORING_RUN_PARAMETERS"]
    assert "X-Amz-Signature" in parameters


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """An MLflow server that hands its artifacts out itself."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow"), proxied=True) as url:
        yield url


async def test_a_model_that_only_mlflow_can_read_is_copied_tested_and_served_from_the_copy(
    lab, tmp_path, proxied
):
    model = (tmp_path / "m.onnx").read_bytes()
    async with httpx.AsyncClient(base_url=f"{proxied}/api/2.0", timeout=60) as mlflow:
        run = (await mlflow.post("mlflow/runs/create", json={"experiment_id": "0"})).json()["run"]["info"]
        assert run["artifact_uri"].startswith("mlflow-artifacts:/")
        source = f"{run['artifact_uri']}/model"
        path = f"mlflow-artifacts/artifacts/{source.removeprefix('mlflow-artifacts:/')}/model.onnx"
        (await mlflow.put(path, content=model)).raise_for_status()
        version = {"name": "digits", "source": source, "run_id": run["run_id"]}
        for what, body in (
            ("registered-models/create", {"name": "digits"}),
            ("model-versions/create", version),
            ("registered-models/alias", {"name": "digits", "alias": "champion", "version": "1"}),
        ):
            (await mlflow.post(f"mlflow/{what}", json=body)).raise_for_status()
    lab.tracking_uri, lab.staging_root = proxied, "s3://mooring/staged/{namespace}"
    lab.registry = ModelSources(MlflowRest(proxied), lambda: Grants((Grant(("*",), ("models:/digits",)),)))
    lab.restart()
    await lab.apply("unused", ci=ci({"metric": "accuracy", "min": 0.7}))
    await lab.real.change(await lab.deployment(), {"spec": {"model": {"uri": "models:/digits@champion"}}})
    # Two runs, one after the other, each of them a process that imports much.
    status = await lab.until(lambda status: status.get("phase") in ("Promoted", "Failed"), seconds=150)
    assert status["phase"] == "Promoted", status["message"]
    stable = status["stable"]
    assert stable["storageUri"] == f"s3://mooring/staged/{lab.namespace}/{stable['digest'].partition(':')[2]}"
    assert content_digest(stable["storageUri"]) == stable["digest"]
    assert (stable["registered"], stable["modelUri"]) == ("digits/1", "models:/digits@champion")
    assert status["ci"]["metrics"]["accuracy"] == 0.75
    jobs = await lab.real.list(JOB, namespace=lab.namespace)
    pipelines = sorted(job["metadata"]["labels"]["mooring.dev/pipeline"] for job in jobs)
    assert pipelines == ["model-ci", "stage-model"]


async def test_mended_rows_are_a_new_version_that_the_next_candidate_is_tested_on(lab, tmp_path):
    dataset = parse_dataset(f"s3://mooring/{lab.namespace}/iris")
    wrong = push((tmp_path / "test.parquet").as_uri(), dataset, datetime.now(UTC)).pushed.record
    asked = ci({"metric": "accuracy", "min": 0.9})
    asked["testData"]["uri"] = f"{dataset}@latest"
    await deploy(lab, ci=asked)
    status = await lab.until_phase("Failed")
    assert (status["reason"], status["ci"]["testDataDigest"]) == ("CIFailed", wrong.version)
    rows = pq.read_table(tmp_path / "test.parquet")
    pq.write_table(rows.slice(0, 3), tmp_path / "test.parquet")
    mended = push((tmp_path / "test.parquet").as_uri(), dataset, datetime.now(UTC)).pushed.record
    assert mended.number == 2
    # The same files served in another way have their answer already, but not from other rows.
    await deploy(lab, ci=asked, serving={"env": [{"name": "A", "value": "b"}]})
    status = await lab.until_phase("Promoted")
    assert status["ci"]["testDataDigest"] == mended.version
    assert status["stable"]["tested"]["testDataDigest"] == mended.version


async def test_a_gate_that_does_not_hold_and_data_that_does_not_fit_are_told(lab):
    await deploy(lab, ci=ci({"metric": "accuracy", "min": 0.9}))
    status = await lab.until_phase("Failed")
    assert (status["reason"], "accuracy 0.75 is below" in status["message"]) == ("CIFailed", True)
    wrong = ci()
    wrong["testData"]["labelColumn"] = "target"
    await deploy(lab, ci=wrong, serving={"env": [{"name": "A", "value": "b"}]})
    status = await lab.until(lambda status: status.get("reason") == "CIRunFailed")
    assert "label_column 'target'" in status["message"]
    wrong = ci()
    wrong["testData"]["schema"] = "{columns: [{name: b, type: number, max: 0}], extraColumns: Allow}"
    await deploy(lab, ci=wrong, serving={"env": [{"name": "A", "value": "c"}]})
    status = await lab.until(lambda status: "validate-data" in status.get("message", ""))
    assert "validate-data: column b has 2 values above 0.0, such as '1.0' in row 0" in status["message"]


async def test_drift_is_evaluated_where_the_traffic_is(lab):
    await deploy(lab)
    await lab.until_phase("Promoted")
    rows = {name: {"uri": f"s3://mooring/tenant/{file}.parquet"} for name, file in WINDOWS.items()}
    spec = {"target": {"name": "digits"}, **rows, "credentialsSecret": "keys"}
    metadata = {"name": "traffic", "namespace": lab.namespace}
    manifest = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": metadata,
        "spec": spec,
    }
    monitor = await put(lab.real, manifest, DRIFT_MONITOR)
    pipelines = JobPipelines(lab.real, RunPods(), lambda: datetime.now(UTC))
    answers = Answers(StoredDocuments(), SignedUrls(), lab.artifact_root)
    monitors = DriftMonitors(
        cluster=lab.real,
        runs=DriftRuns(pipelines, answers, RunPods().longest),
        trainings=TrainingRuns(pipelines, answers, RunPods().longest),
        receivers=NoticeJobs(lab.real, RunPods()),
        notifier=KubernetesEvents(lab.real),
        clock=lambda: datetime.now(UTC).replace(microsecond=0),
    )
    async with asyncio.timeout(120):
        while monitor.get("status", {}).get("phase") not in ("Drifted", "Failed"):
            await monitors.reconcile(lab.namespace, "traffic")
            await lab.pods.play()
            monitor = await lab.real.get(ref_of(monitor))
            await asyncio.sleep(PAUSE)
    evaluation = monitor["status"]["evaluation"]
    assert [each["name"] for each in evaluation["features"] if each["drifted"]] == ["b"]
    assert (evaluation["baselineRows"], evaluation["windowRows"]) == (2000, 500)
    assert "run" not in monitor["status"]


TRAIN = """
import json, sys
import numpy as np, obstore, onnx, pyarrow as pa, pyarrow.parquet as pq
from onnx import TensorProto, helper
told = json.loads(sys.argv[-1])
def store(uri):
    bucket, _, path = uri.removeprefix("s3://").partition("/")
    return obstore.store.from_url(f"s3://{bucket}/"), path
def rows(part):
    bucket, path = store(part["uri"])
    # Not read_table of a Python file: its threads may outlive the script, and the interpreter aborts as it exits.
    return pq.ParquetFile(pa.BufferReader(bytes(obstore.get(bucket, path).bytes()))).read()
middle = float(np.median(np.concatenate([rows(part)["b"].to_numpy() for part in told["rows"].values()])))
weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [0.0, 0.0, -1.0, 1.0])
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy")
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
model.doc_string = f"trained around {middle:.3f} for {told['deployment']}: {told['driftedFeatures']}"
bucket, path = store(told["modelUri"])
obstore.put(bucket, f"{path}/model.onnx", model.SerializeToString())
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """An MLflow server that tells where artifacts are."""
    with running_mlflow(tmp_path_factory.mktemp("registry")) as url:
        yield url


async def test_drift_trains_a_model_that_is_registered_tested_and_promoted(lab, registry, tmp_path):
    async with httpx.AsyncClient(base_url=f"{registry}/api/2.0/mlflow", timeout=60) as mlflow:
        version = {"name": "iris", "source": "s3://mooring/tenant/m.onnx"}
        for what, body in (
            ("registered-models/create", {"name": "iris"}),
            ("model-versions/create", version),
            ("registered-models/alias", {"name": "iris", "alias": "challenger", "version": "1"}),
        ):
            (await mlflow.post(what, json=body)).raise_for_status()
    lab.tracking_uri = registry
    grants = Grants((Grant(("*",), ("models:/iris",)),))

    def played() -> float:
        return lab.now.timestamp()

    # What an alias led to is kept for pollInterval, by the played time as well.
    lab.registry = ModelSources(MlflowRest(registry), lambda: grants, clock=played)
    lab.restart()
    await lab.apply("unused", ci=ci({"metric": "accuracy", "min": 0.7}))
    uri = "models:/iris@challenger"
    await lab.real.change(await lab.deployment(), {"spec": {"model": {"uri": uri}}})
    first = (await lab.until_phase("Promoted"))["stable"]
    (tmp_path / "train.py").write_text(TRAIN)
    retrain = {
        "image": "registry.example.com/train:1",
        "command": ["python"],
        "args": [str(tmp_path / "train.py")],
        "output": "s3://mooring/tenant/models",
        "registerAs": "iris",
        "credentialsSecret": "keys",
    }
    status = await watch(lab, retrain, registry, "Done", "Failed")
    retraining = status["retraining"]
    assert retraining["stage"] == "Done", retraining["message"]
    assert retraining["modelUri"] == f"s3://mooring/tenant/models/{retraining['runId']}"
    assert content_digest(retraining["modelUri"]) == retraining["digest"]
    assert (retraining["registered"], retraining["message"]) == (
        "iris/2",
        "registered as iris version 2; ModelDeployment digits follows models:/iris@challenger: it is tested next",
    )
    path = f"tenant/models/{retraining['runId']}/model.onnx"
    content = obstore.get(obstore.store.from_url("s3://mooring/"), path).bytes()
    trained = onnx.load_from_string(bytes(content))
    assert "for digits: ['b']" in trained.doc_string
    lab.now += timedelta(minutes=2)
    found = await lab.until(
        lambda status: status["stable"]["revision"] != first["revision"] and status["phase"] == "Promoted"
    )
    assert (found["stable"]["registered"], found["stable"]["digest"]) == ("iris/2", retraining["digest"])
    assert (await lab.deployment())["spec"]["model"]["uri"] == uri


async def test_a_training_that_fails_is_told_by_its_last_words(lab, registry):
    await deploy(lab)
    await lab.until_phase("Promoted")
    retrain = {
        "image": "registry.example.com/train:1",
        "command": ["python", "-c"],
        "args": ["raise ValueError('no labels')"],
        "output": "s3://mooring/tenant/models",
    }
    status = await watch(lab, retrain, registry, "Done", "Failed")
    assert status["retraining"]["stage"] == "Failed"
    assert "container run ended with exit code 1: ValueError: no labels" in status["retraining"]["message"]


async def watch(lab, retrain, registry, *stages):
    """Compare two files until what drift has trained is at one of these stages; give the monitor's status."""
    rows = {name: {"uri": f"s3://mooring/tenant/{file}.parquet"} for name, file in WINDOWS.items()}
    spec = {"target": {"name": "digits"}, **rows, "credentialsSecret": "keys", "retrain": retrain}
    manifest = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": "traffic", "namespace": lab.namespace},
        "spec": spec,
    }
    monitor = await put(lab.real, manifest, DRIFT_MONITOR)
    pipelines = JobPipelines(lab.real, RunPods(), lambda: datetime.now(UTC))
    answers = Answers(StoredDocuments(), SignedUrls(), lab.artifact_root)
    async with asyncio.timeout(150):
        while (monitor.get("status", {}).get("retraining") or {}).get("stage") not in stages:
            # A new process for each look: what goes on stands in status alone.
            monitors = DriftMonitors(
                cluster=lab.real,
                runs=DriftRuns(pipelines, answers, RunPods().longest),
                trainings=TrainingRuns(pipelines, answers, RunPods().longest, registry),
                receivers=NoticeJobs(lab.real, RunPods()),
                notifier=KubernetesEvents(lab.real),
                clock=lambda: datetime.now(UTC).replace(microsecond=0),
            )
            await monitors.reconcile(lab.namespace, "traffic")
            await lab.pods.play()
            monitor = await lab.real.get(ref_of(monitor))
            await asyncio.sleep(PAUSE)
    return monitor["status"]


WINDOWS = {"baseline": "baseline", "window": "drifted"}


def ref_of(resource):
    return Ref(DRIFT_MONITOR, resource["metadata"]["namespace"], resource["metadata"]["name"])
