"""Scoring of files, from the command line's arguments to the output that is there at the end."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from mooring_inference.score.command import main

from tests.unit.inference.score_models import row_of_table, several_inputs, sum_and_negative


@pytest.fixture(scope="module")
def adder(tmp_path_factory):
    return sum_and_negative(tmp_path_factory.mktemp("adder"))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def score(model, source, target, *flags):
    return main([f"--model_dir={model}", f"--input={source}", f"--output={target}", "--threads=1", *flags])


def parts_of(target):
    return sorted(
        path.relative_to(target).as_posix()
        for path in target.rglob("*.parquet")
        if not path.relative_to(target).parts[0].startswith("_")
    )


def rows_of(target):
    """All rows of output in the order of their parts."""
    return [row for part in parts_of(target) for row in pq.read_table(target / part).to_pylist()]


def bad_of(target):
    files = sorted((target / "_bad").rglob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def success_of(target):
    return json.loads((target / "_SUCCESS").read_text())


def numbers(count, start=0):
    return pa.table(
        {
            "key": [f"k{index}" for index in range(start, start + count)],
            "a": np.arange(start, start + count, dtype=np.float64),
            "b": np.ones(count, np.float32),
        }
    )


def test_each_row_of_parquet_gets_one_row_in_order(adder, data, tmp_path, capsys):
    pq.write_table(numbers(1000), data / "rows.parquet", row_group_size=300)
    target = tmp_path / "out"
    assert score(adder, data, target, "--id_column=key", "--batch_size=64", "--max_rows_per_file=350") == 0
    assert parts_of(target) == [f"rows.parquet-part-0000{number}.parquet" for number in range(3)]
    rows = rows_of(target)
    assert [row["row_number"] for row in rows] == list(range(1000))
    assert [row["key"] for row in rows] == [f"k{index}" for index in range(1000)]
    assert [row["total"] for row in rows] == [index + 1.0 for index in range(1000)]
    assert [row["negative"] for row in rows] == [[-index, -1.0] for index in range(1000)]
    assert success_of(target) | {"run": ""} == {
        "run": "", "files": 1, "parts": 3, "input_rows": 1000, "good_rows": 1000, "bad_rows": 0,
    }  # fmt: skip
    assert "1000 rows in, 1000 scored, 0 bad" in capsys.readouterr().out


def test_bad_rows_of_parquet_go_to_the_side_file_with_a_reason(adder, data, tmp_path):
    table = pa.table({"a": pa.array([1.0, None, 3.0, 1e300]), "b": pa.array([1.0, 2.0, None, 1.0])})
    pq.write_table(table, data / "rows.parquet")
    target = tmp_path / "out"
    assert score(adder, data, target, "--nulls=reject") == 0
    assert [(row["row_number"], row["total"]) for row in rows_of(target)] == [(0, 2.0)]
    assert bad_of(target) == [
        {"source": "rows.parquet", "row": 1, "reason": "column a: null", "data": {"a": None, "b": 2.0}},
        {"source": "rows.parquet", "row": 2, "reason": "column b: null", "data": {"a": 3.0, "b": None}},
        {
            "source": "rows.parquet",
            "row": 3,
            "reason": "column a: 1e+300 does not fit FP32",
            "data": {"a": 1e300, "b": 1.0},
        },
    ]
    assert score(adder, data, tmp_path / "strict", "--nulls=reject", "--fail_on_bad_rows") == 3


def test_null_is_nan_to_floats(adder, data, tmp_path):
    pq.write_table(pa.table({"a": [1.0, None], "b": pa.array([None, 2], pa.int64())}), data / "rows.parquet")
    assert score(adder, data, tmp_path / "out") == 0
    assert [np.isnan(row["negative"]).tolist() for row in rows_of(tmp_path / "out")] == [
        [False, True],
        [True, False],
    ]


def test_bad_rows_of_csv_are_found_among_good_ones(adder, data, tmp_path):
    (data / "rows.csv").write_bytes(
        b'key,a,b\nk0,1,2\nk1,oops,2\nk2,3\n"k\n3", 4 ,5\nk4,,1\n\nk5,1,2,3\nk6,\xff,1\nk7,1e3,-1\n'
    )
    target = tmp_path / "out"
    assert score(adder, data, target, "--columns=a,b", "--id_column=key", "--nulls=reject") == 0
    assert [(row["row_number"], row["key"], row["total"]) for row in rows_of(target)] == [
        (0, "k0", 3.0),
        (3, "k\n3", 9.0),
        (7, "k7", 999.0),
    ]
    assert [(row["row"], row["reason"]) for row in bad_of(target)] == [
        (1, "column a: expected FP32, got oops"),
        (2, "2 cells, expected 3"),
        (4, "column a: missing"),
        (5, "4 cells, expected 3"),
        (6, "column a: not UTF-8"),
    ]


def test_bad_lines_of_json_are_found_among_good_ones(adder, data, tmp_path):
    lines = [
        {"a": 1, "b": 2},
        {"a": "1", "b": 2},
        {"a": 1},
        {"a": 1, "b": None},
        [1, 2],
        {"a": 1.5, "b": 2, "c": "ignored"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "{broken\n\n" + json.dumps({"a": 0, "b": 0})
    with gzip.open(data / "rows.jsonl.gz", "wt") as file:
        file.write(text)
    target = tmp_path / "out"
    assert score(adder, data, target, "--nulls=reject") == 0
    assert [(row["row_number"], row["total"]) for row in rows_of(target)] == [(0, 3.0), (5, 3.5), (7, 0.0)]
    reasons = {row["row"]: row["reason"] for row in bad_of(target)}
    assert reasons.pop(6).startswith("not JSON")
    assert reasons == {
        1: "column a: expected FP32, got string '1'",
        2: "column b: missing",
        3: "column b: null",
        4: "not a JSON object",
    }


def test_the_same_rows_in_three_formats_give_the_same_results(adder, tmp_path):
    table = numbers(200)
    for kind in ("parquet", "csv", "jsonl"):
        (tmp_path / kind).mkdir()
    pq.write_table(table, tmp_path / "parquet" / "rows.parquet")
    arrow_csv.write_csv(table, tmp_path / "csv" / "rows.csv")
    (tmp_path / "jsonl" / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in table.to_pylist()))
    results = {}
    for kind in ("parquet", "csv", "jsonl"):
        assert score(adder, tmp_path / kind, tmp_path / f"{kind}-out", "--columns=a,b", "--id_column=key",
                     "--batch_size=37", "--max_rows_per_file=90") == 0  # fmt: skip
        results[kind] = rows_of(tmp_path / f"{kind}-out")
    assert len(results["parquet"]) == 200
    assert results["parquet"] == results["csv"] == results["jsonl"]


def test_several_inputs_take_the_columns_of_their_names(tmp_path, data):
    model = several_inputs(tmp_path / "model")
    rows = [
        {"age": 1, "name": "x", "vector": [1.0, 2.0]},
        {"age": 2, "name": "y", "vector": [5.0]},
        {"age": 3, "name": None, "vector": [5.0]},
        {"age": 4, "name": "z", "vector": [1.0, 1.0]},
        {"age": 5, "name": "w", "vector": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), data / "rows.parquet")
    (data / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    target = tmp_path / "out"
    assert score(model, data, target) == 0
    expected = [(0, 4.0, "x"), (1, 7.0, "y"), (3, 6.0, "z")]
    assert [(row["row_number"], row["out"], row["same"]) for row in rows_of(target)] == expected * 2
    assert [(row["source"], row["row"], row["reason"]) for row in bad_of(target)] == [
        ("rows.jsonl", 2, "column name: null"),
        ("rows.jsonl", 4, "column vector: null"),
        ("rows.parquet", 2, "column name: null"),
        ("rows.parquet", 4, "column vector: null"),
    ]


def test_one_list_column_feeds_one_input(adder, data, tmp_path):
    pq.write_table(pa.table({"x": [[1.0, 2.0], [3.0, 4.0], [5.0]]}), data / "rows.parquet")
    assert score(adder, data, tmp_path / "out") == 0
    assert [row["total"] for row in rows_of(tmp_path / "out")] == [3.0, 7.0]
    assert [bad["reason"] for bad in bad_of(tmp_path / "out")] == ["column x: a list of 1, expected 2"]


def test_flattened_outputs_have_a_column_for_each_element(adder, data, tmp_path):
    pq.write_table(numbers(3), data / "rows.parquet")
    assert score(adder, data, tmp_path / "out", "--flatten", "--outputs=negative") == 0
    assert rows_of(tmp_path / "out")[2] == {"row_number": 2, "negative_0": -2.0, "negative_1": -1.0}


def test_a_model_of_a_fixed_batch_size_scores_any_number_of_rows(tmp_path, data):
    model = sum_and_negative(tmp_path / "model", batch=4)
    pq.write_table(numbers(10), data / "rows.parquet")
    assert score(model, data, tmp_path / "out", "--batch_size=7") == 0
    assert [row["total"] for row in rows_of(tmp_path / "out")] == [index + 1.0 for index in range(10)]


def test_rows_that_make_the_model_fail_are_bad_and_the_others_are_scored(tmp_path, data):
    model = row_of_table(tmp_path / "model")
    pq.write_table(pa.table({"x": [0, 4, 7, 1, -9, 2]}), data / "rows.parquet")
    assert score(model, data, tmp_path / "out") == 0
    assert [(row["row_number"], row["y"]) for row in rows_of(tmp_path / "out")] == [
        (0, 0.0), (1, 40.0), (3, 10.0), (5, 20.0),
    ]  # fmt: skip
    assert [bad["row"] for bad in bad_of(tmp_path / "out")] == [2, 4]
    assert all(bad["reason"].startswith("the model failed: ") for bad in bad_of(tmp_path / "out"))


def test_shards_share_files_and_parts_and_the_last_one_says_success(adder, data, tmp_path):
    pq.write_table(numbers(250), data / "a.parquet", row_group_size=40)
    arrow_csv.write_csv(numbers(30, 250), data / "b.csv")
    (data / "c.jsonl").write_text("\n".join(json.dumps(row) for row in numbers(20, 280).to_pylist()))
    target = tmp_path / "out"
    flags = ["--columns=a,b", "--max_rows_per_file=60"]
    for shard in (2, 0):
        assert score(adder, data, target, f"--shard={shard}/3", *flags) == 0
        assert not (target / "_SUCCESS").exists()
    assert score(adder, data, target, "--shard=1/3", *flags) == 0
    assert success_of(target)["good_rows"] == 300
    assert [row["total"] for row in rows_of(target)] == [index + 1.0 for index in range(300)]


def modification_times(target):
    return {part: (target / part).stat().st_mtime_ns for part in parts_of(target)}


def test_a_second_run_does_only_what_changed(adder, data, tmp_path, capsys):
    for name in "abc":
        pq.write_table(numbers(10), data / f"{name}.parquet")
    target = tmp_path / "out"
    assert score(adder, data, target) == 0
    before = modification_times(target)
    assert score(adder, data, target) == 0
    assert modification_times(target) == before
    assert "3 of them done before" in capsys.readouterr().out

    pq.write_table(numbers(12), data / "b.parquet")
    (data / "c.parquet").unlink()
    assert score(adder, data, target) == 0
    after = modification_times(target)
    assert after.keys() == {"a.parquet-part-00000.parquet", "b.parquet-part-00000.parquet"}
    assert [part for part in after if after[part] == before[part]] == ["a.parquet-part-00000.parquet"]
    assert success_of(target)["good_rows"] == 22


def test_another_model_or_other_settings_score_everything_anew(data, tmp_path):
    model = sum_and_negative(tmp_path / "model")
    pq.write_table(numbers(10), data / "a.parquet")
    target = tmp_path / "out"
    seen = []
    for change in ((), ("--outputs=total",), ("model",)):
        if change == ("model",):
            (model / "labels.txt").write_text("a file more")
            change = ("--outputs=total",)
        assert score(model, data, target, *change) == 0
        seen.append(modification_times(target)["a.parquet-part-00000.parquet"])
    assert len(set(seen)) == 3


def test_files_of_other_origin_in_the_output_stay(adder, data, tmp_path):
    pq.write_table(numbers(10), data / "a.parquet")
    target = tmp_path / "out"
    target.mkdir()
    pq.write_table(numbers(1), target / "mine-part-00000.parquet")
    assert score(adder, data, target) == 0
    assert (target / "mine-part-00000.parquet").exists()


def test_an_empty_file_and_a_header_alone_give_an_empty_part(adder, data, tmp_path):
    pq.write_table(numbers(0), data / "a.parquet")
    (data / "b.csv").write_text("a,b\n")
    target = tmp_path / "out"
    assert score(adder, data, target, "--columns=a,b") == 0
    assert success_of(target)["parts"] == 2
    assert rows_of(target) == []


def test_partition_folders_are_kept_and_hidden_files_are_left_out(adder, data, tmp_path):
    for day in ("1", "2"):
        (data / f"day={day}").mkdir()
        pq.write_table(numbers(int(day)), data / f"day={day}" / "rows.parquet")
    (data / "_SUCCESS").write_text("")
    (data / ".hidden.csv").write_text("nonsense")
    target = tmp_path / "out"
    assert score(adder, data, target) == 0
    assert pq.read_table(target).column("day").to_pylist() == [1, 2, 2]


USAGE = {
    "too few columns": (["--columns=a"], 2, "column a holds single values"),
    "an unknown column": (["--columns=a,nope"], 2, "there is no column nope"),
    "an unknown output": (["--outputs=nope"], 2, "the model has no output nope; it has total, negative"),
    "an unknown id": (["--id_column=nope"], 1, "there is no column nope"),
    "a column of text": (["--columns=a,key"], 1, "column key is of kind text"),
}


@pytest.mark.parametrize(("flags", "code", "message"), USAGE.values(), ids=USAGE.keys())
def test_what_makes_no_sense_is_refused_in_one_line(adder, data, tmp_path, capsys, flags, code, message):
    pq.write_table(numbers(3), data / "rows.parquet")
    assert score(adder, data, tmp_path / "out", *flags) == code
    said = capsys.readouterr().err
    assert said.startswith("mooring-inference score: ")
    assert message in said
    assert said.count("\n") == 1


def test_missing_and_damaged_things_are_errors_in_one_line(adder, data, tmp_path, capsys):
    target = tmp_path / "out"
    (data / "a.parquet").write_bytes(b"PAR1 not really")
    assert score(adder, data, target) == 1
    assert score(adder, tmp_path / "nowhere", target) == 1
    assert score(tmp_path / "no-model", data, target) == 1
    assert score(adder, data, data / "inside") == 2
    assert score(adder, "ftp://host/x", target) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5
    assert all(line.startswith("mooring-inference score: ") for line in said)
    assert not (target / "_SUCCESS").exists()


def test_names_of_features_that_came_with_the_model_decide_the_order(tmp_path, data):
    model = sum_and_negative(tmp_path / "model")
    (model / "features.json").write_text(json.dumps({"x": ["b", "a"]}))
    pq.write_table(numbers(3), data / "rows.parquet")
    assert score(model, data, tmp_path / "out") == 0
    assert rows_of(tmp_path / "out")[2]["negative"] == [-1.0, -2.0]


@pytest.mark.parametrize("flags", [(), ("--flatten",)], ids=" ".join)
def test_floats_are_written_without_a_dictionary_and_ids_with_one(adder, data, tmp_path, flags):
    pq.write_table(numbers(100), data / "rows.parquet")
    assert score(adder, data, tmp_path / "out", "--columns=a,b", "--id_column=key", *flags) == 0
    (part,) = parts_of(tmp_path / "out")
    group = pq.read_metadata(tmp_path / "out" / part).row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    repeating = {chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page}
    assert len(chunks) > 3
    assert repeating == {"key"}
