"""A command in a network of its own, as root and as anybody else."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import own_network

WRAPPER = [sys.executable, "-I", "-S", str(Path(own_network.__file__))]
TALK = """
import os, socket
heard = socket.create_server(("10.99.7.8", 8080))
print(socket.create_connection(("10.99.7.8", 8080)).getpeername()[0], os.getuid())
"""


def test_addresses_of_the_network_are_this_commands_alone():
    done = subprocess.run([*WRAPPER, sys.executable, "-c", TALK], capture_output=True, text=True, check=False)
    if "no network of its own" in done.stderr:
        pytest.skip(done.stderr.strip())
    address, user = done.stdout.split()
    assert (done.returncode, address, int(user)) == (0, "10.99.7.8", os.getuid())
    with pytest.raises(OSError, match="assign"):
        socket.create_server(("10.99.7.8", 0))


def test_what_cannot_be_had_is_said_in_one_line(monkeypatch, capsys):
    def refuse(flags=0):
        raise OSError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(own_network, "unshare", refuse)
    with pytest.raises(SystemExit) as ended:
        own_network.main(["/bin/true"])
    assert str(ended.value) == ("no network of its own can be made here: unshare: Operation not permitted")
