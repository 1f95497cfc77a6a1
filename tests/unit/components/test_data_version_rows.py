"""Rows of a version feed tests, schemas and baselines as files do, and are what the version says."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from mooring_artifacts.data_versions.references import parse_dataset, pin
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.storage import content_digest
from mooring_components.data_versions import push
from mooring_components.datasets import load_test_data
from mooring_components.drift.rows import open_rows
from mooring_components.validation.step import copy_rows, validate_at

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def iris(tmp_path):
    """The address of a dataset with two versions, the newer of two files."""
    rows, dataset = tmp_path / "rows", parse_dataset((tmp_path / "store" / "iris").as_uri())
    rows.mkdir()
    for name, value in (("a", 1), ("b", 2)):
        pl.DataFrame({"x": [value], "label": [value]}).write_parquet(rows / f"{name}.parquet")
        push(rows.as_uri(), dataset, NOW)
    return str(dataset)


def test_test_data_has_the_version_for_its_digest(iris, tmp_path):
    found = load_test_data(f"{iris}@latest", "label")
    assert (found.labels.tolist(), found.digest) == ([1, 2], content_digest((tmp_path / "rows").as_uri()))
    first = load_test_data(f"{iris}@1", "label")
    assert (first.labels.tolist(), first.digest != found.digest) == ([1], True)
    assert (
        load_test_data(f"{iris}@{first.digest}", "label", expected_digest=first.digest).digest == first.digest
    )


def test_a_newer_version_does_not_move_what_was_pinned(iris, tmp_path):
    before = load_test_data(f"{iris}@latest", "label")
    pl.DataFrame({"x": [3], "label": [3]}).write_parquet(tmp_path / "rows/c.parquet")
    push((tmp_path / "rows").as_uri(), parse_dataset(iris), NOW)
    with pytest.raises(InputError, match=r"test_data_digest .* does not match"):
        load_test_data(f"{iris}@latest", "label", expected_digest=before.digest)
    pinned = load_test_data(pin(f"{iris}@latest", before.digest), "label", expected_digest=before.digest)
    assert pinned.labels.tolist() == [1, 2]


def test_rows_are_copied_under_their_names(iris, tmp_path):
    place = tmp_path / "place"
    assert [path.relative_to(place) for path in copy_rows(f"{iris}@2", place, "rows")] == [
        Path("a.parquet"),
        Path("b.parquet"),
    ]


def test_a_version_is_validated_also_against_another(iris, tmp_path):
    columns = "[{name: x, type: integer}, {name: label, type: integer}]"
    schema = f"{{columns: {columns}, trainingData: {{uri: '{iris}@1'}}}}"
    found = validate_at(f"{iris}@latest", schema, tmp_path / "place", NOW)
    assert found.rows == 2
    (fault,) = found.violations
    assert (fault.check, fault.count) == ("leakage", 1)


def test_a_version_is_a_baseline(iris):
    found = open_rows(f"{iris}@latest", "BaselineUnreadable", "spec.baseline.uri")
    assert (found.num_rows, found.schema.names) == (2, ["x", "label"])


@pytest.mark.parametrize("read", [load_test_data, lambda uri, _: copy_rows(uri, Path("/nowhere"), "rows")])
@pytest.mark.parametrize(
    ("selector", "says"),
    [("3", "no such version of 'iris': it has 2, the latest is 2"), ("sha256:00000000", "no such version")],
)
def test_what_is_not_there_is_said(iris, read, selector, says):
    with pytest.raises(InputError, match=says):
        read(f"{iris}@{selector}", "label")


@pytest.mark.parametrize("selector", ["Latest", "v2", "0", "sha256:12"])
def test_a_version_that_is_written_wrongly_is_told_how(iris, selector):
    with pytest.raises(
        InputError, match=r"does not exist; a version of a dataset is written STORE/NAME@latest, "
    ):
        load_test_data(f"{iris}@{selector}", "label")


def test_a_file_that_was_changed_in_the_store_is_not_read(iris, tmp_path):
    for blob in (tmp_path / "store/blobs/sha256").iterdir():
        content = blob.read_bytes()
        blob.write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
    for read in (
        lambda: load_test_data(f"{iris}@1", "label"),
        lambda: copy_rows(f"{iris}@1", tmp_path / "place", "rows"),
    ):
        with pytest.raises(InputError, match=r"the store is damaged: 'a.parquet' holds something else"):
            read()


def test_a_version_without_such_files_is_said(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    dataset = parse_dataset((tmp_path / "store/csv").as_uri())
    push((tmp_path / "a.csv").as_uri(), dataset, NOW)
    with pytest.raises(Exception, match=r"is a version without files of rows: \.parquet"):
        open_rows(f"{dataset}@1", "BaselineUnreadable", "spec.baseline.uri")


def test_a_store_that_does_not_answer_is_no_bad_input(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ALLOW_HTTP", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "true")
    with pytest.raises(
        StoreUnavailable, match=r"^test_data_uri 's3://b/v/iris@latest' cannot be read: s3://b/v: "
    ):
        load_test_data("s3://b/v/iris@latest", "label")
