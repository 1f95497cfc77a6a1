"""A schema change is a finding of its own, and the other columns are judged."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.markdown import render_markdown
from mooring_components.drift.report import make_report

ROWS = 1000
INTEGERS = np.arange(ROWS) % 90


def normal(seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=ROWS)


def found(before, now, features=None):
    return evaluate(pa.table(before), pa.table(now), features, 100, Detectors())


def changes(findings):
    return [(c.name, c.change, c.baseline, c.window) for c in findings.schema_changes]


CHANGED = {
    "integers to text": (INTEGERS, pa.array([str(value) for value in INTEGERS]), "int64", "string"),
    "text to integers": (pa.array(["a"] * ROWS), INTEGERS, "string", "int64"),
    "numbers to times": (normal(3), pa.array(INTEGERS, pa.timestamp("us")), "double", "timestamp[us]"),
    "times to numbers": (pa.array(INTEGERS, pa.int32()).cast(pa.date32()), INTEGERS, "date32[day]", "int64"),
    "text to times": (
        pa.array(["a"] * ROWS),
        pa.array(INTEGERS * 86_400_000).cast(pa.date64()),
        "string",
        "date64[ms]",
    ),
    "numbers to lists": (normal(3), pa.array([[1.0]] * ROWS), "double", "list"),
    "numbers to structs": (normal(3), pa.array([{"a": 1}] * ROWS), "double", "struct"),
    "bytes to numbers": (pa.array([b"a"] * ROWS), INTEGERS, "binary", "int64"),
}


@pytest.mark.parametrize("named", [False, True], ids=["all", "named"])
@pytest.mark.parametrize("case", CHANGED)
def test_a_type_that_changed_is_told_and_the_shifted_column_beside_it_is_found(case, named):
    before, now, was, became = CHANGED[case]
    findings = found(
        {"x": before, "moved": normal(1), "calm": normal(2)},
        {"x": now, "moved": normal(4, 1.0), "calm": normal(5)},
        ["x", "moved", "calm"] if named else None,
    )
    assert changes(findings) == [("x", "TypeChanged", was, became)]
    assert [(f.name, f.drifted) for f in findings.features] == [("moved", True), ("calm", False)]


def test_a_column_that_vanished_and_one_that_is_new_are_told():
    findings = found({"gone": normal(1), "x": normal(2)}, {"x": normal(3), "made": pa.array(["a"] * ROWS)})
    assert changes(findings) == [("gone", "Vanished", "double", None), ("made", "New", None, "string")]
    assert [(f.name, f.drifted) for f in findings.features] == [("x", False)]


def test_only_what_is_named_is_told():
    before = {"x": normal(1), "label": INTEGERS, "code": INTEGERS}
    now = {"x": normal(2), "code": pa.array(["a"] * ROWS), "made": INTEGERS}
    assert found(before, now, ["x"]).schema_changes == []
    assert [c.change for c in found(before, now, ["x", "label", "made"]).schema_changes] == [
        "Vanished",
        "New",
    ]


def test_a_rename_of_the_only_column_is_told_and_nothing_is_compared():
    findings = found({"x": normal(1)}, {"z": normal(1)})
    assert findings.features == []
    assert [(c.name, c.change) for c in findings.schema_changes] == [("x", "Vanished"), ("z", "New")]


def test_what_capture_adds_to_the_features_is_no_change_of_the_schema():
    request = pa.array([{"id": "a"}] * ROWS)
    now = {"x": normal(2), "prediction.y": normal(3), "request": request}
    assert found({"x": normal(1)}, now).schema_changes == []
    assert changes(found({"x": normal(1)}, now, ["x", "prediction.y"])) == [
        ("prediction.y", "New", None, "double")
    ]


def test_another_width_or_an_encoding_is_no_change_of_the_schema():
    codes = pa.array(["a", "b"] * (ROWS // 2))
    findings = found(
        {"i": INTEGERS, "f": normal(1), "s": codes, "n": pa.nulls(ROWS)},
        {
            "i": INTEGERS.astype(np.int8),
            "f": normal(1).astype(np.float32),
            "s": codes.dictionary_encode(),
            "n": normal(1),
        },
    )
    assert findings.schema_changes == []
    assert [f.name for f in findings.features if f.drifted] == ["n"]


def test_columns_of_which_nothing_can_be_compared_on_either_side_are_an_error():
    with pytest.raises(EvaluationError, match="no column of numbers") as raised:
        found({"x": pa.array([[1]] * ROWS)}, {"x": pa.array([[1]] * ROWS)})
    assert raised.value.reason == "FeatureMissing"


def write(path, **columns):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize(
    ("other", "became"),
    [
        (pa.array(["a"] * ROWS), "int64 or string"),
        (pa.array(INTEGERS, pa.timestamp("us")), "int64 or timestamp[us]"),
        (pa.array([[1]] * ROWS), "int64 or list"),
    ],
    ids=["text", "times", "lists"],
)
def test_files_of_a_window_that_differ_in_a_type_are_told_and_the_rest_is_judged(tmp_path, other, became):
    write(tmp_path / "base" / "a.parquet", x=INTEGERS, moved=normal(1))
    write(tmp_path / "window" / "a.parquet", x=INTEGERS, moved=normal(2, 1.0))
    write(tmp_path / "window" / "b.parquet", x=other, moved=normal(3, 1.0))
    report = make_report(
        {
            "baseline": {"uri": f"file://{tmp_path}/base"},
            "window": {"uri": f"file://{tmp_path}/window"},
            "minRows": 100,
            "ks": {"alpha": 0.01},
        },
        "run",
    )
    assert [(c.name, c.change, c.window) for c in report.schema_changes] == [("x", "TypeChanged", became)]
    assert report.drifted_features == ["moved"]
    text, metrics = render_markdown(report)
    assert f"| `x` | int64 | {became} |" in text
    assert metrics["schemaChanges"] == 1


def test_names_and_types_from_files_stay_in_their_cell(tmp_path):
    evil = "a|b\n# `x`"
    write(tmp_path / "base" / "a.parquet", **{evil: INTEGERS, "x": INTEGERS})
    write(tmp_path / "window" / "a.parquet", x=INTEGERS)
    report = make_report(
        {
            "baseline": {"uri": f"file://{tmp_path}/base"},
            "window": {"uri": f"file://{tmp_path}/window"},
            "minRows": 100,
            "ks": {"alpha": 0.01},
        },
        "run",
    )
    assert "| `a b #  x ` | int64 | missing |" in render_markdown(report)[0]


def test_a_report_of_many_changes_names_some(tmp_path):
    write(tmp_path / "base" / "a.parquet", x=INTEGERS, **{f"c{place}": INTEGERS for place in range(450)})
    write(tmp_path / "window" / "a.parquet", x=INTEGERS)
    report = make_report(
        {
            "baseline": {"uri": f"file://{tmp_path}/base"},
            "window": {"uri": f"file://{tmp_path}/window"},
            "minRows": 100,
            "ks": {"alpha": 0.01},
        },
        "run",
    )
    assert len(report.schema_changes) == 400
    assert [feature.name for feature in report.features] == ["x"]
