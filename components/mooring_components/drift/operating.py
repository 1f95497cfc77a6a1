"""How a server answered the requests of a window: how many, how fast, and how many not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.run_documents import OperationFound

from mooring_components.drift.captured import PartOfRows

_LEAST_ERROR = 400


def measure_operation(window: PartOfRows, seconds: float) -> OperationFound:
    """Measure the requests of a window that were kept, each once, however many rows it has.

    Args:
        window: rows of requests.
        seconds: that it takes.

    Raises:
        EvaluationError: nothing is known of requests.
    """
    firsts = pc.equal(window.request("row"), 0)
    status = window.request("status").filter(firsts)
    failed = pc.greater_equal(status, _LEAST_ERROR)
    answered = pc.invert(failed)
    latency = _numbers(window.request("latency_seconds").filter(firsts).filter(answered))
    middle, high, highest = np.quantile(latency, [0.5, 0.95, 0.99]) if len(latency) else (None, None, None)
    return OperationFound(
        requests=len(status),
        errors=pc.sum(failed).as_py() or 0,
        seconds=seconds,
        p50=None if middle is None else float(middle),
        p95=None if high is None else float(high),
        p99=None if highest is None else float(highest),
    )


def _numbers(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    found = np.from_dlpack(values.drop_null().cast(pa.float64()).combine_chunks())
    finite: npt.NDArray[np.float64] = found[np.isfinite(found)].astype(np.float64)
    return finite
