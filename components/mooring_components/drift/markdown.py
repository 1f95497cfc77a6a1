"""The document of an evaluation as Markdown."""

from __future__ import annotations

from mooring_artifacts.drift_slices import title_of
from mooring_artifacts.run_documents import (
    DriftReport,
    FeatureDrift,
    PerformanceFound,
    RunFailure,
    SchemaChange,
    SliceFound,
)

from mooring_components.performance.wording import describe_performance

_SHOWN_FEATURES = 200


def render_markdown(document: DriftReport | RunFailure) -> tuple[str, dict[str, float]]:
    """The document for a person's eyes, and numbers of it."""
    if isinstance(document, RunFailure):
        text = f"# Not compared\n\n{document.error.reason}: {document.error.message}\n"
        return text + "\n".join(_performance_lines(document.performance)), _figures(document.performance)
    count, compared = len(document.drifted_features), len({feature.name for feature in document.features})
    lines = [
        f"# {_verdict(count, compared)}",
        "",
        f"{document.window_rows} rows were compared with {document.baseline_rows}.  ",
        f"Run `{document.run_id}`, window `{document.window_digest}`",
        "",
        "| feature | distance | p | stability index | Jensen-Shannon | moved by | unseen | out of range | missing "
        "| why |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    shown = sorted(document.features, key=lambda feature: not feature.drifted)[:_SHOWN_FEATURES]
    lines += [_row(feature) for feature in shown]
    if len(shown) < len(document.features):
        lines.append(f"\nand {len(document.features) - len(shown)} more")
    lines += _slice_lines(document)
    lines += _schema_lines(document.schema_changes)
    lines += _performance_lines(document.performance)
    metrics: dict[str, float] = {
        "driftedFeatures": count,
        "schemaChanges": len(document.schema_changes),
        "features": compared,
        "windowRows": document.window_rows,
        "baselineRows": document.baseline_rows,
        **_figures(document.performance),
    }
    return "\n".join(lines) + "\n", metrics


def _verdict(count: int, compared: int) -> str:
    if not compared:
        return "Nothing could be compared"
    return f"{count} of {compared} features drifted" if count else "No drift"


def _row(feature: FeatureDrift) -> str:
    ks = (f"{feature.ks.statistic:.3f}", f"{feature.ks.p_value:.1g}") if feature.ks else ("", "")
    psi = f"{feature.psi.statistic:.2f}" if feature.psi else ""
    why = feature.reason or feature.hint
    sizes = [
        "" if value is None else format(value, form)
        for value, form in (
            (feature.jensen_shannon, ".3f"),
            (feature.wasserstein, ".4g"),
            (feature.unseen, ".1%"),
            (feature.out_of_range, ".1%"),
        )
    ]
    cells = [
        f"`{_cell(title_of(feature.name, feature.slice))}`",
        *ks,
        psi,
        *sizes,
        f"{feature.missing:.1%}",
        why,
    ]
    return f"| {' | '.join(cells)} |"


def _slice_lines(document: DriftReport) -> list[str]:
    if not document.slices:
        return []

    def drifted(one: SliceFound) -> str:
        if one.problem:
            return f"not compared: {one.problem}"
        return str(sum(feature.drifted for feature in document.features if feature.slice == one.name))

    lines = ["", "## Slices", "", "| slice | baseline | window | drifted |", "| --- | ---: | ---: | --- |"]
    return lines + [
        f"| `{_cell(one.name)}` | {one.baseline_rows} | {one.window_rows} | {_cell(drifted(one))} |"
        for one in document.slices
    ]


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


def _performance_lines(found: PerformanceFound | None) -> list[str]:
    if found is None:
        return []
    lines = ["", "## Performance", "", describe_performance(found)]
    if found.metrics:
        lines += ["", "| metric | value | from | to | baseline |", "| --- | ---: | ---: | ---: | ---: |"]
    for each in found.metrics:
        numbers = (each.value, each.low, each.high, each.baseline)
        lines.append(f"| {each.metric} | {' | '.join('' if n is None else f'{n:.4g}' for n in numbers)} |")
    return lines


def _figures(found: PerformanceFound | None) -> dict[str, float]:
    if found is None:
        return {}
    metrics = {each.metric: each.value for each in found.metrics}
    counts = {"answered": found.counts.answered, "labelled": found.counts.labelled}
    return {**counts, "brokenRules": len(found.broken), **metrics}


def _cell(text: str) -> str:
    return "".join(" " if character in "|`\n\r" else character for character in text)
