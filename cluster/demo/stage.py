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

from cluster.control_plane import ControlPlane
from cluster.processes import Process, Watchdog, free_ports, start, wait_until_ready

_READY_S = 60.0


class Stage:
    """The programs of the demo. At the end of the ``with`` statement nothing is left of them.

    With ``kubeconfig`` the cluster that it names is used, and none is started.
    """

    def __init__(self, kubeconfig: Path | None, report: Callable[[str], None]) -> None:
        self._given = kubeconfig
        self._report = report
        self._plane = ControlPlane() if kubeconfig is None else None
        self._processes: list[Process] = []
        self._watchdog = Watchdog()
        # Not below /tmp/pytest-... or the checkout: what runs here reads and writes only this folder.
        self.work = Path(tempfile.mkdtemp(prefix="mooring-demo-")).resolve()
        self._watchdog.own(self.work)
        self.front, self.pipelines, self.health = (f"http://127.0.0.1:{port}" for port in free_ports(3))

    @property
    def has_own_cluster(self) -> bool:
        """Whether the cluster is the demo's alone."""
        return self._plane is not None

    @property
    def kubeconfig(self) -> Path:
        """How to reach the cluster."""
        if self._given is not None:
            return self._given
        assert self._plane is not None
        return self._plane.kubeconfig

    def __enter__(self) -> Self:
        try:
            if self._plane is not None:
                self._timed("etcd and kube-apiserver", self._plane.start)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        self._launch("serving agent", command, f"{self.front}/-/healthy")

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
            "MOORING_FILE_ADDRESSES": "true",
            "MOORING_ARTIFACT_ROOT": f"file://{self.work}/artifacts",
        }
        self._launch("operator", ["-m", "mooring_operator.main"], f"{self.health}/readyz", environment)

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

        self._timed(name, run)

    def _timed(self, name: str, run: Callable[[], None]) -> None:
        begun = time.monotonic()
        run()
        self._report(f"{name} ({time.monotonic() - begun:.1f} s)")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
