"""How good predictions are: accuracy, precision, recall and F1, or MAE and RMSE."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mooring_components.datasets import TestData
from mooring_components.feeding import feed_model
from mooring_components.models import Model
from mooring_components.options import TestOptions
from mooring_components.outcomes import NONE, Classified, Codes, Estimated, Floats, observe

_DEFAULT = TestOptions()


@dataclass(frozen=True)
class Quality:
    """Metrics by their public names; for classification also what was confused with what.

    Every metric is finite. unmeasured: why a metric that belongs here has no value.
    categories: the labels, sorted; confusion: (actual, predicted) counts in their order.
    hint: why the labels may not mean what the model's output means; empty where they fit.
    """

    metrics: dict[str, float]
    categories: list[str] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    hint: str = ""
    unmeasured: dict[str, str] = field(default_factory=dict)


def evaluate(model: Model, data: TestData, options: TestOptions = _DEFAULT) -> Quality:
    """Run `model` on all rows and compare with the labels.

    Raises:
        InputError: the columns do not fit the model, or its output does not fit the labels.
    """
    return measure(observe(feed_model(model, data, options.inputs), data, options))


def measure(outcome: Classified | Estimated) -> Quality:
    """The metrics of what a model said."""
    facts = {"rows": float(len(outcome.actual)), "invalidPredictions": float(outcome.invalid)}
    if isinstance(outcome, Estimated):
        if outcome.invalid:
            return Quality(facts, hint=outcome.hint, unmeasured=dict.fromkeys(("mae", "rmse"), outcome.hint))
        return Quality({**measure_regression(outcome.actual, outcome.predicted), **facts}, hint=outcome.hint)
    counts = count_confusion(outcome.actual, outcome.predicted, len(outcome.classes))
    occurring = np.flatnonzero(counts[:, :-1].sum(axis=0) + counts.sum(axis=1))
    confusion = counts[np.ix_(occurring, occurring)]
    return Quality(
        {**measure_classification(counts), **facts},
        [str(outcome.classes[int(i)]) for i in occurring],
        confusion.tolist(),
        outcome.hint,
    )


def measure_regression(actual: Floats, predicted: Floats) -> dict[str, float]:
    """`mae` and `rmse`, in the label's unit; both arguments are (rows,)."""
    errors = predicted - actual
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt(np.square(errors).mean()))}


def count_confusion(actual: Codes, predicted: Codes, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes + 1) counts by actual and predicted class; the last column has the rows without an answer."""
    cells = actual * (classes + 1) + np.where(predicted == NONE, classes, predicted)
    counts = np.bincount(cells, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1)


def measure_classification(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """`accuracy`, and `precision`, `recall`, `f1` averaged over labels (macro), of counts as above.

    As in scikit-learn, every label that occurs in either counts, and a quotient with nothing in its denominator is 0.
    """
    hits = counts[:, :-1].diagonal().astype(np.float64)
    actual, predicted = counts.sum(axis=1), counts[:, :-1].sum(axis=0)
    occurs = actual + predicted > 0
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "precision": float(_divide(hits, predicted)[occurs].mean()),
        "recall": float(_divide(hits, actual)[occurs].mean()),
        "f1": float(_divide(2 * hits, actual + predicted)[occurs].mean()),
    }


def _divide(above: Floats, below: npt.NDArray[np.int64]) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
