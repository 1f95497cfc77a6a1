"""Whether a model treats groups of people alike: rates of its positive answers, by the values of a column.

Demographic parity compares how often groups are called positive; equalised odds compares how often those are that are
(true positive rate), and that are not (false positive rate), and counts the worse of both. Differences are those of the
groups furthest apart, ratios of the lowest rate to the highest.

Intervals are simultaneous over all pairs of groups, by Bonferroni: the largest of several differences is no interval's
centre, and a percentile bootstrap of it leaves out 0 where groups are alike.

References: Hardt, Price, Srebro (2016); Agresti, Caffo (2000) for differences; Walter (1975) for logarithms of ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from mooring_artifacts.gates import LEAST_SLICE_ROWS, LONGEST_SLICE_NAME
from mooring_artifacts.run_documents import Group

from mooring_components.datasets import TestData
from mooring_components.intervals import Counts, Estimate
from mooring_components.options import Fairness
from mooring_components.outcomes import Classified, Estimated, name_labels
from mooring_components.slices import parts_of

PARITY = ("demographicParityDifference", "demographicParityRatio")
ODDS = ("equalizedOddsDifference", "equalizedOddsRatio")
_LEAST_OF_LABEL = 5


@dataclass
class FairnessFound:
    """Estimates by the metrics' public names, why others have none, and the groups that they compare."""

    estimates: dict[str, Estimate] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)


@dataclass(frozen=True)
class _Rates:
    """Shares of the rows of groups, (groups,): `hits` of `rows`."""

    hits: Counts
    rows: Counts


def measure_fairness(outcome: Classified | Estimated, data: TestData, asked: Fairness) -> FairnessFound:
    """Compare the groups of at least 20 rows that the values of a column make.

    Raises:
        InputError: the column is not there, or has no values to part rows by.
    """
    parts = [
        (name, rows) for name, rows in parts_of(data, asked.column, "spec.ci.fairness.column") if len(rows)
    ]
    positive = (
        "the labels are amounts, of which none is positive"
        if isinstance(outcome, Estimated)
        else _code(outcome, asked)
    )
    if isinstance(positive, str) or isinstance(outcome, Estimated):
        return FairnessFound(unmeasured=dict.fromkeys((*PARITY, *ODDS), str(positive)))
    is_positive, said = outcome.actual == positive, outcome.predicted == positive
    table = np.array(
        [
            [len(rows), said[rows].sum(), is_positive[rows].sum(), (said & is_positive)[rows].sum()]
            for _, rows in parts
        ],
        dtype=np.int64,
    ).reshape(-1, 4)
    found = FairnessFound(groups=[_group(asked.column, parts[i][0], table[i]) for i in range(len(parts))])
    enough = table[table[:, 0] >= LEAST_SLICE_ROWS]
    if len(enough) < 2:
        why = f"column {asked.column!r:.80} has {len(enough)} groups of {LEAST_SLICE_ROWS} rows; two are compared"
        found.unmeasured.update(dict.fromkeys((*PARITY, *ODDS), why))
        return found
    rows, selected, positives, true = enough.T
    _add(found, PARITY, [_Rates(selected, rows)])
    least = min(int(positives.min()), int((rows - positives).min()))
    if least < _LEAST_OF_LABEL:
        why = f"a group has {least} rows with, or without, the positive label; {_LEAST_OF_LABEL} are needed"
        found.unmeasured.update(dict.fromkeys(ODDS, why))
        return found
    _add(found, ODDS, [_Rates(true, positives), _Rates(selected - true, rows - positives)])
    return found


def _without(why: str) -> FairnessFound:
    return FairnessFound(unmeasured=dict.fromkeys((*PARITY, *ODDS), why))


def _code(outcome: Classified, asked: Fairness) -> int | str:
    """Give the code of the positive class, or say why there is none."""
    names = [str(label) for label in outcome.classes]
    if asked.positive:
        if asked.positive in names:
            return names.index(asked.positive)
        return f"spec.ci.fairness.positive {asked.positive!r:.80} is no label; there are {name_labels(outcome.classes)}"
    if len(names) == 2:
        return 1
    return f"there are {len(names)} labels: name the positive one in spec.ci.fairness.positive"


def _group(column: str, name: str, counts: Counts) -> Group:
    rows, selected, positives, true = map(int, counts)
    return Group(
        column=column[:LONGEST_SLICE_NAME],
        name=name[:LONGEST_SLICE_NAME],
        rows=rows,
        selection_rate=selected / rows,
        true_positive_rate=true / positives if positives else None,
        false_positive_rate=(selected - true) / (rows - positives) if rows > positives else None,
    )


def _add(found: FairnessFound, names: tuple[str, str], several: Sequence[_Rates]) -> None:
    """Add the difference and the ratio of the groups furthest apart in any of several rates."""
    groups = len(several[0].rows)
    pairs = len(several) * groups * (groups - 1) // 2
    z = NormalDist().inv_cdf(1 - 0.05 / (2 * pairs))
    difference, ratio = names
    found.estimates[difference] = _largest([_difference(rates, z) for rates in several])
    found.estimates[ratio] = _smallest([_ratio(rates, z) for rates in several])


def _difference(rates: _Rates, z: float) -> Estimate:
    share = rates.hits / rates.rows
    middle = (rates.hits + 1) / (rates.rows + 2)
    variance = middle * (1 - middle) / (rates.rows + 2)
    # Of each group (row) less each other (column): the largest of all is the difference that counts.
    between = middle[:, None] - middle[None, :]
    half = z * np.sqrt(variance[:, None] + variance[None, :])
    others = ~np.eye(len(share), dtype=bool)
    low, high = (between - half)[others].max(), (between + half)[others].max()
    value = float(share.max() - share.min())
    return Estimate(value, min(value, max(0.0, float(low))), max(value, min(1.0, float(high))))


def _ratio(rates: _Rates, z: float) -> Estimate:
    share = rates.hits / rates.rows
    logarithm = np.log((rates.hits + 0.5) / (rates.rows + 0.5))
    variance = 1 / (rates.hits + 0.5) - 1 / (rates.rows + 0.5)
    between = logarithm[:, None] - logarithm[None, :]
    half = z * np.sqrt(variance[:, None] + variance[None, :])
    others = ~np.eye(len(share), dtype=bool)
    low, high = np.exp((between - half)[others].min()), np.exp((between + half)[others].min())
    # Groups of which none is ever called positive are treated alike.
    value = float(share.min() / share.max()) if share.any() else 1.0
    # The half row that is added to each count moves a ratio of 0 out of its own interval.
    return Estimate(value, min(value, float(low)), max(value, min(1.0, float(high))))


def _largest(found: Sequence[Estimate]) -> Estimate:
    return Estimate(*(max(values) for values in _columns(found)))


def _smallest(found: Sequence[Estimate]) -> Estimate:
    return Estimate(*(min(values) for values in _columns(found)))


def _columns(found: Sequence[Estimate]) -> list[list[float]]:
    return [
        [each.value for each in found],
        [each.low for each in found if each.low is not None],
        [each.high for each in found if each.high is not None],
    ]
