"""Hold the pipelines server, a real process, to the published client of Kubeflow Pipelines."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import kfp_server_api as kfp
import psutil
import pytest
import urllib3
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

    def __init__(self, folder, concurrency=2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.concurrency = folder, concurrency
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

    def read(self, path):
        return urllib3.request("GET", f"{self.host}/apis/v2beta1/{path}", timeout=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("kfp")).start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path):
    server = Server(tmp_path / "kfp", concurrency=1).start()
    yield server
    server.stop(signal.SIGKILL)


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


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Compiled pipelines: path and content by name."""
    import yaml

    result = {}
    for pipeline in (greeting, holding):
        path = tmp_path_factory.mktemp("specs") / f"{pipeline.name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        result[pipeline.name] = (str(path), yaml.safe_load(path.read_text()))
    return result


def refusal(call, *arguments, **options):
    """(HTTP status, body) of a call that must be refused."""
    with pytest.raises(kfp.ApiException) as caught:
        call(*arguments, **options)
    return caught.value.status, json.loads(caught.value.body)


def held_pid(path):
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"), "the task runs")
    return int(path.read_text().split()[-1])


def is_gone(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_a_run_goes_through_the_states_of_kfp_and_keeps_the_clients_id(server, specs):
    run_id = server.create(specs["greeting"][1], "0b9d7e0a-3c8e-5d57-9d0c-000000000001", name="Ada")
    assert run_id == "0b9d7e0a-3c8e-5d57-9d0c-000000000001"
    run = server.wait_state(run_id, "SUCCEEDED", "FAILED")
    assert [entry.state for entry in run.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert run.finished_at >= run.created_at
    assert run.error is None
    assert run.runtime_config.parameters == {"name": "Ada"}
    tasks = json.loads(server.read(f"runs/{run_id}:tasks").data)["tasks"]
    assert [(t["name"], t["state"], t["outputs"]) for t in tasks] == [
        ("greet", "SUCCEEDED", {"Output": "hello Ada"})
    ]
    assert "Task 'greet' finished with status SUCCESS" in server.read(f"runs/{run_id}:logs").data.decode()


def test_a_failing_task_is_named_with_its_reason(server, specs):
    run = server.wait_state(server.create(specs["greeting"][1], name="nobody"), "SUCCEEDED", "FAILED")
    assert (run.state, run.error.message) == (
        "FAILED",
        "task greet failed: ValueError: there is nobody to greet",
    )


def test_two_runs_of_one_id_are_one_run(server, specs, tmp_path):
    run_id = server.create(specs["holding"][1], path=str(tmp_path / "held"))
    held_pid(tmp_path / "held")
    status, body = refusal(server.create, specs["holding"][1], run_id, path=str(tmp_path / "held"))
    assert (status, body["code"]) == (500, 13)
    assert run_id in body["message"]
    (tmp_path / "held.go").touch()
    server.wait_state(run_id, "SUCCEEDED")
    assert len((tmp_path / "held").read_text().split()) == 1


def test_terminating_kills_the_task_and_cancels_the_run(server, specs, tmp_path):
    run_id = server.create(specs["holding"][1], path=str(tmp_path / "held"))
    pid = held_pid(tmp_path / "held")
    server.runs.run_service_terminate_run(run_id)
    assert server.wait_state(run_id, "CANCELED").error.message == "terminated by request"
    wait_for(lambda: is_gone(pid), "the task's process is gone")
    assert refusal(server.runs.run_service_terminate_run, run_id)[0] == 400


def test_a_killed_run_process_is_a_failed_run_with_the_signal_and_the_task(server, specs, tmp_path):
    run_id = server.create(specs["holding"][1], path=str(tmp_path / "held"))
    task = held_pid(tmp_path / "held")
    os.kill(os.getsid(task), signal.SIGKILL)
    run = server.wait_state(run_id, "FAILED", "SUCCEEDED")
    assert run.error.message == "the run's process was killed by signal 9 during task hold"
    wait_for(lambda: is_gone(task), "the task's process is gone")


def test_a_failed_run_can_be_retried_and_a_successful_one_cannot(server, specs, tmp_path):
    run_id = server.create(specs["holding"][1], path=str(tmp_path / "held"))
    held_pid(tmp_path / "held")
    server.runs.run_service_terminate_run(run_id)
    server.wait_state(run_id, "CANCELED")
    (tmp_path / "held.go").touch()
    server.runs.run_service_retry_run(run_id)
    assert server.wait_state(run_id, "SUCCEEDED", "FAILED").state == "SUCCEEDED"
    assert refusal(server.runs.run_service_retry_run, run_id)[0] == 500


def test_runs_beyond_the_concurrency_wait_in_order(own_server, specs, tmp_path):
    paths = [tmp_path / name for name in "abc"]
    ids = [own_server.create(specs["holding"][1], path=str(path)) for path in paths]
    held_pid(paths[0])
    assert [own_server.state(run_id) for run_id in ids] == ["RUNNING", "PENDING", "PENDING"]
    own_server.runs.run_service_terminate_run(ids[1])
    assert own_server.state(ids[1]) == "CANCELED"
    for path in paths:
        Path(f"{path}.go").touch()
    own_server.wait_state(ids[2], "SUCCEEDED")
    assert not paths[1].exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_fails_the_run_under_way_and_starts_the_queued_one(own_server, specs, tmp_path, number):
    held, queued = tmp_path / "held", tmp_path / "queued"
    Path(f"{queued}.go").touch()
    first = own_server.create(specs["holding"][1], path=str(held))
    second = own_server.create(specs["holding"][1], path=str(queued))
    pid = held_pid(held)
    own_server.stop(number)
    wait_for(lambda: is_gone(pid), "the task ended with the server")
    own_server.start()
    run = own_server.wait_state(first, "FAILED")
    assert run.error.message == "interrupted: the server was restarted during task hold"
    own_server.wait_state(second, "SUCCEEDED")
    assert len(held.read_text().split()) == 1


def test_the_server_goes_on_when_the_process_that_starts_runs_is_killed(own_server, specs, tmp_path):
    run_id = own_server.create(specs["holding"][1], path=str(tmp_path / "held"))
    pid = held_pid(tmp_path / "held")
    (zygote,) = psutil.Process(own_server.process.pid).children()
    zygote.kill()
    assert "interrupted" in own_server.wait_state(run_id, "FAILED").error.message
    wait_for(lambda: is_gone(pid), "the task's process is gone")
    own_server.wait_state(own_server.create(specs["greeting"][1]), "SUCCEEDED")


def test_a_second_server_on_the_same_data_is_refused(own_server):
    second = [
        sys.executable,
        "-m",
        "mooring_pipelines",
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(own_server.folder),
    ]
    ended = subprocess.run(second, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, "another server uses the data directory" in ended.stderr) == (1, True)


def test_a_version_is_uploaded_once_and_its_name_is_taken_then(server, specs):
    path, spec = specs["greeting"]
    pipeline = server.pipelines.pipeline_service_create_pipeline(
        kfp.V2beta1Pipeline(display_name="by-version")
    )
    upload = {"name": "by-version-1", "pipelineid": pipeline.pipeline_id}
    version = server.uploads.upload_pipeline_version(path, **upload)
    assert version.pipeline_spec == spec
    status, body = refusal(server.uploads.upload_pipeline_version, path, **upload)
    assert status == 409
    assert "already exists" in body["error_message"]
    reference = kfp.V2beta1PipelineVersionReference(
        pipeline_id=pipeline.pipeline_id, pipeline_version_id=version.pipeline_version_id
    )
    run = kfp.V2beta1Run(display_name="by reference", pipeline_version_reference=reference)
    created = server.runs.run_service_create_run(run)
    assert created.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    server.wait_state(created.run_id, "SUCCEEDED")


def test_an_uploaded_pipeline_is_found_by_name_and_has_a_version(server, specs):
    created = server.uploads.upload_pipeline(specs["greeting"][0], name="by-upload")
    found = server.pipelines.pipeline_service_get_pipeline_by_name("by-upload")
    assert found.pipeline_id == created.pipeline_id
    page = server.pipelines.pipeline_service_list_pipeline_versions(created.pipeline_id)
    assert [version.name for version in page.pipeline_versions] == ["by-upload"]
    assert refusal(server.uploads.upload_pipeline, specs["greeting"][0], name="by-upload")[0] == 409


def test_runs_are_listed_in_pages_and_filtered_by_name_and_state(server, specs):
    experiment = server.experiments.experiment_service_create_experiment(
        kfp.V2beta1Experiment(display_name="pages")
    )
    ids = []
    for name in ("one", "two", "three"):
        run = kfp.V2beta1Run(
            display_name=name, pipeline_spec=specs["greeting"][1], experiment_id=experiment.experiment_id
        )
        ids.append(server.runs.run_service_create_run(run, experiment_id=experiment.experiment_id).run_id)
    for run_id in ids:
        server.wait_state(run_id, "SUCCEEDED")
    scope = {"experiment_id": experiment.experiment_id}
    first = server.runs.run_service_list_runs(page_size=2, sort_by="created_at desc", **scope)
    token = first.next_page_token
    second = server.runs.run_service_list_runs(
        page_size=2, sort_by="created_at desc", page_token=token, **scope
    )
    assert [run.run_id for run in first.runs + second.runs] == ids[::-1]
    assert (first.total_size, second.next_page_token) == (3, None)
    predicates = [
        {"key": "name", "operation": "EQUALS", "string_value": "two"},
        {"key": "state", "operation": "IN", "string_values": {"values": ["SUCCEEDED", "FAILED"]}},
    ]
    found = server.runs.run_service_list_runs(filter=json.dumps({"predicates": predicates}), **scope)
    assert [run.run_id for run in found.runs] == [ids[1]]


def test_runs_can_be_archived_and_deleted(server, specs):
    run_id = server.create(specs["greeting"][1])
    server.wait_state(run_id, "SUCCEEDED")
    server.runs.run_service_archive_run(run_id)
    assert server.runs.run_service_get_run(run_id).storage_state == "ARCHIVED"
    server.runs.run_service_delete_run(run_id)
    status, body = refusal(server.runs.run_service_get_run, run_id)
    assert (status, body["code"], body["message"]) == (404, 5, f"Run {run_id} not found")
    assert body["details"][0]["message"] == body["error"] == body["message"]


@pytest.mark.parametrize(
    ("spec", "parameters", "message"),
    [
        (
            "holding",
            {},
            "parameter path is not optional, yet has neither default value nor user provided value",
        ),
        ("greeting", {"name": 3}, "input parameter name requires type string"),
        ("greeting", {"nme": "x"}, "parameter(s) provided are not required by pipeline: nme"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(server, specs, spec, parameters, message):
    status, body = refusal(server.create, specs[spec][1], **parameters)
    assert (status, body["code"]) == (400, 3)
    assert message in body["message"]


def test_bad_requests_are_refused_with_what_is_allowed(server, specs, tmp_path):
    create = server.runs.run_service_create_run
    assert refusal(server.create, {"pipelineInfo": {"name": "x"}})[0] == 400
    assert refusal(server.create, specs["greeting"][1], "../../etc")[0] == 400
    assert refusal(create, kfp.V2beta1Run(display_name="no source"))[0] == 400
    assert refusal(create, kfp.V2beta1Run(pipeline_spec=specs["greeting"][1]))[0] == 400
    assert refusal(server.runs.run_service_list_runs, page_token="!")[0] == 400
    assert refusal(server.runs.run_service_list_runs, sort_by="name")[0] == 400
    (tmp_path / "bad.yaml").write_text("a: [")
    assert refusal(server.uploads.upload_pipeline, str(tmp_path / "bad.yaml"))[0] == 400


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
