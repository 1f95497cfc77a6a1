"""How accurate a window's predictions probably are, before any label has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mooring_artifacts.drift_question import PerformanceQuestion, Rows
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import MeasuredMetric, PerformanceEstimate

from mooring_components.drift.captured import fetch_part
from mooring_components.drift.errors import EvaluationError
from mooring_components.memory import limited_memory
from mooring_components.outcomes import Answers, Classified, Estimated
from mooring_components.performance.estimating import calibrate, check, estimate_accuracy
from mooring_components.performance.predictions import find_predictions
from mooring_components.performance.rules import Figure, judge, rules_of

Floats = npt.NDArray[np.float64]

_METRIC = "accuracy"
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Reference:
    """Labelled rows in the order of time: how sure the model was, and whether it was right, (n,)."""

    confidence: Floats
    right: Floats


def reference_of(answers: Answers, outcome: Classified | Estimated) -> Reference | str:
    """Take labelled rows for a reference; a sentence where they are none."""
    if isinstance(outcome, Estimated):
        return "accuracy is estimated of classes, and the model gives amounts"
    confidence = confidence_of(answers)
    if isinstance(confidence, str):
        return confidence
    return Reference(confidence, (outcome.actual == outcome.predicted).astype(np.float64))


def confidence_of(answers: Answers) -> Floats | str:
    """Give the greatest probability of each row, (rows,); a sentence where a model gives none."""
    scores = answers.scores
    if scores is None:
        return "the model gives no score for each label"
    wide: Floats = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
    sums = np.abs(wide.sum(axis=1) - 1) < _SUM_TOLERANCE
    if not (np.isfinite(wide).all() and (wide >= 0).all() and sums.all()):
        return "the model's scores are no probabilities"
    best: Floats = wide.max(axis=1)
    return best


def estimate_window(
    asked: PerformanceQuestion,
    window: Rows,
    reference: Reference | str,
    figures: Mapping[str, Figure],
    memory: int,
) -> PerformanceEstimate:
    """Estimate the accuracy of a window's requests, and judge it by the rules; or say why that cannot be.

    Args:
        asked: how predictions are read, and the rules.
        window: the requests.
        reference: labelled rows, or why there are none.
        figures: of the baseline.
        memory: bytes that rows may take.
    """
    if isinstance(reference, str):
        return PerformanceEstimate(problem=reference[:1000])
    known = len(reference.right)
    if problem := check(reference.confidence, reference.right):
        return PerformanceEstimate(reference=known, problem=problem)
    try:
        confidence = _confidence(asked, window, memory)
    except (EvaluationError, InputError) as error:
        confidence = str(error)
    except MemoryError:
        confidence = f"the window takes more than {memory >> 20} MiB of memory"
    if isinstance(confidence, str):
        return PerformanceEstimate(reference=known, problem=confidence[:1000])
    if len(confidence) < asked.min_labels:
        few = f"the window has {len(confidence)} predictions; spec.performance.minLabels wants {asked.min_labels}"
        return PerformanceEstimate(rows=len(confidence), reference=known, problem=few)
    found = estimate_accuracy(calibrate(reference.confidence, reference.right), confidence)
    figure = figures.get(_METRIC)
    metric = MeasuredMetric(
        metric=_METRIC,
        value=found.value,
        low=found.low,
        high=found.high,
        baseline=figure.value if figure else None,
    )
    rules = [rule for rule in rules_of(asked, [_METRIC]) if rule.metric == _METRIC]
    broken, _ = judge(rules, {_METRIC: metric}, len(confidence), figures, {})
    return PerformanceEstimate(rows=len(confidence), reference=known, metric=metric, broken=broken)


def _confidence(asked: PerformanceQuestion, window: Rows, memory: int) -> Floats | str:
    with limited_memory(memory):
        rows = fetch_part(window, "WindowUnreadable", "spec.window.uri", memory).open(memory)
        predictions = find_predictions(rows, f"spec.window.uri {window.uri!r}", asked.output)
        return confidence_of(predictions.at(np.flatnonzero(predictions.given())))
