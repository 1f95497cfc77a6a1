"""Judge metrics by gates and write the verdict that the operator reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mooring_artifacts.gates import METRICS, judge, parse_gates
from mooring_artifacts.run_documents import SCHEMA_VERSION, Verdict
from mooring_artifacts.uploads import put_document


def make_verdict(
    run_id: str,
    model_uri: str,
    model_digest: str,
    metrics: Mapping[str, float],
    gates: Sequence[Mapping[str, Any]],
) -> Verdict:
    """Judge `metrics` by `gates`; metrics that are not finite are left out of the document.

    Raises:
        InputError: a malformed gate.
    """
    violations = judge(metrics, parse_gates(gates))
    # Parameters of a pipeline lose their order on the way.
    ordered = sorted(metrics, key=lambda name: METRICS.index(name) if name in METRICS else len(METRICS))
    return Verdict(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        model_uri=model_uri,
        model_digest=model_digest,
        passed=not violations,
        metrics={name: float(metrics[name]) for name in ordered if math.isfinite(metrics[name])},
        violations=violations,
    )


def write_verdict(verdict: Verdict, uri: str) -> None:
    """Put the JSON document to an address in a store, or to a signed URL.

    Raises:
        InputError: that is not allowed, or the store refuses.
        StoreUnavailable: the store does not answer.
    """
    put_document(uri, verdict.to_json(), "verdict_uri")
