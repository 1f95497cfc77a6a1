"""A store in a folder keeps what several writers give, and shows nothing that is half there."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import obstore
import pytest
from mooring_artifacts.data_versions.documents import Column, DataFile, Manifest
from mooring_artifacts.data_versions.references import parse_reference
from mooring_artifacts.data_versions.store import DataStore, checked
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.uris import parse

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def address(tmp_path):
    return parse((tmp_path / "store").as_uri())


def data_file(content, path="a.csv"):
    return DataFile(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content), rows=1)


def manifest(content=b"a\n1\n", path="a.csv"):
    return Manifest(files=(data_file(content, path),), columns=(Column(name="a", type="text"),))


def test_versions_are_numbered_and_read_back(address):
    store = DataStore(address)
    first, second = manifest(b"1"), manifest(b"2")
    assert [store.append("iris", each, NOW, "why").record.number for each in (first, second)] == [1, 2]
    assert [record.version for record in store.records("iris")] == [first.version, second.version]
    assert store.manifest(second.version) == second
    assert store.names() == ["iris"]
    for selector in ("2", "latest", second.version, second.version[:20]):
        found = store.find(parse_reference(f"{address}/iris@{selector}"))
        assert (found.version, found.description) == (second.version, "why")


def test_content_that_is_there_is_not_recorded_again(address):
    store = DataStore(address)
    first = store.append("iris", manifest(b"1"), NOW)
    store.append("iris", manifest(b"2"), NOW)
    for again in (manifest(b"1"), manifest(b"1", "renamed.csv")):
        pushed = store.append("iris", again, NOW)
        assert (pushed.new, pushed.record) == (False, first.record)
    assert len(store.records("iris")) == 2


def test_one_version_has_one_digest_in_two_datasets(address):
    store = DataStore(address)
    one, other = (store.append(name, manifest(), NOW).record for name in ("iris", "flowers"))
    assert one.version == other.version
    (found,) = store.same_elsewhere(manifest(), "flowers")
    assert str(found) == f"{address}/iris@1"
    assert store.same_elsewhere(manifest(b"2"), "flowers") == []


def test_writers_at_once_lose_nothing(address):
    contents = [str(i % 20).encode() for i in range(60)]
    with ThreadPoolExecutor(12) as threads:
        pushed = list(threads.map(lambda c: DataStore(address).append("iris", manifest(c), NOW), contents))
    records = DataStore(address).records("iris")
    assert [record.number for record in records] == list(range(1, 21))
    assert {record.version for record in records} == {manifest(c).version for c in contents}
    for content, each in zip(contents, pushed, strict=True):
        assert each.record.version == manifest(content).version


def test_a_file_is_stored_once(address, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a\n1\n")
    store, file = DataStore(address), data_file(b"a\n1\n")
    assert [store.put_file(file, path), store.put_file(file, path)] == [True, False]
    place, (stored,) = store.files(Manifest(files=(file,), columns=()))
    assert bytes(obstore.get(place.store, stored.key).bytes()) == b"a\n1\n"


@pytest.mark.parametrize("size", [4, 12 << 20], ids=["small", "in parts"])
def test_a_file_that_changes_meanwhile_is_not_stored(address, tmp_path, size):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"x" * size)
    store, file = DataStore(address), data_file(b"y" * size)
    with pytest.raises(InputError, match=r"'a.csv' was changed while it was read: push again"):
        store.put_file(file, path)
    assert not [each for each in address.path.rglob("*") if each.is_file()]
    path.write_bytes(b"y" * size)
    assert store.put_file(file, path)


def test_no_content_is_given_whole_before_it_was_checked():
    file = data_file(b"x" * (3 << 20))
    assert b"".join(checked(io.BytesIO(b"x" * (3 << 20)), file)) == b"x" * (3 << 20)
    assert b"".join(checked(io.BytesIO(b""), data_file(b""))) == b""
    given = []
    with pytest.raises(InputError):
        given.extend(checked(io.BytesIO(b"x" * (3 << 20)), data_file(b"y")))


@pytest.mark.parametrize(
    ("selector", "says"),
    [("3", "it has 1, the latest is 1"), ("sha256:00000000", "it has 1"), ("latest", "it has none")],
)
def test_a_version_that_is_not_there_is_said(address, selector, says):
    DataStore(address).append("iris", manifest(), NOW)
    name = "none" if selector == "latest" else "iris"
    with pytest.raises(InputError, match=f"there is no such version of '{name}': {says}"):
        DataStore(address).find(parse_reference(f"{address}/{name}@{selector}"))


def test_damage_is_said_with_its_place(address):
    store = DataStore(address)
    version = store.append("iris", manifest(), NOW).record.version
    (record,) = address.path.glob("names/iris/*")
    (written,) = address.path.glob("manifests/*")
    (address.path / "names/iris/notes.txt").write_text("nothing of ours")
    assert len(store.records("iris")) == 1
    written.unlink()
    with pytest.raises(InputError, match=rf"manifests/{version[7:]}\.json' is missing"):
        store.manifest(version)
    record.write_text("{}")
    with pytest.raises(InputError, match=r"names/iris/000001\.json' is damaged: number"):
        store.records("iris")


def test_a_store_that_is_a_file_is_unavailable(address):
    address.path.write_text("x")
    with pytest.raises((InputError, StoreUnavailable)):
        DataStore(address).append("iris", manifest(), NOW)


def test_a_store_that_does_not_answer_is_unavailable(monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    store = DataStore(parse("s3://b/v"))
    for ask in (store.names, lambda: store.records("iris"), lambda: store.manifest("sha256:" + "0" * 64)):
        with pytest.raises(StoreUnavailable, match=r"^s3://b/v: .*127\.0\.0\.1:9"):
            ask()
