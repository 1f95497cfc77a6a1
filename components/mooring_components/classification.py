"""How good classes and their scores are, each number with an interval; and two models on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mooring_components.intervals import (
    Counts,
    Estimate,
    Floats,
    bootstrap,
    logit,
    mean,
    normal,
    paired_shares,
    share,
)
from mooring_components.outcomes import NONE, Classified, Codes
from mooring_components.ranking import Ranking, rank

OF_CONFUSION = ("balancedAccuracy", "precision", "recall", "f1")
OF_SCORES = ("rocAuc", "prAuc", "logLoss", "calibrationError")
_BINS = 15
_LEAST = np.finfo(np.float64).eps


@dataclass
class Measured:
    """Estimates by the metrics' public names, and why others have none."""

    estimates: dict[str, Estimate] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)


def measure_classes(outcome: Classified) -> Measured:
    """Accuracy; balanced accuracy, and precision, recall and F1 averaged over labels (macro); what scores are worth.

    As in scikit-learn, every label that occurs in either counts, and a quotient with nothing in its denominator is 0.
    """
    hits = int((outcome.actual == outcome.predicted).sum())
    found = Measured({"accuracy": share(hits, len(outcome.actual))})
    cells, counts = _cells(outcome.actual, outcome.predicted)
    macro = bootstrap(counts, _macro_of(cells))
    found.estimates.update(zip(OF_CONFUSION, macro, strict=True))
    _add_scores(outcome, found)
    return found


def compare_classes(candidate: Classified, champion: Classified) -> Measured:
    """The candidate's metrics less the champion's, of the same rows; codes are into the same classes."""
    right, other = candidate.actual == candidate.predicted, champion.actual == champion.predicted
    found = Measured()
    found.estimates["accuracy"] = paired_shares(
        int((right & ~other).sum()), int((~right & other).sum()), len(right)
    )
    cells, counts = _cells(candidate.actual, candidate.predicted, champion.predicted)
    first, second = (_macro_of(cells[:, [0, i]]) for i in (1, 2))
    macro = bootstrap(counts, lambda drawn: first(drawn) - second(drawn))
    found.estimates.update(zip(OF_CONFUSION, macro, strict=True))
    return found


def compare_scores(candidate: Classified, champion: Classified, found: Measured) -> None:
    """Add what both models' scores allow to compare: areas under ROC curves and log losses."""
    one, two = _ScoreParts(candidate), _ScoreParts(champion)
    for name, first, second in (
        ("rocAuc", one.roc(), two.roc()),
        ("logLoss", one.losses(), two.losses()),
    ):
        if isinstance(first, str) or isinstance(second, str):
            found.unmeasured[name] = first if isinstance(first, str) else f"the champion: {second}"
            continue
        found.estimates[name] = normal(first[0] - second[0], first[1] - second[1])


def _cells(*codes: Codes) -> tuple[Codes, Counts]:
    """The combinations that occur, (cells, len(codes)), and how often."""
    width = max(int(code.max()) for code in codes) + 2
    joint = np.zeros(len(codes[0]), dtype=np.int64)
    for code in codes:
        joint = joint * width + (code - NONE)
    distinct, counts = np.unique(joint, return_counts=True)
    columns = [distinct // width**power % width + NONE for power in reversed(range(len(codes)))]
    return np.stack(columns, axis=1), counts


def _macro_of(cells: Codes) -> Callable[[Counts], Floats]:
    """Give (draws, 4) balanced accuracy, precision, recall and F1 of (draws, cells) counts of (actual, predicted)."""
    actual, predicted = cells[:, 0], cells[:, 1]
    labels = np.union1d(actual, predicted[predicted != NONE])
    of_actual, of_predicted, of_hits = (
        _sums(codes, labels) for codes in (actual, predicted, np.where(actual == predicted, actual, NONE))
    )

    def macro(drawn: Counts) -> Floats:
        there, said, hits = of_actual(drawn), of_predicted(drawn), of_hits(drawn)
        occurs, exists = (there + said) > 0, there > 0
        recall = _divide(hits, there)
        columns = [
            recall.sum(axis=1) / np.maximum(exists.sum(axis=1), 1),
            *(
                part.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1)
                for part in (_divide(hits, said), recall, _divide(2 * hits, there + said))
            ),
        ]
        return np.stack(columns, axis=1)

    return macro


def _sums(codes: Codes, labels: Codes) -> Callable[[Counts], Floats]:
    """Give (draws, labels) sums of (draws, cells) counts over the cells of each label; NONE is no label.

    A matrix of cells by labels would not fit for a hundred thousand labels.
    """
    order = np.flatnonzero(codes != NONE)
    order = order[np.argsort(codes[order], kind="stable")]
    there, starts = np.unique(codes[order], return_index=True)
    places = np.searchsorted(labels, there)

    def sums(drawn: Counts) -> Floats:
        found = np.zeros((len(drawn), len(labels)))
        if len(order):
            found[:, places] = np.add.reduceat(drawn[:, order], starts, axis=1)
        return found

    return sums


