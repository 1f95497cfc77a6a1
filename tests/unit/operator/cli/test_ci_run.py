"""`mooring ci run`: the pipeline itself runs, in a process of its own; no cluster, nothing played."""

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mooring_artifacts.run_documents import Verdict, parse_verdict
from mooring_components.signatures.bundles import public_pem
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli import ci_run
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.main import run
from skl2onnx import to_onnx
from sklearn import datasets, linear_model

from tests.openai_server import Speaker, speaking
from tests.unit.inference.inference_process import running
from tests.unit.object_store import s3_environment

SCHEMA = """
      schema: |
        extraColumns: Allow
        columns:
        - {name: mean radius, type: number}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier of scikit-learn's breast cancer data, its rows, and such with a hole."""
    folder = tmp_path_factory.mktemp("cancer")
    data = datasets.load_breast_cancer()
    x, y = data.data.astype(np.float32), data.target
    model = linear_model.LogisticRegression(max_iter=5000).fit(x[:300], y[:300])
    (folder / "model").mkdir()
    (folder / "model" / "model.onnx").write_bytes(
        to_onnx(model, x[:1], options={"zipmap": False}).SerializeToString()
    )
    columns = {name: x[300:, i] for i, name in enumerate(data.feature_names)}
    columns["clinic"] = np.arange(len(y) - 300) % 2 + 1
    pq.write_table(pa.table({**columns, "label": y[300:]}), folder / "test.parquet")
    columns["mean radius"] = pa.array([None, None, *columns["mean radius"][2:]])
    pq.write_table(pa.table({**columns, "label": y[300:]}), folder / "dirty.parquet")
    return folder


def manifest(folder, least=0.9, schema="", data="test.parquet"):
    path = folder / f"{abs(hash((least, schema, data)))}.yaml"
    path.write_text(f"""
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: cancer}}
spec:
  model: {{uri: "models:/cancer@champion", format: onnx}}
  ci:
    testData:
      uri: file://{folder}/{data}{schema}
    gates:
    - {{metric: accuracy, min: {least}}}
    - {{metric: latencyP95Ms, max: 60000}}
""")
    return str(path)


