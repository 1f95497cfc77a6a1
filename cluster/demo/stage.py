"""Everything that runs behind the demo: control plane, operator, pipelines server, serving agent."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from cluster import envoy_gateway as gateways
from cluster import own_network
from cluster.control_plane import ControlPlane
from cluster.demo.manifests import NAME, NAMESPACE
from cluster.demo.requests import Entrance
from cluster.doors import Doors
from cluster.processes import Process, Watchdog, free_ports, start, wait_until_ready
from cluster.programs import find
from cluster.prometheus import Prometheus, finding_models, named_in

_READY_S = 60.0
GATEWAY = f"{gateways.NAMESPACE}/{gateways.NAME}"


class Stage:
    """The programs of the demo. At the end of the ``with`` statement nothing is left of them.

    With ``kubeconfig`` the cluster that it names is used, and none is started. With ``doors`` this process is in a
    network of its own, and users' requests come through a gateway; without, the serving agent splits them.
    """

    def __init__(
        self, kubeconfig: Path | None, report: Callable[[str], None], doors: Doors | None = None
    ) -> None:
        self._given = kubeconfig
        self._report = report
        self._doors = doors
        self._gateway: gateways.EnvoyGateway | None = None
        self._prometheus: Prometheus | None = None
        # Where there are pods, requests find them by EndpointSlices.
        extras = ["endpoint-slices"] if doors is not None else []
        self._plane = ControlPlane(extras) if kubeconfig is None else None
        self._processes: list[Process] = []
        self._watchdog = Watchdog()
        # Not below /tmp/pytest-... or the checkout: what runs here reads and writes only this folder.
        self.work = Path(tempfile.mkdtemp(prefix="mooring-demo-")).resolve()
        self._watchdog.own(self.work)
        self.targets = self.work / "targets"
        self.front, self.pipelines, self.health = (f"http://127.0.0.1:{port}" for port in free_ports(3))

    @property
    def has_own_cluster(self) -> bool:
        """Whether the cluster is the demo's alone."""
        return self._plane is not None

    @property
    def has_gateway(self) -> bool:
        """Whether users' requests come through one."""
        return self._gateway is not None

    @property
    def has_prometheus(self) -> bool:
        """Whether what pods answer is counted."""
        return self._prometheus is not None

    @property
    def kubeconfig(self) -> Path:
        """How to reach the cluster."""
        if self._given is not None:
            return self._given
        assert self._plane is not None
        return self._plane.kubeconfig

    def entrance(self, name: str = NAME) -> Entrance:
        """Where users send their requests for a model."""
        if self._gateway is None:
            return Entrance(f"{self.front}/{NAMESPACE}/{name}")
        return Entrance(f"http://127.0.0.1:{self._gateway.port}", f"{name}.{NAMESPACE}")

    def outside(self, text: str) -> str:
        """Give a text with addresses as they are in other terminals of this machine."""
        return self._doors.outside(text) if self._doors is not None else text

    @property
    def kubeconfig_outside(self) -> Path:
        """How to reach the cluster from other terminals."""
        if self._doors is None:
            return self.kubeconfig
        written = self.work / "kubeconfig"
        written.touch(mode=0o600)
        written.write_text(self.outside(self.kubeconfig.read_text()))
        return written

    def __enter__(self) -> Self:
        try:
            if self._plane is not None:
                self._timed("etcd and kube-apiserver", self._plane.start)
                self._open(self._plane.server)
            # The operator is told where people find its runs, before the server that has them is there.
            self._open(self.pipelines)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_gateway(self) -> None:
        """Start Envoy and what drives it, where this is a network that they can be in."""
        if self._doors is None or self._plane is None:
            return
        gateway = gateways.EnvoyGateway(self._plane.api, self._plane.kubeconfig, self.work / "gateway")
        self._timed("Envoy, driven by Contour", gateway.start)
        self._gateway = gateway
        self._doors.open(gateway.port)

    def start_pipelines(self) -> None:
        """Start the server that runs the CI pipelines."""
        port = self.pipelines.rpartition(":")[2]
        command = [
            "-m",
            "mooring_pipelines",
            "serve",
            "--port",
            port,
            "--data-dir",
            str(self.work / "pipelines"),
        ]
        self._launch("pipelines server", command, f"{self.pipelines}/apis/v2beta1/healthz")

    def start_serving(self) -> None:
        """Start the agent that stands in for KServe where there is no node."""
        port = self.front.rpartition(":")[2]
        command = [
            "-m", "cluster.serving", "--kubeconfig", str(self.kubeconfig),
            "--models-root", str(self.work / "models"), "--port", port,
        ]  # fmt: skip
        if self._gateway is not None:
            command += ["--pods", own_network.ADDRESSES]
        self._launch("serving agent", command, f"{self.front}/-/healthy")

    def start_prometheus(self) -> None:
        """Start what counts the answers of pods, where there are pods and it can be had."""
        if self._gateway is None or find("prometheus") is None:
            return
        self.targets.mkdir()
        configuration = finding_models(self.kubeconfig, interval_s=1)
        configuration["scrape_configs"].append(named_in(self.targets, interval_s=1))
        prometheus = Prometheus(configuration, self.work / "prometheus")
        self._timed("Prometheus", prometheus.start)
        self._prometheus = prometheus

    def start_operator(self) -> None:
        """Start the operator, as its own process."""
        port = self.health.rpartition(":")[2]
        environment = {
            "MOORING_KUBECONFIG": str(self.kubeconfig),
            "MOORING_NAMESPACES": "mooring-demo",
            "MOORING_HEALTH_HOST": "127.0.0.1",
            "MOORING_HEALTH_PORT": port,
            "MOORING_LEASE_NAMESPACE": "mooring-demo",
            "MOORING_KFP_ENDPOINT": self.pipelines,
            "MOORING_KFP_UI_URL": self.outside(self.pipelines),
            "MOORING_FILE_ADDRESSES": "true",
            "MOORING_ARTIFACT_ROOT": f"file://{self.work}/artifacts",
            "MOORING_AUDIT_ROOT": f"file://{self.work}/audit",
        }
        if self._gateway is not None:
            environment |= {
                "MOORING_GATEWAY": GATEWAY,
                "MOORING_GATEWAY_SERVICE": f"{gateways.NAMESPACE}/envoy",
            }
        if self._prometheus is not None:
            environment |= {
                "MOORING_PROMETHEUS_URL": self._prometheus.url,
                "MOORING_PROMETHEUS_INTERVAL": "2",
                "MOORING_PROMETHEUS_LAG": "2",
            }
        self._launch("operator", ["-m", "mooring_operator"], f"{self.health}/readyz", environment)

    def check(self) -> None:
        """Raise RuntimeError when one of the programs has ended."""
        for process in self._processes:
            if not process.alive:
                raise RuntimeError(f"{process.name} ended; its log ends:\n{process.tail()}")

    def logs(self) -> str:
        """Give the end of every program's log."""
        return "\n\n".join(f"--- {process.name}\n{process.tail()}" for process in self._processes)

    def close(self) -> None:
        """End everything and remove the data."""
        for process in reversed(self._processes):
            process.stop()
        self._processes.clear()
        if self._prometheus is not None:
            self._prometheus.close()
        if self._gateway is not None:
            self._gateway.close()
        if self._plane is not None:
            self._plane.stop()
        shutil.rmtree(self.work, ignore_errors=True)
        self._watchdog.dismiss()

    def _launch(
        self, name: str, arguments: list[str], url: str, environment: dict[str, str] | None = None
    ) -> None:
        def run() -> None:
            log = self.work / "logs" / f"{name.replace(' ', '-')}.log"
            scratch = self.work / "tmp"
            scratch.mkdir(exist_ok=True)
            ours = {
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "TMPDIR": str(scratch),
                "PYTHONUNBUFFERED": "1",
            }
            everything = {**os.environ, **ours, **(environment or {})}
            process = start(name, [sys.executable, *arguments], log=log, environment=everything)
            self._watchdog.watch(process)
            self._processes.append(process)
            wait_until_ready(process, lambda: _answers(url), timeout=_READY_S)
            self._open(url)

        self._timed(name, run)

    def _open(self, url: str) -> None:
        if self._doors is not None:
            self._doors.open(int(httpx.URL(url).port or 0))

    def _timed(self, name: str, run: Callable[[], None]) -> None:
        begun = time.monotonic()
        run()
        self._report(f"{name} ({time.monotonic() - begun:.1f} s)")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
