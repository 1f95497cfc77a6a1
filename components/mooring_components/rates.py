"""How many rows a second a model takes in batches as the server makes them, and what memory that leaves behind."""

from __future__ import annotations

import time

import numpy as np
from mooring_artifacts.errors import InputError
from mooring_inference.tensors import Array

from mooring_components.feeding import FedModel, count_rows, join_requests
from mooring_components.gpu_memory import GPU_MEMORY, watched_gpu_memory
from mooring_components.memory import held_bytes, peak_bytes

BATCH_ROWS = 32
"""As many as the serving runtime takes at once, unless it is told otherwise."""
CALLS = 1000
WARM_UP_CALLS = 50
MAX_SECONDS = 2.0
RATE, BATCH_P95, GROWTH, PEAK = "rowsPerSecond", "batchLatencyP95Ms", "memoryGrowthMB", "peakMemoryMB"
ELSEWHERE = "the model does not run in the process that tests it"
ONE_BY_ONE = "a model that writes is asked one prompt after the other"
_MEGA = 1e6


def measure_rates(
    fed: FedModel, calls: int = CALLS, warm_up: int = WARM_UP_CALLS, max_seconds: float = MAX_SECONDS
) -> dict[str, float]:
    """Rows a second, the 95th percentile of a batch's time, and of models in this process their memory.

    The batch has 32 rows, or as many as the model takes at once. The process's memory before and after the calls is
    compared; the first ones, in which buffers grow to their size, do not count. Of GPUs it is the most that the process
    holds. A slow model gets fewer calls.

    Raises:
        InputError: a row does not fit the model, or the model fails on it.
        MemoryError: the model takes more memory than there is.
    """
    batch = _batch(fed)
    deadline = time.perf_counter() + max_seconds
    for _ in range(warm_up):
        fed.answer(batch)
        if time.perf_counter() > deadline:
            break
    before, taken = held_bytes(), list[float]()
    with watched_gpu_memory(fed.model.backend.device) as of_gpus:
        while not taken or (len(taken) < calls and time.perf_counter() < deadline):
            start = time.perf_counter()
            fed.answer(batch)
            taken.append(time.perf_counter() - start)
    after, peak = held_bytes(), peak_bytes()
    found = {
        RATE: count_rows(batch) * len(taken) / sum(taken),
        BATCH_P95: float(np.percentile(taken, 95)) * 1000,
    }
    if fed.model.backend.device != "remote" and before is not None and after is not None and peak is not None:
        found |= {GROWTH: max(after - before, 0) / _MEGA, PEAK: peak / _MEGA}
    if of_gpus.bytes is not None:
        found[GPU_MEMORY] = of_gpus.bytes / _MEGA
    return found


def _batch(fed: FedModel) -> dict[str, Array]:
    """A request of 32 rows, taken in turn; of one where the model does not take several at once."""
    single = fed.single_rows(BATCH_ROWS)
    if not fed.takes_several_rows:
        return single[0]
    try:
        batch = join_requests([single[place % len(single)] for place in range(BATCH_ROWS)])
        fed.answer(batch)
    except InputError:
        return single[0]
    return batch