def _divide(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _add_scores(outcome: Classified, found: Measured) -> None:
    parts = _ScoreParts(outcome)
    roc, losses, precision, calibration = parts.roc(), parts.losses(), parts.precision(), parts.calibration()
    for name, part in (
        ("rocAuc", roc if isinstance(roc, str) else logit(*roc)),
        ("prAuc", precision if isinstance(precision, str) else Estimate(precision)),
        ("logLoss", losses if isinstance(losses, str) else mean(losses[1])),
        ("calibrationError", calibration if isinstance(calibration, str) else Estimate(calibration)),
    ):
        if isinstance(part, str):
            found.unmeasured[name] = part
        else:
            found.estimates[name] = part


class _ScoreParts:
    """What the scores of an outcome are worth; each part is a sentence where they do not allow it."""

    def __init__(self, outcome: Classified) -> None:
        self._outcome = outcome
        self._rankings: list[Ranking] | str | None = None

    def roc(self) -> tuple[float, Floats] | str:
        """The area under the ROC curve, for more than two labels the mean of one against the rest; the influence."""
        rankings = self._ranked()
        if isinstance(rankings, str):
            return rankings
        areas = [ranking.roc_auc for ranking in rankings]
        influence = rankings[0].roc_influence
        for ranking in rankings[1:]:
            influence = influence + ranking.roc_influence
        return float(np.mean(areas)), influence / len(rankings)

    def precision(self) -> float | str:
        """Average precision, as for the ROC curve."""
        rankings = self._ranked()
        if isinstance(rankings, str):
            return rankings
        return float(np.mean([ranking.average_precision for ranking in rankings]))

    def losses(self) -> tuple[float, Floats] | str:
        """The mean of the log losses, and those of the rows."""
        chances = self._of_the_right_label()
        if isinstance(chances, str):
            return chances
        losses = -np.log(np.clip(chances, _LEAST, 1.0))
        return float(losses.mean()), losses

    def calibration(self) -> float | str:
        """How far confidence and accuracy differ, weighted by the rows of each bin."""
        found = calibrate(self._outcome)
        if isinstance(found, str):
            return found
        return float(np.abs(found.right - found.confidence).sum() / found.rows.sum())

    def _of_the_right_label(self) -> Floats | str:
        if problem := _no_probabilities(self._outcome):
            return problem
        outcome = self._outcome
        assert outcome.scores is not None
        column_of = np.full(len(outcome.classes), -1)
        column_of[list(outcome.columns)] = np.arange(len(outcome.columns))
        columns = column_of[outcome.actual]
        if (columns < 0).any():
            return "a label of the rows has no score"
        chances: Floats = outcome.scores[np.arange(len(columns)), columns]
        return chances

    def _ranked(self) -> list[Ranking] | str:
        if self._rankings is None:
            self._rankings = rank_labels(self._outcome)
        return self._rankings


@dataclass(frozen=True)
class Calibration:
    """Rows in bins of equal width of the confidence, (15,): its sums, how many are right, how many there are."""

    confidence: Floats
    right: Floats
    rows: Counts


def calibrate(outcome: Classified) -> Calibration | str:
    """Compare the score of each row's best label with how often that is right; a sentence where that means nothing."""
    if problem := _no_probabilities(outcome):
        return problem
    assert outcome.scores is not None
    best = outcome.scores.argmax(axis=1)
    confidence = outcome.scores[np.arange(len(best)), best]
    right = np.asarray(outcome.columns)[best] == outcome.actual
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return Calibration(
        np.bincount(bins, weights=confidence, minlength=_BINS).astype(np.float64),
        np.bincount(bins, weights=right, minlength=_BINS).astype(np.float64),
        np.bincount(bins, minlength=_BINS),
    )


def rank_labels(outcome: Classified) -> list[Ranking] | str:
    """Rank rows by the scores of each label, of two labels by those of the second; a sentence where that cannot be."""
    scores = outcome.scores
    if scores is None:
        return "the model gives no score for each label"
    if not np.isfinite(scores).all():
        return outcome.hint
    rows = np.bincount(outcome.actual, minlength=len(outcome.classes))[list(outcome.columns)]
    if not ((rows > 0) & (rows < len(outcome.actual))).all():
        return "some label is in no row, or in all of them"
    if scores.shape[1] == 2:
        return [rank(scores[:, 1] - scores[:, 0], outcome.actual == outcome.columns[1])]
    if problem := _no_probabilities(outcome):
        return problem
    return [
        rank(np.ascontiguousarray(scores[:, i]), outcome.actual == code)
        for i, code in enumerate(outcome.columns)
    ]


def _no_probabilities(outcome: Classified) -> str:
    if outcome.scores is None:
        return "the model gives no score for each label"
    if outcome.invalid:
        return outcome.hint
    return "" if outcome.are_probabilities else "the model's scores are no probabilities"
