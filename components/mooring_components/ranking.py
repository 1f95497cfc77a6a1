"""Areas under curves: how well a score ranks rows of one class above the others.

All of it is read off the scores in order, ties together, so that a million rows take one sort.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """Rows in ascending order of their scores, and how many of each kind have each score.

    order: (rows,), rows by score. group: (rows,), for the rows in order, which of the distinct scores they have.
    above, below: (distinct,): rows of the class, and other rows, of each distinct score.
    """

    order: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]
    positives: Flags
    above: Floats
    below: Floats

    @property
    def roc_auc(self) -> float:
        """The area under the ROC curve: how often a row of the class has the higher score, ties counting half."""
        lower = np.cumsum(self.below) - self.below / 2
        return float((self.above * lower).sum() / (self.above.sum() * self.below.sum()))

    @property
    def roc_influence(self) -> Floats:
        """(rows,) influence of each row on the area, by DeLong's placements."""
        ups, downs = self.above.sum(), self.below.sum()
        lower = (np.cumsum(self.below) - self.below / 2) / downs
        higher = (ups - np.cumsum(self.above) + self.above / 2) / ups
        area, rows = self.roc_auc, len(self.order)
        flags = self.positives[self.order]
        ordered = np.where(
            flags,
            (lower[self.group] - area) * (rows / ups),
            (higher[self.group] - area) * (rows / downs),
        )
        influence = np.empty(rows)
        influence[self.order] = ordered
        return influence

    @property
    def roc_curve(self) -> tuple[Floats, Floats]:
        """The shares of other rows, and of rows of the class, above each threshold, from (0, 0) to (1, 1)."""
        false = np.cumsum(self.below[::-1]) / self.below.sum()
        true = np.cumsum(self.above[::-1]) / self.above.sum()
        return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])

    @property
    def average_precision(self) -> float:
        """The area under the precision-recall curve, as steps (average precision)."""
        hits = np.cumsum(self.above[::-1])
        taken = np.cumsum((self.above + self.below)[::-1])
        return float((self.above[::-1] / self.above.sum() * (hits / taken)).sum())


def rank(scores: Floats, positives: Flags) -> Ranking:
    """Sort rows by finite `scores`; both kinds of rows must occur in `positives`."""
    order = np.argsort(scores)
    ordered = scores[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    group = np.cumsum(starts) - 1
    flags = positives[order]
    above: Floats = np.bincount(group, weights=flags).astype(np.float64)
    below: Floats = np.bincount(group, weights=~flags).astype(np.float64)
    return Ranking(order, group, positives, above, below)
