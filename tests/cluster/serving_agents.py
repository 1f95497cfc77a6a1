"""The serving agent as a process of its own, whose pods have addresses in the network that it is in."""

import sys
from contextlib import contextmanager
from pathlib import Path

import httpx

from cluster import own_network
from cluster.processes import Watchdog, free_ports, start, wait_until_ready
from tests.cluster.rollout_steps import ROOT


@contextmanager
def serving_agent(kubeconfig, folder):
    """Have pods run as processes with addresses of their own; give the agent's process."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "cluster.serving", "--kubeconfig", kubeconfig, "--port", str(port)]
    command += ["--models-root", folder / "models", "--pods", own_network.ADDRESSES]
    watchdog, log = Watchdog(), Path(folder) / "agent.log"
    agent = start("serving agent", command, log=log, environment={"PYTHONPATH": str(ROOT), "PATH": ""})
    try:
        watchdog.watch(agent)
        wait_until_ready(agent, lambda: _answers(f"http://127.0.0.1:{port}/-/healthy"), timeout=60)
        yield agent
    finally:
        agent.stop()
        watchdog.dismiss()


def _answers(url):
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
