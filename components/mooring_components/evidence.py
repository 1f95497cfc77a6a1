"""What the pictures of a test are drawn from: small, whatever the number of rows and labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from mooring_artifacts.importances import Importances
from mooring_artifacts.run_documents import Group, Slice, Stability
from pydantic import BaseModel, ConfigDict

from mooring_components.classification import calibrate, rank_labels
from mooring_components.outcomes import NONE, Classified, Codes, Estimated, Label
from mooring_components.ranking import Ranking

MOST_LABELS = 12
_MOST_CURVES = 6
_MOST_POINTS = 60
_CELLS = 24
LONGEST_NAME = 60
LONGEST_REASON = 300


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Confusion(_Part):
    """(actual, predicted) counts of the labels with most errors, in order; the last column has all other answers.

    left_out: the number of labels without a row here.
    """

    labels: list[str]
    counts: list[list[int]]
    left_out: int


class Curve(_Part):
    """A ROC curve of one label: shares of other rows, and of its own, above each threshold."""

    label: str
    area: float
    false: list[float]
    true: list[float]


class Bin(_Part):
    """The mean confidence of some rows, and which share of them is right."""

    confidence: float
    right: float
    rows: int


class Grid(_Part):
    """Counts of rows by actual and predicted amount, (24, 24), from `low` to `high`; the edges hold what is beyond."""

    low: float
    high: float
    counts: list[list[int]]


class OddInput(_Part):
    """An input that nobody trained for; `problem` is why the model neither answers nor refuses it."""

    kind: str
    problem: str


class OtherForm(_Part):
    """A file of the model in another format; `problem` is why it cannot be compared.

    difference: the largest, of output `output` for row `row`; 0 where both say the same.
    """

    file: str
    problem: str = ""
    difference: float = 0.0
    output: str = ""
    row: int = 0


class Evidence(_Part):
    """All of it; what a test has none of is empty."""

    confusion: Confusion | None = None
    curves: list[Curve] = []
    calibration: list[Bin] = []
    amounts: Grid | None = None
    slices: list[Slice] = []
    groups: list[Group] = []
    stability: list[Stability] = []
    attacks: list[Stability] = []
    importances: Importances | None = None
    odd_inputs: list[OddInput] = []
    other_forms: list[OtherForm] = []


def gather(outcome: Classified | Estimated) -> Evidence:
    """Sum up what a model said of rows."""
    if isinstance(outcome, Estimated):
        return Evidence(amounts=_grid(outcome))
    return Evidence(confusion=_confusion(outcome), curves=_curves(outcome), calibration=_calibration(outcome))


def count_confusion(actual: Codes, predicted: Codes, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes + 1) counts by actual and predicted class; the last column has the rows without an answer."""
    cells = actual * (classes + 1) + np.where(predicted == NONE, classes, predicted)
    counts = np.bincount(cells, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1)


def _confusion(outcome: Classified) -> Confusion:
    # A table of all pairs of a hundred thousand labels would not fit: only those that are shown are counted in pairs.
    wrong = outcome.actual != outcome.predicted
    size = len(outcome.classes)
    said = outcome.predicted[outcome.predicted != NONE]
    rows = np.bincount(outcome.actual, minlength=size)
    occurring = np.flatnonzero(rows + np.bincount(said, minlength=size))
    errors = np.bincount(outcome.actual[wrong], minlength=size)
    worst = sorted(occurring.tolist(), key=lambda code: (-errors[code], -rows[code]))[:MOST_LABELS]
    shown = sorted(worst)
    place = np.full(size + 1, len(shown))
    place[shown] = np.arange(len(shown))
    here = place[outcome.actual] < len(shown)
    counts = count_confusion(
        place[outcome.actual[here]],
        place[np.where(outcome.predicted[here] == NONE, size, outcome.predicted[here])],
        len(shown),
    )
    return Confusion(
        labels=[_name(outcome.classes[code]) for code in shown],
        counts=counts.tolist(),
        left_out=len(occurring) - len(shown),
    )


def _curves(outcome: Classified) -> list[Curve]:
    rankings = rank_labels(outcome)
    if isinstance(rankings, str):
        return []
    names = [outcome.classes[code] for code in outcome.columns]
    if len(rankings) == 1:
        names = names[1:]
    found = [_curve(_name(name), ranking) for name, ranking in zip(names, rankings, strict=True)]
    return sorted(found, key=lambda curve: curve.area)[:_MOST_CURVES]


def _name(label: Label) -> str:
    return str(label)[:LONGEST_NAME]


def _curve(label: str, ranking: Ranking) -> Curve:
    false, true = ranking.roc_curve
    # Points at about the same distance along the curve, whose length is 2 at most.
    along = (false + true) * _MOST_POINTS / 2
    kept = np.flatnonzero(np.diff(np.floor(along), prepend=-1) > 0)
    kept = np.union1d(kept, [len(along) - 1])
    return Curve(
        label=label,
        area=ranking.roc_auc,
        false=np.round(false[kept], 4).tolist(),
        true=np.round(true[kept], 4).tolist(),
    )


def _calibration(outcome: Classified) -> list[Bin]:
    found = calibrate(outcome)
    if isinstance(found, str):
        return []
    return [
        Bin(confidence=float(confidence / rows), right=float(right / rows), rows=int(rows))
        for confidence, right, rows in zip(found.confidence, found.right, found.rows, strict=True)
        if rows
    ]


def _grid(outcome: Estimated) -> Grid | None:
    finite = np.isfinite(outcome.predicted)
    # Halves, as the width of the range of the largest numbers is none.
    actual, predicted = outcome.actual[finite] / 2, outcome.predicted[finite] / 2
    if not len(actual):
        return None
    either = np.concatenate([actual, predicted])
    low, high = (float(np.quantile(either, share)) for share in (0.005, 0.995))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _CELLS + 1)
    counts, _, _ = np.histogram2d(np.clip(actual, low, high), np.clip(predicted, low, high), [edges, edges])
    return Grid(low=2 * low, high=2 * high, counts=counts.astype(int).tolist())
