"""``python -m mooring_components.drift``: one JSON question on standard input, one JSON answer on standard output.

    {"baseline": {"uri"}, "window": {"uri"}, "features": [...] | null, "minRows": 100,
     "ks": {"alpha"} | null, "psi": {"threshold", "bins"} | null}
    {"baselineRows", "windowRows", "windowDigest", "driftedFeatures": [...],
     "features": [{"name", "kind", "rows", "missing", "ks", "psi", "drifted", "reason"}]}

A mistake of the user's is an answer, ``{"error": {"reason", "message"}}``, and exit code 0.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from mooring_components.drift.evaluation import DEFAULT_ALPHA, Detectors, EvaluationError, Feature, evaluate
from mooring_components.drift.memory import memory_left
from mooring_components.drift.rows import LARGEST_BYTES, open_rows


def answer(question: dict[str, Any], memory: int = LARGEST_BYTES) -> dict[str, Any]:
    """Compare, or say why not; at most `memory` bytes of rows are read."""
    try:
        return _compare(question, memory)
    except EvaluationError as error:
        return {"error": {"reason": error.reason, "message": error.message}}


def _compare(question: dict[str, Any], memory: int) -> dict[str, Any]:
    baseline = open_rows(question["baseline"]["uri"], "BaselineUnreadable", "spec.baseline.uri", memory)
    window = open_rows(
        question["window"]["uri"], "WindowUnreadable", "spec.window.uri", memory - baseline.memory
    )
    ks, psi = question.get("ks"), question.get("psi")
    detectors = Detectors(
        ks=ks is not None,
        alpha=ks["alpha"] if ks else DEFAULT_ALPHA,
        psi_threshold=psi["threshold"] if psi else None,
        psi_bins=psi["bins"] if psi else 10,
    )
    found = evaluate(baseline, window, question.get("features"), question["minRows"], detectors)
    return {
        "baselineRows": baseline.num_rows,
        "windowRows": window.num_rows,
        "windowDigest": window.digest,
        "driftedFeatures": [feature.name for feature in found if feature.drifted],
        "features": [_feature(feature) for feature in found],
    }


def _feature(feature: Feature) -> dict[str, Any]:
    def test(pair: tuple[float, float] | None) -> dict[str, float] | None:
        return {"statistic": pair[0], "pValue": pair[1]} if pair else None

    return {**asdict(feature), "ks": test(feature.ks), "psi": test(feature.psi)}


if __name__ == "__main__":
    left = memory_left()
    most = LARGEST_BYTES if left is None else min(left, LARGEST_BYTES)
    json.dump(answer(json.load(sys.stdin), most), sys.stdout, allow_nan=False)
