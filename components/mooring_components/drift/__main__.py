"""``python -m mooring_components.drift``: one JSON question on standard input, one JSON answer on standard output.

A mistake of the user's is an answer, ``{"error": {"reason", "message"}}``, and exit code 0.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mooring_components.drift.evaluation import DEFAULT_ALPHA, Detectors, EvaluationError, Feature, evaluate
from mooring_components.errors import InputError
from mooring_components.storage import list_files, locate, stream

_LARGEST_BYTES = 4 << 30


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Compare, or say why not."""
    try:
        baseline, _ = _read(question["baseline"]["uri"], "BaselineUnreadable", "spec.baseline.uri")
        window, digest = _read(question["window"]["uri"], "WindowUnreadable", "spec.window.uri")
        ks, psi = question.get("ks"), question.get("psi")
        detectors = Detectors(
            ks=ks is not None,
            alpha=ks["alpha"] if ks else DEFAULT_ALPHA,
            psi_threshold=psi["threshold"] if psi else None,
            psi_bins=psi["bins"] if psi else 10,
        )
        found = evaluate(baseline, window, question.get("features"), question["minRows"], detectors)
    except EvaluationError as error:
        return {"error": {"reason": error.reason, "message": error.message}}
    return {
        "baselineRows": baseline.num_rows,
        "windowRows": window.num_rows,
        "windowDigest": digest,
        "features": [_feature(feature) for feature in found],
    }


def _read(uri: str, reason: str, field: str) -> tuple[pa.Table, str]:
    """Read a Parquet file, or every .parquet file of a folder; give the rows and the content's identity."""
    identity = hashlib.sha256()
    tables = []
    try:
        location = locate(uri, field)
        files = list_files(location, field)
        if len(files) > 1:
            files = [file for file in files if file.path.endswith(".parquet")]
        if not files:
            raise EvaluationError(reason, f"{field} {uri!r} holds no .parquet file")
        size = sum(file.size for file in files)
        if size > _LARGEST_BYTES:
            raise EvaluationError(reason, f"{field} {uri!r} has {size} bytes; {_LARGEST_BYTES} are allowed")
        for file in files:
            content = b"".join(stream(location, file))
            identity.update(hashlib.sha256(content).digest())
            tables.append(pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False))
        return pa.concat_tables(tables, promote_options="default"), f"sha256:{identity.hexdigest()}"
    except InputError as error:
        raise EvaluationError(reason, str(error)) from error
    except pa.ArrowException as error:
        raise EvaluationError(
            reason, f"{field} {uri!r} is no Parquet: {str(error).splitlines()[0]}"
        ) from error


def _feature(feature: Feature) -> dict[str, Any]:
    def test(pair: tuple[float, float] | None) -> dict[str, float] | None:
        return {"statistic": pair[0], "pValue": pair[1]} if pair else None

    return {**asdict(feature), "ks": test(feature.ks), "psi": test(feature.psi)}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
