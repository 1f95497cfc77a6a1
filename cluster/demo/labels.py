"""Labels that come late: users find out after a while whether an answer was right, and it is counted for Prometheus."""

import asyncio
import collections
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter, start_http_server

from cluster.demo.manifests import NAME, NAMESPACE
from cluster.demo.models import Labels

LATE_S = 5.0
_ADDRESS = "127.0.0.1"


class LateLabels:
    """Counts ``labelled_total`` by revision, as template ``accuracy`` asks for it, at a page of its own.

    A ``with`` statement serves the page, and names it in ``targets``, a folder where Prometheus finds what to scrape.
    Each answer is counted as late as any other: of both revisions the same part is known.
    """

    def __init__(self, labels: Labels, targets: Path) -> None:
        """labels: what each image really is, by its number."""
        self._labels, self._targets = labels, targets
        self.known: collections.Counter[tuple[str, bool]] = collections.Counter()
        """By revision, and whether it was right."""
        self._registry = CollectorRegistry()
        self._counted = Counter(
            "labelled",
            "Answers whose label is known.",
            ["model", "revision", "correct"],
            registry=self._registry,
        )

    def __enter__(self) -> Self:
        self._server, self._thread = start_http_server(0, _ADDRESS, self._registry)
        target = {"targets": [f"{_ADDRESS}:{self._server.server_port}"], "labels": {"namespace": NAMESPACE}}
        unfinished = self._targets / "labels.unfinished"
        unfinished.write_text(json.dumps([target]))
        unfinished.replace(self._targets / "labels.json")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answered(self, image: int, revision: str, body: dict[str, Any]) -> None:
        """Count an answer, ``LATE_S`` from now."""
        said = next(output["data"][0] for output in body["outputs"] if output["name"] == "label")
        asyncio.get_running_loop().call_later(
            LATE_S, self._count, revision, bool(said == self._labels[image])
        )

    def told(self, revision: str) -> str:
        """Say how many answers of a revision were wrong, of those whose label is known."""
        wrong, right = self.known[revision, False], self.known[revision, True]
        return f"{wrong} of {wrong + right} answers were wrong"

    def _count(self, revision: str, correct: bool) -> None:
        self.known[revision, correct] += 1
        self._counted.labels(NAME, revision, str(correct).lower()).inc()
