"""From a question to the document that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring_artifacts.drift_question import DriftQuestion, PerformanceQuestion, Rows, parse_question
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import (
    MOST_CHANGES,
    MOST_FEATURES,
    SCHEMA_VERSION,
    DriftReport,
    FeatureDrift,
    OperationFound,
    PerformanceFound,
    RunFailure,
    SchemaChange,
    SliceFound,
    Test,
    describe_failure,
    parse_drift_report,
)

from mooring_components.drift.arrivals import look_for_late_rows, seconds_ahead
from mooring_components.drift.captured import PartOfRows, check_enough, fetch_part, when
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.counted import compare_counted
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import Feature, Findings, evaluate
from mooring_components.drift.evaluation import SliceFound as Sliced
from mooring_components.drift.operating import measure_operation
from mooring_components.drift.page import Judged, draw_rows, render_failure, render_page
from mooring_components.drift.pictures import Picture
from mooring_components.drift.slices import by_name, cut, pair
from mooring_components.drift.timeline import draw_timeline
from mooring_components.memory import limited_memory, usable_memory

_LONGEST_PROBLEM = 1000


@dataclass(frozen=True)
class Answer:
    """The document of an evaluation; `page` makes the same for people, as HTML, and reads what it draws."""

    document: DriftReport | RunFailure
    page: Callable[[], str]


def answer(question: Any, run_id: str, memory: int | None = None) -> Answer:
    """Compare, or say what a person has to correct; rows may take `memory` bytes, by default what there is.

    `question` is the document that `mooring_artifacts.drift_question` describes.
    """
    memory = usable_memory() if memory is None else memory
    performance = arrivals = None
    try:
        asked = parse_question(question)
        # Of other requests, and before those of the window take their memory.
        performance = _measure(asked.performance, asked, memory) if asked.performance else None
        if asked.window.since is not None:
            arrivals = look_for_late_rows(asked.window, asked.last, memory, counted=asked.baseline.counted)
        compared = _compare(asked, memory)
        found = describe_findings(compared.findings, run_id, compared.rows, compared.digest)
        if arrivals is not None:
            arrivals = arrivals.model_copy(update=compared.about_rows)
        parts = {"performance": performance, "operation": compared.operation, "arrivals": arrivals}
        document = _check_cost(found.model_copy(update=parts))
    except EvaluationError as error:
        failure = describe_failure(run_id, error.reason, error.message)
        return _fail(failure.model_copy(update={"performance": performance, "arrivals": arrivals}))
    except InputError as error:
        return _fail(describe_failure(run_id, "QuestionInvalid", str(error)))
    return Answer(document, lambda: _show(asked, compared, document))


def make_report(question: Any, run_id: str, memory: int | None = None) -> DriftReport | RunFailure:
    """Give the document alone, as `answer` does."""
    return answer(question, run_id, memory).document


@dataclass(frozen=True)
class _Compared:
    """Findings, rows of both sides, the window's digest, and how to draw a feature in `memory` bytes.

    about_rows: what `ArrivalsFound` says of the window's own rows.
    """

    findings: Findings
    rows: tuple[int, int]
    digest: str
    draw: Callable[[Feature], Picture | None]
    memory: int
    operation: OperationFound | None = None
    about_rows: Mapping[str, float] = field(default_factory=dict)


def describe_findings(found: Findings, run_id: str, rows: tuple[int, int], digest: str) -> DriftReport:
    """What was found, as the operator reads it.

    Args:
        found: what was found.
        run_id: of the run that looked for it.
        rows: of baseline and window.
        digest: of the window.

    Raises:
        EvaluationError: TooLarge, where it is more than a report holds.
    """
    features = [_feature(feature) for feature in found.features]
    if len(features) > MOST_FEATURES:
        raise EvaluationError(
            "TooLarge",
            f"{len(features)} columns of spec.window.uri and its slices can be compared; a report has at most "
            f"{MOST_FEATURES}: name those that matter in spec.features",
        )
    return DriftReport(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        baseline_rows=rows[0],
        window_rows=rows[1],
        window_digest=digest,
        drifted_features=list(dict.fromkeys(feature.name for feature in features if feature.drifted)),
        features=features,
        schema_changes=[
            SchemaChange.model_validate(vars(change)) for change in found.schema_changes[:MOST_CHANGES]
        ],
        slices=[_slice(one) for one in found.slices],
    )


def detectors_of(question: DriftQuestion) -> Detectors:
    """The tests that a question asks for."""
    ks, psi = question.ks, question.psi
    return Detectors(
        ks=ks is not None,
        alpha=ks.alpha if ks else Detectors.alpha,
        plain=question.plain,
        psi_threshold=psi.threshold if psi else None,
        psi_bins=psi.bins if psi else Detectors.psi_bins,
    )


def _measure(asked: PerformanceQuestion, whole: DriftQuestion, memory: int) -> PerformanceFound:
    # It knows all formats of models, and importing those takes longer than most comparisons.
    from mooring_components.performance.measuring import measure_performance

    return measure_performance(asked, memory, whole.window, whole.features, whole.declared)


def _compare(question: DriftQuestion, memory: int) -> _Compared:
    if question.baseline.counted:
        counted = compare_counted(question, detectors_of(question))
        return _Compared(counted.findings, counted.rows, counted.digest, counted.draw, memory)
    before = fetch_part(question.baseline, "BaselineUnreadable", "spec.baseline.uri", memory)
    now = fetch_part(question.window, "WindowUnreadable", "spec.window.uri", memory - before.size)
    if now.fetched is None:
        check_enough(question.window, 0)
    left = memory - before.size - now.size
    try:
        with limited_memory(left):
            baseline, window = before.open(left), now.open(left)
            check_enough(question.window, window.num_rows)
            first = cut(baseline, question.slices, question.declared)
            second = cut(window, question.slices, question.declared, first)
            slices = pair(question.slices, first, second, question.min_rows)
            found = evaluate(
                first.whole,
                second.whole,
                question.features,
                question.min_rows,
                detectors_of(question),
                question.declared,
                slices,
            )
            operation = _operation(question, window)
    except MemoryError as error:
        raise EvaluationError(
            "TooLarge",
            f"comparing spec.window.uri {question.window.uri!r} with spec.baseline.uri {question.baseline.uri!r} takes "
            f"more than the {memory >> 20} MiB of memory that there are",
        ) from error
    rows = baseline.num_rows, window.num_rows
    files = now.fetched.found.files if now.fetched is not None else ()
    about = {"repeated": window.repeated, "ahead": seconds_ahead(window, files)}
    tables = by_name((first.whole, second.whole), slices)
    return _Compared(
        found,
        rows,
        window.digest,
        lambda feature: draw_rows(tables[feature.slice], feature),
        left,
        operation,
        about,
    )


def _operation(question: DriftQuestion, window: PartOfRows) -> OperationFound | None:
    since, until = question.window.since, question.window.until
    if not question.operation or since is None or until is None:
        return None
    return measure_operation(window, (until - since).total_seconds())


def _show(asked: DriftQuestion, compared: _Compared, document: DriftReport) -> str:
    """Make the page; without pictures where there is no memory for them."""
    names = _name(asked.baseline), _name(asked.window)
    parts = names, compared.rows, compared.findings
    judged, past = None, draw_timeline(asked.past, asked.limit)
    if asked.performance is not None and document.performance is not None:
        requests = asked.performance.requests
        judged = Judged(document.performance, when(requests) if requests else "")
    try:
        with limited_memory(compared.memory):
            return render_page(*parts, compared.draw, document.run_id, judged, past)
    except (MemoryError, EvaluationError) as error:
        print(f"the page is without pictures: {type(error).__name__}: {error}")
        return render_page(*parts, lambda _: None, document.run_id, judged, past)


def _name(rows: Rows) -> str:
    if rows.counted:
        return f"profile of {rows.uri}"
    return f"{rows.uri} {when(rows)}" if rows.since is not None else rows.uri


def _fail(failure: RunFailure) -> Answer:
    return Answer(failure, lambda: render_failure(failure))


def _check_cost(report: DriftReport) -> DriftReport:
    """Give a report that the operator reads: it bounds what that may cost."""
    try:
        parse_drift_report(report.to_json())
    except InputError as error:
        raise EvaluationError(
            "TooLarge",
            f"what was found for {len(report.features)} features is more than is read ({error}): name those that "
            "matter in spec.features",
        ) from error
    return report


def _slice(found: Sliced) -> SliceFound:
    before, now = found.rows
    return SliceFound(
        name=found.asked.name, baseline_rows=before, window_rows=now, problem=found.problem[:_LONGEST_PROBLEM]
    )


def _feature(feature: Feature) -> FeatureDrift:
    def test(pair: tuple[float, float] | None) -> Test | None:
        return Test(statistic=pair[0], p_value=pair[1]) if pair else None

    told = {name: value for name, value in vars(feature).items() if name != "effects"}
    effects = feature.effects
    return FeatureDrift.model_validate(
        {
            **told,
            "ks": test(feature.ks),
            "psi": test(feature.psi),
            "variation": test(feature.variation),
            "likelihood_ratio": test(effects.likelihood_ratio),
            "jensen_shannon": effects.jensen_shannon,
            "wasserstein": effects.moved,
            "unseen": effects.unseen,
            "out_of_range": effects.out_of_range,
        }
    )
