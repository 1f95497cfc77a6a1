"""The pipelines server as a process that tests start, and what it shows to browsers."""

import contextlib
import functools
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import kfp_server_api as kfp
import pytest
import urllib3
import yaml
from kfp import compiler, dsl

SECONDS = 60


def wait_for(condition, what):
    """Poll until `condition` answers something true; returns it."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.05)
    return found


class Server:
    """`python -m mooring_pipelines serve` on a port of its own."""

    def __init__(self, folder, concurrency=2, keep=200):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.concurrency, self.keep = folder, concurrency, keep
        self.host = f"http://127.0.0.1:{self.port}"
        client = kfp.ApiClient(kfp.Configuration(host=self.host))
        self.runs, self.experiments = kfp.RunServiceApi(client), kfp.ExperimentServiceApi(client)
        self.pipelines, self.uploads = kfp.PipelineServiceApi(client), kfp.PipelineUploadServiceApi(client)
        self.health = kfp.HealthzServiceApi(client)

    def start(self):
        arguments = [
            "--port",
            str(self.port),
            "--data-dir",
            str(self.folder),
            "--concurrency",
            str(self.concurrency),
            "--keep",
            str(self.keep),
        ]
        self.process = subprocess.Popen([sys.executable, "-m", "mooring_pipelines", "serve", *arguments])
        wait_for(self.answers, "the server answers")
        return self

    def answers(self):
        assert self.process.poll() is None, "the server ended"
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return self.health.healthz_service_get_healthz(_request_timeout=5)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(SECONDS)

    def create(self, spec, run_id=None, **parameters):
        run = kfp.V2beta1Run(
            run_id=run_id or str(uuid.uuid4()),
            display_name="a run",
            pipeline_spec=spec,
            runtime_config=kfp.V2beta1RuntimeConfig(parameters=parameters),
        )
        return self.runs.run_service_create_run(run).run_id

    def state(self, run_id):
        return self.runs.run_service_get_run(run_id).state

    def wait_state(self, run_id, *states):
        wait_for(lambda: self.state(run_id) in states, f"{run_id} is {' or '.join(states)}")
        return self.runs.run_service_get_run(run_id)

    def delete(self, path):
        return urllib3.request("DELETE", f"{self.host}/apis/v2beta1/{path}", timeout=10).status

    def read(self, path):
        return urllib3.request("GET", f"{self.host}/apis/v2beta1/{path}", timeout=10)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def greet(name: str) -> str:
    if name == "nobody":
        raise ValueError("there is nobody to greet")
    return f"hello {name}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def hold(path: str):
    """Tell our process, then wait until the file `path`.go exists."""
    import os
    import time

    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    while not os.path.exists(path + ".go"):
        time.sleep(0.05)


@dsl.pipeline(name="greeting")
def greeting(name: str = "you"):
    greet(name=name)


@dsl.pipeline(name="holding")
def holding(path: str):
    hold(path=path)


@functools.cache
def compiled(pipeline):
    """The path and the content of a pipeline's YAML."""
    path = Path(tempfile.mkdtemp()) / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return str(path), yaml.safe_load(path.read_text())


def refusal(call, *arguments, **options):
    """(HTTP status, body) of a call that must be refused."""
    with pytest.raises(kfp.ApiException) as caught:
        call(*arguments, **options)
    return caught.value.status, json.loads(caught.value.body)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("kfp")).start()
    yield server
    server.stop()


def test_a_second_server_on_the_same_data_is_refused(server):
    second = [
        sys.executable,
        "-m",
        "mooring_pipelines",
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(server.folder),
    ]
    ended = subprocess.run(second, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, "another server uses the data directory" in ended.stderr) == (1, True)


def test_a_page_of_another_site_cannot_start_runs(server):
    answer = urllib3.request(
        "POST", f"{server.host}/apis/v2beta1/runs", body=b"{}", headers={"Origin": "http://evil"}
    )
    assert answer.status == 403


def test_the_page_of_runs_is_self_contained(server):
    answer = urllib3.request("GET", f"{server.host}/")
    text = answer.data.decode()
    assert answer.headers["content-type"].startswith("text/html")
    assert "#/runs/details/" in text
    assert "http://" not in text
    assert "https://" not in text
