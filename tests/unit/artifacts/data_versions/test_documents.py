"""A version is its files; what was changed in a store is said as damage."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.data_versions.documents import (
    Column,
    DataFile,
    Manifest,
    find_same,
    make_record,
    parse_manifest,
    parse_record,
    select,
)
from mooring_artifacts.digests import ManifestEntry, manifest_digest
from mooring_artifacts.errors import InputError

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def file(path="a.csv", sha256="0" * 64, size=7, rows=3):
    return DataFile(path=path, sha256=sha256, size=size, rows=rows)


def manifest(*files):
    return Manifest(files=files or (file(),), columns=(Column(name="x", type="Int64"),))


FILES = st.lists(
    st.builds(
        file,
        path=st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?\.csv", fullmatch=True),
        sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        size=st.integers(0, 1 << 50),
        rows=st.integers(0, 1 << 40),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda each: each.path,
)


@given(FILES, st.randoms())
def test_a_version_is_the_digest_that_verdicts_have_whatever_the_order(files, random):
    shuffled = list(files)
    random.shuffle(shuffled)
    found = manifest(*files)
    assert found.version == manifest(*shuffled).version
    assert found.version == manifest_digest(ManifestEntry(f.path, f.size, f.sha256) for f in files)


@given(FILES, st.text(max_size=50))
def test_documents_come_back_as_they_went(files, description):
    found = manifest(*files)
    record = make_record(found, 3, NOW, description)
    assert parse_manifest(found.to_json(), found.version, "m") == found
    assert parse_record(record.to_json(), 3, "r") == record
    assert (record.rows, record.size, record.files) == (found.rows, found.size, len(files))


@given(FILES)
def test_content_goes_by_what_is_in_the_files_alone(files):
    renamed = [each.model_copy(update={"path": f"z/{i}.csv"}) for i, each in enumerate(files)]
    assert manifest(*files).content == manifest(*renamed).content
    other = [files[0].model_copy(update={"sha256": "f" * 63 + "e"}), *files[1:]]
    assert manifest(*files).content != manifest(*other).content


def test_the_same_content_is_found_under_other_names():
    records = [make_record(manifest(file(sha256=c * 64)), n, NOW) for n, c in enumerate("123", 1)]
    assert find_same(manifest(file("b.csv", "2" * 64)), records) == records[1]
    assert find_same(manifest(file(sha256="4" * 64)), records) is None


def test_a_selector_finds_the_newest_a_number_or_a_digest():
    records = [make_record(manifest(file(sha256=c * 64)), n, NOW) for n, c in ((1, "1"), (4, "2"))]
    assert select("latest", records) == records[1]
    assert select("4", records) == records[1]
    assert select("2", records) is None
    assert select(records[0].version[:15], records) == records[0]
    assert select("latest", []) is None
    alike = [records[0], records[0].model_copy(update={"number": 2})]
    with pytest.raises(InputError, match="is the start of several versions: 1, 2"):
        select(records[0].version, alike)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"files": ()}, "files"),
        ({"files": (file("../x.csv"),)}, "is no path of a file"),
        ({"files": (file("/etc/x.csv"),)}, "is no path of a file"),
        (
            {
                "files": (
                    file(),
                    file(),
                )
            },
            "listed twice",
        ),
        ({"files": (file(size=8),)}, "its files make up sha256:"),
        ({"files": (file().model_copy(update={"sha256": "x"}),)}, "files.0.sha256"),
        ({"schema_version": 2}, "schemaVersion"),
    ],
)
def test_a_manifest_that_was_changed_is_damaged(change, says):
    written = manifest().model_copy(update=change).to_json()
    with pytest.raises(InputError, match=f"^the manifest is damaged.*{says}"):
        parse_manifest(written, manifest().version, "the manifest")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"number": 1}', b"\xff", b"{}" * 2])
def test_what_is_no_record_is_damaged(content):
    with pytest.raises(InputError, match=r"^r is damaged: "):
        parse_record(content, 1, "r")
    with pytest.raises(InputError, match="it is the record of number 2"):
        parse_record(make_record(manifest(), 2, NOW).to_json(), 1, "r")
