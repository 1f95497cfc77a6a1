"""How good a window's predictions probably are, before any label has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from mooring_artifacts.drift_question import PerformanceQuestion, Rows
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import MeasuredMetric, PerformanceEstimate

from mooring_components.drift.captured import fetch_part
from mooring_components.drift.columns import Table
from mooring_components.drift.errors import EvaluationError
from mooring_components.intervals import Estimate
from mooring_components.memory import limited_memory
from mooring_components.outcomes import Answers, Classified, Estimated
from mooring_components.performance.estimating import calibrate, check, estimate_accuracy
from mooring_components.performance.predictions import Places, find_predictions
from mooring_components.performance.rules import Figure, judge, rules_of
from mooring_components.performance.unlabelled_amounts import Found, LookedAt, amounts_reference

Floats = npt.NDArray[np.float64]

_SUM_TOLERANCE = 1e-3


class Reference(Protocol):
    """Labelled rows that teach how good predictions are without labels."""

    @property
    def known(self) -> int:
        """How many there are."""
        ...

    def problem(self) -> str:
        """Say why they teach nothing; empty where they do."""
        ...

    def estimate(self, window: Table, answers: Answers, places: Places) -> Found | str:
        """Estimate metrics of `answers` to the rows of a window at `places`; or say why that cannot be."""
        ...


@dataclass(frozen=True)
class ClassesReference:
    """Labelled rows in the order of time: how sure the model was, and whether it was right, (n,)."""

    confidence: Floats
    right: Floats

    @property
    def known(self) -> int:
        """How many there are."""
        return len(self.right)

    def problem(self) -> str:
        """Say why confidence tells nothing."""
        return check(self.confidence, self.right)

    def estimate(self, window: Table, answers: Answers, places: Places) -> Found | str:
        """Estimate the accuracy from how sure the model is."""
        confidence = confidence_of(answers)
        if isinstance(confidence, str):
            return confidence
        return Found({"accuracy": estimate_accuracy(calibrate(self.confidence, self.right), confidence)})


def reference_of(
    answers: Answers, outcome: Classified | Estimated, rows: Table, places: Places, asked: LookedAt
) -> Reference | str:
    """Take labelled rows for a reference; a sentence where they are none.

    Args:
        answers: what the model said of them.
        outcome: that, beside what was right.
        rows: a table that holds them.
        places: (n,), where they are in it, in the order of time.
        asked: which columns count.
    """
    if isinstance(outcome, Estimated):
        return amounts_reference(outcome, rows, places, asked)
    confidence = confidence_of(answers)
    if isinstance(confidence, str):
        return confidence
    return ClassesReference(confidence, (outcome.actual == outcome.predicted).astype(np.float64))


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
    """Estimate how good the predictions of a window's requests are, and judge them by the rules; or say why not.

    Args:
        asked: how predictions are read, and the rules.
        window: the requests.
        reference: labelled rows, or why there are none.
        figures: of the baseline.
        memory: bytes that rows may take.
    """
    if isinstance(reference, str):
        return PerformanceEstimate(problem=reference[:1000])
    known = reference.known
    try:
        rows, found = _estimate(asked, window, reference, memory)
    except (EvaluationError, InputError) as error:
        rows, found = 0, str(error)
    except MemoryError:
        rows, found = 0, f"the window takes more than {memory >> 20} MiB of memory"
    if isinstance(found, str):
        return PerformanceEstimate(rows=rows, reference=known, problem=found[:1000])
    metrics = {name: _metric(name, each, figures.get(name)) for name, each in found.metrics.items()}
    rules = [rule for rule in rules_of(asked, list(metrics)) if rule.metric in metrics]
    broken, _ = judge(rules, metrics, rows, figures, {})
    first, *others = metrics.values()
    return PerformanceEstimate(
        rows=rows, reference=known, metric=first, others=others, broken=broken, hint=found.hint[:1000]
    )


def _metric(name: str, found: Estimate, figure: Figure | None) -> MeasuredMetric:
    before = figure.value if figure else None
    return MeasuredMetric(metric=name, value=found.value, low=found.low, high=found.high, baseline=before)


def _estimate(
    asked: PerformanceQuestion, window: Rows, reference: Reference, memory: int
) -> tuple[int, Found | str]:
    """Give how many predictions there are, and what is estimated of them."""
    with limited_memory(memory):
        if problem := reference.problem():
            return 0, problem
        rows = fetch_part(window, "WindowUnreadable", "spec.window.uri", memory).open(memory)
        predictions = find_predictions(rows, f"spec.window.uri {window.uri!r}", asked.output)
        places = np.flatnonzero(predictions.given())
        if len(places) < asked.min_labels:
            few = f"the window has {len(places)} predictions; spec.performance.minLabels wants {asked.min_labels}"
            return len(places), few
        return len(places), reference.estimate(rows, predictions.at(places), places)
