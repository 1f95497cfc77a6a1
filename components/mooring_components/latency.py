"""How long the model takes for one row."""

from __future__ import annotations

import time

import numpy as np

from mooring_components.feeding import FedModel

WARM_UP_REQUESTS = 20
REQUESTS = 300
MAX_SECONDS = 20.0


def time_requests(
    fed: FedModel,
    requests: int = REQUESTS,
    warm_up: int = WARM_UP_REQUESTS,
    max_seconds: float = MAX_SECONDS,
) -> list[float]:
    """Time single-row requests one after the other, in milliseconds.

    The rows are taken in turn. The first `warm_up` requests do not
    count. A slow model gets fewer requests, so that the whole ends soon after `max_seconds`.

    Raises:
        InputError: a row does not fit the model, or the model fails on it.
        MemoryError: the model takes more memory than there is.
    """
    rows = fed.single_rows(max(1, requests))
    deadline = time.perf_counter() + max_seconds
    for i in range(warm_up):
        fed.answer(rows[i % len(rows)])
        if time.perf_counter() > deadline:
            break
    taken: list[float] = []
    # At least one request is timed, however slow the model.
    while not taken or (len(taken) < requests and time.perf_counter() < deadline):
        start = time.perf_counter_ns()
        fed.answer(rows[len(taken) % len(rows)])
        taken.append((time.perf_counter_ns() - start) / 1e6)
    return taken


def summarize_latency(milliseconds: list[float]) -> dict[str, float]:
    """The latency metrics of one or more measured requests: mean, p50, p95 and p99."""
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return {
        "latencyMeanMs": float(np.mean(milliseconds)),
        "latencyP50Ms": float(p50),
        "latencyP95Ms": float(p95),
        "latencyP99Ms": float(p99),
    }
