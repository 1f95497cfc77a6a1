"""How good predictions are: accuracy, precision, recall and F1, or MAE and RMSE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mooring_artifacts.errors import InputError

from mooring_components.datasets import TestData
from mooring_components.models import OnnxModel

Labels = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Quality:
    """Metrics by their public names; for classification also what was confused with what.

    categories: the labels, sorted; confusion: (actual, predicted) counts in their order.
    hint: why the labels may not mean what the model's output means; empty where they fit.
    """

    metrics: dict[str, float]
    categories: list[str]
    confusion: list[list[int]]
    hint: str = ""


def evaluate(model: OnnxModel, data: TestData) -> Quality:
    """Run `model` on all rows and compare with the labels: regression when they are floats.

    Raises:
        InputError: the features do not fit the model, or its output does not fit the labels.
    """
    output = model.predict(data.features)
    rows = float(len(data.labels))
    if data.is_regression:
        metrics = measure_regression(data.labels, _values(output, len(data.labels)))
        return Quality({**metrics, "rows": rows}, [], [])
    predicted = _classes(output, data.labels)
    metrics, categories, confusion = measure_classification(data.labels, predicted)
    hint = _hint(data.labels, predicted, _columns(output))
    return Quality({**metrics, "rows": rows}, categories, confusion, hint)


def measure_regression(actual: Labels, predicted: Labels) -> dict[str, float]:
    """`mae` and `rmse`, in the label's unit; both arguments are (rows,)."""
    errors = predicted.astype(np.float64) - actual.astype(np.float64)
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt(np.square(errors).mean()))}


def measure_classification(
    actual: Labels, predicted: Labels
) -> tuple[dict[str, float], list[str], list[list[int]]]:
    """`accuracy`, and `precision`, `recall`, `f1` averaged over labels (macro); the confusion.

    As in scikit-learn, every label that occurs in either (rows,) array counts, and a quotient
    with nothing in its denominator is 0.
    """
    labels = sorted({*actual.tolist(), *predicted.tolist()})
    index = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([index[v] for v in actual.tolist()], [index[v] for v in predicted.tolist()]), 1)
    hits = counts.diagonal().astype(np.float64)
    precision = _divide(hits, counts.sum(axis=0))
    recall = _divide(hits, counts.sum(axis=1))
    f1 = _divide(2 * hits, counts.sum(axis=0) + counts.sum(axis=1))
    metrics = {
        "accuracy": float(hits.sum() / counts.sum()),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
    }
    return metrics, [str(label) for label in labels], counts.tolist()


def _divide(above: npt.NDArray[np.float64], below: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _values(output: Labels, rows: int) -> Labels:
    if output.size != rows or not np.issubdtype(output.dtype, np.number):
        raise InputError(
            f"the label is a float, so the model must give one number per row; it gives {_form(output)}"
        )
    return output.reshape(rows)


def _classes(output: Labels, labels: Labels) -> Labels:
    """(rows,) predicted labels: labels as they are, the best column of scores, or p >= 0.5."""
    rows = len(labels)
    strings = labels.dtype == object
    if output.dtype.kind in "OUS" and output.size == rows:
        if not strings:
            raise InputError("the model predicts strings, but the label column holds integers")
        return output.reshape(rows).astype(object)
    if strings:
        raise InputError(f"the label column holds strings, but the model gives {_form(output)}")
    if output.dtype.kind in "iub" and output.size == rows:
        return output.reshape(rows).astype(np.int64)
    if output.dtype.kind == "f" and output.ndim == 2 and output.shape[1] > 1:
        best: npt.NDArray[np.int64] = np.argmax(output.astype(np.float64), axis=1)
        return best
    if output.dtype.kind == "f" and output.size == rows:
        scores = output.reshape(rows).astype(np.float64)
        if bool(((scores >= 0) & (scores <= 1)).all()):
            return (scores >= 0.5).astype(np.int64)
    raise InputError(
        "for integer labels the model's first output must hold labels, scores of shape (rows, classes) "
        f"or probabilities of shape (rows,); it gives {_form(output)}"
    )


def _columns(output: Labels) -> int | None:
    """Labels that scores can stand for, 0 up to this; None where the model gives the labels themselves."""
    if output.dtype.kind != "f":
        return None
    return output.shape[1] if output.ndim == 2 and output.shape[1] > 1 else 2


def _hint(actual: Labels, predicted: Labels, columns: int | None) -> str:
    """Say that labels can never be predicted, or that none was right: they may be counted or written otherwise."""
    labels, given = sorted(set(actual.tolist())), sorted(set(predicted.tolist()))
    beyond = [label for label in labels if columns is not None and not 0 <= label < columns]
    if beyond:
        counts_from_1 = labels[0] >= 1 and labels[-1] == columns
        return (
            f"the model's scores stand for the labels 0 to {(columns or 0) - 1}, so that no row can get "
            f"{_some(beyond)} of the test data"
            + ("; if its first label is 1, count the labels from 0" if counts_from_1 else "")
        )
    if not (actual == predicted).any():
        return f"no row is right: the model gives {_some(given)}, the test data holds {_some(labels)}"
    return ""


def _some(labels: list[object]) -> str:
    # Between steps Kubeflow Pipelines replaces placeholders, and its database holds no emoji.
    shown = ", ".join(ascii(label)[:60].replace("{{", "{ {") for label in labels[:3])
    return shown if len(labels) <= 3 else f"{shown} and others"


def _form(output: Labels) -> str:
    return f"{output.dtype} of shape {output.shape}"
