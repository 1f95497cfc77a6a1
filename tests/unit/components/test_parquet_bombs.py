"""Small files that are large once they are decoded, or say so, take no more memory than there is for them."""

import json
import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_components.datasets import load_test_data
from mooring_components.drift.report import make_report
from mooring_components.parquet import TooLarge

MIB = 1 << 20
LONG = "x" * MIB
MEMORY = 256 * MIB


def dictionary(path):
    """1000 rows of one string of a MiB, which the file holds once."""
    pq.write_table(pa.table({"s": [LONG] * 1000, "x": np.arange(1000.0)}), path, compression="zstd")


def prefixes(path):
    """Each value is as much of the one before it, and nothing more."""
    write_strings(path, column_encoding={"s": "DELTA_BYTE_ARRAY"})


def compressed(path):
    """Plain values in pages that zstd makes ten thousand times smaller."""
    write_strings(path)


def write_strings(path, **options):
    table = pa.table({"s": [LONG] * 1000})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, **options)


def row_groups(path):
    """A dictionary of a MiB in each of 1000 row groups."""
    with pq.ParquetWriter(path, pa.schema([("s", pa.string())]), compression="zstd") as writer:
        for _ in range(1000):
            writer.write_table(pa.table({"s": [LONG]}))


def run_lengths(path):
    """60 million rows of one number, in pages that say how often it comes."""
    values = pa.array([7], pa.int8()).take(pa.array(np.zeros(60_000_000, np.int32)))
    pq.write_table(pa.table({"x": values}), path, compression="zstd")


def lists(path):
    """A column of lists: nothing compares it, and each row is a list of a million zeros."""
    values = pa.array(np.zeros(MIB * 100))
    offsets = pa.array(np.arange(101, dtype=np.int32) * MIB)
    pq.write_table(pa.table({"v": pa.ListArray.from_arrays(offsets, values), "x": np.arange(100.0)}), path)


