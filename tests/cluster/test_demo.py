"""The demo, as a user runs it."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.timeout(420), pytest.mark.usefixtures("control_plane")]

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "cluster.demo"]


@pytest.fixture
def nothing_left(monkeypatch, tmp_path):
    """Neither a process nor a file of the demo may outlive it."""
    folder = tempfile.mkdtemp(dir=tmp_path)
    monkeypatch.setenv("TMPDIR", folder)
    yield
    assert not [
        p.cmdline() for p in psutil.process_iter(["cmdline"]) if folder in " ".join(p.info["cmdline"] or [])
    ]
    assert list(Path(folder).iterdir()) == []


def test_the_demo_shows_what_it_promises(nothing_left):
    done = subprocess.run(
        [*COMMAND, "--no-wait"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "v2 was promoted, v3 refused, v4 rolled back" in done.stdout
    assert "and the drift caught" in done.stdout
    assert ("v5 found too slow" in done.stdout) == ("no Envoy" not in done.stdout)
    assert "accuracy 0.71 is below the minimum 0.85" in done.stdout
    assert "Insufficient nvidia.com/gpu" in done.stdout


@pytest.mark.parametrize("gateway", ["1", "0"])
def test_an_interrupted_demo_leaves_nothing(gateway, nothing_left):
    demo = subprocess.Popen(
        [*COMMAND, "--gateway", gateway],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if "Testing: testing revision" in line:
            break
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, rest
    assert "nothing is left running" in rest
    assert ("serving agent splits the requests itself" in said) == (gateway == "0" or "no Envoy" in said)


def test_a_kubeconfig_that_is_not_there_is_said_in_one_line():
    done = subprocess.run(
        [*COMMAND, "--kubeconfig", "/nowhere"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "The demo cannot run:" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
