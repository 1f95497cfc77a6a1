"""Estimate MAE and RMSE of NannyML's synthetic car prices with its DLE, in windows of 6000 rows.

    python estimate_loss.py FOLDER

Writes `reference.parquet` and `analysis.parquet`, with labels, into the folder. Prints one JSON object: CPU seconds
without imports, and for each window and metric the estimate, both ends of its interval and what labels say.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "true"

import nannyml as nml
import numpy as np

CHUNK = 6000
folder = Path(sys.argv[1])
reference, analysis, targets = nml.load_synthetic_car_price_dataset()
analysis = analysis.join(targets[["y_true"]])
reference.to_parquet(folder / "reference.parquet")
analysis.to_parquet(folder / "analysis.parquet")
names = [name for name in reference.columns if name not in ("id", "timestamp", "y_true", "y_pred")]
began = time.process_time()
estimator = nml.DLE(
    feature_column_names=names,
    y_pred="y_pred",
    y_true="y_true",
    timestamp_column_name="timestamp",
    metrics=["mae", "rmse"],
    chunk_size=CHUNK,
)
estimator.fit(reference)
found = estimator.estimate(analysis).filter(period="analysis").to_df()
cpu = time.process_time() - began
ENDS = ("value", "lower_confidence_boundary", "upper_confidence_boundary")
windows = []
for place in range(len(found)):
    rows = analysis.iloc[place * CHUNK : (place + 1) * CHUNK]
    wrong = (rows["y_true"] - rows["y_pred"]).abs()
    right = {"mae": float(wrong.mean()), "rmse": float(np.sqrt((wrong**2).mean()))}
    windows.append(
        {name: [*(float(found[name][end].iloc[place]) for end in ENDS), right[name]] for name in right}
    )
print(json.dumps({"cpu": cpu, "windows": windows}))
