"""How the demo comes behind a gateway, and what it says where it does not."""

import subprocess

import pytest

from cluster import envoy_gateway
from cluster.demo import gateway
from cluster.programs import ProgramUnavailableError


@pytest.fixture
def built(monkeypatch):
    """Networks of one's own are to be had, and all programs are there."""
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(gateway.subprocess, "run", lambda *arguments, **rest: done)
    monkeypatch.setattr(gateway, "build", lambda names: {})
    monkeypatch.setattr(gateway, "find", lambda name: name)
    monkeypatch.setattr(envoy_gateway, "prepare", lambda: None)
    return done


def test_it_goes_on_in_a_network_of_its_own_with_its_arguments_and_doors(built, monkeypatch):
    became = []
    monkeypatch.setattr(gateway.os, "execv", lambda program, command: became.append(command))
    gateway.enter(["--strategy", "shadow"])
    wrapper, demo = became[0][:4], became[0][4:]
    assert wrapper[-1].endswith("own_network.py")
    assert demo[1:6] == ["-u", "-m", "cluster.demo", "--strategy", "shadow"]
    assert len(set(demo[-1].split(","))) == 5


def test_it_goes_on_without_a_prometheus(built, monkeypatch, capsys):
    def refuse(names):
        if names == ["prometheus"]:
            raise ProgramUnavailableError("go build prometheus failed:\nline")
        return {}

    monkeypatch.setattr(gateway, "build", refuse)
    became = []
    monkeypatch.setattr(gateway.os, "execv", lambda program, command: became.append(command))
    gateway.enter([])
    assert became
    assert "no Prometheus (go build prometheus failed): canaries are not judged" in capsys.readouterr().out


def test_a_kernel_that_allows_no_network_is_the_reason(built):
    built.returncode, built.stderr = 1, "no network of its own can be made here: unshare: not permitted\n"
    assert gateway.enter([]) == "no network of its own can be made here: unshare: not permitted"


def test_what_cannot_be_built_is_the_reason_in_one_line(built, monkeypatch, capsys):
    def refuse():
        raise ProgramUnavailableError("go build contour failed:\nline\nline")

    monkeypatch.setattr(envoy_gateway, "prepare", refuse)
    monkeypatch.setattr(gateway, "find", lambda name: None)
    assert gateway.enter([]) == "go build contour failed:"
    assert "GATEWAY=0 does without" in capsys.readouterr().out
