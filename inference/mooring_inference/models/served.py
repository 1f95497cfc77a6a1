"""A model that is loaded, warm, and takes calls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

from mooring_inference.backends.base import Backend
from mooring_inference.backends.warm_up import WarmUp, warm_up
from mooring_inference.guards import Guards, load_guards
from mooring_inference.models.batching.batcher import Batcher
from mooring_inference.models.batching.queue import BatchLimits
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.models.loading import in_loading_thread
from mooring_inference.observability.metrics import ModelSeries, ServingMetrics
from mooring_inference.tensors import Signature

log = logging.getLogger(__name__)


class ServedModel:
    """One version of one model.

    Attributes:
        platform: the V2 protocol's name of its format.
        device: where it runs.
        signature: the backend's, with the names of features as far as they are known.
        warm: what its first runs showed.
        guards: what looks at inputs first; None where the model has none.
        revision_header: of every answer.
    """

    def __init__(
        self,
        name: str,
        version: str,
        backend: Backend,
        signature: Signature,
        batcher: Batcher,
        series: ModelSeries,
        warm: WarmUp,
        guards: Guards | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.platform = backend.platform
        self.device = backend.device
        self.signature = signature
        self.backend = backend
        self.batcher = batcher
        self.series = series
        self.warm = warm
        self.guards = guards
        self.revision_header = (b"x-mooring-revision", version.encode("ascii", "replace"))

    async def close(self) -> None:
        """Finish the calls that it has taken, and give back what it holds."""
        await self.batcher.close()


async def load_served(
    name: str,
    version: str,
    path: Path,
    *,
    load: Callable[[Path], Backend],
    limits: BatchLimits,
    metrics: ServingMetrics,
) -> ServedModel:
    """Load a model and run it once or twice, so that no caller waits for that.

    Raises:
        ModelLoadError: it cannot be served.
    """
    started = perf_counter()
    # In threads: probes are answered while a large model loads.
    backend = await in_loading_thread(partial(load, path))
    guards = _guards(path, backend)
    signature = backend.signature.with_columns(read_feature_names(path, backend.signature))
    warm = await in_loading_thread(partial(warm_up, backend))
    series = metrics.of(name, version)
    batcher = Batcher(
        backend,
        limits=limits,
        batchable=warm.batchable,
        one_row=warm.one_row,
        expected_seconds=warm.seconds,
        on_batch=series.batch,
    )
    series.queued_rows = lambda: batcher.queued_rows
    series.load_seconds = perf_counter() - started
    log.info(
        "model ready",
        extra={
            "fields": {
                "model": name,
                "revision": version,
                "platform": backend.platform,
                "device": backend.device,
                "seconds": round(series.load_seconds, 4),
                "batching": f"up to {limits.max_batch_rows} rows"
                if warm.batchable and limits.max_batch_rows > 1
                else f"none: {warm.reason or 'max_batch_rows is 1'}",
            }
        },
    )
    return ServedModel(name, version, backend, signature, batcher, series, warm, guards)


def _guards(path: Path, backend: Backend) -> Guards | None:
    file = path / "guards.json"
    return load_guards(file, backend.signature) if file.is_file() else None
