"""A verdict as Markdown, for the KFP UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mooring_artifacts.gates import difference_in_words, interval_in_words, parse_gates
from mooring_artifacts.judging import slice_in_words
from mooring_artifacts.run_documents import Verdict
from mooring_artifacts.text import visible


def render_markdown(verdict: Verdict, gates: Sequence[Mapping[str, Any]], hint: str = "") -> str:
    """A headline, the violations, a hint about the labels, the gates and every metric with its interval.

    Raises:
        InputError: a malformed gate.
    """
    lines = [
        f"# {'Passed' if verdict.passed else 'Rejected'}",
        "",
        f"Model `{verdict.model_uri}`  ",
        *([f"Digest `{verdict.model_digest}`  "] if verdict.model_digest else []),
        *([f"Rows `{verdict.test_data_digest}`  "] if verdict.test_data_digest else []),
        f"Run `{verdict.run_id}`",
        "",
    ]
    lines += [f"- **{violation.message}**" for violation in verdict.violations]
    if verdict.violations:
        lines.append("")
    if hint:
        lines += [f"Hint: {hint}", ""]
    compared = bool(verdict.differences)
    heads = ["metric", "value", "95 %", *(["beside the champion"] if compared else []), "min", "max"]
    lines += [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    bounds = parse_gates(gates)
    for name, value in verdict.metrics.items():
        own = [gate for gate in bounds if gate.metric == name and gate.slice is None]
        low = ", ".join(f"{gate.min:.6g}" for gate in own if gate.min is not None)
        high = ", ".join(f"{gate.max:.6g}" for gate in own if gate.max is not None)
        beside = [difference_in_words(verdict.differences.get(name))] if compared else []
        cells = [name, f"{value:.6g}", interval_in_words(verdict.intervals.get(name)), *beside, low, high]
        lines.append(f"| {' | '.join(cells)} |")
    if verdict.slices:
        lines += ["", "| rows | | | metric | value | 95 % |", "| --- | --- | ---: | --- | ---: | ---: |"]
        lines += [
            f"| {_cell(each.column)} | {_cell(each.name)} | {each.rows} | {each.metric} | {each.value:.4g} "
            f"| {slice_in_words(each)} |"
            for each in verdict.slices
        ]
    lines += [
        *_groups(verdict),
        *_stability(verdict),
        *_importances(verdict),
        *_looked_up(verdict),
        *_scan(verdict),
    ]
    return "\n".join(lines) + "\n"


def _groups(verdict: Verdict) -> list[str]:
    if not verdict.groups:
        return []
    heads = ["", "| group | | rows | called positive | of the positive | of the others |"]
    return [
        *heads,
        "| --- | --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {_cell(each.column)} | {_cell(each.name)} | {each.rows} | {each.selection_rate:.4g} "
            f"| {_rate(each.true_positive_rate)} | {_rate(each.false_positive_rate)} |"
            for each in verdict.groups
        ),
    ]


def _stability(verdict: Verdict) -> list[str]:
    if not verdict.stability:
        return []
    return [
        "",
        "| noise | called the same | 95 % |",
        "| ---: | ---: | ---: |",
        *(
            f"| {each.noise:g} | {each.share:.4g} | {interval_in_words(each.interval)} |"
            for each in verdict.stability
        ),
    ]


def _importances(verdict: Verdict) -> list[str]:
    found = verdict.importances
    if found is None:
        return []
    if found.problem:
        return ["", f"What moves the model is not known: {_cell(found.problem)}"]
    return [
        "",
        f"| moves {_cell(found.output)} | mean size over {found.rows} rows | share |",
        "| --- | ---: | ---: |",
        *(f"| {_cell(one.name)} | {one.size:.4g} | {one.share:.3f} |" for one in found.features),
    ]


def _looked_up(verdict: Verdict) -> list[str]:
    if not verdict.looked_up:
        return []
    rows = [
        f"| {_cell(name)} | {'yes' if holds else 'no'} | {_cell(found)} |"
        for name, holds, found in verdict.looked_up
    ]
    return ["", "| asked by policies | there | found |", "| --- | --- | --- |", *rows]


def _scan(verdict: Verdict) -> list[str]:
    if verdict.scan is None:
        return []
    told = ["", f"Files: {verdict.scan.in_words()}"]
    if not verdict.scan.findings:
        return told
    rows = [f"| {_cell(one.file)} | {_cell(one.message)} |" for one in verdict.scan.findings]
    return [*told, "", "| file | found |", "| --- | --- |", *rows]


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    """Text of a file, as Markdown that means nothing else."""
    return "`" + visible(text).replace("`", "'").replace("|", "\\|") + "`"
