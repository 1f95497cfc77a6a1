"""``mooring-inference profile``: guards and names of features from rows of training."""

from __future__ import annotations

import json

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mooring_artifacts.window_states import prepare
from mooring_artifacts.window_states.files import read_profile
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.guards import load_guards, parse_guards
from mooring_inference.profile.command import main
from mooring_inference.profile.guards import guards_of, quantile
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

from tests.unit.inference.score_models import several_inputs, sum_and_negative


def signature(datatype, width):
    spec = TensorSpec("x", DATATYPES[datatype], (None, width))
    return Signature((spec,), (spec,))


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT64", "UINT8"])
@given(data=st.data())
def test_guards_of_a_baseline_let_the_baseline_itself_pass(datatype, data):
    dtype = DATATYPES[datatype].dtype
    baseline = data.draw(hnp.arrays(dtype, st.tuples(st.integers(1, 8), st.just(3))))
    document = guards_of({"x": baseline}, {"x": ["a", "b", "c"]}, outside="reject", outlier_score=True)
    guards = parse_guards(orjson.loads(orjson.dumps(document)), signature(datatype, 3))
    finite = baseline[np.isfinite(baseline).all(axis=1)] if dtype.kind == "f" else baseline
    assert guards.check({"x": finite}).flags == ()


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200), st.sampled_from([0.25, 0.5, 0.75]))
def test_quantiles_of_the_profile_are_values_with_that_share_below(values, part):
    found = quantile(prepare({"a": np.array(values, np.float32)}), part)
    ordered = sorted(np.float32(value) for value in values)
    assert found == ordered[int(np.ceil(part * len(ordered))) - 1]


def test_ranges_middles_and_categories_are_told():
    document = guards_of(
        {
            "x": np.array([[0], [1], [2], [3], [np.nan]], np.float32),
            "s": np.array([["b"], ["a"], ["b"]], object),
            "flag": np.array([True, False]),
            "none": np.array([[np.nan], [np.inf]], np.float32),
            "names": np.array([[f"name {index}"] for index in range(300)], object),
        },
        {"x": ["age"]},
        outlier_score=True,
    )
    assert document == {
        "non_finite": "allow",
        "range": "flag",
        "outlier_score": True,
        "inputs": {
            "x": {"features": [{"name": "age", "min": 0.0, "max": 3.0, "median": 1.0, "iqr": 2.0}]},
            "s": {"features": [{"categories": ["a", "b"]}]},
        },
    }


def test_the_files_load_and_the_baseline_passes(tmp_path, capsys):
    model = sum_and_negative(tmp_path / "model")
    pq.write_table(pa.table({"b": [1, 2, 3], "a": [0.5, None, 1.5]}), tmp_path / "train.parquet")
    argv = [f"--baseline={tmp_path / 'train.parquet'}", f"--model-dir={model}", "--columns=a,b"]
    assert main([*argv, "--range=reject"]) == 0
    written = f"{model / 'guards.json'}, {model / 'features.json'} and {model / 'profile.bin'}"
    assert f"3 rows; {written} written" in capsys.readouterr().out
    profile = read_profile(model)
    assert (profile.rows, [feature.name for feature in profile.features]) == (3, ["a", "b"])
    assert json.loads((model / "features.json").read_text()) == {"x": ["a", "b"]}
    loaded = load_model(model, LoadOptions())
    guards = load_guards(model / "guards.json", loaded.signature)
    assert guards.check({"x": np.array([[0.5, 1], [1.5, 3]], np.float32)}).flags == ()
    with pytest.raises(Exception, match="b"):
        guards.check({"x": np.array([[0.5, 4]], np.float32)})

    assert main(argv) == 2
    assert "guards.json is there already; --replace" in capsys.readouterr().err
    # The names that are there now find the columns.
    assert main([*argv[:2], "--replace"]) == 0
    assert json.loads((model / "features.json").read_text()) == {"x": ["a", "b"]}


def test_several_inputs_and_text_are_profiled_into_a_folder_of_their_own(tmp_path):
    model = several_inputs(tmp_path / "model")
    rows = [{"age": index, "name": "xy"[index % 2], "vector": [1.0, index]} for index in range(4)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "made" / "here"
    assert main([f"--baseline={tmp_path / 'train.jsonl'}", f"--model_dir={model}", f"--output={output}"]) == 0
    profile = read_profile(output)
    # A vector of any length is one list in what is captured.
    assert [feature.name for feature in profile.features] == ["age", "name"]
    inputs = json.loads((output / "guards.json").read_text())["inputs"]
    assert inputs["name"] == {"features": [{"name": "name", "categories": ["x", "y"]}]}
    assert [feature["max"] for feature in inputs["vector"]["features"]] == [1.0, 3.0]
    assert json.loads((output / "features.json").read_text()) == {"age": ["age"], "name": ["name"]}
    assert not (model / "guards.json").exists()


def test_a_column_that_is_there_twice_makes_no_names_that_would_not_load(tmp_path, capsys):
    model = sum_and_negative(tmp_path / "model")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    assert main([f"--baseline={tmp_path / 'a.csv'}", f"--model_dir={model}", "--columns=a,a"]) == 2
    assert "column a is there twice for input x" in capsys.readouterr().err
    assert sorted(path.name for path in model.iterdir()) == ["model.onnx"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "a,b\n1,2\nx,3\n", "a.csv: column a: expected FP32, got"),
        ("a.csv", "a,b\n", "the baseline has no rows"),
        ("a.csv", "a,b,c\n1,2,3\n", "which columns feed input x"),
        ("a.parquet", "PAR1", "a.parquet cannot be read as parquet"),
        ("a.txt", "", "none of the 1 input files"),
    ],
)
def test_what_is_no_baseline_is_said_in_one_line_and_nothing_is_written(
    tmp_path, capsys, name, content, said
):
    model = sum_and_negative(tmp_path / "model")
    (tmp_path / name).write_text(content)
    assert main([f"--baseline={tmp_path / name}", f"--model_dir={model}"]) in (1, 2)
    told = capsys.readouterr().err
    assert told.startswith("mooring-inference profile: ")
    assert said in told
    assert told.count("\n") == 1
    assert sorted(path.name for path in model.iterdir()) == ["model.onnx"]
