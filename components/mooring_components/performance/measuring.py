"""From a question about labels to how good predictions were."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from mooring_artifacts.drift_question import PerformanceQuestion, PerformanceRule
from mooring_artifacts.errors import InputError
from mooring_artifacts.gates import COMPARABLE
from mooring_artifacts.run_documents import (
    LabelCounts,
    MeasuredMetric,
    PerformanceFound,
    describe_error,
)

from mooring_components.datasets import labels_of
from mooring_components.drift.captured import PartOfRows, fetch_part
from mooring_components.drift.errors import EvaluationError
from mooring_components.memory import limited_memory
from mooring_components.options import TestOptions
from mooring_components.outcomes import conclude
from mooring_components.performance.joining import join
from mooring_components.performance.labels import FIELD
from mooring_components.performance.predictions import Places, Predictions, find_predictions
from mooring_components.performance.rules import Figure, judge
from mooring_components.quality import Quality, measure

_REQUESTS = "requests"
_BASELINE = "spec.performance.baseline.uri"
_OF_TESTS = "spec.ci.testData."
_DEFAULT_RULES = (PerformanceRule(metric="accuracy", margin=0.05),)


def measure_performance(asked: PerformanceQuestion, memory: int) -> PerformanceFound:
    """Join, measure and judge; what is in the way is said in what is found.

    Args:
        asked: which requests, and which labels.
        memory: bytes that rows may take.
    """
    try:
        return _measure(asked, memory)
    except EvaluationError as error:
        return _without(error.reason, error.message)
    except InputError as error:
        return _without("LabelsUnreadable", str(error))
    except MemoryError:
        return _without("TooLarge", f"requests with their labels take more than {memory >> 20} MiB of memory")


def _measure(asked: PerformanceQuestion, memory: int) -> PerformanceFound:
    fetched = fetch_part(asked.requests, "WindowUnreadable", _REQUESTS, memory)
    if fetched.fetched is None:
        return _without("InsufficientLabels", "no request was kept in this time")
    left = memory - fetched.size
    with limited_memory(left):
        window = fetched.open(left)
        predictions = find_predictions(window, f"{_REQUESTS} {asked.requests.uri!r}", asked.output)
        joined = join(window, predictions, asked.labels, left)
        counts = joined.counts
        if counts.labelled < asked.min_labels:
            return _without("InsufficientLabels", _too_few(counts, asked.min_labels), counts)
        quality = _quality(predictions, joined.places, joined.labels, asked, FIELD)
    figures, trouble = _figures(asked, left)
    return _conclude(asked, quality, counts, figures, trouble)


def _too_few(counts: LabelCounts, least: int) -> str:
    said = f"{counts.labelled} of {counts.answered} requests have a label; spec.performance.minLabels wants {least}"
    if counts.labelled or not counts.unknown:
        return said
    return f"{said}; {counts.unknown} labels are of other requests: see whether ids are those of the requests"


def _quality(
    predictions: Predictions, places: Places, labels: pa.ChunkedArray, asked: PerformanceQuestion, source: str
) -> Quality:
    options = TestOptions(task=asked.task, classes=[*(asked.classes or predictions.classes)])
    try:
        return measure(conclude(labels_of(labels, "of requests", source), predictions.at(places), options))
    except InputError as error:
        # The same fields say the same of a test's rows.
        raise InputError(str(error).replace(_OF_TESTS, "spec.performance.")) from error


def _figures(asked: PerformanceQuestion, memory: int) -> tuple[dict[str, Figure], str]:
    """Give what metrics were before, and why they are not known."""
    if asked.baseline is None:
        return {name: Figure(value, rows=asked.figure_rows) for name, value in asked.figures.items()}, ""
    label = asked.labels.label_column
    try:
        with limited_memory(memory):
            rows = fetch_part(asked.baseline, "BaselineUnreadable", _BASELINE, memory).open(memory)
            quality = _of_rows(rows, label, asked)
    except (EvaluationError, InputError) as error:
        return {}, f"no figures of the baseline: {error}"
    return {name: Figure(value, quality.intervals.get(name)) for name, value in quality.metrics.items()}, ""


def _of_rows(rows: PartOfRows, label: str, asked: PerformanceQuestion) -> Quality:
    """Measure rows that hold predictions and labels side by side."""
    source = f"{_BASELINE} {rows.rows.source!r}"
    if label not in rows.schema.names:
        raise InputError(f"{source} has no column {label!r}, which holds labels")
    predictions = find_predictions(rows, source, asked.output)
    labels = rows.column(label)
    there = predictions.given() & labels.is_valid().combine_chunks().to_numpy(zero_copy_only=False)
    places = there.nonzero()[0]
    return _quality(predictions, places, labels.take(pa.array(places)), asked, source)


def _conclude(
    asked: PerformanceQuestion,
    quality: Quality,
    counts: LabelCounts,
    figures: Mapping[str, Figure],
    trouble: str,
) -> PerformanceFound:
    metrics: dict[str, MeasuredMetric] = {
        name: _metric(name, quality, figures.get(name)) for name in COMPARABLE if name in quality.metrics
    }
    rules = asked.rules or [rule for rule in _DEFAULT_RULES if rule.metric in metrics]
    broken, unjudged = judge(rules, metrics, counts.labelled, figures, quality.unmeasured)
    hints = [quality.hint, trouble, *unjudged]
    return PerformanceFound(
        counts=counts,
        metrics=list(metrics.values()),
        broken=broken,
        hint="; ".join(filter(None, hints))[:1000],
    )


def _metric(name: str, quality: Quality, figure: Figure | None) -> MeasuredMetric:
    interval = quality.intervals.get(name)
    return MeasuredMetric(
        metric=name,
        value=quality.metrics[name],
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        baseline=figure.value if figure else None,
    )


def _without(reason: str, message: str, counts: LabelCounts | None = None) -> PerformanceFound:
    return PerformanceFound(counts=counts or LabelCounts(), problem=describe_error(reason, message))
