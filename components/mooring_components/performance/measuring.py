"""From a question about labels to how good predictions were."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from mooring_artifacts.drift_question import PerformanceQuestion, Rows
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.feature_settings import NOTHING_DECLARED, FeatureSettings
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
from mooring_components.outcomes import Answers, Classified, Estimated, conclude
from mooring_components.performance.joining import join
from mooring_components.performance.labels import FIELD
from mooring_components.performance.predictions import Places, Predictions, find_predictions
from mooring_components.performance.rules import Figure, judge, rules_of
from mooring_components.performance.unlabelled import Reference, estimate_window, reference_of
from mooring_components.performance.unlabelled_amounts import LookedAt
from mooring_components.quality import Quality, measure

_REQUESTS = "requests"
_BASELINE = "spec.performance.baseline.uri"
_OF_TESTS = "spec.ci.testData."
_NO_REFERENCE = "there are no labelled rows to learn from"


@dataclass(frozen=True)
class _Before:
    """What metrics were before, why that is not known, and the labelled rows of the baseline."""

    figures: Mapping[str, Figure]
    trouble: str = ""
    reference: Reference | str = _NO_REFERENCE


def measure_performance(
    asked: PerformanceQuestion,
    memory: int,
    window: Rows | None = None,
    features: Collection[str] | None = None,
    settings: FeatureSettings = NOTHING_DECLARED,
) -> PerformanceFound:
    """Join, measure and judge; what is in the way is said in what is found.

    Args:
        asked: which requests, and which labels.
        memory: bytes that rows may take.
        window: requests without labels, whose performance is estimated where that is asked for.
        features: columns that an estimate may look at; all where it is None.
        settings: what is declared of them.
    """
    looked_at = LookedAt(features, settings, (asked.labels.label_column,))
    before = _before(asked, looked_at, memory)
    try:
        found, reference = _measure(asked, before, looked_at, memory)
    except EvaluationError as error:
        found, reference = _without(error.reason, error.message), _NO_REFERENCE
    except (InputError, StoreUnavailable) as error:
        found, reference = _without("LabelsUnreadable", str(error)), _NO_REFERENCE
    except MemoryError:
        message = f"requests with their labels take more than {memory >> 20} MiB of memory"
        found, reference = _without("TooLarge", message), _NO_REFERENCE
    if not asked.estimate or window is None:
        return found
    known = before.reference if asked.baseline is not None else reference
    estimate = estimate_window(asked, window, known, before.figures, memory)
    return found.model_copy(update={"estimate": estimate})


def _measure(
    asked: PerformanceQuestion, before: _Before, looked_at: LookedAt, memory: int
) -> tuple[PerformanceFound, Reference | str]:
    """Measure requests with a label; of these an estimate can learn, too."""
    if asked.requests is None:
        return _without("AwaitingLabels", "labels had no time to come yet"), _NO_REFERENCE
    fetched = fetch_part(asked.requests, "WindowUnreadable", _REQUESTS, memory)
    if fetched.fetched is None:
        return _without("InsufficientLabels", "no request was kept in this time"), _NO_REFERENCE
    left = memory - fetched.size
    with limited_memory(left):
        window = fetched.open(left)
        predictions = find_predictions(window, f"{_REQUESTS} {asked.requests.uri!r}", asked.output)
        joined = join(window, predictions, asked.labels, left)
        counts = joined.counts
        if counts.labelled < asked.min_labels:
            few = _without("InsufficientLabels", _too_few(counts, asked.min_labels), counts)
            return few, _NO_REFERENCE
        answers = predictions.at(joined.places)
        outcome = _outcome(predictions, answers, joined.labels, asked, FIELD)
        quality = measure(outcome)
        reference = _learn_from(asked, answers, outcome, window, joined.places, looked_at)
    return _conclude(asked, quality, counts, before), reference


def _learn_from(
    asked: PerformanceQuestion,
    answers: Answers,
    outcome: Classified | Estimated,
    rows: PartOfRows,
    places: Places,
    looked_at: LookedAt,
) -> Reference | str:
    if not asked.estimate:
        return _NO_REFERENCE
    return reference_of(answers, outcome, rows, places, looked_at)


def _too_few(counts: LabelCounts, least: int) -> str:
    said = f"{counts.labelled} of {counts.answered} requests have a label; spec.performance.minLabels wants {least}"
    if counts.labelled or not counts.unknown:
        return said
    return f"{said}; {counts.unknown} labels are of other requests: see whether ids are those of the requests"


def _outcome(
    predictions: Predictions,
    answers: Answers,
    labels: pa.ChunkedArray,
    asked: PerformanceQuestion,
    source: str,
) -> Classified | Estimated:
    classes: Sequence[str] = asked.classes or predictions.classes
    options = TestOptions(task=asked.task, classes=[*classes])
    try:
        return conclude(labels_of(labels, "of requests", source), answers, options)
    except InputError as error:
        # The same fields say the same of a test's rows.
        raise InputError(str(error).replace(_OF_TESTS, "spec.performance.")) from error


def _before(asked: PerformanceQuestion, looked_at: LookedAt, memory: int) -> _Before:
    """Look up what metrics were before: in the question, or in the rows of the baseline."""
    if asked.baseline is None:
        return _Before({name: Figure(value, rows=asked.figure_rows) for name, value in asked.figures.items()})
    try:
        with limited_memory(memory):
            answers, outcome, rows, places = _baseline(asked, asked.baseline, memory)
            quality = measure(outcome)
            reference = _learn_from(asked, answers, outcome, rows, places, looked_at)
    except (EvaluationError, InputError, StoreUnavailable) as error:
        return _Before({}, f"no figures of the baseline: {error}", str(error))
    except MemoryError:
        return _Before({}, f"{_BASELINE} takes more than {memory >> 20} MiB of memory")
    figures = {name: Figure(value, quality.intervals.get(name)) for name, value in quality.metrics.items()}
    return _Before(figures, "", reference)


def _baseline(
    asked: PerformanceQuestion, baseline: Rows, memory: int
) -> tuple[Answers, Classified | Estimated, PartOfRows, Places]:
    """Read rows that hold predictions and labels side by side."""
    rows, label = fetch_part(baseline, "BaselineUnreadable", _BASELINE, memory), asked.labels.label_column
    table, source = rows.open(memory), f"{_BASELINE} {baseline.uri!r}"
    if label not in table.schema.names:
        raise InputError(f"{source} has no column {label!r}, which holds labels")
    predictions, labels = find_predictions(table, source, asked.output), table.column(label)
    there = predictions.given() & labels.is_valid().combine_chunks().to_numpy(zero_copy_only=False)
    places = there.nonzero()[0]
    if not len(places):
        raise InputError(f"{source} has no row with a prediction and a label")
    answers = predictions.at(places)
    outcome = _outcome(predictions, answers, labels.take(pa.array(places)), asked, source)
    return answers, outcome, table, places


def _conclude(
    asked: PerformanceQuestion, quality: Quality, counts: LabelCounts, before: _Before
) -> PerformanceFound:
    metrics: dict[str, MeasuredMetric] = {
        name: _metric(name, quality, before.figures.get(name))
        for name in COMPARABLE
        if name in quality.metrics
    }
    rules = rules_of(asked, metrics)
    broken, unjudged = judge(
        rules, metrics, counts.labelled, before.figures, quality.unmeasured, plain=asked.plain
    )
    hints = filter(None, [quality.hint, before.trouble, *unjudged])
    return PerformanceFound(
        counts=counts, metrics=list(metrics.values()), broken=broken, hint="; ".join(hints)[:1000]
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
