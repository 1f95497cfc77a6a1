"""MLflow servers of this machine's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from cluster.processes import free_ports

ADMIN = "admin"


@contextmanager
def running_mlflow(folder: Path, *, proxied: bool = False, password: str = "") -> Iterator[str]:
    """Run one with its data in `folder`; give its address.

    It tells where artifacts are; with `proxied` it hands them out itself, which is MLflow's default. With `password`
    it asks who somebody is, and knows user `ADMIN`.
    """
    port = free_ports(1)[0]
    root = f"file://{folder}/artifacts"
    artifacts = (
        ["--serve-artifacts", "--artifacts-destination", root]
        if proxied
        else ["--no-serve-artifacts", "--default-artifact-root", root]
    )
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        *artifacts,
        *(["--app-name", "basic-auth"] if password else []),
    ]  # fmt: skip
    # Its seven processes for jobs each import all of MLflow, and outlive a server that is killed.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    if password:
        environment |= {
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-a-test",
        }
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 180
        while not _healthy(url):
            assert server.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
