"""The port to drift evaluations, and evaluations by a short-lived child process."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

_LARGEST_ANSWER = 16 << 20
_LARGEST_COMPLAINT = 64 << 10
_CHUNK = 64 << 10
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
        process = await self._start()
        try:
            async with asyncio.timeout(self._timeout):
                output, complaints = await _converse(process, json.dumps(question).encode())
        except TimeoutError as error:
            raise EvaluationUnavailable(f"the evaluation took longer than {self._timeout:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
            # asyncio notices the end of a process only when its pipes have been read to theirs.
            await process.communicate()
        if len(output) > _LARGEST_ANSWER:
            raise EvaluationUnavailable(f"the evaluation's answer has more than {_LARGEST_ANSWER} bytes")
        if process.returncode != 0:
            last = complaints.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise EvaluationUnavailable(
                f"the evaluation ended with exit code {process.returncode}: {last[0]:.300}"
            )
        try:
            answer = json.loads(output)
        except ValueError as error:
            raise EvaluationUnavailable("the evaluation's answer is no JSON") from error
        if not isinstance(answer, dict):
            raise EvaluationUnavailable("the evaluation's answer is no JSON object")
        return answer

    async def _start(self) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # One evaluation is small: more threads would cost more than they bring.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise EvaluationUnavailable(f"the evaluation cannot be started: {error}") from error


async def _converse(process: Process, question: bytes) -> tuple[bytes, bytes]:
    """Ask, read the answer and the end of the complaints, and wait for the process to end."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    _, output, complaints, _ = await asyncio.gather(
        _write(process.stdin, question),
        _read_answer(process, process.stdout),
        _read_end(process.stderr, _LARGEST_COMPLAINT),
        process.wait(),
    )
    return output, complaints


async def _write(pipe: asyncio.StreamWriter, content: bytes) -> None:
    # A process that ends without reading says why elsewhere.
    with suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(content)
        await pipe.drain()
    pipe.close()


async def _read_answer(process: Process, pipe: asyncio.StreamReader) -> bytes:
    """Read to the end; a process that says too much is ended, and a little too much is given back."""
    content = bytearray()
    while chunk := await pipe.read(_CHUNK):
        if len(content) > _LARGEST_ANSWER:
            continue
        content += chunk
        if len(content) > _LARGEST_ANSWER:
            process.kill()
    return bytes(content)


async def _read_end(pipe: asyncio.StreamReader, largest: int) -> bytes:
    content = bytearray()
    while chunk := await pipe.read(_CHUNK):
        content += chunk
        del content[:-largest]
    return bytes(content)


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
