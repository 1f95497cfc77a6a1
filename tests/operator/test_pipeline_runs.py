"""`python -I -m mooring_pipelines run` as the pod of a Job runs it: arguments, environment, limits, and its end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import kfp_server_api as kfp
import numpy as np
import onnx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mooring_artifacts.run_documents import (
    DriftReport,
    RunFailure,
    Verdict,
    parse_drift_report,
    parse_verdict,
)
from mooring_artifacts.storage import content_digest
from mooring_pipelines.compilation import PACKAGED
from onnx import TensorProto, helper

from tests.operator import pod
from tests.operator.test_kfp_server import Server
from tests.unit.signed_store import signed_store

SECONDS = 120
STEPS = ["fetch-model", "evaluate-quality", "measure-latency", "write-verdict"]
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def save(path, nodes, constants, **graph):
    rows = [helper.make_tensor_value_info(name, FLOAT, [None, 2]) for name in "xy"]
    made = helper.make_graph(nodes, "g", rows[:1], rows[1:], constants, **graph)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def endless(path):
    """290 bytes that loop 2**62 times."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Add", ["v", "one"], ["w"])],
        "body",
        [value("i", INT64, []), value("c", BOOL, []), value("v", FLOAT, [None, 2])],
        [value("d", BOOL, []), value("w", FLOAT, [None, 2])],
        [helper.make_tensor("one", FLOAT, [], [1.0])],
    )
    loop = helper.make_node("Loop", ["times", "go", "x"], ["y"], body=body)
    times, go = helper.make_tensor("times", INT64, [], [1 << 62]), helper.make_tensor("go", BOOL, [], [True])
    save(path, [loop], [times, go])


