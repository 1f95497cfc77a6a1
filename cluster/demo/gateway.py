"""Goes on with the demo in a network of its own, where a gateway can reach pods."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster import envoy_gateway, own_network
from cluster.building import build
from cluster.doors import Doors
from cluster.programs import ProgramUnavailableError, find

_ROOT = Path(__file__).parents[2]
_WRAPPER = Path(own_network.__file__)
# To the API server, the gateway, the pipelines server, the serving agent and the operator.
_DOORS = 5
_SLICES = "kube-controller-manager"
"""Says which pods are behind a Service."""


def enter(arguments: Sequence[str]) -> str:
    """Become the demo with ``arguments`` and its doors, in a network of its own; give why not, if it cannot be.

    In there nothing can be downloaded: what has to be built is built before.

    Raises:
        ProgramUnavailableError: the demo cannot be had at all.
    """
    command = [sys.executable, "-I", "-S", str(_WRAPPER)]
    tried = subprocess.run(
        [*command, sys.executable, "-I", "-S", "-c", ""], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        return tried.stderr.strip()
    build(["etcd", "kube-apiserver"])
    if find("contour") is None or find(_SLICES) is None:
        print("Contour, which drives Envoy, is built once, for minutes; GATEWAY=0 does without", flush=True)
    try:
        build([_SLICES])
        envoy_gateway.prepare()
    except ProgramUnavailableError as error:
        return str(error).partition("\n")[0]
    _prepare_prometheus()
    os.environ["PYTHONPATH"] = str(_ROOT)
    doors = ",".join(map(str, Doors.prepare(_DOORS)))
    demo = [sys.executable, "-u", "-m", "cluster.demo", *arguments, "--doors", doors]
    sys.stdout.flush()
    return os.execv(command[0], [*command, *demo])  # noqa: S606  no shell is wanted


def _prepare_prometheus() -> None:
    """Have what counts the answers of pods, by which canaries are judged; the demo goes on without."""
    if find("prometheus") is None:
        print("Prometheus, which counts what canaries answer, is built once, for minutes", flush=True)
    try:
        build(["prometheus"])
    except ProgramUnavailableError as error:
        why = str(error).partition("\n")[0].rstrip(":")
        print(f"no Prometheus ({why}): canaries are not judged by what they answer", flush=True)
