"""Every setting of the command ``profile``."""

from __future__ import annotations

from mooring_inference.flags.model import MODEL_DIR
from mooring_inference.flags.setting import Group, Setting, path
from mooring_inference.score.table import COLUMNS, FORMAT

BASELINE = Group(
    "rows of training",
    (
        Setting("baseline", "a file or folder: path, file://, s3://, gs:// or az://", "URI", required=True),
        FORMAT,
        COLUMNS,
        MODEL_DIR,
    ),
)

FILES = Group(
    "guards.json and features.json",
    (
        Setting("output", "the folder for them", "PATH", path, otherwise="the model's"),
        Setting("replace", "write over those that are there"),
        Setting(
            "non_finite",
            "what happens to NaN and infinities",
            "POLICY",
            default="allow",
            choices=("allow", "flag", "reject", "clip"),
        ),
        Setting(
            "range",
            "what happens to values outside of the baseline's",
            "POLICY",
            default="flag",
            choices=("flag", "reject", "clip"),
        ),
        Setting("outlier_score", "answers say how far out the farthest value of a request lies"),
    ),
)

GROUPS = (BASELINE, FILES)
