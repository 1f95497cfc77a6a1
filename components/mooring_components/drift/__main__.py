"""``python -m mooring_components.drift``: one JSON question on standard input, one JSON answer on standard output.

The question is `mooring_artifacts.drift_question`'s; the answer is a drift report without its version and run:

    {"baselineRows", "windowRows", "windowDigest", "driftedFeatures": [...],
     "features": [{"name", "kind", "rows", "missing", "ks", "psi", "drifted", "reason"}]}

A mistake of the user's is an answer, ``{"error": {"reason", "message"}}``, and exit code 0.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from mooring_components.drift.report import make_report


def answer(question: dict[str, Any], memory: int | None = None) -> dict[str, Any]:
    """Compare, or say why not; rows may take `memory` bytes."""
    return make_report(question, "", memory).model_dump(by_alias=True, exclude={"schema_version", "run_id"})


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout, allow_nan=False)
