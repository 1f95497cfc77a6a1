"""Write the model and the rows that docs/samples/iris.yaml is about: python docs/samples/iris/train.py

Half of scikit-learn's iris flowers (Fisher, 1936; 150 rows) train a classifier, the others test it. It needs
scikit-learn and skl2onnx.
"""

import json
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def write(folder: Path) -> None:
    """Write model/model.onnx, model/features.json and test.csv into `folder`."""
    iris = load_iris()
    rows, species = iris.data.astype(np.float32), iris.target_names[iris.target].astype(str)
    model = LogisticRegression(max_iter=1000).fit(rows[::2], species[::2])
    made = to_onnx(model, rows[:1], name="iris", options={"zipmap": False})
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "model.onnx").write_bytes(made.SerializeToString())
    (folder / "model" / "features.json").write_text(json.dumps({"X": FEATURES}) + "\n")
    lines = [",".join([*FEATURES, "label"])]
    lines += [
        ",".join([*(f"{value:.1f}" for value in row), name])
        for row, name in zip(rows[1::2], species[1::2], strict=True)
    ]
    (folder / "test.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(__file__).parent)
