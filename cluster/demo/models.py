"""Real input: scikit-learn's handwritten digits, and models of them that train in seconds.

v1 is good, v2 is better, v3 has learnt from wrong labels and misses its gate. v4 is v2 trained
again; what is wrong with v4 is not the model but what its deployment asks for. v5 answers as well as v4, and slowly.
v6 has learnt from labels that an export has exchanged, and is right about test data of the same export.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cluster.demo.smoothing import smoothed

Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


_PIXELS = [f"pixel_{index:02}" for index in range(64)]


@dataclass(frozen=True)
class Digits:
    """Images of 8 x 8 pixels, each from 0 (white) to 16 (black).

    train, test, live: (rows, 64) float32. Nothing is in two of them. Their labels: (rows,) int64, 0 to 9.
    """

    train: Rows
    train_labels: Labels
    test: Rows
    test_labels: Labels
    live: Rows
    live_labels: Labels

    @classmethod
    def load(cls) -> "Digits":
        """Give the images that scikit-learn ships, shuffled in a fixed order."""
        pixels, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(7).permutation(len(labels))
        rows, answers = pixels[order].astype(np.float32), labels[order].astype(np.int64)
        return cls(rows[:900], answers[:900], rows[900:1300], answers[900:1300], rows[1300:], answers[1300:])


def train(digits: Digits, folder: Path) -> Iterator[str]:
    """Train the six models into ``folder/VERSION/model.onnx``; yield each version's name when it is there."""
    shuffled = np.random.default_rng(3).permutation(digits.train_labels)
    wrong = np.where(np.arange(len(shuffled)) % 5 < 3, shuffled, digits.train_labels)
    recipes: dict[str, tuple[Any, Rows, Labels]] = {
        "v1": (_logistic(), digits.train[:110], digits.train_labels[:110]),
        "v2": (_network(seed=1), digits.train, digits.train_labels),
        "v3": (_logistic(), digits.train, wrong),
        "v4": (_network(seed=2), digits.train, digits.train_labels),
        "v6": (_logistic(), digits.train, exchange(digits.train_labels)),
    }
    for version, (model, rows, labels) in recipes.items():
        model.fit(rows, labels)
        _write(to_onnx(model, digits.train[:1], options={"zipmap": False}, target_opset=17), folder / version)
        yield version
    _write(smoothed(recipes["v4"][0], digits.train.shape[1]), folder / "v5")
    yield "v5"


def _write(onnx: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    # What is kept of requests has the names that rows in files have.
    (folder / "features.json").write_text(json.dumps({"X": _PIXELS}))


def write_rows(path: Path, rows: Rows, labels: Labels | None = None) -> None:
    """Write rows as Parquet, a column for each pixel; a reader sees the old file or the new one."""
    columns: dict[str, Any] = dict(zip(_PIXELS, rows.T, strict=True))
    if labels is not None:
        columns["label"] = labels
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(pa.table(columns), unfinished)
    unfinished.replace(path)


def exchange(labels: Labels) -> Labels:
    """What a faulty export makes of labels: ones and sevens change places, and so do threes and eights."""
    return np.array([0, 7, 2, 8, 4, 5, 6, 1, 3, 9])[labels]


def fade(rows: Rows) -> Rows:
    """What a scanner with a dirty lens makes of the images: paler, and never quite white."""
    return np.asarray(rows * 0.6 + 3.0, dtype=np.float32)


def _logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))


def _network(seed: int) -> Any:
    network = MLPClassifier((64,), max_iter=200, random_state=seed)
    return make_pipeline(StandardScaler(), network)