def test_a_good_model_passes_with_a_page_and_each_step_is_told(folder, capsys):
    page = folder / "out.html"
    arguments = ["ci", "run", manifest(folder), "--model", str(folder / "model"), "--report", str(page)]
    # A number by which rows are parted, and which the model does not take.
    code = run([*arguments, "--slice", "clinic", "--explain", "4"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert out.startswith("cancer: passed\n")
    assert "at least 0.9" in out
    assert {line.split()[-1] for line in out.splitlines() if line.startswith("  clinic ")} == {"1", "2"}
    steps = [line.partition(":")[0] for line in err.splitlines()]
    assert steps[:4] == ["fetch-model", "evaluate-quality", "measure-latency", "write-verdict"]
    assert f"report: {page}" in err
    assert "<h1>Passed: 2 gates hold</h1>" in page.read_text()
    assert "<td>clinic</td><td>2</td>" in page.read_text()
    assert "the mean size over 4 rows" in page.read_text()
    assert out.index("What moves the model most") < out.index("  FEATURE")
    # With its value, or that there is no meter.
    assert "<td>joulesPer1000Predictions</td>" in page.read_text()


async def test_what_answers_at_an_address_is_tested_there(folder, capsys):
    async with running(folder / "model") as server:
        address = f"http://127.0.0.1:{server.port}/v2/models/m"
        arguments = ["ci", "run", manifest(folder), "--model", str(folder / "model"), "--slice", "clinic"]
        arguments.append("--endpoint")
        code = run([*arguments, address])
        out, err = capsys.readouterr()
        assert code == 0, err
        assert out.startswith("cancer: passed\n")
        # An address that is KServe's to resolve: without --model its files are not looked at.
        code = run(["ci", "run", manifest(folder), "--slice", "clinic", "--endpoint", address, "-o", "json"])
        verdict = parse_verdict(capsys.readouterr().out.encode())
        assert (code, verdict.passed, verdict.model_digest) == (0, True, None)
        assert "modelSizeMB" not in verdict.metrics
        code = run([*arguments, address.replace("models/m", "models/other")])
    assert code == 2
    assert "/v2/models/other answers 404: " in capsys.readouterr().out
    assert run([*arguments, "localhost:8080"]) == 2
    assert "endpoint 'localhost:8080' is not allowed: write http" in capsys.readouterr().out


GOVERNED = """
---
apiVersion: mooring.dev/v1alpha1
kind: ModelPolicy
metadata: {name: house}
spec:
  signedBy:
  - name: release
    publicKey: |
%s
  requiredDocuments:
  - {name: card, address: README.md}
  - {name: review, address: docs/review.md}
"""


def test_what_policies_beside_it_demand_is_looked_up_and_shown(folder, tmp_path, capsys, monkeypatch):
    shutil.copytree(folder / "model", tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("# Cancer")
    key, public = tmp_path / "key.pem", tmp_path / "key.pub"
    private = ec.generate_private_key(ec.SECP256R1())
    key.write_text(private_pem(private))
    public.write_text(public_pem(private))
    model = str(tmp_path / "model")
    assert run(["ci", "verify", model, "--key", str(public)]) == 1
    assert capsys.readouterr().out == "no valid signature: there is none at model.sig\n"
    assert run(["ci", "sign", model, "--key", str(key)]) == 0
    assert run(["ci", "verify", model, "--key", str(public)]) == 0
    assert capsys.readouterr().out.endswith("model.sig\nsigned by key.pub\n")
    governed, page = tmp_path / "governed.yaml", tmp_path / "page.html"
    text = Path(manifest(folder)).read_text().replace("spec:", "spec:\n  policies: [house]", 1)
    governed.write_text(text + GOVERNED % textwrap.indent(public.read_text(), " " * 6))
    arguments = ["ci", "run", str(governed), "--model", model, "--slice", "clinic"]
    assert run([*arguments, "--report", str(page)]) == 0
    out = capsys.readouterr().out
    assert "  signature  yes    signed by release" in out
    assert "  card       yes    sha256:" in out
    assert "  review     no     not in the model's folder: docs/review.md" in out
    assert "<td>signed by release</td>" in page.read_text().replace(' class="wanted"', "")
    (tmp_path / "model" / "README.md").write_text("# Another")
    assert run([*arguments, "-o", "json"]) == 0
    verdict = parse_verdict(capsys.readouterr().out.encode())
    assert verdict.signature.problem == "signed by release, but 'README.md' changed since"
    assert [(one.name, one.digest is not None) for one in verdict.documents] == [
        ("card", True),
        ("review", False),
    ]
    # From stdin as from a file.
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(governed.read_bytes())))
    assert run(["ci", "run", "-", *arguments[3:], "-o", "json"]) == 0
    again = parse_verdict(capsys.readouterr().out.encode())
    assert (again.signature, again.documents) == (verdict.signature, verdict.documents)


def test_a_pickle_beside_the_model_ends_the_run_before_it_is_loaded_and_others_are_told(
    folder, tmp_path, capsys
):
    shutil.copytree(folder / "model", tmp_path / "model")
    (tmp_path / "model" / "sample.zip").write_bytes(b"PK\x03\x04 torn")
    page = tmp_path / "page.html"
    arguments = ["ci", "run", manifest(folder), "--model", str(tmp_path / "model"), "--slice", "clinic"]
    assert run([*arguments, "--report", str(page)]) == 0
    out = capsys.readouterr().out
    assert "In the model's files: 1 finding in 2 files: archive" in out
    assert "  sample.zip  it is a damaged zip archive" in out
    assert "1 finding in 2 files: archive</p>" in page.read_text()
    (tmp_path / "model" / "scaler.bin").write_bytes(pickle.dumps(linear_model.LogisticRegression()))
    assert run([*arguments, "--report", str(page)]) == 2
    reason = (
        "scaler.bin is a pickle, which runs code when it is loaded; it would import "
        "sklearn.linear_model._logistic.LogisticRegression; format onnx allows none in its folder"
    )
    assert reason in " ".join(capsys.readouterr().out.split())
    assert reason in page.read_text()


def private_pem(key):
    form, how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, how).decode()


