"""Write docs/serving-reference.md, the page of metrics, headers and errors.

    python -m mooring_inference.settings.reference [PAGE] [--check]

With ``--check`` nothing is written, and a difference is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import Metric

from mooring_inference.collect.metrics import CollectMetrics
from mooring_inference.errors import STATUSES
from mooring_inference.grpc_front.refusals import CODES
from mooring_inference.observability.capture_metrics import collect_capture
from mooring_inference.observability.gpu import GpuMetrics
from mooring_inference.observability.metrics import ServingMetrics
from mooring_inference.observability.shared_metrics import ProcessMetrics
from mooring_inference.rest.headers import HEADERS
from mooring_inference.settings.markdown import code, table, write_or_check
from mooring_inference.stream.metrics import StreamMetrics

_HEAD = """\
<!-- Generated from inference/mooring_inference by `make generate`. Do not edit. -->
# Metrics, headers and errors of the serving runtime

What [the serving runtime](serving.md) says of itself and of requests. Flags: [the settings](serving-settings.md).
"""
_METRICS = ("name", "type", "labels", "what")


class _NoGpus:
    """Stands for a machine's GPUs, of which there are none."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802  NVML's name
        return 0


def render() -> str:
    """Render the page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## Metrics\n"
    yield "### The server\n"
    yield from _families(ServingMetrics().collect())
    yield "### With `--workers`, for all of them\n"
    yield from _families(ProcessMetrics([]).collect())
    yield "### With `--capture_uri`\n"
    yield from _families(collect_capture({}))
    yield "### Where there are NVIDIA GPUs\n"
    yield from _families(GpuMetrics(_NoGpus()).collect())
    yield "### `mooring-inference stream`\n"
    yield from _families(StreamMetrics().registry.collect())
    yield "### `mooring-inference collect`, beside those of `--capture_uri`\n"
    yield from _families(CollectMetrics().registry.collect())
    yield "## Headers\n"
    yield from table(("header", "in the", "what"), ((code(h.name), h.place, h.meaning) for h in HEADERS))
    yield "## Errors\n"
    yield 'A refusal is `{"error", "field", "expected", "got"}`, with `id` where the fault is the server\'s.\n'
    yield from table(("status", "gRPC", "when"), map(_error, sorted(STATUSES)))


def _families(families: Iterable[Metric]) -> Iterator[str]:
    yield from table(_METRICS, map(_family, families))


def _family(family: Metric) -> Iterator[str]:
    yield code(f"{family.name}_total" if family.type == "counter" else family.name)
    yield family.type
    # A family that has counted nothing shows its labels nowhere else.
    labels = getattr(family, "_labelnames", ()) or {
        name: None for sample in family.samples for name in sample.labels if name != "le"
    }
    yield ", ".join(map(code, labels))
    yield family.documentation


def _error(status: int) -> Iterator[str]:
    yield str(status)
    code_of_grpc = CODES.get(status)
    yield code_of_grpc.name if code_of_grpc is not None else "INTERNAL" if status == 500 else ""
    yield STATUSES[status]


if __name__ == "__main__":
    raise SystemExit(
        write_or_check("mooring_inference.settings.reference", Path("docs/serving-reference.md"), render())
    )