def claim_rows(path, claimed):
    """A file of 200 rows whose footer says that it has `claimed`."""
    pq.write_table(pa.table({"x": np.arange(200.0)}), path, use_dictionary=False)
    content = path.read_bytes()
    length = struct.unpack("<I", content[-8:-4])[0]
    footer = content[-8 - length : -8]
    assert varint(200) in footer
    footer = footer.replace(varint(200), varint(claimed))
    path.write_bytes(content[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1")


def varint(number):
    """A field of type i64 that follows the one before it, in Thrift's compact protocol."""
    zigzag = number * 2 if number >= 0 else -number * 2 - 1
    out = b"\x16"
    while zigzag >= 128:
        out += bytes([zigzag & 127 | 128])
        zigzag >>= 7
    return out + bytes([zigzag])


def question(path):
    uri = f"file://{path}"
    return {
        "baseline": {"uri": uri},
        "window": {"uri": uri},
        "minRows": 20,
        "ks": {"alpha": 0.01},
        "psi": {"threshold": 0.2, "bins": 10},
    }


COMPARE = """
from mooring_components.drift.report import make_report
def work(argument):
    return make_report(argument, "r", MEMORY).to_json().decode()
"""
LOAD = """
from mooring_artifacts.errors import InputError
from mooring_components.datasets import load_test_data
def work(argument):
    try:
        load_test_data(argument, "s", MEMORY)
    except InputError as error:
        return json.dumps([type(error).__name__, str(error)])
"""
MEASURE = """
import json, resource, sys
import scipy.special, pyarrow.parquet
MEMORY = int(sys.argv[2])
exec(sys.argv[3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = work(json.loads(sys.argv[1]))
taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(json.dumps([json.loads(found), taken]))
assert len(bytearray(2 * MEMORY)) == 2 * MEMORY, "the limit outlives the work"
"""


def measure(argument, work, memory=MEMORY):
    """What a process of its own answers, and the MiB that it took on top of what it had before."""
    command = [sys.executable, "-c", MEASURE, json.dumps(argument), str(memory), work]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(path):
    return measure(question(path), COMPARE)


@pytest.mark.parametrize("bomb", [prefixes, compressed, row_groups, run_lengths])
def test_what_grows_beyond_the_memory_there_is_is_too_large(tmp_path, bomb):
    path = tmp_path / "bomb.parquet"
    bomb(path)
    assert path.stat().st_size < MIB
    document, taken = ask(path)
    assert document["error"]["reason"] == "TooLarge"
    assert document["error"]["message"].startswith("spec.baseline.uri 'file://")
    assert taken < MEMORY / MIB + 32


def test_a_dictionary_is_not_written_out_to_be_compared(tmp_path):
    path = tmp_path / "bomb.parquet"
    dictionary(path)
    document, taken = ask(path)
    assert [(f["name"], f["kind"], f["rows"]) for f in document["features"]] == [
        ("s", "category", 1000),
        ("x", "number", 1000),
    ]
    assert taken < 64


def test_columns_that_nothing_compares_are_not_decoded(tmp_path):
    path = tmp_path / "bomb.parquet"
    lists(path)
    document, taken = ask(path)
    assert [feature["name"] for feature in document["features"]] == ["x"]
    assert taken < 64


@pytest.mark.parametrize(
    ("claimed", "reason", "message"),
    [
        (1 << 50, "TooLarge", "MiB of memory, and there are 255 MiB"),
        (-200, "BaselineUnreadable", "is not Parquet"),
        ((1 << 63) - 1, "TooLarge", "MiB of memory, and there are 255 MiB"),
    ],
)
def test_rows_that_a_file_only_claims_are_not_waited_for(tmp_path, claimed, reason, message):
    claim_rows(tmp_path / "x.parquet", claimed)
    document, taken = ask(tmp_path / "x.parquet")
    assert document["error"]["reason"] == reason
    assert message in document["error"]["message"]
    assert taken < 64


def test_rows_that_a_file_has_more_of_than_it_claims_are_not_read(tmp_path):
    claim_rows(tmp_path / "x.parquet", 150)
    document, _ = ask(tmp_path / "x.parquet")
    assert document.get("baselineRows", 150) == 150


@pytest.mark.parametrize("nested", [False, True])
def test_more_columns_than_anybody_compares_are_too_large(tmp_path, nested):
    columns = {f"c{number}": [0.0] * 20 for number in range(10_001)}
    table = pa.table(columns)
    pq.write_table(pa.table({"s": table.to_struct_array()}) if nested else table, tmp_path / "x.parquet")
    failure = make_report(question(tmp_path / "x.parquet"), "r")
    assert failure.error.reason == "TooLarge"
    assert failure.error.message.endswith("has 10001 columns; 10000 are allowed")


def test_a_footer_that_is_larger_than_its_columns_need_is_not_parsed(tmp_path):
    table = pa.table({"x": np.arange(200.0)}).replace_schema_metadata({"k": "v" * (17 * MIB)})
    pq.write_table(table, tmp_path / "x.parquet")
    failure = make_report(question(tmp_path / "x.parquet"), "r")
    assert failure.error.reason == "TooLarge"
    assert "16777216 are allowed" in failure.error.message


def test_names_that_no_report_could_hold_are_refused(tmp_path):
    pq.write_table(pa.table({"n" * 1001: np.arange(200.0)}), tmp_path / "x.parquet")
    failure = make_report(question(tmp_path / "x.parquet"), "r")
    assert failure.error.reason == "BaselineUnreadable"
    assert "longer than 1000 characters" in failure.error.message


@pytest.mark.parametrize("bomb", [dictionary, prefixes, compressed, row_groups])
def test_test_data_takes_no_more_memory_than_there_is(tmp_path, bomb):
    bomb(tmp_path / "bomb.parquet")
    (kind, message), taken = measure(f"file://{tmp_path}/bomb.parquet", LOAD)
    assert kind == "TooLarge"
    assert "bomb.parquet' takes more than 256 MiB of memory once it is decoded" in message
    assert taken < MEMORY / MIB + 32


def test_test_data_whose_files_alone_are_too_large_is_not_fetched(tmp_path):
    (tmp_path / "x.parquet").write_bytes(bytes(2 * MIB))
    with pytest.raises(TooLarge, match="takes 2 MiB of memory, and there are 1 MiB"):
        load_test_data(f"file://{tmp_path}/x.parquet", "label", MIB)