def test_what_is_no_key_is_told(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_text("a")
    (tmp_path / "key").write_text("key")
    for command in ("sign", "verify"):
        assert run(["ci", command, str(tmp_path / "m"), "--key", str(tmp_path / "key")]) == 2
        assert run(["ci", command, str(tmp_path / "m"), "--key", str(tmp_path / "none")]) == 2
    told = capsys.readouterr().err
    assert "is no private key in PEM" in told
    assert "is no public key in PEM" in told
    assert told.count("No such file or directory") == 2


WRITER = """
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: writer}}
spec:
  model: {{uri: "hf://org/writer", format: huggingface}}
  ci:
    target: Endpoint
    protocol: OpenAI
    testData: {{uri: "file://{folder}/golden.jsonl", labelColumn: answer}}
    gates:
    - {{metric: exactMatch, min: {least}}}
    - {{metric: refusalRate, max: 0.5}}
    - {{metric: firstTokenP95Ms, max: 60000}}
    - {{metric: tokensPerSecond, min: 0.1}}
"""


@pytest.mark.parametrize(("least", "status"), [(0.4, 0), (0.9, 1)])
def test_a_model_that_writes_is_asked_a_golden_set(tmp_path, capsys, least, status):
    golden = [{"question": "France?", "answer": "Paris"}, {"question": "Italy?", "answer": "Rome"}]
    (tmp_path / "golden.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in golden))
    (tmp_path / "writer.yaml").write_text(WRITER.format(folder=tmp_path, least=least))
    page = tmp_path / "page.html"
    says = {"France?": ["Par", "is"], "Italy?": ["Mil", "an"]}
    # A token of its own time each, or there would be no speed to speak of.
    with speaking(Speaker(says.__getitem__, pauses=(0.0, 0.005))) as speaker:
        arguments = ["ci", "run", str(tmp_path / "writer.yaml"), "--report", str(page), "-o", "json"]
        code = run([*arguments, "--endpoint", speaker.model])
    verdict = parse_verdict(capsys.readouterr().out.encode())
    assert isinstance(verdict, Verdict), verdict
    assert (code, verdict.passed) == (status, status == 0)
    assert (verdict.metrics["exactMatch"], verdict.metrics["refusalRate"]) == (0.5, 0.0)
    assert verdict.metrics["firstTokenP95Ms"] < verdict.metrics["latencyP99Ms"]
    assert verdict.intervals["exactMatch"].low < 0.5 < verdict.intervals["exactMatch"].high
    assert "exactMatch" in page.read_text()


def test_the_json_of_a_model_that_is_rejected_is_its_verdict(folder, capsys):
    arguments = ["ci", "run", manifest(folder, 0.999), "--model", str(folder / "model"), "--slice", "clinic"]
    code = run([*arguments, "-o", "json"])
    verdict = parse_verdict(capsys.readouterr().out.encode())
    assert isinstance(verdict, Verdict)
    assert (code, verdict.passed) == (1, False)
    assert [violation.metric for violation in verdict.violations] == ["accuracy"]
    assert verdict.model_uri == (folder / "model").as_uri()


def test_a_version_of_a_dataset_is_what_a_verdict_names(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["data", "push", str(folder / "test.parquet"), "store/cancer"]) == 0
    version = capsys.readouterr().out.splitlines()[-1]
    arguments = ["ci", "run", manifest(folder, schema=SCHEMA), "--model", str(folder / "model")]
    arguments += ["--slice", "clinic"]
    code = run([*arguments, "--test-data", "store/cancer@latest"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert f"\n  on {(tmp_path / 'store/cancer').as_uri()}@latest, {version}\n" in out
    assert run([*arguments, "--test-data", "store/cancer@2"]) == 2
    assert "there is no such version of 'cancer': it has 1" in capsys.readouterr().out


def test_rows_that_break_their_schema_are_a_no_with_the_reason(folder, capsys):
    page = folder / "dirty.html"
    file = manifest(folder, schema=SCHEMA, data="dirty.parquet")
    code = run(["ci", "run", file, "--model", str(folder / "model"), "--report", str(page)])
    out, _ = capsys.readouterr()
    reason = "validate-data: column mean radius has 2 nulls"
    assert code == 1
    assert out.startswith("cancer: no verdict (DataInvalid)\n")
    assert reason in out
    assert f"<h1>No verdict: {reason}" in page.read_text()


def test_groups_noise_and_parts_of_the_rows_are_judged(folder, capsys):
    path = folder / "groups.yaml"
    path.write_text(f"""
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata: {{name: cancer}}
spec:
  model: {{uri: "models:/cancer@champion", format: onnx}}
  ci:
    testData: {{uri: "file://{folder}/test.parquet", slices: [clinic]}}
    fairness: {{column: clinic}}
    noise: [0.001, 3]
    gates:
    - {{metric: equalizedOddsDifference, max: 0.5}}
    - {{metric: noiseStability, min: 0.99}}
    - {{metric: accuracy, min: 0.8, slice: {{column: clinic}}}}
    - {{metric: accuracy, min: 0.5, slice: {{column: clinic, value: "3"}}}}
""")
    assert run(["ci", "run", str(path), "--model", str(folder / "model"), "-o", "json"]) == 1
    verdict = parse_verdict(capsys.readouterr().out.encode())
    assert isinstance(verdict, Verdict)
    little, much = verdict.stability
    assert (little.noise, much.noise) == (0.001, 3.0)
    assert little.share > 0.99 > 0.9 > much.share == verdict.metrics["noiseStability"]
    assert [group.rows for group in verdict.groups] == [135, 134]
    assert 0 <= verdict.metrics["equalizedOddsDifference"] < 0.5
    noise, part = (violation.message for violation in verdict.violations)
    assert noise.startswith("noiseStability 0.")
    assert noise.endswith("is below the minimum 0.99")
    assert part.startswith("accuracy: no rows where 'clinic' is '3' were measured; there are '")


def test_a_model_that_is_not_there_is_no_verdict(folder, capsys):
    code = run(["ci", "run", manifest(folder), "--model", f"file://{folder}/none", "-o", "json"])
    out, _ = capsys.readouterr()
    error = json.loads(out)["error"]
    assert (code, error["reason"]) == (2, "InvalidInput")
    assert error["message"].startswith("fetch-model: model_uri")


def test_a_store_that_does_not_answer_is_no_verdict_and_no_bad_input(folder, capsys, monkeypatch):
    for name, value in {**s3_environment(9), "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    arguments = ["--model", str(folder / "model"), "--test-data", "s3://b/rows.parquet", "-o", "json"]
    code = run(["ci", "run", manifest(folder), *arguments])
    error = json.loads(capsys.readouterr().out)["error"]
    assert (code, error["reason"]) == (2, "StoreUnavailable")
    assert "test_data_uri 's3://b/rows.parquet' cannot be read: " in error["message"]


def test_a_run_ends_with_the_command(folder):
    """And its files are gone."""
    place = folder / "tmp"
    place.mkdir()
    command = [sys.executable, "-m", "mooring_operator.cli", "ci", "run", manifest(folder)]
    process = subprocess.Popen(
        [*command, "--model", str(folder / "model")],
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(place.glob("mooring-ci-*/mooring-run-*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert list(place.iterdir()) == []


def spec(**ci):
    document = {"model": {"uri": "s3://models/iris/", "format": "onnx", "digest": "sha256:" + "1" * 64}}
    if ci:
        document["ci"] = ci
    return ModelDeploymentSpec.model_validate(document)


DATA = {"uri": "s3://data/iris.parquet", "digest": "sha256:" + "2" * 64}


@pytest.mark.parametrize(
    ("given", "model", "data", "champion", "message"),
    [
        ({}, None, None, None, "spec.ci is missing"),
        (
            {"testData": DATA},
            "no/such/folder",
            None,
            None,
            "--model 'no/such/folder': no such file or folder",
        ),
        ({"testData": DATA}, "models:/iris@champion", None, None, "--model 'models:/iris@champion': no such"),
        ({"testData": DATA}, None, "ftp://x/y", None, "--test-data 'ftp://x/y'"),
        ({"testData": DATA}, None, None, "s3://a/../b", "--champion 's3://a/../b'"),
        ({"testData": DATA}, "", None, None, "--model"),
    ],
)
def test_what_cannot_be_tested_is_named(given, model, data, champion, message):
    with pytest.raises(CliError) as error:
        ci_run.ask(spec(**given), model, data, champion)
    assert message in error.value.message
    assert error.value.exit_code == 2


def test_a_registered_model_is_asked_for_by_its_files(folder, capsys):
    assert run(["ci", "run", manifest(folder)]) == 2
    _, err = capsys.readouterr()
    assert "spec.model.uri 'models:/cancer@champion'" in err
    assert "--model" in err


def test_what_is_given_stands_for_what_the_spec_says(tmp_path):
    asked = ci_run.ask(spec(testData=DATA), str(tmp_path), "s3://other/rows.parquet", str(tmp_path))
    found = asked.parameters
    assert (found["model_uri"], found["model_digest"]) == (tmp_path.as_uri(), "")
    assert (found["test_data_uri"], found["test_data_digest"]) == ("s3://other/rows.parquet", "")
    assert found["champion_uri"] == tmp_path.as_uri()
    asked = ci_run.ask(spec(testData=DATA), None, None, None)
    assert (asked.parameters["model_digest"], asked.parameters["test_data_digest"]) == (
        "sha256:" + "1" * 64,
        "sha256:" + "2" * 64,
    )
    assert "champion_uri" not in asked.parameters


def test_the_rows_to_rank_features_by_are_the_specs_unless_others_are_given():
    given = spec(testData=DATA, explain=16)
    assert ci_run.ask(given, None, None, None).parameters["test_options"]["explain"] == 16
    assert ci_run.ask(given, None, None, None, explain=4).parameters["test_options"]["explain"] == 4
    assert "explain" not in ci_run.ask(spec(testData=DATA), None, None, None).parameters["test_options"]


def test_slices_that_are_given_stand_for_those_of_the_spec():
    given = spec(testData={**DATA, "slices": ["country"]})
    assert ci_run.ask(given, None, None, None).parameters["test_options"]["slices"] == ["country"]
    assert ci_run.ask(given, None, None, None, ["sex"]).parameters["test_options"]["slices"] == ["sex"]
    with pytest.raises(CliError, match="--slice names 5 columns; 4 are allowed"):
        ci_run.ask(given, None, None, None, list("abcde"))


@pytest.mark.parametrize(
    ("report", "problem"),
    [("no/such/folder/out.html", "there is no folder"), ("", "is a folder"), ("/tmp", "is a folder")],
)
def test_a_page_that_cannot_be_written_is_said_before_the_run(folder, capsys, report, problem):
    arguments = ["ci", "run", manifest(folder), "--model", str(folder / "model"), "--report", report]
    assert run(arguments) == 2
    _, err = capsys.readouterr()
    assert "--report" in err
    assert problem in err
    assert "fetch-model" not in err
