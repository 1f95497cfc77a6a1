"""The port to drift evaluations, and evaluations by a short-lived child process."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_LARGEST_ANSWER = 16 << 20
_STATISTICS = (sys.executable, "-m", "mooring_components.drift")


class EvaluationFailed(Exception):
    """An evaluation that a person has to do something about."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class EvaluationUnavailable(Exception):
    """An evaluation that came to no answer; try later."""


@dataclass(frozen=True)
class DriftRequest:
    """What is compared, and how. A test without its parameter is not made."""

    baseline_uri: str
    window_uri: str
    features: tuple[str, ...]
    min_rows: int
    ks_alpha: float | None
    psi_threshold: float | None
    psi_bins: int


@dataclass(frozen=True)
class FeatureResult:
    """What was found for one feature; the pairs are statistic and p-value."""

    name: str
    drifted: bool
    ks: tuple[float, float] | None
    psi: tuple[float, float] | None
    missing: float
    reason: str


@dataclass(frozen=True)
class DriftEvaluation:
    """What was found."""

    baseline_rows: int
    window_rows: int
    window_digest: str
    features: tuple[FeatureResult, ...]


class DriftEvaluations(Protocol):
    """Compares windows of traffic with baselines."""

    async def evaluate(self, request: DriftRequest) -> DriftEvaluation:
        """Compare.

        Raises:
            EvaluationFailed: the rows cannot be read or compared.
            EvaluationUnavailable: no answer came.
        """
        ...


class ChildProcessEvaluations:
    """Evaluates in a child process, so that what numpy and Parquet need is given back at once."""

    def __init__(
        self, *, timeout: float = 300.0, concurrency: int = 1, command: Sequence[str] = _STATISTICS
    ) -> None:
        self._timeout = timeout
        self._command = command
        self._free = asyncio.Semaphore(concurrency)

    async def evaluate(self, request: DriftRequest) -> DriftEvaluation:
        """Compare; `timeout` seconds at most, and at most `concurrency` at the same time."""
        async with self._free:
            answer = await self._ask(_question(request))
        if "error" in answer:
            raise EvaluationFailed(answer["error"]["reason"], answer["error"]["message"])
        return _evaluation(answer)

    async def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # One evaluation is small: more threads would cost more than they bring.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        try:
            async with asyncio.timeout(self._timeout):
                output, complaints = await process.communicate(json.dumps(question).encode())
        except TimeoutError as error:
            raise EvaluationUnavailable(f"the evaluation took longer than {self._timeout:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0 or len(output) > _LARGEST_ANSWER:
            last = complaints.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise EvaluationUnavailable(
                f"the evaluation ended with exit code {process.returncode}: {last[0]:.300}"
            )
        answer: dict[str, Any] = json.loads(output)
        return answer


def _question(request: DriftRequest) -> dict[str, Any]:
    return {
        "baseline": {"uri": request.baseline_uri},
        "window": {"uri": request.window_uri},
        "features": list(request.features) or None,
        "minRows": request.min_rows,
        "ks": None if request.ks_alpha is None else {"alpha": request.ks_alpha},
        "psi": None
        if request.psi_threshold is None
        else {"threshold": request.psi_threshold, "bins": request.psi_bins},
    }


def _evaluation(answer: Mapping[str, Any]) -> DriftEvaluation:
    def pair(test: Mapping[str, float] | None) -> tuple[float, float] | None:
        return (test["statistic"], test["pValue"]) if test else None

    features = tuple(
        FeatureResult(
            name=feature["name"],
            drifted=feature["drifted"],
            ks=pair(feature["ks"]),
            psi=pair(feature["psi"]),
            missing=feature["missing"],
            reason=feature["reason"],
        )
        for feature in answer["features"]
    )
    return DriftEvaluation(answer["baselineRows"], answer["windowRows"], answer["windowDigest"], features)
