"""The compiled pipelines: up to date, deterministic, and free of what differs between machines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from mooring_components.registration.client import PASSWORD, TOKEN, URL, USER
from mooring_pipelines.compilation import NAMES, PACKAGED
from mooring_pipelines.credentials import KEYS
from mooring_pipelines.server.errors import ApiError
from mooring_pipelines.server.multipart import read_upload
from mooring_pipelines.server.specs import parse_upload

CHECKED_OUT = Path(__file__).parents[2] / "pipelines" / "compiled"


def run(*arguments, seed="0"):
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", "mooring_pipelines", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_what_is_checked_in_is_what_the_pipelines_compile_to(seed):
    done = run("compile", "--check", seed=seed)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_file_fails_the_check_and_is_named(tmp_path):
    text = (PACKAGED / "model-ci.yaml").read_text()
    (tmp_path / "model-ci.yaml").write_text(text.replace("[Default: 'label']", "[Default: 'y']"))
    done = run("compile", "--check", "--output", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path}/model-ci.yaml is stale" in done.stderr
    assert run("compile", "--output", str(tmp_path)).returncode == 0
    assert (tmp_path / "model-ci.yaml").read_text() == text


@pytest.mark.parametrize("name", NAMES)
def test_the_packaged_copy_is_the_checked_out_one(name):
    assert (PACKAGED / f"{name}.yaml").read_bytes() == (CHECKED_OUT / f"{name}.yaml").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_pipeline_installs_nothing_and_names_no_machine(name):
    text = (CHECKED_OUT / f"{name}.yaml").read_text()
    assert "pip install" not in text
    assert str(Path.home()) + "/" not in text
    assert str(CHECKED_OUT.parents[1]) not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def documents_of(name):
    return list(yaml.safe_load_all((CHECKED_OUT / f"{name}.yaml").read_text()))


def test_a_drift_evaluation_can_do_without_its_page_and_a_secret_alone():
    inputs = documents_of("drift-evaluation")[0]["root"]["inputDefinitions"]["parameters"]
    assert {name: given["parameterType"] for name, given in inputs.items()} == {
        "question": "STRUCT",
        "report_uri": "STRING",
        "page_uri": "STRING",
        "run_id": "STRING",
        "credentials_secret": "STRING",
    }
    optional = {name for name, given in inputs.items() if "defaultValue" in given}
    assert optional == {"page_uri", "credentials_secret"}


@pytest.mark.parametrize("name", NAMES)
def test_every_step_takes_the_credentials_of_the_secret_that_its_run_names(name):
    spec, platform = documents_of(name)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == set(spec["deploymentSpec"]["executors"])
    for executor in executors.values():
        json_format.ParseDict(executor, KubernetesExecutorConfig())
        (secret,) = executor["secretAsEnv"]
        assert secret["optional"]
        keys = {each["secretKey"]: each["envVar"] for each in secret["keyToEnv"]}
        assert keys == {key: key for key in KEYS}
        assert {USER, PASSWORD, TOKEN, URL, "AWS_ACCESS_KEY_ID"} <= set(keys)
    labels = {
        part["executorLabel"]: step for step, part in spec["components"].items() if "executorLabel" in part
    }
    for component in (spec["root"], *(part for part in spec["components"].values() if "dag" in part)):
        steps = {task["componentRef"]["name"] for task in component["dag"]["tasks"].values()}
        # A step has the parameter of the part that it is in, under its name there.
        for label in (label for label, step in labels.items() if step in steps):
            named = executors[label]["secretAsEnv"][0]["secretNameParameter"]["componentInputParameter"]
            assert named in component["inputDefinitions"]["parameters"], label


def test_the_parameters_are_the_public_ones():
    inputs = documents_of("model-ci")[0]["root"]["inputDefinitions"]["parameters"]
    optional = {name for name, p in inputs.items() if "defaultValue" in p}
    assert optional == {
        "model_digest",
        "model_format",
        "test_data_digest",
        "data_schema",
        "validates_data",
        "test_options",
        "label_column",
        "champion_uri",
        "champion_digest",
        "allow",
        "gates",
        "page_uri",
        "endpoint",
        "registers",
        "registration",
        "demands",
        "credentials_secret",
    }
    assert set(inputs) - optional == {
        "model_uri",
        "test_data_uri",
        "verdict_uri",
        "run_id",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no pipeline spec is provided"),
        (b"a: [", "unable to decode yaml"),
        (b"a: 1", "it has no pipelineInfo"),
        (b"{pipelineInfo: {name: a}, schemaVersion: 2.0.0}", "has version 2.0.0"),
        (b"{pipelineInfo: {name: A_b}, schemaVersion: 2.1.0, root: {dag: {}}}", "it is 'A_b'"),
        (b"{pipelineInfo: {name: a}, schemaVersion: 2.1.0}", "root component is empty"),
        (b"pipelineInfo: {}\n---\npipelineInfo: {}", "multiple pipeline specs"),
    ],
)
def test_an_upload_that_is_no_pipeline_is_refused(content, message):
    with pytest.raises(ApiError, match=message) as caught:
        parse_upload(content)
    assert caught.value.http_status == 400


def test_a_platform_spec_in_an_upload_is_left_aside():
    spec = "{pipelineInfo: {name: a}, schemaVersion: 2.1.0, root: {dag: {}}}"
    assert "platforms" not in parse_upload(f"{spec}\n---\nplatforms: {{kubernetes: {{}}}}".encode())


@pytest.mark.parametrize("content", [b"a: 1\n", b"line\r\nline\n\n", b"\xc3\xa9--b\n"])
def test_an_uploaded_file_is_read_byte_for_byte(content):
    head = b'--b\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.yaml"\r\n\r\n'
    assert read_upload("multipart/form-data; boundary=b", head + content + b"\r\n--b--\r\n") == content


@pytest.mark.parametrize(
    "body", [b"", b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n--b--\r\n']
)
def test_a_form_without_the_file_is_refused(body):
    with pytest.raises(ApiError, match="no file named uploadfile"):
        read_upload("multipart/form-data; boundary=b", body)
