"""``python -m cluster.serving``: the local serving agent."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import httpx2
import uvloop
from mooring_inference.observability.logs import configure_logging

from cluster.serving.agent import Address, run_agent
from cluster.serving.replica import Runtime


def main() -> None:
    """Serve the InferenceServices of an API server by processes of this machine."""
    parser = argparse.ArgumentParser(prog="python -m cluster.serving", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument(
        "--models-root",
        type=Path,
        action="append",
        required=True,
        help="folder that file:// models come from; repeatable",
    )
    parser.add_argument("--port", type=int, default=8000, help="of the front; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--domain", default="example.com", help="of the hosts ISVC-NAMESPACE.DOMAIN")
    parser.add_argument(
        "--pods",
        metavar="NETWORK",
        help="network whose addresses model servers listen on, such as 10.99.0.0/16: InferenceServices that others "
        "route to get Deployments, Services and pods; it needs the controller of EndpointSlices",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of one model execution")
    options = parser.parse_args()
    configure_logging()
    # Each of its requests would be a line.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="mooring-serving-") as scratch:
        runtime = Runtime(
            roots=options.models_root,
            scratch=Path(scratch),
            threads=options.threads,
            # A gateway takes a moment to hear that a pod ends.
            drain_seconds=2.0 if options.pods else 0.0,
        )
        address = Address(options.host, options.port, options.domain, options.pods)
        try:
            uvloop.run(run_agent(options.kubeconfig, runtime, address))
        except (OSError, httpx2.HTTPError) as exc:
            sys.stderr.write(f"cluster.serving: {exc}\n")
            raise SystemExit(1) from None


if __name__ == "__main__":
    main()