def huge(path):
    """145 bytes that want 8 GB."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    save(path, nodes, [helper.make_tensor("size", INT64, [1], [1 << 31])])


@pytest.fixture(scope="module")
def open_folder():
    """A folder that the pod's user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def files(open_folder):
    """Models and rows; the good model gets 3 of 4 rows right."""
    folder = open_folder / "python3 files"
    folder.mkdir()
    weights = helper.make_tensor("w", FLOAT, [2, 2], [0.0, 0.0, -1.0, 1.0])
    save(folder / "good.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [weights])
    endless(folder / "endless.onnx")
    huge(folder / "huge.onnx")
    rows = {"a": [0.0] * 4, "b": [1.0, 1.0, -1.0, -1.0], "label": np.array([1, 1, 0, 1])}
    pq.write_table(pa.table(rows), folder / "test.parquet")
    for name, shift in (("baseline", 0), ("window", 1)):
        x = np.random.default_rng(shift).normal(size=500) + shift
        pq.write_table(pa.table({"x": x, "y": np.arange(500.0)}), folder / f"{name}.parquet")
    return folder


@pytest.fixture
def store():
    with signed_store() as store:
        yield store


@pytest.fixture
def scratch(open_folder):
    """The pod's emptyDir."""
    return Path(tempfile.mkdtemp(dir=open_folder))


class Process:
    """The pod's command line, started; its log is read as it comes."""

    def __init__(self, parameters, scratch, *, pipeline="model-ci", before=(), **environment):
        self.started = time.monotonic()
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "MOORING_RUN_ID": "run-1",
            "MOORING_RUN_PARAMETERS": parameters if isinstance(parameters, str) else json.dumps(parameters),
            **environment,
        }
        command = [*before, sys.executable, "-I", "-m", "mooring_pipelines", "run", f"--pipeline={pipeline}"]
        self.process = subprocess.Popen(
            command,
            cwd=scratch,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []

    def wait_for(self, message, step=None):
        """Read the log up to a line of that message."""
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if (self.lines[-1]["message"], self.lines[-1].get("step")) == (message, step):
                return
        pytest.fail(f"no {message!r} of {step} in {self.lines}: {self.process.stderr.read()}")

    def end(self, status):
        """Wait for the end, with that exit status."""
        rest, errors = self.process.communicate(timeout=SECONDS)
        self.lines += [json.loads(line) for line in rest.splitlines()]
        assert (self.process.returncode, errors) == (status, ""), json.dumps(self.lines[-8:], indent=1)

    def said(self, message):
        return [line for line in self.lines if line["message"] == message]

    @property
    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def computing(self):
        """The step's process, as soon as it has computed for a while."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for child in self.children:
                # Far more than it takes to import what a step needs.
                if child.cpu_times().user > 8:
                    return child
            time.sleep(0.05)
        return pytest.fail("no step computes")


def parameters(files, verdict_uri, **changes):
    return {
        "model_uri": f"file://{files}/good.onnx".replace(" ", "%20"),
        "test_data_uri": f"file://{files}/test.parquet".replace(" ", "%20"),
        "verdict_uri": verdict_uri,
        "run_id": "run-1",
        "gates": [],
        **changes,
    }


def question(files, **changes):
    return {
        "baseline": {"uri": f"file://{files}/baseline.parquet".replace(" ", "%20")},
        "window": {"uri": f"file://{files}/window.parquet".replace(" ", "%20")},
        "minRows": 100,
        "ks": {"alpha": 0.01},
        "psi": {"threshold": 0.2, "bins": 10},
        **changes,
    }


def failure(content):
    found = parse_verdict(content)
    assert isinstance(found, RunFailure)
    assert found.run_id == "run-1"
    return found.error


def in_a_pod(scratch):
    """What runs a command with a read-only root, without a user and rights."""
    started = ["unshare", "--mount", "--propagation=private"]
    if subprocess.run([*started, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make mounts of its own")
    os.chown(scratch, pod.user(), pod.user())
    return [*started, sys.executable, pod.__file__, str(scratch)]


def test_a_good_model_is_judged_in_a_pod_with_a_read_only_root(files, store, scratch):
    url = store.sign("/b/v.json", once=True)
    run = Process(parameters(files, url), scratch, before=in_a_pod(scratch))
    run.end(0)
    verdict = parse_verdict(store.objects["/b/v.json"])
    assert isinstance(verdict, Verdict)
    assert (verdict.run_id, verdict.passed, verdict.metrics["accuracy"]) == ("run-1", True, 0.75)
    told = [(line["message"], line.get("step")) for line in run.lines if not line.get("output")]
    steps = [(message, step) for step in STEPS for message in ("step started", "step succeeded")]
    assert told == [("run started", None), *steps, ("run succeeded", None)]
    assert {line["runId"] for line in run.lines} == {"run-1"}
    assert "X-Amz" not in json.dumps(run.lines)
    assert list(scratch.iterdir()) == []


SCHEMA = """
columns:
- {name: a, type: number}
- {name: b, type: number, min: -1, max: 1}
- {name: label, type: integer, values: [0, 1]}
"""


def validated(schema):
    return {"data_schema": schema, "validates_data": True}


def test_data_is_validated_before_anything_else_where_a_schema_is_given(files, scratch):
    run = Process(parameters(files, f"file://{scratch}/v.json", **validated(SCHEMA)), scratch)
    run.end(0)
    assert parse_verdict((scratch / "v.json").read_bytes()).passed
    started = [line["step"] for line in run.said("step started")]
    assert started == ["validate-data", *STEPS]


def test_data_that_violates_its_schema_ends_the_run_with_what_is_wrong(files, store, scratch):
    url = store.sign("/b/v.json", once=True)
    schema = SCHEMA.replace("values: [0, 1]", "values: [0, 2]").replace("min: -1", "min: 0")
    run = Process(parameters(files, url, **validated(schema)), scratch)
    run.end(1)
    error = failure(store.objects["/b/v.json"])
    assert (error.reason, error.message) == (
        "DataInvalid",
        "validate-data: column b has 2 values below 0.0, such as '-1.0' in row 2; "
        "column label has 3 values that are not allowed, such as '1' in row 0",
    )
    assert [line["step"] for line in run.said("step started")] == ["validate-data"]


def test_a_failed_gate_is_a_run_that_succeeded(files, scratch):
    gates = [{"metric": "accuracy", "min": 0.9}]
    run = Process(parameters(files, f"file://{scratch}/v.json", gates=gates), scratch)
    run.end(0)
    verdict = parse_verdict((scratch / "v.json").read_bytes())
    assert [violation.message for violation in verdict.violations] == [
        "accuracy 0.75 is below the minimum 0.9"
    ]


def test_labels_that_count_from_1_get_a_hint_in_the_verdict_and_in_the_log(files, scratch):
    rows = {"a": [0.0] * 3, "b": [1.0, 1.0, -1.0], "label": np.array([2, 1, 1])}
    pq.write_table(pa.table(rows), files / "from1.parquet")
    gates = [{"metric": "accuracy", "min": 0.9}]
    data = f"file://{files}/from1.parquet".replace(" ", "%20")
    given = parameters(files, f"file://{scratch}/v.json", gates=gates, test_data_uri=data)
    run = Process(given, scratch)
    run.end(0)
    (violation,) = parse_verdict((scratch / "v.json").read_bytes()).violations
    hint = (
        "the model's scores were taken for the labels 1, 2 in this order; "
        "spec.ci.testData.classes says otherwise"
    )
    assert violation.message == f"accuracy 0.666667 is below the minimum 0.9; {hint}"
    assert run.said(f"hint: {hint}")
    other = {**given, "test_options": {"classes": ["2", "1"]}}
    run = Process(other, scratch)
    run.end(0)
    assert parse_verdict((scratch / "v.json").read_bytes()).metrics["accuracy"] == pytest.approx(1 / 3)


def test_a_candidate_is_judged_beside_the_champion_and_by_the_bounds_of_intervals(files, scratch):
    weights = helper.make_tensor("w", FLOAT, [2, 2], [0.0, 0.0, 1.0, -1.0])
    save(files / "bad.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [weights])
    gates = [
        {"metric": "accuracy", "notWorseThan": "champion", "margin": 0.1},
        {"metric": "accuracy", "min": 0.2, "means": "Bound"},
    ]
    given = parameters(files, f"file://{scratch}/v.json", gates=gates)
    good = given["model_uri"]
    digest = content_digest(good)
    bad = good.replace("good", "bad")
    run = Process({**given, "model_uri": bad, "champion_uri": good, "champion_digest": digest}, scratch)
    run.end(0)
    verdict = parse_verdict((scratch / "v.json").read_bytes())
    low = verdict.intervals["accuracy"].low
    assert [violation.message for violation in verdict.violations] == [
        "accuracy 0.25 is 0.5 worse than the champion's 0.75; 0.1 is allowed",
        f"accuracy 0.25 may be as low as {low:.6g} (95 %), which is below the minimum 0.2",
    ]
    assert verdict.champion_digest == digest
    assert verdict.differences["accuracy"].value == -0.5
    assert any("beside the champion" in line["message"] for line in run.lines if line.get("output"))


def test_predictions_that_are_no_numbers_end_in_a_verdict(files, scratch):
    weights = helper.make_tensor("w", FLOAT, [2, 1], [float("nan"), 1.0])
    save(files / "nan.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [weights])
    rows = {"a": [0.0, 1.0], "b": [1.0, 1.0], "label": [1.5, 2.5]}
    pq.write_table(pa.table(rows), files / "amounts.parquet")
    changes = {
        "model_uri": f"file://{files}/nan.onnx".replace(" ", "%20"),
        "test_data_uri": f"file://{files}/amounts.parquet".replace(" ", "%20"),
        "gates": [{"metric": "mae", "max": 1}],
    }
    run = Process(parameters(files, f"file://{scratch}/v.json", **changes), scratch)
    run.end(0)
    verdict = parse_verdict((scratch / "v.json").read_bytes())
    assert [violation.message for violation in verdict.violations] == [
        "mae was not measured: 2 of 2 predictions are not finite, the first in row 0"
    ]
    assert verdict.test_data_digest == content_digest(changes["test_data_uri"])


def test_what_a_person_has_to_correct_is_the_failure_in_one_line(files, store, scratch):
    url = store.sign("/b/v.json", once=True)
    run = Process(parameters(files, url, label_column="target"), scratch)
    run.end(1)
    error = failure(store.objects["/b/v.json"])
    assert error.reason == "InvalidInput"
    assert error.message.startswith("evaluate-quality: label_column 'target' is not in test_data_uri ")
    assert run.said("run failed")[0]["error"] == error.message
    printed = [line["message"] for line in run.lines if line.get("output")]
    assert printed[0] == "scan: nothing found in 1 file"
    assert len(printed) == 2
    assert printed[1].startswith("InputError: label_column 'target'")


@pytest.mark.timeout(240)
def test_a_run_registers_what_it_tested_and_says_so_in_the_verdict(files, store, scratch, mlflow):
    """MLflow takes no files of this machine for a version: one is there already."""
    with httpx.Client(base_url=f"{mlflow}/api/2.0/mlflow/", timeout=60) as api:
        api.post("registered-models/create", json={"name": "tested"})
        api.post("model-versions/create", json={"name": "tested", "source": "s3://models/digits/1"})
        asked = {"name": "tested", "version": "1", "trackingUri": mlflow}
        given = parameters(files, store.sign("/b/v.json"), registers=True, registration=asked)
        run = Process(given, scratch)
        run.end(0)
        answer = api.get("model-versions/get", params={"name": "tested", "version": "1"}).json()
    steps = [line["step"] for line in run.said("step succeeded")]
    assert steps[-2:] == ["register-model", "write-verdict-2"]
    verdict = parse_verdict(store.objects["/b/v.json"])
    assert verdict.passed
    assert verdict.registration.in_words() == "registered as tested version 1"
    tags = {tag["key"]: tag["value"] for tag in answer["model_version"]["tags"]}
    assert tags["mooring.digest"] == verdict.model_digest
    assert json.loads(tags["mooring.signature"])["inputs"] == [
        {"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
    ]


def test_a_run_passes_where_it_cannot_register(files, store, scratch):
    given = parameters(files, store.sign("/b/v.json"), registers=True, registration={"name": "digits"})
    Process(given, scratch).end(0)
    verdict = parse_verdict(store.objects["/b/v.json"])
    assert verdict.passed
    assert "MLFLOW_TRACKING_URI" in verdict.registration.problem


@pytest.mark.parametrize("step", [None, *STEPS])
def test_sigterm_ends_a_run_at_any_step_and_says_so(files, store, scratch, step):
    run = Process(parameters(files, store.sign("/b/v.json", once=True)), scratch)
    run.wait_for("step started" if step else "run started", step)
    children = run.children
    run.process.send_signal(signal.SIGTERM)
    run.end(143)
    # The store may still be at work on what the last step sent just before.
    deadline = time.monotonic() + 60
    while "/b/v.json" not in store.objects and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "/b/v.json" in store.objects, (store.requests, run.lines)
    # The last step may have written the verdict just before.
    found = parse_verdict(store.objects["/b/v.json"])
    if isinstance(found, RunFailure) or step != "write-verdict":
        error = failure(store.objects["/b/v.json"])
        during = f" during step {step}" if step else ""
        assert (error.reason, error.message) == (
            "Terminated",
            f"the run was ended by SIGTERM{during}: by its deadline, or with its pod",
        )
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert list(scratch.iterdir()) == []


def test_sigterm_ends_a_run_while_onnxruntime_computes(files, store, scratch):
    model = f"file://{files}/endless.onnx".replace(" ", "%20")
    run = Process(parameters(files, store.sign("/b/v.json"), model_uri=model), scratch)
    run.wait_for("step started", "evaluate-quality")
    step = run.computing()
    asked = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    run.end(143)
    assert time.monotonic() - asked < 10
    assert psutil.wait_procs([step], timeout=10)[1] == []
    assert failure(store.objects["/b/v.json"]).reason == "Terminated"


def test_a_store_that_stalls_does_not_keep_a_run_that_has_to_end(files, store, scratch):
    store.script = ["stall"] * 10
    run = Process(parameters(files, store.sign("/b/v.json")), scratch)
    run.wait_for("step started", "fetch-model")
    asked = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    run.end(143)
    assert time.monotonic() - asked < 20
    assert "the failure document is not written" in run.lines[-1]["message"]


def test_a_step_that_the_kernel_kills_needs_more_memory(files, store, scratch):
    model = f"file://{files}/endless.onnx".replace(" ", "%20")
    run = Process(parameters(files, store.sign("/b/v.json"), model_uri=model), scratch)
    run.wait_for("step started", "evaluate-quality")
    run.computing().kill()
    run.end(1)
    error = failure(store.objects["/b/v.json"])
    assert error.reason == "OutOfMemory"
    assert error.message.startswith("evaluate-quality: it was killed by SIGKILL; ")
    assert "memory limit" in error.message


def test_a_model_that_wants_more_memory_than_there_is_fails_in_one_line(files, store, scratch):
    model = f"file://{files}/huge.onnx".replace(" ", "%20")
    run = Process(
        parameters(files, store.sign("/b/v.json"), model_uri=model),
        scratch,
        before=["prlimit", f"--as={6 << 30}"],
    )
    run.end(1)
    error = failure(store.objects["/b/v.json"])
    assert error.reason == "OutOfMemory"
    assert error.message.startswith("evaluate-quality: ")
    assert "memory limit" in error.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "parameter(s) provided are not required by pipeline: colour"),
        ({"run_id": "run-2"}, "run_id 'run-2' is not MOORING_RUN_ID 'run-1'"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_any_work(files, store, scratch, changes, message):
    run = Process(parameters(files, store.sign("/b/v.json"), **changes), scratch)
    run.end(2)
    error = failure(store.objects["/b/v.json"])
    assert (error.reason, error.message) == ("ParametersInvalid", f"MOORING_RUN_PARAMETERS: {message}")
    assert [line["message"] for line in run.lines] == ["run refused", "the failure document is written"]


def test_a_folder_that_cannot_be_written_is_named(files, scratch):
    run = Process(parameters(files, f"file://{scratch}/v.json"), scratch, TMPDIR="/proc")
    run.end(2)
    assert run.lines[-2]["error"].startswith("TMPDIR '/proc' cannot be written: ")


def test_a_store_that_is_busy_is_waited_for(files, store, scratch):
    store.script = [(503, "SlowDown"), (500, "InternalError")]
    run = Process(parameters(files, store.sign("/b/v.json", once=True)), scratch)
    run.end(0)
    assert isinstance(parse_verdict(store.objects["/b/v.json"]), Verdict)


def test_a_url_that_has_expired_fails_the_run_and_is_shown_nowhere(files, store, scratch):
    run = Process(parameters(files, store.sign("/b/v.json", expires=0)), scratch)
    run.end(1)
    assert run.said("run failed")[0]["error"].endswith("is signed for another request, or has expired")
    assert run.said("the failure document is not written")
    assert "X-Amz" not in json.dumps(run.lines)
    assert store.objects == {}


def test_a_verdict_that_another_writer_left_is_not_taken_for_ours(files, store, scratch):
    store.objects["/b/v.json"] = b"theirs"
    run = Process(parameters(files, store.sign("/b/v.json", once=True)), scratch)
    run.end(1)
    assert "another writer won" in run.said("run failed")[0]["error"]
    assert store.objects == {"/b/v.json": b"theirs"}


def test_neither_the_environment_nor_the_working_directory_brings_code_in(files, scratch):
    for name in ("sitecustomize", "kfp", "mooring_components", "numpy"):
        (scratch / f"{name}.py").write_text("raise SystemExit('code of somebody else')")
    run = Process(parameters(files, f"file://{scratch}/v.json"), scratch, PYTHONPATH=str(scratch))
    run.end(0)


def ask(files, store, scratch, **changes):
    url = store.sign("/b/r.json", once=True)
    asked = {"question": question(files, **changes), "report_uri": url, "run_id": "run-1"}
    asked["page_uri"] = store.sign("/b/r.html", once=True)
    run = Process(asked, scratch, pipeline="drift-evaluation")
    run.end(0)
    return run


def test_a_drift_evaluation_writes_its_report(files, store, scratch):
    ask(files, store, scratch)
    report = parse_drift_report(store.objects["/b/r.json"])
    assert isinstance(report, DriftReport)
    assert (report.run_id, report.drifted_features, report.window_rows) == ("run-1", ["x"], 500)
    assert report.page
    assert b"features drifted: x" in store.objects["/b/r.html"]


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"window": {"uri": "file:///no/such"}}, "WindowUnreadable", "does not exist"),
        ({"psi": {"threshold": 0.2, "bins": 10**9}}, "QuestionInvalid", "question.psi.bins 1000000000"),
    ],
)
def test_a_mistake_in_the_question_is_its_answer(files, store, scratch, changes, reason, said):
    run = ask(files, store, scratch, **changes)
    found = parse_drift_report(store.objects["/b/r.json"])
    assert isinstance(found, RunFailure)
    assert (found.run_id, found.error.reason) == ("run-1", reason)
    assert said in found.error.message
    assert run.said("run succeeded")


def test_the_pipelines_server_runs_a_drift_evaluation_too(files, tmp_path):
    server = Server(tmp_path / "kfp").start()
    try:
        spec, _ = yaml.safe_load_all((PACKAGED / "drift-evaluation.yaml").read_text())
        parameters = {
            "question": question(files),
            "report_uri": f"file://{tmp_path}/r.json",
            "run_id": "run-1",
        }
        asked = kfp.V2beta1Run(
            display_name="drift",
            pipeline_spec=spec,
            runtime_config=kfp.V2beta1RuntimeConfig(parameters=parameters),
        )
        run_id = server.runs.run_service_create_run(asked).run_id
        run = server.wait_state(run_id, "SUCCEEDED", "FAILED")
        assert run.state == "SUCCEEDED", run.error
    finally:
        server.stop()
    assert parse_drift_report((tmp_path / "r.json").read_bytes()).drifted_features == ["x"]
