"""Every setting of the command ``score``."""

from __future__ import annotations

import argparse

from mooring_inference.flags.model import MODEL_DIGEST, MODEL_DIR
from mooring_inference.flags.setting import Group, Setting, names, positive
from mooring_inference.score.convert import Nulls
from mooring_inference.score.readers import FORMATS


def shard(text: str) -> tuple[int, int]:
    """Parse ``I/N``."""
    index, slash, total = text.partition("/")
    if not (slash and index.isdecimal() and total.isdecimal() and int(index) < int(total)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 0 to N-1, got {text!r}")
    return int(index), int(total)


FORMAT = Setting(
    "format", "of the files; auto: by each one's name", "NAME", default="auto", choices=("auto", *FORMATS)
)

COLUMNS = Setting(
    "columns",
    "columns in the model's order, or INPUT=COLUMN for several inputs",
    "A,B",
    names,
    (),
    "by their names, see features.json, or all that fit",
)

MODEL = Group(
    "model",
    (
        MODEL_DIR,
        MODEL_DIGEST,
        Setting("device", "auto, cpu, cuda, cuda:N", "NAME", default="auto"),
        Setting(
            "workers",
            "processes, each with the model",
            "N",
            positive,
            otherwise="as many as cores, parts and memory allow; 1 on a GPU",
        ),
        Setting(
            "threads",
            "threads of one execution",
            "N",
            positive,
            otherwise="the container's CPU limit over the workers",
        ),
        Setting(
            "batch_size",
            "rows of one call of the model, at most",
            "ROWS",
            positive,
            otherwise="1024, on a GPU 8192",
        ),
    ),
)

INPUT = Group(
    "rows",
    (
        Setting("input", "a file or folder: path, file://, s3://, gs:// or az://", "URI", required=True),
        FORMAT,
        COLUMNS,
        Setting(
            "nulls",
            "nan: null is NaN to inputs of floats; missing: so is a key that a line of JSON lacks; reject: neither",
            "nan|missing|reject",
            default=Nulls.NAN.value,
            choices=tuple(choice.value for choice in Nulls),
        ),
        Setting("shard", "do share I, from 0, of N", "I/N", shard, (0, 1), "all of it"),
    ),
)

OUTPUT = Group(
    "results, as Parquet",
    (
        Setting("output", "the folder for the results: path or URI as above", "URI", required=True),
        Setting("id_column", "a column that is copied to the output, to join by", "NAME"),
        Setting("outputs", "which outputs of the model", "A,B", names, (), "all"),
        Setting("flatten", "a column for each element of an output, not a list"),
        Setting("max_rows_per_file", "input rows of one output file, at most", "ROWS", positive, 1_000_000),
        Setting("fail_on_bad_rows", "exit with 3 if some row could not be scored"),
    ),
)

GROUPS = (INPUT, OUTPUT, MODEL)
