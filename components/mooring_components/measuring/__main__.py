"""Asks the service that the environment names for one number, and writes it where the kubelet reads it."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
from mooring_artifacts.measuring import QUESTION, SECONDS
from mooring_artifacts.webhooks import INSUFFICIENT

from mooring_components.measuring import cloud_watch, datadog
from mooring_components.measuring.asking import Line, NoNumberError
from mooring_components.measuring.telling import SAYS, tell


class Service(NamedTuple):
    """A service: its name for people, the way to it, and how it is asked with the keys of a folder."""

    name: str
    client_of: Callable[[Mapping[str, Any]], httpx.Client]
    ask: Callable[[Mapping[str, Any], Path, Line], float]


SERVICES: Mapping[str, Service] = {
    "datadog": Service("Datadog", datadog.client_of, datadog.ask),
    "cloudWatch": Service("CloudWatch", cloud_watch.client_of, cloud_watch.ask),
}


def run(
    environment: Mapping[str, str], keys: Path, says: Path = SAYS, client: httpx.Client | None = None
) -> int:
    """Ask as the environment says, tell the number or why there is none, and give the exit code."""
    question = json.loads(environment[QUESTION])
    service = SERVICES[question["provider"]]
    try:
        with client or service.client_of(question) as opened:
            line = Line(opened, service.name, time.monotonic() + float(environment[SECONDS]))
            said = json.dumps({"value": service.ask(question, keys, line)})
    except NoNumberError as error:
        return tell(str(error), INSUFFICIENT, says)
    return tell(said, 0, says)


def main() -> None:
    """Run as a program; the only argument is the folder of the keys."""
    sys.exit(run(os.environ, Path(sys.argv[1] if len(sys.argv) > 1 else "/keys")))


if __name__ == "__main__":
    main()
