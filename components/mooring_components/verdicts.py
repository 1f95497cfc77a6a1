"""Judge metrics by gates and write the verdict that the operator reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mooring_artifacts.gates import LONGEST_MESSAGE, METRICS, Violation, parse_gates
from mooring_artifacts.judging import Findings, judge
from mooring_artifacts.run_documents import SCHEMA_VERSION, Group, Slice, Stability, Verdict
from mooring_artifacts.uploads import put_document

_OF_LABELS = ("accuracy", "balancedAccuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class Subject:
    """What a verdict is about, by digest: a model, the data that it was tested on, and what it was compared with.

    The files of a model that was tested where it is served may not be known.
    """

    model_uri: str
    model_digest: str | None
    data_digest: str
    champion_digest: str | None = None


def make_verdict(
    run_id: str,
    subject: Subject,
    found: Findings,
    gates: Sequence[Mapping[str, Any]],
    hint: str = "",
    slices: Sequence[Slice] = (),
    groups: Sequence[Group] = (),
    stability: Sequence[Stability] = (),
) -> Verdict:
    """Judge what was found by `gates`; metrics that are not finite are left out of the document.

    A hint about the labels is added to the first violation by a metric that compares with them.

    Raises:
        InputError: a malformed gate.
    """
    metrics = found.metrics
    violations = judge(found, parse_gates(gates))
    if hint:
        violations = _with_hint(violations, hint)
    # Parameters of a pipeline lose their order on the way.
    ordered = sorted(metrics, key=lambda name: METRICS.index(name) if name in METRICS else len(METRICS))
    return Verdict(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        model_uri=subject.model_uri,
        model_digest=subject.model_digest,
        test_data_digest=subject.data_digest,
        passed=not violations,
        metrics={name: float(metrics[name]) for name in ordered if math.isfinite(metrics[name])},
        violations=violations,
        intervals=dict(found.intervals),
        champion_digest=subject.champion_digest,
        differences=dict(found.differences),
        slices=list(slices),
        groups=list(groups),
        stability=list(stability),
    )


def _with_hint(violations: list[Violation], hint: str) -> list[Violation]:
    about = next((i for i, violation in enumerate(violations) if violation.metric in _OF_LABELS), None)
    if about is None or hint in violations[about].message:
        return violations
    message = f"{violations[about].message}; {hint}"[:LONGEST_MESSAGE]
    told = violations[about].model_copy(update={"message": message})
    return [*violations[:about], told, *violations[about + 1 :]]


def write_verdict(verdict: Verdict, uri: str) -> None:
    """Put the JSON document to an address in a store, or to a signed URL.

    Raises:
        InputError: that is not allowed, or the store refuses.
        StoreUnavailable: the store does not answer.
    """
    put_document(uri, verdict.to_json(), "verdict_uri")
