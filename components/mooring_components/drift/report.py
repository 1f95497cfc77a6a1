"""From a question to the document that answers it."""

from __future__ import annotations

from typing import Any

from mooring_artifacts.drift_question import DriftQuestion, parse_question
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import (
    MOST_CHANGES,
    MOST_FEATURES,
    SCHEMA_VERSION,
    DriftReport,
    FeatureDrift,
    RunFailure,
    SchemaChange,
    Test,
    describe_failure,
    parse_drift_report,
)
from mooring_artifacts.uploads import put_document

from mooring_components.drift.captured import fetch_part
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.counted import compare_counted
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import Feature, Findings, evaluate
from mooring_components.memory import limited_memory, usable_memory

_SHOWN_FEATURES = 200


def make_report(question: Any, run_id: str, memory: int | None = None) -> DriftReport | RunFailure:
    """Compare, or say what a person has to correct; rows may take `memory` bytes, by default what there is.

    `question` is the document that `mooring_artifacts.drift_question` describes.
    """
    try:
        report = _compare(parse_question(question), run_id, usable_memory() if memory is None else memory)
        return _check_cost(report)
    except EvaluationError as error:
        return describe_failure(run_id, error.reason, error.message)
    except InputError as error:
        return describe_failure(run_id, "QuestionInvalid", str(error))


def put_report(document: DriftReport | RunFailure, uri: str) -> None:
    """Put the JSON document to an address in a store, or to a signed URL.

    Raises:
        InputError: that is not allowed, or the store refuses.
        StoreUnavailable: the store does not answer.
    """
    put_document(uri, document.to_json(), "report_uri")


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
            f"{len(features)} columns of spec.window.uri can be compared; a report has at most {MOST_FEATURES}: name "
            "those that matter in spec.features",
        )
    return DriftReport(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        baseline_rows=rows[0],
        window_rows=rows[1],
        window_digest=digest,
        drifted_features=[feature.name for feature in features if feature.drifted],
        features=features,
        schema_changes=[
            SchemaChange.model_validate(vars(change)) for change in found.schema_changes[:MOST_CHANGES]
        ],
    )


def detectors_of(question: DriftQuestion) -> Detectors:
    """The tests that a question asks for."""
    ks, psi = question.ks, question.psi
    return Detectors(
        ks=ks is not None,
        alpha=ks.alpha if ks else Detectors.alpha,
        psi_threshold=psi.threshold if psi else None,
        psi_bins=psi.bins if psi else Detectors.psi_bins,
    )


def render_markdown(document: DriftReport | RunFailure) -> tuple[str, dict[str, int]]:
    """The document for a person's eyes, and numbers of it."""
    if isinstance(document, RunFailure):
        return f"# Not compared\n\n{document.error.reason}: {document.error.message}\n", {}
    count = len(document.drifted_features)
    lines = [
        f"# {_verdict(document, count)}",
        "",
        f"{document.window_rows} rows were compared with {document.baseline_rows}.  ",
        f"Run `{document.run_id}`, window `{document.window_digest}`",
        "",
        "| feature | distance | p | stability index | missing | why |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    shown = sorted(document.features, key=lambda feature: not feature.drifted)[:_SHOWN_FEATURES]
    lines += [_row(feature) for feature in shown]
    if len(shown) < len(document.features):
        lines.append(f"\nand {len(document.features) - len(shown)} more")
    lines += _schema_lines(document.schema_changes)
    metrics = {
        "driftedFeatures": count,
        "schemaChanges": len(document.schema_changes),
        "features": len(document.features),
        "windowRows": document.window_rows,
        "baselineRows": document.baseline_rows,
    }
    return "\n".join(lines) + "\n", metrics


def _verdict(document: DriftReport, count: int) -> str:
    if not document.features:
        return "Nothing could be compared"
    return f"{count} of {len(document.features)} features drifted" if count else "No drift"


def _row(feature: FeatureDrift) -> str:
    ks = (f"{feature.ks.statistic:.3f}", f"{feature.ks.p_value:.1g}") if feature.ks else ("", "")
    psi = f"{feature.psi.statistic:.2f}" if feature.psi else ""
    why = feature.reason or feature.hint
    return f"| `{_cell(feature.name)}` | {' | '.join(ks)} | {psi} | {feature.missing:.1%} | {why} |"


def _schema_lines(changes: list[SchemaChange]) -> list[str]:
    if not changes:
        return []
    lines = ["", "## Schema changes", "", "| column | baseline | window |", "| --- | --- | --- |"]
    lines += [
        f"| `{_cell(change.name)}` | {_cell(change.baseline or 'missing')} | {_cell(change.window or 'missing')} |"
        for change in changes[:_SHOWN_FEATURES]
    ]
    if len(changes) > _SHOWN_FEATURES:
        lines.append(f"\nand {len(changes) - _SHOWN_FEATURES} more")
    return lines


def _cell(text: str) -> str:
    return "".join(" " if character in "|`\n\r" else character for character in text)


def _compare(question: DriftQuestion, run_id: str, memory: int) -> DriftReport:
    if question.baseline.counted:
        counted = compare_counted(question, detectors_of(question))
        return describe_findings(counted.findings, run_id, counted.rows, counted.digest)
    before = fetch_part(question.baseline, "BaselineUnreadable", "spec.baseline.uri", memory)
    now = fetch_part(question.window, "WindowUnreadable", "spec.window.uri", memory - before.size)
    left = memory - before.size - now.size
    try:
        with limited_memory(left):
            baseline, window = before.open(left), now.open(left)
            found = evaluate(
                baseline,
                window,
                question.features,
                question.min_rows,
                detectors_of(question),
                frozenset(question.categories or ()),
            )
    except MemoryError as error:
        raise EvaluationError(
            "TooLarge",
            f"comparing spec.window.uri {question.window.uri!r} with spec.baseline.uri {question.baseline.uri!r} takes "
            f"more than the {memory >> 20} MiB of memory that there are",
        ) from error
    return describe_findings(found, run_id, (baseline.num_rows, window.num_rows), window.digest)


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


def _feature(feature: Feature) -> FeatureDrift:
    def test(pair: tuple[float, float] | None) -> Test | None:
        return Test(statistic=pair[0], p_value=pair[1]) if pair else None

    return FeatureDrift.model_validate(
        {
            **vars(feature),
            "ks": test(feature.ks),
            "psi": test(feature.psi),
            "variation": test(feature.variation),
        }
    )
