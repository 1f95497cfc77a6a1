"""How good predictions are, beside those of the model that serves now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from mooring_artifacts.errors import InputError
from mooring_artifacts.gates import LEAST_SLICE_ROWS, Difference, Interval
from mooring_artifacts.judging import Findings
from mooring_artifacts.run_documents import Slice, Stability

from mooring_components.adversarial import METRIC as ATTACKED
from mooring_components.adversarial import measure_adversarial
from mooring_components.classification import Measured, compare_classes, compare_scores, measure_classes
from mooring_components.consistency import measure_consistency
from mooring_components.datasets import TestData
from mooring_components.evidence import Evidence, count_confusion, gather
from mooring_components.fairness import ODDS, PARITY, measure_fairness
from mooring_components.feeding import FedModel, feed_model
from mooring_components.importances import measure_importances
from mooring_components.intervals import Estimate
from mooring_components.models import Model
from mooring_components.odd_inputs import METRIC as FAILED
from mooring_components.odd_inputs import try_odd_inputs
from mooring_components.options import TestOptions
from mooring_components.other_forms import METRIC as FORMS
from mooring_components.other_forms import compare_forms, worst_of_forms
from mooring_components.outcomes import NONE, Classified, Estimated, aligned, observe
from mooring_components.parameters import measure_parameters
from mooring_components.regression import compare_amounts, measure_amounts
from mooring_components.robustness import METRIC as STABILITY
from mooring_components.robustness import measure_stability
from mooring_components.slices import measure_slices, worst_of

MOST_CATEGORIES = 50
"""As many labels as the KFP UI can show in a table of pairs."""
_DEFAULT = TestOptions()


@dataclass(frozen=True)
class Quality:
    """Metrics by their public names, with intervals; for classification also what was confused with what.

    Every number is finite. unmeasured: why a metric that belongs here has no value.
    categories: the labels, sorted; confusion: (actual, predicted) counts in their order; both empty beyond 50 labels.
    hint: why the labels may not mean what the model's output means; empty where they fit.
    evidence: what pictures are drawn from.
    differences, incomparable: from the champion's metrics, and why there are none, for all of them under "".
    """

    metrics: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)
    categories: list[str] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    hint: str = ""
    differences: dict[str, Difference] = field(default_factory=dict)
    incomparable: dict[str, str] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)

    def to_json(self) -> dict[str, Any]:
        """As one step hands it to the next; the confusion stays behind, and the evidence is a file of its own."""
        return {
            "metrics": self.metrics,
            "intervals": {name: value.model_dump() for name, value in self.intervals.items()},
            "unmeasured": self.unmeasured,
            "hint": self.hint,
            "differences": {name: value.model_dump() for name, value in self.differences.items()},
            "incomparable": self.incomparable,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            metrics=document["metrics"],
            intervals={
                name: Interval.model_validate(value, strict=False)
                for name, value in document["intervals"].items()
            },
            unmeasured=document["unmeasured"],
            hint=document["hint"],
            differences={
                name: Difference.model_validate(value, strict=False)
                for name, value in document["differences"].items()
            },
            incomparable=document["incomparable"],
        )

    def with_more(
        self,
        metrics: Mapping[str, float | str],
        intervals: Mapping[str, Interval] | None = None,
        **evidence: object,
    ) -> Self:
        """Add metrics, or why they have no value, their intervals, and what pictures are drawn from."""
        values = {name: value for name, value in metrics.items() if not isinstance(value, str)}
        reasons = {name: value for name, value in metrics.items() if isinstance(value, str)}
        return replace(
            self,
            metrics={**self.metrics, **values},
            intervals={**self.intervals, **(intervals or {})},
            unmeasured={**self.unmeasured, **reasons},
            evidence=self.evidence.model_copy(update=evidence),
        )

    def findings(self, others: Mapping[str, float]) -> Findings:
        """What gates judge, with what else was measured."""
        return Findings(
            {**others, **self.metrics},
            self.intervals,
            self.unmeasured,
            bool(self.differences or self.incomparable),
            self.differences,
            self.incomparable,
            self.evidence.slices,
        )


def evaluate(
    model: Model, data: TestData, options: TestOptions = _DEFAULT, champion: Model | None = None
) -> Quality:
    """Run `model` on all rows and compare with the labels, and with what `champion` makes of the same rows.

    Raises:
        InputError: the columns do not fit the model, or its output does not fit the labels.
    """
    fed = feed_model(model, data, options.inputs, options.beside)
    outcome = observe(fed, data, options)
    found = measure(outcome)
    found = _with_slices(found, measure_slices(outcome, data, options.slices), outcome, options)
    found = _with_fairness(found, outcome, data, options)
    found = _with_stability(found, fed, outcome, data, options)
    if options.explain:
        found = found.with_more({}, importances=measure_importances(fed, options.explain))
    found = found.with_more({**measure_consistency(fed), **measure_parameters(fed)})
    forms = compare_forms(fed)
    found = found.with_more({FORMS: worst_of_forms(forms)}, other_forms=forms)
    if champion is not None:
        try:
            found = _beside(found, outcome, _observe(champion, data, options))
        except InputError as error:
            found = incomparable(found, str(error))
    # Last: nobody knows what they leave behind, on a GPU above all.
    odd = try_odd_inputs(fed)
    return found.with_more({FAILED: float(sum(bool(each.problem) for each in odd))}, odd_inputs=odd)


def incomparable(found: Quality, why: str) -> Quality:
    """The quality of a model that cannot be compared with the champion."""
    return replace(
        found, differences={}, incomparable={"": f"the model that serves now cannot be tested: {why}"}
    )


def measure(outcome: Classified | Estimated) -> Quality:
    """The metrics of what a model said."""
    found = _finite(measure_classes(outcome) if isinstance(outcome, Classified) else measure_amounts(outcome))
    metrics = {name: estimate.value for name, estimate in found.estimates.items()}
    facts = {"rows": float(len(outcome.actual)), "invalidPredictions": float(outcome.invalid)}
    categories, confusion = _confusion(outcome) if isinstance(outcome, Classified) else ([], [])
    return Quality(
        {**metrics, **facts},
        _intervals(found),
        found.unmeasured,
        categories,
        confusion,
        outcome.hint,
        evidence=gather(outcome),
    )


def _with_slices(
    found: Quality, slices: list[Slice], outcome: Classified | Estimated, options: TestOptions
) -> Quality:
    """Add parts of the rows, and the worst of them as a metric."""
    name = "worstSliceMae" if isinstance(outcome, Estimated) else "worstSliceAccuracy"
    worst = worst_of(slices)
    if worst is None:
        why = (
            f"no slice has {LEAST_SLICE_ROWS} rows" if options.slices else "spec.ci.testData.slices is empty"
        )
        return found.with_more({name: why}, slices=slices)
    intervals = {} if worst.interval is None else {name: worst.interval}
    return found.with_more({name: worst.value}, intervals, slices=slices)


def _with_fairness(
    found: Quality, outcome: Classified | Estimated, data: TestData, options: TestOptions
) -> Quality:
    """Add how alike groups are treated, where that is asked for."""
    if options.fairness is None:
        return found.with_more(dict.fromkeys((*PARITY, *ODDS), "spec.ci.fairness is not set"))
    fair = measure_fairness(outcome, data, options.fairness)
    values = {name: each.value for name, each in fair.estimates.items()}
    intervals = _intervals(Measured(fair.estimates, fair.unmeasured))
    return found.with_more({**values, **fair.unmeasured}, intervals, groups=fair.groups)


def _with_stability(
    found: Quality, fed: FedModel, outcome: Classified | Estimated, data: TestData, options: TestOptions
) -> Quality:
    """Add what noise and attacks change, where that is asked for: the worst level is the metric."""
    if not options.noise:
        return found.with_more(dict.fromkeys((STABILITY, ATTACKED), "spec.ci.noise is empty"))
    stability = measure_stability(fed, data, options, outcome)
    found = _with_levels(found, STABILITY, stability, "stability")
    return _with_levels(found, ATTACKED, measure_adversarial(fed, options, outcome), "attacks")


def _with_levels(found: Quality, name: str, levels: list[Stability] | str, evidence: str) -> Quality:
    if isinstance(levels, str):
        return found.with_more({name: levels})
    worst = min(levels, key=lambda level: level.share)
    return found.with_more({name: worst.share}, {name: worst.interval}, **{evidence: levels})


def _observe(model: Model, data: TestData, options: TestOptions) -> Classified | Estimated:
    return observe(feed_model(model, data, options.inputs, options.beside), data, options)


def _beside(found: Quality, outcome: Classified | Estimated, other: Classified | Estimated) -> Quality:
    if isinstance(outcome, Classified) and isinstance(other, Classified):
        candidate, champion = aligned(outcome, other)
        compared = compare_classes(candidate, champion)
        compare_scores(candidate, champion, compared)
    elif isinstance(outcome, Estimated) and isinstance(other, Estimated):
        compared = compare_amounts(outcome, other)
    else:
        return incomparable(found, "one of them gives classes, the other amounts")
    compared = _finite(compared)
    return replace(
        found,
        differences={
            name: Difference(value=estimate.value, low=estimate.low, high=estimate.high)
            for name, estimate in compared.estimates.items()
        },
        incomparable=compared.unmeasured,
    )


def _finite(found: Measured) -> Measured:
    """The same, without what squares of huge amounts made infinite: no document holds that."""
    result = Measured({}, dict(found.unmeasured))
    for name, estimate in found.estimates.items():
        bounds = [bound for bound in (estimate.low, estimate.high) if bound is not None]
        if not np.isfinite(estimate.value):
            result.unmeasured[name] = "the amounts are too large to reckon with"
        else:
            result.estimates[name] = estimate if np.isfinite(bounds).all() else Estimate(estimate.value)
    return result


def _intervals(found: Measured) -> dict[str, Interval]:
    return {
        name: Interval(low=estimate.low, high=estimate.high)
        for name, estimate in found.estimates.items()
        if estimate.low is not None
    }


def _confusion(outcome: Classified) -> tuple[list[str], list[list[int]]]:
    """The labels that occur and their pairs; nothing where a table of all pairs would be more than anybody looks at."""
    size = len(outcome.classes)
    said = outcome.predicted[outcome.predicted != NONE]
    occurring = np.flatnonzero(
        np.bincount(outcome.actual, minlength=size) + np.bincount(said, minlength=size)
    )
    if len(occurring) > MOST_CATEGORIES:
        return [], []
    # NONE is -1, the last place.
    place = np.full(size + 1, NONE)
    place[occurring] = np.arange(len(occurring))
    counts = count_confusion(place[outcome.actual], place[outcome.predicted], len(occurring))
    confusion: list[list[int]] = counts[:, :-1].tolist()
    return [str(outcome.classes[int(i)]) for i in occurring], confusion
