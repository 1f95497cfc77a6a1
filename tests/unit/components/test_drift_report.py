"""Reports of drift from files in stores, and what is said of files that cannot be compared."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.run_documents import MOST_FEATURES
from mooring_components.drift.report import make_report
from mooring_components.memory import memory_left

from tests.unit.damaged_parquet import damage


def table(rows, seed, shift=0.0, shifted=0):
    values = np.random.default_rng(seed).normal(size=(rows, 50))
    values[:, :shifted] += shift
    return pa.table({f"f{index:02}": values[:, index] for index in range(50)})


def question(baseline, window):
    detectors = {"ks": {"alpha": 0.01}, "psi": {"threshold": 0.2, "bins": 10}}
    return {"baseline": {"uri": baseline}, "window": {"uri": window}, "minRows": 100, **detectors}


def test_a_window_of_several_files_is_compared_with_its_baseline(tmp_path):
    pq.write_table(table(2000, 0), tmp_path / "baseline.parquet")
    (tmp_path / "window").mkdir()
    for part in range(2):
        pq.write_table(table(300, part + 1, shift=1.0, shifted=2), tmp_path / "window" / f"{part}.parquet")
    found = make_report(question(f"file://{tmp_path}/baseline.parquet", f"file://{tmp_path}/window"), "run")
    assert found.run_id == "run"
    assert (found.baseline_rows, found.window_rows) == (2000, 600)
    assert [f.name for f in found.features if f.drifted] == found.drifted_features == ["f00", "f01"]
    assert found.window_digest.startswith("sha256:")


def test_files_of_a_folder_may_differ_in_what_they_lack(tmp_path):
    pq.write_table(pa.table({"x": range(300), "y": range(300)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [float(i) for i in range(300)]}), tmp_path / "b.parquet")
    (tmp_path / "_SUCCESS").touch()
    folder = f"file://{tmp_path}"
    found = make_report(question(folder, folder), "run")
    assert [(f.name, f.missing, f.drifted) for f in found.features] == [("x", 0.0, False), ("y", 0.5, False)]


def test_what_is_wrong_with_the_files_is_a_failure_with_a_reason(tmp_path):
    content = bytearray(_parquet(tmp_path / "good.parquet", table(200, 0)).read_bytes())
    content[4:-2000] = b"?" * (len(content) - 2004)
    (tmp_path / "damaged.parquet").write_bytes(content)
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    (tmp_path / "empty").mkdir()
    good, gone, broken, damaged = (
        f"file://{tmp_path}/{name}.parquet" for name in ("good", "gone", "broken", "damaged")
    )
    for baseline, window, reason, said in (
        (gone, good, "BaselineUnreadable", "does not exist"),
        (good, broken, "WindowUnreadable", "is not Parquet"),
        (good, damaged, "WindowUnreadable", "damaged"),
        (good, "ftp://x/y", "WindowUnreadable", "is not allowed"),
        (f"file://{tmp_path}/empty", good, "BaselineUnreadable", "holds no files"),
    ):
        error = make_report(question(baseline, window), "run").error
        assert error.reason == reason
        assert error.message.startswith(f"spec.{reason.removesuffix('Unreadable').lower()}.uri")
        assert said in error.message
        assert "\n" not in error.message


def test_a_flipped_bit_is_a_failure_where_the_file_has_checksums(tmp_path):
    rows, baseline = tmp_path / "rows.parquet", tmp_path / "baseline.parquet"
    _parquet(baseline, table(2000, 0))
    options = {"write_page_checksum": True, "compression": "none", "use_dictionary": False}
    pq.write_table(table(300, 1), rows, **options)
    damage(rows, "f07")
    error = make_report(question(f"file://{baseline}", f"file://{rows}"), "run").error
    assert error.reason == "WindowUnreadable"
    assert "'f07' cannot be read" in error.message


@pytest.mark.parametrize(("memory", "field"), [(1000, "baseline"), (700_000, "window")])
def test_rows_that_the_container_has_no_memory_for_are_a_failure_with_a_reason(tmp_path, memory, field):
    rows = f"file://{_parquet(tmp_path / 'rows.parquet', table(1000, 0))}"
    error = make_report(question(rows, rows), "run", memory).error
    assert error.reason == "TooLarge"
    assert error.message.startswith(f"spec.{field}.uri")


def test_more_than_is_read_is_a_failure_with_a_reason(tmp_path):
    wide = {f"f{index}": range(20) for index in range(MOST_FEATURES + 1)}
    # Each name counts for many values.
    odd = {f"{',' * 200}{index}": range(20) for index in range(1000)}
    for columns in (wide, odd):
        rows = f"file://{_parquet(tmp_path / 'rows.parquet', pa.table(columns))}"
        error = make_report({**question(rows, rows), "minRows": 20}, "run").error
        assert error.reason == "TooLarge"
        assert "name those that matter in spec.features" in error.message


@pytest.mark.parametrize(("limit", "left"), [("805306368", 609222656), ("max", None), ("1000", 0)])
def test_what_a_container_has_left_is_its_limit_without_what_is_held(tmp_path, limit, left):
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.stat").write_text("anon 145752064\nfile 12345\n")
    assert memory_left(tmp_path) == left
    assert memory_left(tmp_path / "none") is None


def test_an_evaluation_does_not_import_what_takes_long():
    code = "import sys, mooring_components.drift.report; print([m for m in sys.modules if m in sys.argv])"
    slow = ["scipy.stats", "scipy.optimize", "pandas"]
    said = subprocess.run([sys.executable, "-c", code, *slow], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def _parquet(path, rows):
    pq.write_table(rows, path)
    return path
