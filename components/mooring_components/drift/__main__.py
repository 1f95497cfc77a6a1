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
from mooring_components.drift.memory import keep_within_container
from mooring_components.drift.rows import open_rows


def answer(question: dict[str, Any], allowed: int | None = None) -> dict[str, Any]:
    """Compare, or say why not; `allowed` is the bytes of memory that a message names."""
    try:
        return _compare(question)
    except EvaluationError as error:
        return _error(error.reason, error.message)
    except MemoryError:
        limit = "" if allowed is None else f" of {allowed >> 20} MiB"
        return _error(
            "TooLarge",
            f"the rows do not fit into the memory{limit} that the operator has left: "
            "sample the baseline, shorten the window, or raise the operator's memory limit",
        )


def _compare(question: dict[str, Any]) -> dict[str, Any]:
    baseline = open_rows(question["baseline"]["uri"], "BaselineUnreadable", "spec.baseline.uri")
    window = open_rows(question["window"]["uri"], "WindowUnreadable", "spec.window.uri")
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


def _error(reason: str, message: str) -> dict[str, Any]:
    return {"error": {"reason": reason, "message": message}}


if __name__ == "__main__":
    memory = keep_within_container()
    json.dump(answer(json.load(sys.stdin), memory), sys.stdout, allow_nan=False)
