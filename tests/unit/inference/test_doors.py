"""Odd input is answered alike at every door: protocols, files and streams."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from mooring_inference.grpc_front.schema import message

from tests.unit.inference.doors import KINDS, ONE_ROW, REFUSED, Doors, Inexpressible, save_models

NAN, INF = math.nan, math.inf

# Rows by what is odd about them, with what becomes of each: a request with a row that is refused is refused.
CASES = {
    "nothing odd": ("FP32", [[1, 2.5], [-0.0, 1e30]], [[1, 2.5], [-0.0, 1e30]]),
    "null first": ("FP32", [[None, 1.0], [2.0, None]], [[None, 1], [2, None]]),
    "null in doubles": ("FP64", [[1.0, 2.0], [None, 1.5]], [[1, 2], [None, 1.5]]),
    "null alone": ("FP32", [[None, None]], [[None, None]]),
    "null in whole numbers": ("INT64", [[1, 2], [3, None]], [[1, 2], REFUSED]),
    "null first in whole numbers": ("INT64", [[None, 2], [3, 4]], [REFUSED, [3, 4]]),
    "null in bytes": ("UINT8", [[None, 2]], [REFUSED]),
    "null in truths": ("BOOL", [[True, None]], [REFUSED]),
    "null in text": ("BYTES", [["a", None]], [REFUSED]),
    "NaN": ("FP32", [[NAN, 1.0]], [[None, 1]]),
    "infinities": ("FP32", [[INF, -INF]], [[INF, -INF]]),
    "the least denormal of floats": ("FP32", [[1e-45, -1e-45]], [[1e-45, -1e-45]]),
    "too small for floats": ("FP32", [[1e-60, 1.0]], [[0, 1]]),
    "the least denormal of doubles": ("FP64", [[5e-324, 1.0]], [[5e-324, 1]]),
    "too large for floats": ("FP32", [[1e39, 1.0], [1.0, 2.0]], [REFUSED, [1, 2]]),
    "a huge whole number in floats": ("FP32", [[2**70, 1]], [[2.0**70, 1]]),
    "a huge whole number in doubles": ("FP64", [[2**64, 2**53 + 1]], [[2.0**64, 2.0**53]]),
    "the largest whole numbers": ("INT64", [[2**63 - 1, -(2**63)]], [[2**63 - 1, -(2**63)]]),
    "beyond the largest whole number": ("INT64", [[2**63, 1], [1, 2]], [REFUSED, [1, 2]]),
    "far beyond the largest whole number": ("INT64", [[2**70, 1]], [REFUSED]),
    "a negative number without a sign": ("UINT8", [[-1, 1], [255, 0]], [REFUSED, [255, 0]]),
    "whole numbers written as floats": ("INT64", [[1.0, 2.0]], [[1, 2]]),
    "a fraction among whole numbers": ("INT64", [[1.5, 2.0], [3.0, 4.0]], [REFUSED, [3, 4]]),
    "NaN in text where numbers are": ("FP32", [["NaN", 1.0]], [REFUSED]),
    "a number in text": ("FP32", [["1.5", "2"]], [REFUSED]),
    "truths among numbers": ("FP32", [[True, False]], [[1, 0]]),
    "numbers among truths": ("BOOL", [[1, 0]], [REFUSED]),
    "truths": ("BOOL", [[True, False]], [[True, False]]),
    "numbers in text": ("BYTES", [[1, 2]], [REFUSED]),
    "NaN and null as text": ("BYTES", [["NaN", "null"], ["", "NA"]], [["NaN", "null"], ["", "NA"]]),
    "text of all kinds": ("BYTES", [["é\u202e\U0001f600", 'a,"b"\n\r\tc'], ["\ufeffx", "-"]],
                          [["é\u202e\U0001f600", 'a,"b"\n\r\tc'], ["\ufeffx", "-"]]),
    "half a surrogate pair": ("BYTES", [["\ud800", "a"]], [REFUSED]),
    "an image in text": ("BYTES", [[b"\x89PNG\r\n\x1a\n\x00\xff", b"a"], ["a", "b"]], [REFUSED, ["a", "b"]]),
    "latin-1 in text": ("BYTES", [["é".encode("latin-1"), b"a"]], [REFUSED]),
    "no rows": ("FP32", [], []),
    "no rows for a model of one row": (ONE_ROW, [], []),
    "rows for a model of one row": (ONE_ROW, [[1, None], [3, 4], [5, 6]], [[1, None], [3, 4], [5, 6]]),
    "ragged rows for a model of one row": (ONE_ROW, [[1], [3, 4]], [REFUSED, [3, 4]]),
    "ragged rows": ("FP32", [[1.0, 2.0], [3.0]], [[1, 2], REFUSED]),
    "rows of nothing": ("FP32", [[], []], [REFUSED, REFUSED]),
    "rows too long": ("INT64", [[1, 2, 3]], [REFUSED]),
    "lists for numbers": ("FP32", [[[1.0], [2.0]]], [REFUSED]),
    "objects for numbers": ("FP32", [[{"a": 1}, 2.0]], [REFUSED]),
}  # fmt: skip
DOORS = [
    "V1", "V1 by name", "explain", "V2", "V2 nested", "V2 by column", "V2 binary", "V2 binary by column", "gRPC",
    "gRPC raw", "gRPC by column", "score JSON lines", "score JSON lists", "score CSV", "score Parquet", "stream",
    "stream V2",
]  # fmt: skip
# Per row, and not by the request.
BY_ROW = {"score JSON lines", "score JSON lists", "score CSV", "score Parquet", "stream"}


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    found = Doors(save_models(tmp_path_factory.mktemp("models")))
    yield found
    found.close()


def test_the_table_has_every_door(doors):
    assert list(doors.all) == DOORS


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", CASES)
def test_odd_rows_are_answered_alike(doors, door, case):
    kind, rows, expected = CASES[case]
    if door not in BY_ROW and REFUSED in expected:
        expected = [REFUSED for _ in rows]
    try:
        found = doors.all[door](kind, rows)
    except Inexpressible:
        return
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if REFUSED in (one, other) or kind not in ("FP32", "FP64", ONE_ROW):
            assert one == other
        else:
            dtype = np.float64 if kind == "FP64" else np.float32
            np.testing.assert_array_equal(np.array(one, dtype), np.array(other, dtype))


ROW = {"a": 1, "b": 2}
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
)
TEXT = {
    "utf-8 with a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "two byte order marks": lambda text: b"\xef\xbb\xbf" * 2 + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-32": lambda text: text.encode("utf-32"),
    "latin-1": lambda text: text.replace("a", "é").encode("latin-1"),
    "an image": lambda _: PNG,
    "nothing": lambda _: b"",
    "zeros": lambda _: bytes(64),
    "cut off": lambda text: text.encode()[:-3],
    "NaN as a word": lambda text: text.replace("1", "NaN").encode(),
    "an infinity as a word": lambda text: text.replace("1", "-Infinity").encode(),
    "a number without an end": lambda text: text.replace("1", "1" + "0" * 400).encode(),
    "a key twice": lambda text: text.replace('"a": 1', '"a": 7, "a": 1').encode(),
    "brackets without an end": lambda text: text.replace("1", "[" * 100_000).encode(),
    "a comment": lambda text: text.replace("1", "/* one */ 1").encode(),
    "single quotes": lambda text: text.replace('"', "'").encode(),
}
ANSWERED = {"utf-8 with a byte order mark", "a key twice"}
BODIES = {
    "V1": lambda doors, change: doors.post(
        "/v1/models/FP32:predict", change(json.dumps({"instances": [ROW]}))
    ),
    "explain": lambda doors, change: doors.post(
        "/v1/models/FP32:explain", change(json.dumps({"instances": [ROW]}))
    ),
    "V2": lambda doors, change: doors.post(
        "/v2/models/FP32/infer",
        change(
            json.dumps(
                {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], "a": 1}]}
            )
        ),
    ),
    "stream": lambda doors, change: doors.consume("FP32", [change(json.dumps({"features": ROW}))])[0],
    "score JSON lines": lambda doors, change: score_line(doors, change(json.dumps(ROW))),
}


def score_line(doors, line):
    """The one row of a file that was scored; None where there is none."""
    code, good, bad = doors.score_file("FP32", "rows.jsonl", line)
    assert code or bool(good) != bool(bad), "a row that is neither scored nor bad"
    return None if code else good.get(0)


@pytest.mark.parametrize("door", BODIES)
@pytest.mark.parametrize("text", TEXT)
def test_odd_bytes_for_json_are_answered_alike(doors, door, text):
    assert (BODIES[door](doors, TEXT[text]) is not None) == (text in ANSWERED)


FILES = {
    "a table": (b"a,b\n1,2\n", {0: [1, 2]}),
    "utf-8 with a byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", {0: [1, 2]}),
    "lines of Windows": (b"a,b\r\n1,2\r\n", {0: [1, 2]}),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), None),
    "an image": (PNG, None),
    "nothing": (b"", None),
    "a column twice": (b"a,a,b\n1,2,3\n", None),
    "semicolons": (b"a;b\n1;2\n", None),
    "a number beyond all floats": (b"a,b\n1e400,2\n1,2\n", {1: [1, 2]}),
    "a cell that is empty": (b"a,b\n,2\n", {0: [NAN, 2]}),
    "latin-1": (b"a,b\n\xe9,2\n1,2\n", {1: [1, 2]}),
    "numbers in other digits": ("a,b\n\u0661,2\n1,2\n".encode(), {1: [1, 2]}),
    "thousands": (b'a,b\n"1,000",2\n1,2\n', {1: [1, 2]}),
    "a hexadecimal number": (b"a,b\n0x10,2\n1,2\n", {1: [1, 2]}),
}


@pytest.mark.parametrize("file", FILES)
def test_odd_csv_is_read_or_refused(doors, file):
    content, expected = FILES[file]
    code, good, _ = doors.score_file("FP32", "rows.csv", content)
    assert (code == 0) == (expected is not None)
    if expected is not None:
        assert good.keys() == expected.keys()
        np.testing.assert_array_equal(list(good.values()), list(expected.values()))


@pytest.mark.parametrize("content", [PNG, b"", bytes(64), b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_what_is_no_parquet_is_refused(doors, content, capsys):
    assert doors.score_file("FP32", "rows.parquet", content)[0] == 1
    assert "rows.parquet cannot be read as parquet" in capsys.readouterr().err


@pytest.mark.parametrize("content", [PNG, bytes(64), b"\x0a\xff\xff\xff\x7f", b"FP32"])
def test_what_is_no_message_is_refused_over_grpc(doors, content):
    assert doors.call(content) is None


SHAPES = {
    "no dimension": [],
    "one dimension": [2],
    "three dimensions": [1, 1, 2],
    "too wide": [1, 3],
    "too few rows": [0, 2],
    "too many rows": [2, 2],
    "a negative size": [-1, 2],
    "a size that overflows": [2**40, 2**40],
    "the largest size": [2**63 - 1, 2],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_do_not_fit_are_refused_alike(doors, shape):
    sizes = SHAPES[shape]
    tensor = {"name": "x", "datatype": "FP32", "shape": sizes, "data": [1, 2]}
    assert doors.post("/v2/models/FP32/infer", {"inputs": [tensor]}) is None
    assert doors.consume("FP32", [json.dumps({"inputs": [tensor]}).encode()]) == [None]
    raw = np.array([1, 2], np.float32).tobytes()
    head = {"name": "x", "datatype": "FP32", "shape": sizes, "parameters": {"binary_data_size": len(raw)}}
    body = json.dumps({"inputs": [head]}).encode()
    answer = doors.send(
        "/v2/models/FP32/infer", body + raw, {"inference-header-content-length": str(len(body))}
    )
    assert answer.status_code == 400
    for contents in ("typed", "raw"):
        request = message("ModelInferRequest")(model_name="FP32")
        sent = request.inputs.add(name="x", datatype="FP32", shape=sizes)
        if contents == "typed":
            sent.contents.fp32_contents.extend([1, 2])
        else:
            request.raw_input_contents.append(raw)
        assert doors.call(request.SerializeToString()) is None


def test_classes_of_text_are_refused_alike(doors):
    """In a message they had ended the consumer, and each that took it over."""
    wanted = [{"name": "y", "parameters": {"classification": 1}}]
    body = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1, 2], "data": ["a", "b"]}]}
    answer = doors.send("/v2/models/BYTES/infer", json.dumps(body | {"outputs": wanted}).encode())
    expected = "outputs[0].parameters.classification: expected an output of numbers, got BYTES"
    assert answer.json()["error"] == expected
    assert doors.consume("BYTES", [json.dumps(body | {"outputs": wanted}).encode()]) == [None]
    request = message("ModelInferRequest")(model_name="BYTES")
    sent = request.inputs.add(name="x", datatype="BYTES", shape=[1, 2])
    sent.contents.bytes_contents.extend([b"a", b"b"])
    request.outputs.add(name="y").parameters["classification"].int64_param = 1
    assert doors.call(request.SerializeToString()) is None


@pytest.mark.parametrize("length", [256, 257])
def test_ids_have_the_same_length_at_every_door(doors, length):
    name, is_answered = "i" * length, length <= 256
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    v2 = {"id": name, "inputs": [tensor]}
    assert (doors.post("/v2/models/FP32/infer", v2) is not None) == is_answered
    request = message("ModelInferRequest")(model_name="FP32", id=name)
    sent = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    sent.contents.fp32_contents.extend([1, 2])
    assert (doors.call(request.SerializeToString()) is not None) == is_answered
    for body in (v2, {"id": name, "features": [1, 2]}):
        (found,) = doors.consume("FP32", [json.dumps(body).encode()])
        assert (found is not None) == is_answered


NAMED = {
    "in any order": ({"b": 2, "a": 1}, True),
    "one missing": ({"a": 1}, False),
    "one more": ({"a": 1, "b": 2, "c": 3}, False),
    "of the input": ({"x": [1, 2]}, True),
    "of the input and of columns": ({"x": [1, 2], "a": 1}, False),
    "of others": ({"c": 1, "d": 2}, False),
    "none": ({}, False),
    "in other letters": ({"A": 1, "B": 2}, False),
}


@pytest.mark.parametrize("case", NAMED)
def test_names_are_understood_alike(doors, case):
    row, is_answered = NAMED[case]
    expected = [1, 2] if is_answered else None
    found = doors.post("/v1/models/FP32:predict", {"instances": [row]})
    assert (found and found["predictions"][0]) == expected
    found = doors.post("/v1/models/FP32:explain", {"instances": [row]})
    assert (found and found["predictions"][0]) == expected
    (found,) = doors.consume("FP32", [json.dumps({"features": row}).encode()])
    assert (found and json.loads(found)["outputs"]["y"]) == expected
    tensors = [
        {
            "name": name,
            "datatype": "FP32",
            "shape": [1, 2] if name == "x" else [1, 1],
            "data": value if name == "x" else [value],
        }
        for name, value in row.items()
    ]
    found = doors.post("/v2/models/FP32/infer", {"inputs": tensors})
    assert (found and found["outputs"][0]["data"]) == expected
    request = message("ModelInferRequest")(model_name="FP32")
    for tensor in tensors:
        sent = request.inputs.add(name=tensor["name"], datatype="FP32", shape=tensor["shape"])
        sent.contents.fp32_contents.extend(tensor["data"])
    found = doors.call(request.SerializeToString())
    assert (found and list(found.outputs[0].contents.fp32_contents)) == expected


def test_rows_may_name_what_they_hold_differently(doors):
    rows = [{"a": 1, "b": 2}, {"x": [3, 4]}, {"b": 6, "a": 5}, {"a": 7, "b": None}]
    found = doors.post("/v1/models/FP32:predict", {"instances": rows})
    assert found == {"predictions": [[1, 2], [3, 4], [5, 6], [7, None]]}


def test_a_name_that_is_not_the_models_is_said(doors):
    answer = doors.send(
        "/v1/models/FP32:predict", b'{"instances": [{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}]}'
    )
    assert answer.json()["error"] == "instances[1].c: expected a name out of ['a', 'b'], got an unknown name"
    answer = doors.send("/v1/models/FP32:predict", b'{"instances": [{"a": 1, "b": 2}, {"a": 1, "b": "2"}]}')
    assert answer.json()["error"] == "instances[1].b: expected FP32, got string '2'"
    answer = doors.send("/v1/models/FP32:predict", b'{"instances": [{"b": 2, "a": [1]}]}')
    assert answer.json()["error"] == "instances[0].a: expected FP32, got array"
    (spec,) = doors.http.get("/v2/models/FP32").json()["inputs"]
    assert spec["parameters"] == {"columns": ["a", "b"]}


def test_the_table_has_every_kind_of_values_and_models():
    assert {kind for kind, _, _ in CASES.values()} == set(KINDS)
