"""The verdict on a canary from several metrics: PASS, FAIL, or INSUFFICIENT, with the numbers that decided.

INSUFFICIENT neither passes nor fails: few requests are no evidence, and no minimum of samples has to be set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mooring_operator.planning.analysis.comparison import Comparison
from mooring_operator.planning.analysis.latency import Exceedance
from mooring_operator.planning.analysis.prediction_drift import Move, PredictionDrift, describe_set
from mooring_operator.planning.analysis.thresholds import Tally

VerdictName = Literal["PASS", "FAIL", "INSUFFICIENT"]


@dataclass(frozen=True)
class Errors:
    """The error rates that a rollout states.

    false_rollback: how probable it is, at most, that a candidate within all its limits is ever rolled back.
    false_promotion: how probable it is, at most, that one beyond a limit is promoted early.
    """

    false_rollback: float = 0.01
    false_promotion: float = 0.05


@dataclass(frozen=True)
class Judgement:
    """The verdict; `metric` decided it, or is furthest from a decision."""

    verdict: VerdictName
    metric: str
    message: str


def judge(
    comparisons: Mapping[str, "Comparison | PredictionDrift"],
    tallies: Mapping[str, Tally],
    errors: Errors,
    slow: Mapping[str, Exceedance] | None = None,
) -> Judgement:
    """Judge all metrics of a canary together; `slow` says of latencies how slow the requests are that are counted.

    The mean of several e-values is one: a rollout with many metrics keeps its stated rate, and is never slower than if
    the rate were divided among them. A PASS needs every metric.
    """
    bounds = slow or {}
    failed = next((name for name, tally in tallies.items() if tally.has_failed), None)
    if failed is not None:
        return Judgement("FAIL", failed, f"{failed}: {describe_tally(tallies[failed])}")
    if comparisons:
        evidence = sum(c.worse.value for c in comparisons.values()) / len(comparisons)
        worst = max(comparisons, key=lambda name: comparisons[name].worse.value)
        if evidence >= 1 / errors.false_rollback:
            said = _describe_failure(
                comparisons[worst], evidence, 1 / errors.false_rollback, bounds.get(worst)
            )
            return Judgement("FAIL", worst, f"{worst}: {said}")
    wanted = 1 / errors.false_promotion
    undecided = [name for name, c in comparisons.items() if c.ok < wanted]
    if undecided:
        furthest = min(undecided, key=lambda name: comparisons[name].ok)
        said = _describe_ok(comparisons[furthest], wanted, bounds.get(furthest))
        return Judgement("INSUFFICIENT", furthest, f"{furthest}: {said}")
    open_tally = next((name for name, tally in tallies.items() if not tally.has_passed), None)
    if open_tally is not None:
        return Judgement("INSUFFICIENT", open_tally, f"{open_tally}: {describe_tally(tallies[open_tally])}")
    if not comparisons and not tallies:
        return Judgement("INSUFFICIENT", "", "nothing was measured")
    name = min(comparisons, key=lambda n: comparisons[n].ok) if comparisons else next(iter(tallies))
    said = (
        _describe_ok(comparisons[name], wanted, bounds.get(name))
        if comparisons
        else describe_tally(tallies[name])
    )
    return Judgement("PASS", name, f"{name}: {said}")


def _describe_failure(
    seen: "Comparison | PredictionDrift", evidence: float, wanted: float, slow: Exceedance | None
) -> str:
    if isinstance(seen, PredictionDrift):
        return describe_move(seen, seen.moved, evidence, wanted)
    return describe(seen, evidence, wanted, excess=describe_excess(seen), slow=slow)


def _describe_ok(seen: "Comparison | PredictionDrift", wanted: float, slow: Exceedance | None) -> str:
    if isinstance(seen, PredictionDrift):
        return describe_move(seen, seen.doubted, seen.ok, wanted)
    return describe(seen, seen.ok, wanted, slow=slow)


def describe_move(seen: PredictionDrift, move: Move, evidence: float, wanted: float) -> str:
    """Say how often both revisions predicted what is in a set."""
    beyond = seen.excess(move) * 100
    return (
        f"{describe_set(seen.sets[move.index])}: "
        f"candidate {_share(seen.candidates[move.index], seen.candidate_of)}, "
        f"stable {_share(seen.stables[move.index], seen.stable_of)}, limit {describe_limit(seen)}"
        + (f", exceeded by {beyond:.3g} points" if beyond > 0 else "")
        + f"; evidence {evidence:.3g} of {wanted:g} after {seen.looks} looks"
    )


def describe(
    comparison: Comparison,
    evidence: float,
    wanted: float,
    *,
    excess: str = "",
    slow: Exceedance | None = None,
) -> str:
    """Say what was counted, what the limit is, and how much evidence that makes."""
    c = comparison
    of_candidate, of_stable = (_above(slow.bound), _above(slow.reference)) if slow else ("", "")
    beside = f"stable {_share(c.stable, c.stable_of, of_stable)}, " if c.limit.ratio else ""
    return (
        f"candidate {_share(c.candidate, c.candidate_of, of_candidate)}, {beside}"
        f"limit {describe_limit(c)}{excess}; evidence {evidence:.3g} of {wanted:g} after {c.looks} looks"
    )


def describe_excess(comparison: Comparison) -> str:
    """Say by how much the rates that were counted are beyond the limit; nothing where they are within it."""
    c = comparison
    if not c.candidate_of or (c.limit.ratio and not c.stable_of):
        return ""
    allowed = c.limit.points + (c.limit.ratio * c.stable / c.stable_of if c.limit.ratio else 0.0)
    excess = (c.candidate / c.candidate_of - allowed) * 100
    return f", exceeded by {excess:.3g} points" if excess > 0 else ""


def describe_limit(comparison: "Comparison | PredictionDrift") -> str:
    """Say a limit in the user's terms."""
    if isinstance(comparison, PredictionDrift):
        return f"stable ± {comparison.limit.points * 100:g} points"
    ratio, points = comparison.limit.ratio, comparison.limit.points * 100
    if ratio == 0:
        return f"{points:.4g}%"
    factor = "stable" if ratio == 1 else f"{ratio:.4g} x stable"
    return f"{factor} + {points:g} points" if points else factor


def describe_tally(tally: Tally) -> str:
    """Say how many measurements succeeded, failed or told nothing."""
    parts = [
        f"{tally.failures} of {tally.measured} measurements failed (limit {tally.allowance.failure_limit})"
    ]
    if tally.inconclusive:
        parts.append(f"{tally.inconclusive} were inconclusive")
    if tally.errors:
        parts.append(f"{tally.errors} could not be made")
    return ", ".join(parts) + (f"; the last: {tally.last}" if tally.last else "")


def _share(events: float, of: float, what: str = "") -> str:
    return f"{events / of:.2%}{what} ({events:g} of {of:g})" if of else "no requests"


def _above(bound: float) -> str:
    return f" above {bound * 1000:g} ms" if bound < 1 else f" above {bound:g} s"
