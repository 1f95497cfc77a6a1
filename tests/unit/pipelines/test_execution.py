"""What a task printed, and how it ended, become one reason and one sentence."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
from mooring_pipelines import execution
from mooring_pipelines.execution import Execution, Failure, OwnGroups, find_failure, replace_python
from mooring_pipelines.stopping import Stopped

MEMORY = "; it probably needs more memory than the memory limit of its pod allows"


@pytest.mark.parametrize(
    ("lines", "code", "failure"),
    [
        (
            ["Traceback:", "mooring_artifacts.errors.InputError: label 'y' is bad"],
            1,
            Failure("InvalidInput", "label 'y' is bad"),
        ),
        (["AccessError: the store refuses"], 1, Failure("InvalidInput", "the store refuses")),
        (["TooLarge: it is too large"], 1, Failure("TooLarge", "it is too large")),
        (["StoreUnavailable: s3 is away"], 1, Failure("StoreUnavailable", "s3 is away")),
        (["ValueError: first", "KeyError: 'second'"], 1, Failure("StepFailed", "KeyError: 'second'")),
        (
            ["a.b.TimeoutExpired: slow", "requests.exceptions.ConnectionError: no route"],
            1,
            Failure("StepFailed", "ConnectionError: no route"),
        ),
        (["MemoryError: a model of 8 GB"], 1, Failure("OutOfMemory", "a model of 8 GB" + MEMORY)),
        (
            ["pyarrow.lib.ArrowMemoryError: malloc of size 9 failed"],
            1,
            Failure("OutOfMemory", "malloc of size 9 failed" + MEMORY),
        ),
        (["MemoryError"], 1, Failure("OutOfMemory", "it had no memory left" + MEMORY)),
        (
            ["InputError: before it was killed"],
            137,
            Failure("OutOfMemory", "it was killed by SIGKILL" + MEMORY),
        ),
        ([], -9, Failure("OutOfMemory", "it was killed by SIGKILL" + MEMORY)),
        (
            ["Segmentation fault", ""],
            139,
            Failure("StepFailed", "it was killed by SIGSEGV: Segmentation fault"),
        ),
        ([], -6, Failure("StepFailed", "it was killed by SIGABRT")),
        (["one", "", "two", "three"], 3, Failure("StepFailed", "two three [exit status 3]")),
        ([], 1, Failure("StepFailed", "[exit status 1]")),
        ([], 255, Failure("StepFailed", "[exit status 255]")),
    ],
)
def test_the_failure_of_a_task_is_its_signal_its_last_exception_or_its_last_words(lines, code, failure):
    assert find_failure(lines, code) == failure


def test_the_python_that_is_started_is_this_one_and_parameters_keep_their_words():
    command = [
        "sh",
        "-ec",
        "x=$(mktemp -d)\npython3 -m kfp.dsl.executor_main",
        "import os  # python3 -m",
        "s3://python3/m",
    ]
    assert replace_python(command, "/opt/bin/python") == [
        *command[:2],
        "x=$(mktemp -d)\n/opt/bin/python -m kfp.dsl.executor_main",
        *command[3:],
    ]


def test_steps_of_an_isolated_process_are_isolated(monkeypatch):
    class Isolated:
        isolated = 1

    monkeypatch.setattr(execution, "sys", type("Sys", (), {"flags": Isolated}))
    assert replace_python(["python3 -m kfp.dsl.executor_main"], sys.executable) == [
        f"{sys.executable} -I -m kfp.dsl.executor_main"
    ]


def test_what_kfp_logs_of_a_steps_inputs_is_left_out():
    log = execution._ExecutorLog()
    lines = [
        "[KFP Executor 2026-11-26 06:04:02,102 INFO]: Looking for component `f`",
        "[KFP Executor 2026-11-26 06:04:02,107 INFO]: Got executor_input:",
        "{",
        '    "verdict_uri": "https://store/v?X-Amz-Signature=1"',
        "    }",
        "}",
        "own words",
        "}",
        "[KFP Executor 2026-11-26 06:04:02,107 INFO]: Wrote executor output file to /tmp/x.",
        "more",
    ]
    assert [line for line in lines if not log.owns(line)] == ["own words", "}", "more"]


def test_names_of_signals_are_those_of_the_manual():
    assert execution.signal_name(signal.SIGTERM) == "SIGTERM"
    assert execution.signal_name(40) == "signal 40"


def test_a_step_that_is_being_started_when_the_run_is_stopped_does_not_outlive_it(monkeypatch, tmp_path):
    """The signal comes when the process is there and nobody has noted it down yet."""
    stopped = []
    start = subprocess.Popen

    def interrupted(*arguments, **options):
        process = start(*arguments, **options)
        stopped.append((process, run.stop()))
        return process

    run = Execution(recorder=None, groups=OwnGroups({}, tmp_path))
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(Stopped):
        run._run_command(["/bin/sleep", "600"])
    [(process, was_done)] = stopped
    assert not was_done
    assert process.wait(10) == -signal.SIGKILL


def test_what_a_step_started_itself_ends_with_it(tmp_path):
    run = Execution(recorder=None, groups=OwnGroups({"PATH": os.environ["PATH"]}, tmp_path))
    with run._start(["sh", "-c", "sleep 600 & echo $!; wait"], {}) as process:
        grandchild = psutil.Process(int(process.stdout.readline()))
        assert run.stop()
        assert process.wait(10) == -signal.SIGKILL
    assert psutil.wait_procs([grandchild], timeout=10)[1] == []
