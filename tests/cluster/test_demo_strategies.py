"""The demo of each strategy, as a user runs it: with a real Envoy, or not at all."""

import subprocess
import sys

import pytest

from tests.cluster.test_demo import COMMAND, ROOT, nothing_left

pytestmark = [pytest.mark.timeout(280), pytest.mark.usefixtures("control_plane")]
__all__ = ["nothing_left"]

SHOWN = {
    "bluegreen": (
        "http://digits-preview.mooring-demo is answered by v2 alone",
        "v2 answered its last request",
        "users are answered by v1 alone",
    ),
    "shadow": ("counted by its own server, while 200 users asked", "no user has got an answer of v2"),
    "abtest": (
        "the header is answered by v2 alone",
        "the cookie is answered by v1 alone",
        "who comes back is answered by the same one each time",
        "every kind of user is answered by v2 alone",
    ),
    "labels": (
        "5 s later whether an answer was right",
        "what it answered has decided, and not its tests",
        "limit stable + 2 points, exceeded by",
        "mooring status tells the number that decided",
    ),
}


@pytest.mark.parametrize("strategy", SHOWN)
def test_a_strategy_shows_what_it_promises(strategy, nothing_left):
    done = run("--no-wait", "--strategy", strategy)
    if done.returncode == 2 and f"strategy {strategy} needs a " in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [text for text in SHOWN[strategy] if text not in done.stdout] == []
    assert "requests was lost" in done.stdout


def test_a_strategy_that_needs_a_gateway_says_so_where_there_is_none():
    done = run("--no-wait", "--strategy", "shadow", "--gateway", "0")
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == "The demo cannot run: strategy shadow needs a gateway: GATEWAY=0 asks for none\n"


def run(*arguments):
    command = [*COMMAND, *arguments]
    assert command[0] == sys.executable
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=270,
        stdin=subprocess.DEVNULL,
    )
