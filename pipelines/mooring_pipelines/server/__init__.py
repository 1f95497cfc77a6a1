"""A server for the part of KFP's v2beta1 API that an operator uses, running pipelines on this machine.

It stands in for Kubeflow Pipelines on laptops, in tests and on small clusters: the same client, the
same compiled pipelines, SQLite instead of MySQL and processes instead of pods.
"""

from __future__ import annotations

from pathlib import Path


def serve(
    host: str = "127.0.0.1",
    port: int = 8888,
    data_dir: Path | str = "local_outputs/pipelines",
    *,
    concurrency: int = 2,
    keep: int = 200,
) -> None:
    """Serve until SIGINT or SIGTERM; runs end with the server, and the last `keep` finished ones stay.

    Whoever reaches the port can run programs as this user: keep it on the loopback interface.

    Raises:
        ValueError: `concurrency` or `keep` is below 1.
        SystemExit: another server uses `data_dir`, or the port is taken.
    """
    # The processes of runs import this package too, and need no web server.
    from mooring_pipelines.server import app

    app.serve(host, port, Path(data_dir), concurrency, keep)
