"""One cluster: etcd, an API server and, where asked for, the controllers that work on it.

The order of a start is in ``ControlPlane.start``; what each program is told is in ``commands``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster import kserve
from cluster.api import Api, ApiError
from cluster.building import build
from cluster.certificates import Authority, write_private, write_signing_key
from cluster.commands import (
    AUDIT_POLICY,
    COLLECTS_LATE,
    Command,
    Files,
    apiserver_command,
    controller_manager_command,
    etcd_command,
)
from cluster.kubeconfig import remove_kubeconfig, write_kubeconfig
from cluster.processes import Process, StartError, Watchdog, free_ports, start, wait_until_ready

EXTRAS = ("controller-manager", "endpoint-slices", "kserve")
"""What a control plane can have besides etcd and the API server: ``endpoint-slices`` is the one controller alone that
says which pods are behind a Service."""
_SLICES_ALONE = "endpointslice-controller"

_ATTEMPTS = 4
_TIMEOUT_S = 90.0


class ControlPlane:
    """A Kubernetes control plane of this machine, without nodes.

    Use it in a ``with`` statement: at its end nothing is left, not even if this process is killed. Or call
    ``start`` and ``stop``; after ``detach`` it lives on without us.

    ``extras`` are of EXTRAS; ``kserve`` brings ``controller-manager`` along, which has all controllers. ``data_dir``
    is a folder to keep the data in, which a later start takes up again; a temporary one is removed by ``stop``.
    """

    def __init__(
        self,
        extras: Iterable[str] = (),
        *,
        name: str = "default",
        data_dir: Path | None = None,
        kubeconfig: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.extras = complete(extras)
        self.name = name
        self.processes: list[Process] = []
        self.ports: dict[str, int] = {}
        self.executables: dict[str, Path] = {}
        self._data_dir = data_dir
        self._files: Files | None = None
        self._kubeconfig = kubeconfig
        self._report = report
        self._watchdog: Watchdog | None = None
        self._api: Api | None = None
        self._starts: dict[str, Callable[[], None]] = {}

    @property
    def files(self) -> Files:
        """Its folder; there from ``start`` to ``stop``."""
        if self._files is None:
            raise RuntimeError("the control plane has not been started")
        return self._files

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._kubeconfig or self.files.kubeconfig

    @property
    def server(self) -> str:
        """The API server's address, ``https://127.0.0.1:PORT``."""
        return f"https://127.0.0.1:{self.ports['kube-apiserver']}"

    @property
    def api(self) -> Api:
        """A small client with the administrator's rights."""
        if self._api is None:
            raise RuntimeError("the control plane has not been started")
        return self._api

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Build what is missing, start everything, and return when it is usable.

        Raises:
            ProgramUnavailableError: a program cannot be had here.
            StartError: a program did not start; the message holds the end of its log.
        """
        if self.processes:
            raise RuntimeError("the control plane runs already")
        # What takes minutes, or cannot be had, comes before anything that would have to be undone.
        programs = build(_programs(self.extras))
        given = kserve.locate() if "kserve" in self.extras else None
        self._watchdog = Watchdog()
        try:
            self._files = Files(self._folder())
            authority = self._write_keys()
            self._start_etcd(programs["etcd"])
            self._start_apiserver(programs["kube-apiserver"], authority)
            if given is not None:
                # The garbage collector looks for kinds when it starts, and then twice a minute.
                kserve.install(self.api, given)
            if "controller-manager" in self.extras:
                self._start_controller_manager(programs["kube-controller-manager"])
            elif "endpoint-slices" in self.extras:
                self._start_slices(programs["kube-controller-manager"])
            if given is not None:
                self._start_kserve(given, authority)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every program, and remove the data unless ``data_dir`` was given."""
        for process in reversed(self.processes):
            process.stop()
        self.processes.clear()
        if self._files is not None:
            remove_kubeconfig(self.kubeconfig)
            if self._data_dir is None:
                shutil.rmtree(self._files.folder, ignore_errors=True)
            self._files = None
        self.detach()

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """End one of its programs without warning; after the block it runs again, at its ports and with its data."""
        [process] = [process for process in self.processes if process.name == name]
        if process.child is not None:
            process.child.kill()
            process.child.wait()
        self.processes.remove(process)
        try:
            yield
        finally:
            self._starts[name]()

    def detach(self) -> None:
        """Let it live on when this process ends."""
        if self._watchdog is not None:
            self._watchdog.dismiss()
            self._watchdog = None

    def _folder(self) -> Path:
        if self._data_dir is not None:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._data_dir.resolve()
        folder = Path(tempfile.mkdtemp(prefix="mooring-cluster-"))
        if self._watchdog is not None:
            self._watchdog.own(folder)
        return folder

    def _write_keys(self) -> Authority:
        files, authority = self.files, Authority.create()
        write_private(files.authority, authority.pem)
        authority.write_serving_pair(*files.serving, names=("kubernetes.default.svc",))
        # Tokens that pods hold stay valid when the data is taken up again.
        if not files.signing_key.exists():
            write_signing_key(files.signing_key)
        token = secrets.token_urlsafe(32)
        write_private(files.tokens, f"{token},admin,admin,system:masters\n".encode())
        return authority

    def _start_etcd(self, executable: Path) -> None:
        def command(ports: Sequence[int]) -> Command:
            return etcd_command(executable, self.files, ports)

        def ready(ports: Sequence[int]) -> bool:
            return _answers(f"http://127.0.0.1:{ports[0]}/health")

        self._launch("etcd", command, ready, ports=2)

    def _start_apiserver(self, executable: Path, authority: Authority) -> None:
        token = self.files.tokens.read_text().partition(",")[0]
        self.files.audit_policy.write_text(json.dumps(AUDIT_POLICY))
        service_accounts = "controller-manager" in self.extras

        def command(ports: Sequence[int]) -> Command:
            etcd_port = self.ports["etcd"]
            return apiserver_command(
                executable, self.files, ports, etcd_port=etcd_port, service_accounts=service_accounts
            )

        def ready(ports: Sequence[int]) -> bool:
            self._api = Api(f"https://127.0.0.1:{ports[0]}", token=token, authority=authority.pem)
            return _has(self._api, "/readyz") and _has(self._api, "/api/v1/namespaces/default")

        environment = {**COLLECTS_LATE, **os.environ}
        self._launch("kube-apiserver", command, ready, ports=1, environment=environment)
        for path in {self.files.kubeconfig, self.kubeconfig}:
            write_kubeconfig(path, name=self.name, server=self.server, token=token, authority=authority.pem)

    def _start_controller_manager(self, executable: Path) -> None:
        def ready(_: Sequence[int]) -> bool:
            # The first thing that others wait for; pods are refused before.
            return _has(self.api, "/api/v1/namespaces/default/serviceaccounts/default")

        command = controller_manager_command(executable, self.files)
        self._launch("kube-controller-manager", lambda _: command, ready, ports=0)

    def _start_slices(self, executable: Path) -> None:
        command = controller_manager_command(executable, self.files, _SLICES_ALONE)
        # It answers nobody, and whatever it comes late for it does then.
        self._launch("kube-controller-manager", lambda _: command, lambda _: True, ports=0)

    def _start_kserve(self, given: kserve.Given, authority: Authority) -> None:
        certificates = self.files.folder / "kserve" / "k8s-webhook-server" / "serving-certs"
        authority.write_serving_pair(certificates / "tls.crt", certificates / "tls.key")

        def ready(ports: Sequence[int]) -> bool:
            return _answers(f"http://127.0.0.1:{ports[1]}/readyz")

        self._launch(
            "kserve-controller",
            lambda ports: kserve.command(given, self.files.kubeconfig, ports),
            ready,
            ports=2,
            environment=kserve.environment(temporary=certificates.parents[1]),
        )
        port = self.ports["kserve-controller"]
        kserve.register_webhooks(self.api, given, f"https://127.0.0.1:{port}", authority.pem)

    def _launch(
        self,
        name: str,
        command: Callable[[Sequence[int]], Command],
        ready: Callable[[Sequence[int]], bool],
        *,
        ports: int,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start one program, with other ports if somebody was quicker to bind the first."""
        for attempt in range(_ATTEMPTS):
            chosen = free_ports(ports)
            log = self.files.logs / f"{name}.log"
            line = command(chosen)
            self.executables[name] = Path(line[0])
            run = partial(self._run, name, line, log, environment, partial(ready, chosen))
            try:
                run()
            except StartError:
                process = self.processes[-1]
                if attempt + 1 < _ATTEMPTS and "address already in use" in process.tail(200):
                    process.stop()
                    self.processes.remove(process)
                    continue
                raise
            if chosen:
                self.ports[name] = chosen[0]
            self._starts[name] = run
            self._report(f"{name} is ready")
            return

    def _run(
        self,
        name: str,
        line: Command,
        log: Path,
        environment: dict[str, str] | None,
        ready: Callable[[], bool],
    ) -> None:
        process = start(name, line, log=log, environment=environment)
        self.processes.append(process)
        if self._watchdog is not None:
            self._watchdog.watch(process)
        wait_until_ready(process, ready, timeout=_TIMEOUT_S)


def complete(extras: Iterable[str]) -> tuple[str, ...]:
    """Check the names, and add what they need; raises ValueError for a name that is not in EXTRAS."""
    wanted = set(extras)
    if unknown := sorted(wanted.difference(EXTRAS)):
        raise ValueError(f"no such extras: {', '.join(unknown)}; there are {', '.join(EXTRAS)}")
    # KServe's Deployments come to nothing without their controller.
    if "kserve" in wanted:
        wanted.add("controller-manager")
    return tuple(sorted(wanted - ({"endpoint-slices"} if "controller-manager" in wanted else set())))


def _programs(extras: Iterable[str]) -> list[str]:
    more = ["kube-controller-manager"] if {"controller-manager", "endpoint-slices"} & set(extras) else []
    return ["etcd", "kube-apiserver", *more]


def _has(api: Api, path: str) -> bool:
    with suppress(ApiError, OSError):
        return api.get(path) is not None
    return False


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError), opener.open(url, timeout=2) as response:
        return bool(response.status == 200)
    return False
