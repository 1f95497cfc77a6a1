"""Erasure: what is a person's goes, with its labels; what is not stays as it was, byte for byte."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from mooring_inference.erase.command import main

from tests.unit.damaged_parquet import damage
from tests.unit.inference.capture.capture_records import SECONDS, capturing, parts, record, signature, spec

NAMES = {"x": ["age", "customer"]}
KEY = "0123456789abcdef"


@pytest.fixture
def captured(tmp_path):
    """Two files of requests: r1 has rows of customers 7 and 8, r2 of 7, r3 of 9; labels of all of them."""
    folder = tmp_path / "captured"
    for requests in ([("r1", ((30, 7), (40, 8))), ("r2", ((50, 7),))], [("r3", ((60, 9),))]):
        capture = capturing(folder, names=NAMES)
        for request_id, x in requests:
            record(capture, request_id, x, tuple((0.5,) for _ in x))
            capture.labels.record("m", request_id, [1.0] * len(x))
        assert capture.close(SECONDS)
    return folder


@pytest.fixture
def listed(tmp_path):
    def write(*lines):
        path = tmp_path / "listed"
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return write


def left(folder):
    """Who is left: (id, row, customer) of requests, (id, row) of labels."""
    requests, labels = [], []
    for path in parts(folder):
        for row in pq.ParquetFile(path).read().to_pylist():
            if "labels" in path.parts:
                labels.append((row["id"], row["row"]))
            else:
                requests.append((row["request"]["id"], row["request"]["row"], row["customer"]))
    return sorted(requests), sorted(labels)


def erase(folder, *arguments):
    return main(["--capture_uri", str(folder), "--deployment", "m", *arguments])


def test_the_rows_of_a_person_go_with_their_labels(captured, listed, capsys):
    untouched = {path: path.read_bytes() for path in parts(captured)}
    assert erase(captured, "--column", "customer", "--values", listed("7")) == 0
    assert capsys.readouterr().out == "2 rows and 2 labels erased, in 2 of 4 files; answered by v1\n"
    requests, labels = left(captured)
    assert requests == [("r1", 1, 8.0), ("r3", 0, 9.0)]
    assert labels == [("r1", 1), ("r3", 0)]
    assert sum(path.read_bytes() == content for path, content in untouched.items()) == 2


def test_the_requests_of_ids_go(captured, listed, capsys):
    assert erase(captured, "--ids", listed("r1", "r2", "unknown")) == 0
    assert "3 rows and 3 labels erased" in capsys.readouterr().out
    # A file of which nothing is left is gone.
    assert left(captured) == ([("r3", 0, 9.0)], [("r3", 0)])
    assert len(parts(captured)) == 2


def test_what_is_left_has_the_form_that_it_had(captured, listed):
    before = {path: pq.ParquetFile(path).schema_arrow for path in parts(captured)}
    assert erase(captured, "--column", "customer", "--values", listed("7.0")) == 0
    assert {path: pq.ParquetFile(path).schema_arrow for path in parts(captured)} == before


def test_files_with_a_flipped_bit_are_told_also_after_an_erasure(captured, listed, capsys):
    folder, others = captured, parts(captured)
    capture = capturing(folder, names=NAMES)
    # What compression leaves as it is, it does not check.
    ages = np.random.default_rng(0).normal(size=200)
    record(capture, "r1", [(age, 7 if place else 8) for place, age in enumerate(ages)], [(0.5,)] * 200)
    assert capture.close(SECONDS)
    [path] = set(parts(folder)) - set(others)
    whole = path.read_bytes()
    damage(path, "age")
    assert erase(folder, "--column", "customer", "--values", listed("7")) == 1
    assert "1 files cannot be read, and may hold such rows" in capsys.readouterr().err
    path.write_bytes(whole)
    assert erase(folder, "--column", "customer", "--values", listed("8")) == 0
    damage(path, "age")
    capsys.readouterr()
    assert erase(folder, "--column", "customer", "--values", listed("7")) == 1
    assert "1 files cannot be read" in capsys.readouterr().err


def test_a_dry_run_changes_nothing(captured, listed, capsys):
    before = {path: path.read_bytes() for path in parts(captured)}
    assert erase(captured, "--column", "customer", "--values", listed("7"), "--dry_run") == 0
    assert capsys.readouterr().out.startswith("2 rows and 2 labels would be erased, in 2 of 4 files")
    assert {path: path.read_bytes() for path in parts(captured)} == before


def test_once_more_finds_nothing(captured, listed, capsys):
    for _ in range(2):
        assert erase(captured, "--column", "customer", "--values", listed("7")) == 0
    assert capsys.readouterr().out.splitlines()[1] == "0 rows and 0 labels erased, in 0 of 4 files"


@pytest.mark.parametrize(("datatype", "value"), [("FP32", "7"), ("INT64", "7"), ("BYTES", "ann@example.org")])
def test_digested_values_are_found_by_their_key(tmp_path, listed, capsys, datatype, value):
    folder, sig = tmp_path / "captured", signature([spec("x", datatype)])
    key = tmp_path / "key"
    key.write_text(KEY)
    capture = capturing(
        folder, sig=sig, names=NAMES, mask="customer=hmac", hmac_key_file=str(key), environ={}
    )
    others = {"FP32": (1.0, 8.0), "INT64": (1, 8), "BYTES": (b"x", b"bob@example.org")}[datatype]
    own = {"FP32": (1.0, 7.0), "INT64": (1, 7), "BYTES": (b"x", value.encode())}[datatype]
    record(capture, "r1", (own, others), ((0.5,), (0.5,)), sig=sig)
    assert capture.close(SECONDS)
    options = ("--column", "customer", "--values", listed(value))
    assert erase(folder, *options) == 0
    assert capsys.readouterr().out.startswith("0 rows")
    assert erase(folder, *options, "--capture_hmac_key_file", str(key)) == 0
    assert capsys.readouterr().out.startswith("1 rows and 0 labels erased")
    assert [(request_id, row) for request_id, row, _ in left(folder)[0]] == [("r1", 1)]


def test_a_file_that_cannot_be_read_is_told(captured, listed, capsys):
    broken = parts(captured)[0]
    broken.write_bytes(b"no parquet")
    assert erase(captured, "--ids", listed("r1", "r2", "r3")) == 1
    out, err = capsys.readouterr()
    assert "erased" in out
    assert broken.name in err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "nothing says what to erase: --ids, or --column and --values"),
        (("--column", "customer"), "--column and --values belong together"),
        (
            ("--column", "costumer", "--values", "FILE"),
            "--column 'costumer': no captured file has it; columns are age",
        ),
        (("--ids", "EMPTY"), "is empty"),
        (("--ids", "MISSING"), "No such file"),
        (("--ids", "FILE", "--capture_uri", "ftp://x"), "ftp"),
    ],
)
def test_bad_input_is_one_line(captured, listed, tmp_path, capsys, arguments, why):
    (tmp_path / "empty").write_text("\n")
    places = {"FILE": listed("7"), "EMPTY": str(tmp_path / "empty"), "MISSING": str(tmp_path / "missing")}
    code = erase(captured, *(places.get(one, one) for one in arguments))
    out, err = capsys.readouterr()
    assert (code, out, why in err, len(err.splitlines())) == (1 if "MISSING" in arguments else 2, "", True, 1)


def test_a_deployment_without_files_is_no_error(captured, listed, capsys):
    assert main(["--capture_uri", str(captured), "--deployment", "other", "--ids", listed("r1")]) == 0
    assert capsys.readouterr().out == "0 rows and 0 labels erased, in 0 of 0 files\n"
