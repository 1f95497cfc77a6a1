"""The command lines of the control plane's programs. Everything listens on 127.0.0.1 alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE_NETWORK = "10.96.0.0/16"


@dataclass(frozen=True)
class Files:
    """Where a cluster keeps its things, below one folder."""

    folder: Path

    @property
    def state(self) -> Path:
        """What runs, for other processes to read."""
        return self.folder / "state.json"

    @property
    def kubeconfig(self) -> Path:
        """For clients: the administrator's."""
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One log per program."""
        return self.folder / "logs"

    @property
    def audit_policy(self) -> Path:
        """Which requests the API server notes in ``audit``."""
        return self.folder / "audit-policy.json"

    @property
    def audit(self) -> Path:
        """What Mooring's own service accounts asked of the API server, and whether they might: JSON lines."""
        return self.logs / "audit.jsonl"

    @property
    def authority(self) -> Path:
        """The certificate that every other one is signed by."""
        return self.folder / "keys" / "ca.crt"

    @property
    def serving(self) -> tuple[Path, Path]:
        """The API server's certificate and its key."""
        return self.folder / "keys" / "apiserver.crt", self.folder / "keys" / "apiserver.key"

    @property
    def signing_key(self) -> Path:
        """Signs service accounts' tokens."""
        return self.folder / "keys" / "service-accounts.key"

    @property
    def tokens(self) -> Path:
        """The API server's list of static tokens."""
        return self.folder / "keys" / "tokens.csv"

    @property
    def etcd(self) -> Path:
        """The data itself."""
        return self.folder / "etcd"


Command = list[str | Path]

COLLECTS_LATE = {"GOGC": "300", "GOMEMLIMIT": "1GiB"}
"""Variables of the API server. Nearly a third of what it does until our definitions are served is to collect garbage
otherwise."""
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:mooring-system"]},
        {"level": "None"},
    ],
}


def etcd_command(executable: Path, files: Files, ports: Sequence[int]) -> Command:
    """A single member; ``ports`` are for clients and for the peers that never come."""
    client, peer = (f"http://127.0.0.1:{port}" for port in ports)
    return [
        executable,
        f"--data-dir={files.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # The data need not survive the machine's crash, and waiting for the disk is most of the time.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_command(
    executable: Path, files: Files, ports: Sequence[int], *, etcd_port: int, service_accounts: bool
) -> Command:
    """An API server with real authorization, and one static token for the administrator."""
    certificate, key = files.serving
    return [
        executable,
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={ports[0]}",
        f"--cert-dir={files.folder / 'keys'}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--token-auth-file={files.tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={files.signing_key}",
        f"--service-account-key-file={files.signing_key}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--allow-privileged=true",
        # A loopback address is no endpoint that the reconciler would write for the kubernetes Service.
        "--endpoint-reconciler-type=none",
        "--profiling=false",
        f"--audit-policy-file={files.audit_policy}",
        f"--audit-log-path={files.audit}",
        "--audit-log-maxsize=50",
        "--audit-log-maxbackup=1",
        # Without a controller manager nobody makes the service account that pods are admitted with.
        *([] if service_accounts else ["--disable-admission-plugins=ServiceAccount"]),
    ]


def controller_manager_command(executable: Path, files: Files, controllers: str = "*") -> Command:
    """The controllers of Deployments, Jobs, garbage and so on, or those that are named; it serves nothing itself."""
    return [
        executable,
        f"--kubeconfig={files.kubeconfig}",
        f"--service-account-private-key-file={files.signing_key}",
        f"--root-ca-file={files.authority}",
        "--secure-port=0",
        "--leader-elect=false",
        "--profiling=false",
        f"--controllers={controllers}",
    ]
