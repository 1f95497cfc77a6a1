"""Runs of the server, a real process, from their creation to whatever end."""

import contextlib
import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.operator.test_kfp_server import Server, compiled, greeting, holding, refusal, wait_for


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


def held_pid(path):
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"), "the task runs")
    return int(path.read_text().split()[-1])


def is_gone(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_a_run_goes_through_the_states_of_kfp_and_keeps_the_clients_id(server):
    run_id = server.create(compiled(greeting)[1], "0b9d7e0a-3c8e-5d57-9d0c-000000000001", name="Ada")
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


def test_a_failing_task_is_named_with_its_reason(server):
    run = server.wait_state(server.create(compiled(greeting)[1], name="nobody"), "SUCCEEDED", "FAILED")
    assert (run.state, run.error.message) == (
        "FAILED",
        "greet: ValueError: there is nobody to greet",
    )


def test_two_runs_of_one_id_are_one_run(server, tmp_path):
    run_id = server.create(compiled(holding)[1], path=str(tmp_path / "held"))
    held_pid(tmp_path / "held")
    status, body = refusal(server.create, compiled(holding)[1], run_id, path=str(tmp_path / "held"))
    assert (status, body["code"]) == (500, 13)
    assert run_id in body["message"]
    (tmp_path / "held.go").touch()
    server.wait_state(run_id, "SUCCEEDED")
    assert len((tmp_path / "held").read_text().split()) == 1


def test_terminating_kills_the_task_and_cancels_the_run(server, tmp_path):
    run_id = server.create(compiled(holding)[1], path=str(tmp_path / "held"))
    pid = held_pid(tmp_path / "held")
    server.runs.run_service_terminate_run(run_id)
    run = server.wait_state(run_id, "FAILED")
    assert (run.error, [entry.state for entry in run.state_history][-2:]) == (None, ["CANCELING", "FAILED"])
    wait_for(lambda: is_gone(pid), "the task's process is gone")
    assert refusal(server.runs.run_service_terminate_run, run_id)[0] == 400


def test_a_killed_run_process_is_a_failed_run_with_the_signal_and_the_task(server, tmp_path):
    run_id = server.create(compiled(holding)[1], path=str(tmp_path / "held"))
    task = held_pid(tmp_path / "held")
    os.kill(os.getsid(task), signal.SIGKILL)
    run = server.wait_state(run_id, "FAILED", "SUCCEEDED")
    assert run.error.message == "the run's process was killed by signal 9 during task hold"
    wait_for(lambda: is_gone(task), "the task's process is gone")


def test_a_failed_run_can_be_retried_and_a_successful_one_cannot(server, tmp_path):
    run_id = server.create(compiled(holding)[1], path=str(tmp_path / "held"))
    held_pid(tmp_path / "held")
    server.runs.run_service_terminate_run(run_id)
    server.wait_state(run_id, "FAILED")
    (tmp_path / "held.go").touch()
    server.runs.run_service_retry_run(run_id)
    assert server.wait_state(run_id, "SUCCEEDED", "FAILED").state == "SUCCEEDED"
    assert refusal(server.runs.run_service_retry_run, run_id)[0] == 500


def test_runs_beyond_the_concurrency_wait_in_order(own_server, tmp_path):
    paths = [tmp_path / name for name in "abc"]
    ids = [own_server.create(compiled(holding)[1], path=str(path)) for path in paths]
    held_pid(paths[0])
    assert [own_server.state(run_id) for run_id in ids] == ["RUNNING", "PENDING", "PENDING"]
    own_server.runs.run_service_terminate_run(ids[1])
    assert own_server.state(ids[1]) == "FAILED"
    for path in paths:
        Path(f"{path}.go").touch()
    own_server.wait_state(ids[2], "SUCCEEDED")
    assert not paths[1].exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_fails_the_run_under_way_and_starts_the_queued_one(own_server, tmp_path, number):
    held, queued = tmp_path / "held", tmp_path / "queued"
    Path(f"{queued}.go").touch()
    first = own_server.create(compiled(holding)[1], path=str(held))
    second = own_server.create(compiled(holding)[1], path=str(queued))
    pid = held_pid(held)
    own_server.stop(number)
    wait_for(lambda: is_gone(pid), "the task ended with the server")
    own_server.start()
    run = own_server.wait_state(first, "FAILED")
    assert run.error.message == "interrupted: the server was restarted during task hold"
    own_server.wait_state(second, "SUCCEEDED")
    assert len(held.read_text().split()) == 1


def test_only_the_last_finished_runs_are_kept_and_their_files(tmp_path):
    server = Server(tmp_path / "kfp", concurrency=1, keep=2).start()
    folders = tmp_path / "kfp" / "runs"
    try:
        ids = [server.create(compiled(greeting)[1]) for _ in range(4)]
        server.wait_state(ids[-1], "SUCCEEDED")
        wait_for(
            lambda: {path.name for path in folders.iterdir()} == set(ids[2:]), "two runs' files are left"
        )
        assert {run.run_id for run in server.runs.run_service_list_runs().runs} == set(ids[2:])
    finally:
        server.stop()


def test_the_server_goes_on_when_the_process_that_starts_runs_is_killed(own_server, tmp_path):
    run_id = own_server.create(compiled(holding)[1], path=str(tmp_path / "held"))
    pid = held_pid(tmp_path / "held")
    (zygote,) = psutil.Process(own_server.process.pid).children()
    zygote.kill()
    assert "interrupted" in own_server.wait_state(run_id, "FAILED").error.message
    wait_for(lambda: is_gone(pid), "the task's process is gone")
    own_server.wait_state(own_server.create(compiled(greeting)[1]), "SUCCEEDED")
