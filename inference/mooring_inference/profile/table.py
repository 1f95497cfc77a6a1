"""Every setting of the command ``profile``."""

from __future__ import annotations

from pathlib import Path

from mooring_inference.flags.setting import Group, Setting, names, path
from mooring_inference.score.readers import FORMATS

BASELINE = Group(
    "rows of training",
    (
        Setting("baseline", "a file or folder: path, file://, s3://, gs:// or az://", "URI", required=True),
        Setting(
            "format",
            "of the files; auto: by each one's name",
            "NAME",
            default="auto",
            choices=("auto", *FORMATS),
        ),
        Setting(
            "columns",
            "columns in the model's order, or INPUT=COLUMN for several inputs",
            "A,B",
            names,
            (),
            "by their names, see features.json, or all that fit",
        ),
        Setting("model_dir", "folder with one model, or the file", "PATH", path, Path("/mnt/models")),
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
