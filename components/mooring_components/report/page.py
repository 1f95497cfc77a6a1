"""A verdict as one HTML page that stands alone: the result first, then gates, metrics and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mooring_artifacts.gates import Difference, TestGate, interval_in_words, wanted
from mooring_artifacts.judging import Findings, judge, slice_in_words
from mooring_artifacts.run_documents import RunFailure, Slice, Verdict

from mooring_components.evidence import Evidence
from mooring_components.pages import render
from mooring_components.report import pictures

_PACKAGE = "mooring_components.report"


@dataclass(frozen=True)
class Tested:
    """What is shown: a verdict, the gates and findings that it was made of, and what pictures are drawn from.

    milliseconds: how long single requests took.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    verdict: Verdict
    gates: Sequence[TestGate]
    findings: Findings
    hint: str
    evidence: Evidence
    milliseconds: Sequence[float]


@dataclass(frozen=True)
class _Row:
    """A gate, a metric or a difference: its name, its value, its interval, and what was asked of it."""

    name: str
    value: str
    interval: str
    strip: pictures.Strip | None
    wanted: str = ""
    problem: str = ""


def render_page(tested: Tested) -> str:
    """The page."""
    evidence, verdict = tested.evidence, tested.verdict
    return render(
        _PACKAGE,
        "verdict.html.j2",
        verdict=verdict,
        hint=tested.hint,
        gates=[_gate(tested, gate) for gate in tested.gates],
        metrics=[
            _Row(name, f"{value:.6g}", interval_in_words(verdict.intervals.get(name)), None)
            for name, value in verdict.metrics.items()
        ],
        unmeasured=tested.findings.unmeasured,
        differences=[_difference(name, found) for name, found in verdict.differences.items()],
        incomparable=tested.findings.incomparable,
        slices=_slices(verdict),
        confusion=evidence.confusion,
        cells=pictures.draw_confusion(evidence.confusion) if evidence.confusion else [],
        curves=pictures.draw_curves(evidence.curves),
        dots=pictures.draw_calibration(evidence.calibration),
        amounts=evidence.amounts,
        spots=pictures.draw_amounts(evidence.amounts) if evidence.amounts else [],
        attacks=evidence.attacks,
        odd_inputs=evidence.odd_inputs,
        other_forms=evidence.other_forms,
        importances=evidence.importances,
        bars=pictures.draw_importances(evidence.importances) if evidence.importances else [],
        bar=pictures.BAR,
        latencies=pictures.draw_latencies(tested.milliseconds) if tested.milliseconds else None,
        requests=len(tested.milliseconds),
        side=pictures.SIDE,
        width=pictures.WIDTH,
        height=pictures.HEIGHT,
        strip=pictures.STRIP,
    )


def render_failure(failure: RunFailure, model: str, data: str) -> str:
    """The page of a test that gave no verdict: why."""
    return render(_PACKAGE, "failure.html.j2", failure=failure, model=model, data=data)


def _gate(tested: Tested, gate: TestGate) -> _Row:
    found = tested.findings
    if gate.slice is not None:
        return _gate_of_slices(found, gate)
    value, interval = found.metrics.get(gate.metric), found.intervals.get(gate.metric)
    problem = next((violation.message for violation in judge(found, [gate])), "")
    limits = [limit for limit in (gate.min, gate.max) if limit is not None]
    if gate.not_worse_than is not None and (difference := found.differences.get(gate.metric)) is not None:
        limits.append(tested.findings.metrics[gate.metric] - difference.value)
    return _Row(
        gate.metric,
        "" if value is None else f"{value:.6g}",
        interval_in_words(interval),
        None if value is None or not limits else pictures.draw_strip(value, interval, limits),
        _wanted(gate, found),
        problem,
    )


def _gate_of_slices(found: Findings, gate: TestGate) -> _Row:
    """A gate on parts of the rows has no value of its own: what breaks it is said, and they have a table."""
    problem = next((violation.message for violation in judge(found, [gate])), "")
    return _Row(gate.metric, "", "", None, wanted(gate), problem)


def _wanted(gate: TestGate, found: Findings) -> str:
    none = " (none serves)" if gate.not_worse_than is not None and not found.champion else ""
    return wanted(gate) + none


def _difference(name: str, found: Difference) -> _Row:
    return _Row(
        name, f"{found.value:+.4g}", interval_in_words(found), pictures.draw_strip(found.value, found, [0.0])
    )


def _slices(verdict: Verdict) -> list[tuple[Slice, _Row]]:
    """Slices, all on one scale, beside the value of all rows."""
    known = [each for each in verdict.slices if each.metric in verdict.metrics]
    bounds = [(each.interval.low, each.interval.high) for each in known if each.interval is not None]
    places = [place for bound in bounds for place in bound if place is not None]
    places += [each.value for each in known]
    return [
        (
            each,
            _Row(
                f"{each.column} {each.name}",
                f"{each.value:.4g}",
                slice_in_words(each),
                pictures.draw_strip(each.value, each.interval, [verdict.metrics[each.metric]], places),
            ),
        )
        for each in known
    ]
