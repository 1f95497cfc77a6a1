"""Columns into arrays, outputs into columns, and folders in an object store."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.score.blocks import MISSING
from mooring_inference.score.convert import Misfit, Nulls, convert_feed, convert_rows
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.folders import Folder, local_folder, open_input, refuse_nesting
from mooring_inference.score.job import Job, pick_files
from mooring_inference.score.layout import OutputLayout
from mooring_inference.score.mapping import Choice, Feed, plan_feeds
from mooring_inference.score.part_scorer import PartScorer
from mooring_inference.score.progress import Progress
from mooring_inference.score.readers import format_of, open_reader
from mooring_inference.score.run import run_job
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec
from obstore.store import MemoryStore

from tests.unit.inference.score_models import sum_and_negative


def spec(datatype, *shape, name="x"):
    return TensorSpec(name, DATATYPES[datatype], (None, *shape))


def convert(feed, column, nulls=Nulls.REJECT):
    """Which rows convert, and to what."""
    values = [None] * len(column)
    pieces = convert_rows(
        len(column), lambda start, stop: [convert_feed(feed, [column[start:stop]], nulls=nulls)]
    )
    for piece in pieces:
        if not isinstance(piece.arrays, str):
            values[piece.start : piece.stop] = piece.arrays[0].tolist()
    return values


WHOLE = ["INT8", "UINT8", "INT32", "INT64", "UINT64"]
integers = st.one_of(
    st.integers(-300, 300), st.sampled_from([2**31, -(2**31) - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)])
)


def fits(value, datatype):
    limits = np.iinfo(DATATYPES[datatype].dtype.name)
    return value is not None and limits.min <= value <= limits.max


@given(st.lists(integers | st.none(), max_size=12), st.sampled_from(WHOLE))
def test_a_whole_number_converts_exactly_or_its_row_is_bad_in_every_format(values, datatype):
    expected = [value if fits(value, datatype) else None for value in values]
    feed = Feed(spec(datatype), ("a",), side_by_side=True)
    assert convert(feed, pa.array(values, pa.int64())) == expected
    assert convert(feed, list(values)) == expected
    cells = pa.array([b"" if value is None else str(value).encode() for value in values], pa.binary())
    assert convert(feed, cells) == expected


CELLS = ["1", " 2 ", "3.0", "3.5", "1e2", "-1", "", "x", "300", "9007199254740993", "nan", "inf", "1_0"]


@given(
    st.lists(st.sampled_from(CELLS), max_size=10), st.sampled_from(["INT8", "INT64", "UINT8", "FP32", "FP16"])
)
def test_a_cell_converts_among_others_as_it_does_alone(cells, datatype):
    feed = Feed(spec(datatype), ("a",), side_by_side=True)
    column = pa.array([cell.encode() for cell in cells], pa.binary())
    together = convert(feed, column)
    alone = [convert(feed, column[place : place + 1])[0] for place in range(len(cells))]
    assert [value is None for value in together] == [value is None for value in alone]
    np.testing.assert_array_equal(np.array(together, dtype=float), np.array(alone, dtype=float))


@given(st.lists(st.none() | st.lists(st.none() | st.floats(-10, 10, width=32), max_size=3), max_size=10))
def test_lists_convert_where_they_have_the_length_of_the_input(values):
    feed = Feed(spec("FP32", 2), ("a",), side_by_side=False)
    expected = [value if value is not None and len(value) == 2 else None for value in values]
    for column in (pa.array(values, pa.list_(pa.float64())), list(values)):
        found = convert(feed, column, Nulls.NAN)
        assert json.loads(json.dumps(found).replace("NaN", "null")) == expected


@given(st.lists(st.none() | st.lists(st.none() | st.floats(-10, 10, width=32), max_size=3), max_size=10))
def test_lists_with_gaps_do_not_convert_where_null_is_rejected(values):
    expected = [
        value if value is not None and len(value) == 2 and None not in value else None for value in values
    ]
    feed = Feed(spec("FP32", 2), ("a",), side_by_side=False)
    assert convert(feed, pa.array(values, pa.list_(pa.float64()))) == expected
    assert convert(feed, list(values)) == expected


@given(st.lists(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=3), max_size=10))
def test_rows_of_an_open_width_all_convert(values):
    feed = Feed(spec("FP32", None), ("a",), side_by_side=False)
    assert convert(feed, pa.array(values, pa.large_list(pa.float32()))) == values
    assert convert(feed, list(values)) == values


def test_lists_may_be_flat_or_nested_for_an_input_of_two_axes():
    feed = Feed(spec("FP32", 2, 2), ("a",), side_by_side=False)
    nested = [[[1.0, 2.0], [3.0, 4.0]]]
    assert convert(feed, pa.array(nested)) == nested
    assert convert(feed, pa.array([[1.0, 2.0, 3.0, 4.0]], pa.list_(pa.float64(), 4))) == nested
    assert convert(feed, nested) == nested


COLUMNS = {
    "booleans as numbers": ("FP32", pa.array([True, False]), [1.0, 0.0]),
    "decimals": ("FP32", pa.array(["1.50"]).cast(pa.decimal128(5, 2)), [1.5]),
    "a dictionary of text": ("BYTES", pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    "numbers for a boolean": ("BOOL", pa.array([1, 0]), [None, None]),
    "floats that are whole": ("INT8", pa.array([1.0, 1.5, 128.0, float("nan")]), [1, None, None, None]),
    "floats too large for half precision": ("FP16", pa.array([1.0, 1e6]), [1.0, None]),
    "text of JSON for a boolean": ("BOOL", [True, "true", 1, MISSING, None], [True, None, None, None, None]),
    "booleans in cells": ("BOOL", pa.array([b"true", b"False", b"no"]), [True, False, None]),
}  # fmt: skip


@pytest.mark.parametrize(("datatype", "column", "expected"), COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_of_many_types_convert(datatype, column, expected):
    assert convert(Feed(spec(datatype), ("a",), side_by_side=True), column) == expected


def test_a_misfit_says_which_column_and_why():
    feed = Feed(spec("FP32"), ("age",), side_by_side=True)
    with pytest.raises(Misfit, match="column age: expected FP32, got array"):
        convert_feed(feed, [[[1]]], nulls=Nulls.REJECT)
    assert np.isnan(convert_feed(feed, [[None, MISSING]], nulls=Nulls.MISSING)).all()


X2 = Signature((spec("FP32", 2),), ())
NUMBERS = {"key": "number", "a": "number", "b": "number", "note": "text"}

FEEDS = {
    "all numbers but the id": (X2, NUMBERS, Choice(id_column="key"), ("a", "b")),
    "the caller's before the model's": (X2, NUMBERS, Choice(("b", "a"), ("a", "b")), ("b", "a")),
    "the model's": (X2, NUMBERS, Choice(features={"x": ("b", "key")}), ("b", "key")),
    "the input's own name": (X2, NUMBERS | {"x": "list"}, Choice(), ("x",)),
    "text for text": (Signature((spec("BYTES", 1),), ()), NUMBERS, Choice(), ("note",)),
    "cells, whatever they are": (X2, {"a": "cell", "b": "cell"}, Choice(), ("a", "b")),
    "one input by pair": (X2, {"vector": "list"}, Choice(("x=vector",)), ("vector",)),
}


@pytest.mark.parametrize(("signature", "kinds", "choice", "expected"), FEEDS.values(), ids=FEEDS.keys())
def test_columns_are_found_for_one_input(signature, kinds, choice, expected):
    [feed] = plan_feeds(signature, kinds, choice)
    assert feed.columns == expected


def test_columns_are_found_for_several_inputs():
    signature = Signature((spec("FP32", 1, name="age"), spec("FP32", None, name="v")), ())
    kinds = {"years": "number", "v": "list"}
    feeds = plan_feeds(signature, kinds, Choice(("age=years",)))
    assert [feed.columns for feed in feeds] == [("years",), ("v",)]


def test_the_models_own_names_feed_several_inputs_unless_the_caller_says_otherwise():
    signature = Signature((spec("FP32", 2, name="x"), spec("FP32", None, name="v")), ())
    kinds = {"a": "number", "b": "number", "x": "list", "v": "list"}
    named = {"x": ("b", "a")}
    feeds = plan_feeds(signature, kinds, Choice(features=named))
    assert [(feed.columns, feed.side_by_side) for feed in feeds] == [(("b", "a"), True), (("v",), False)]
    chosen = plan_feeds(signature, kinds, Choice(("x=x",), named))
    assert [feed.columns for feed in chosen] == [("x",), ("v",)]


UNCLEAR = {
    "three numbers for two": (X2, NUMBERS, Choice(), "which columns feed input x of shape [-1, 2]? 3 fit by type"),
    "an unknown input": (
        Signature((spec("FP32", name="a"), spec("FP32", name="b")), ()), NUMBERS, Choice(("c=a",)), "names input c",
    ),
    "a pair too few": (
        Signature((spec("FP32", name="a"), spec("FP32", name="b")), ()), NUMBERS, Choice(("a",)), "INPUT=COLUMN",
    ),
    "no batch": (Signature((TensorSpec("x", DATATYPES["FP32"], ()),), ()), NUMBERS, Choice(), "no batch dimension"),
}  # fmt: skip


@pytest.mark.parametrize(("signature", "kinds", "choice", "message"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_what_is_not_clear_is_asked_for(signature, kinds, choice, message):
    with pytest.raises(UsageError) as refusal:
        plan_feeds(signature, kinds, choice)
    assert message in str(refusal.value)


def test_outputs_keep_their_shape_as_nested_lists():
    outputs = [spec("FP16", 2, 2, name="m"), spec("BYTES", name="label"), spec("FP32", 1, name="p")]
    arrays = [
        np.arange(8, dtype=np.float16).reshape(2, 2, 2),
        np.array([b"a", "b"], dtype=object),
        np.ones((2, 1), np.float32),
    ]
    layout = OutputLayout(outputs, flatten=False)
    columns = layout.columns(arrays)
    assert [column.type for column in columns] == [field.type for field in layout.fields]
    assert [column.to_pylist() for column in columns] == [
        [[[0, 1], [2, 3]], [[4, 5], [6, 7]]], ["a", "b"], [1.0, 1.0],
    ]  # fmt: skip
    flat = OutputLayout(outputs, flatten=True)
    assert [field.name for field in flat.fields] == ["m_0", "m_1", "m_2", "m_3", "label", "p"]
    assert [column.to_pylist() for column in flat.columns(arrays)][:2] == [[0, 4], [1, 5]]
    with pytest.raises(UsageError, match="cannot be flattened"):
        OutputLayout([spec("FP32", None)], flatten=True)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a.parquet", "parquet"), ("d/b.CSV", "csv"), ("a.jsonl.gz", "jsonl"), ("a.csv.zst", "csv"), ("a.txt", None),
     ("a.parquet.gz", None), ("noext", None)],
)  # fmt: skip
def test_the_name_tells_the_format(path, kind):
    assert format_of(path) == kind


def test_an_object_store_is_read_and_written_like_a_folder(tmp_path):
    model = load_model(sum_and_negative(tmp_path / "model"), LoadOptions())
    source, target = (Folder(name, MemoryStore(), f"{name}/") for name in ("in", "out"))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": np.arange(10.0), "b": np.ones(10)}), sink, row_group_size=3)
    source.write("day/rows.parquet", sink.getvalue().to_pybytes())
    source.write("more.jsonl", b'{"a": 1, "b": 2}\n{"a": "x", "b": 2}\n')
    job = Job(source, pick_files(source.list(), None), target, part_rows=4, batch_size=2)
    with Progress(2) as progress:
        worker = PartScorer(job, model, "digest", target.make_workspace("0-of-1"), progress.add_rows)
        first = run_job(job, [worker], progress)
        again = run_job(job, [worker], progress)
    assert (first.parts, first.good_rows, first.bad_rows, first.complete) == (4, 11, 1, True)
    assert (again.reused_parts, again.good_rows, again.bad_rows) == (4, 11, 1)
    assert [file.path for file in target.list()] == [
        "_SUCCESS", "_bad/more.jsonl-part-00000.jsonl", "_shards/00000-of-00001.json",
        "day/rows.parquet-part-00000.parquet", "day/rows.parquet-part-00001.parquet",
        "day/rows.parquet-part-00002.parquet", "more.jsonl-part-00000.parquet",
    ]  # fmt: skip
    with target.open("day/rows.parquet-part-00001.parquet") as part:
        assert pq.read_table(part).column("total").to_pylist() == [5.0, 6.0, 7.0, 8.0]
    bad = json.loads(target.read("_bad/more.jsonl-part-00000.jsonl"))
    assert (bad["row"], bad["reason"]) == (1, "column a: expected FP32, got string 'x'")


def test_addresses_of_folders_are_checked(tmp_path):
    refuse_nesting("s3://bucket/in", "s3://bucket/in-scored")
    for source, target in (("s3://b/in", "s3://b/in/out"), (str(tmp_path), f"file://{tmp_path}/x")):
        with pytest.raises(UsageError, match="lies inside"):
            refuse_nesting(source, target)
    with pytest.raises(ScoreError, match="holds no files"):
        open_input(str(tmp_path))
    with pytest.raises(UsageError, match="names no bucket"):
        open_input("s3:///x")


@pytest.mark.parametrize(("width", "rows"), [(784, 2048), (1, 16_384)])
def test_a_block_of_parquet_has_whole_batches_of_some_megabytes_in_memory(tmp_path, width, rows):
    # Zeros take next to nothing in the file.
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(20_000 * width, np.float32)), width)
    pq.write_table(pa.table({"x": lists.cast(pa.list_(pa.float32()))}), tmp_path / "a.parquet")
    with closing(open_reader(local_folder(tmp_path), "a.parquet", "parquet", 1024)) as reader:
        sizes = [len(block) for block in reader.read(0, ["x"])]
    assert sum(sizes) == 20_000
    assert set(sizes[:-1]) == {rows}
