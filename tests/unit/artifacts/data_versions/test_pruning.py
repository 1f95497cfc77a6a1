"""What is pruned: never the newest, nor what was so lately, nor a file that another version or a push has."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.data_versions import under_way
from mooring_artifacts.data_versions.documents import Column, DataFile, Manifest, make_record
from mooring_artifacts.data_versions.pruning import Rule, find_outdated, prune
from mooring_artifacts.data_versions.references import parse_reference
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.data_versions.under_way import pushing
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.uris import parse

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
STRICT = Rule(last=1, superseded_for=timedelta(0))


@pytest.fixture
def store(tmp_path):
    return DataStore(parse((tmp_path / "store").as_uri()))


@pytest.fixture
def push(store, tmp_path):
    def push(name, *contents, day=0):
        manifest = of(*contents)
        for file, content in zip(manifest.files, contents, strict=True):
            (tmp_path / "rows").write_bytes(content)
            store.put_file(file, tmp_path / "rows")
        return store.append(name, manifest, NOW + day * DAY).record

    return push


def of(*contents):
    files = [
        DataFile(path=f"{i}.csv", sha256=hashlib.sha256(each).hexdigest(), size=len(each), rows=1)
        for i, each in enumerate(contents)
    ]
    return Manifest(files=tuple(files), columns=(Column(name="a", type="text"),))


def blobs(store):
    return {path.read_bytes() for path in (store.address.path / "blobs/sha256").iterdir()}


def numbers(store, name):
    return [record.number for record in store.records(name)]


@given(
    days=st.lists(st.integers(0, 100), min_size=1, max_size=12),
    last=st.integers(-1, 15),
    within=st.integers(0, 100),
    now=st.integers(0, 100),
    named=st.lists(st.integers(1, 12), max_size=3),
)
def test_what_the_rule_keeps_is_kept_and_nothing_else(days, last, within, now, named):
    records = [make_record(of(b"%d" % i), i + 1, NOW + day * DAY) for i, day in enumerate(days)]
    named = [number for number in named if number <= len(records)]
    rule = Rule(last, within * DAY, [str(number) for number in named])
    gone = {record.number for record in find_outdated(records, rule, NOW + now * DAY)}
    for number in range(1, len(records) + 1):
        newest = number > len(records) - max(last, 1)
        lately = number < len(records) and max(days[: number + 1]) > now - within
        assert (number not in gone) == (newest or lately or number in named)


def test_old_versions_go_with_the_files_that_no_other_has(store, push):
    push("iris", b"1", b"shared", day=0)
    push("iris", b"2", b"shared", day=1)
    push("iris", b"3", day=2)
    push("flowers", b"1", b"shared", b"4", day=0)
    push("iris", b"5", day=9)
    rule = Rule(last=1, superseded_for=7 * DAY)
    planned = prune(store, ["iris"], rule, NOW + 9 * DAY, dry_run=True)
    assert (numbers(store, "iris"), len(blobs(store))) == ([1, 2, 3, 4], 6)
    assert prune(store, ["iris"], rule, NOW + 9 * DAY) == planned
    assert [str(record.number) for _, record in planned.versions] == ["1", "2"]
    assert (planned.files, planned.size) == (1, 1)
    assert blobs(store) == {b"1", b"shared", b"3", b"4", b"5"}
    assert (numbers(store, "iris"), numbers(store, "flowers")) == ([3, 4], [1])
    for name in ("iris", "flowers"):
        assert [store.manifest(record.version).version for record in store.records(name)]
    assert prune(store, ["iris"], rule, NOW + 9 * DAY).versions == []


def test_a_number_is_never_given_again_and_a_pruned_version_is_called_that(store, push):
    first = push("iris", b"1")
    push("iris", b"2")
    prune(store, ["iris"], STRICT, NOW)
    with pytest.raises(InputError, match="no such version of 'iris': 1 was pruned, the latest is 2"):
        store.find(parse_reference(f"{store.address}/iris@1"))
    with pytest.raises(InputError, match="it has 2, the latest is 2"):
        store.find(parse_reference(f"{store.address}/iris@{first.version}"))
    assert push("iris", b"1").number == 3
    assert store.find(parse_reference(f"{store.address}/iris@{first.version}")).number == 3


def test_files_of_a_push_that_was_killed_go(store, push, tmp_path):
    push("iris", b"1")
    (tmp_path / "rows").write_bytes(b"lost")
    store.put_file(of(b"lost").files[0], tmp_path / "rows")
    (store.address.path / "blobs/sha256/notes.txt").write_text("nothing of ours")
    done = prune(store, ["iris"], STRICT, NOW)
    assert (done.files, done.size, blobs(store)) == (1, 4, {b"1", b"nothing of ours"})


def test_what_a_push_under_way_is_about_to_name_stays(store, push, tmp_path):
    push("iris", b"1")
    push("iris", b"2")
    (tmp_path / "rows").write_bytes(b"new")
    for content in (b"1", b"new"):
        with pushing(store.objects, of(content)):
            if content == b"new":
                store.put_file(of(content).files[0], tmp_path / "rows")
            planned = prune(store, ["iris"], STRICT, NOW, dry_run=True)
            assert len(planned.versions) == (content == b"new")
            assert prune(store, ["iris"], STRICT, NOW) == planned
            assert content in blobs(store)
    assert not list((store.address.path / "pushes").iterdir())
    assert not list((store.address.path / "prunes").iterdir())


def test_a_push_waits_for_a_prune_under_way(store):
    told = []
    with under_way.pruning(store.objects) as (note, _):

        def tell(text):
            told.append(text)
            store.objects.delete([note.key])

        with pushing(store.objects, of(b"1"), tell):
            assert told == ["waiting for a prune of the store"]


def test_notes_of_processes_that_were_killed_count_no_more(store, push, monkeypatch):
    push("iris", b"1")
    left = store.address.path / "prunes/0.json", store.address.path / f"pushes/{of(b'2').version[7:]}-0.json"
    for path in left:
        path.parent.mkdir()
        path.write_bytes(of(b"2").to_json())
    told = []
    monkeypatch.setattr(under_way, "PRUNE_COUNTS", timedelta(0))
    with pushing(store.objects, of(b"1"), told.append):
        assert told == []
    monkeypatch.setattr(under_way, "PRUNE_COUNTS", timedelta(minutes=5))
    monkeypatch.setattr(under_way, "PUSH_COUNTS", timedelta(0))
    with under_way.pruning(store.objects) as (_, pushes):
        assert pushes == []
    assert [path.exists() for path in left] == [True, False]


def test_a_note_that_got_too_old_ends_what_it_stood_for(store, monkeypatch):
    with under_way.pruning(store.objects) as (note, _):
        note.renew()
        note._written -= 240
        with pytest.raises(StoreUnavailable, match="too long between two steps"):
            note.renew()


@pytest.mark.parametrize("damaged", ["names/iris/000002.json", "manifests/*.json", "pushes/*.json"])
def test_nothing_is_deleted_where_something_cannot_be_read(store, push, damaged):
    push("iris", b"1")
    kept = push("iris", b"2")
    with pushing(store.objects, of(b"3")):
        (path,) = store.address.path.glob(damaged.replace("manifests/*", f"manifests/{kept.version[7:]}"))
        path.write_text("{}")
        with pytest.raises(InputError, match="is damaged"):
            prune(store, ["iris"], STRICT, NOW)
    assert blobs(store) == {b"1", b"2"}


def test_a_version_to_keep_that_is_none_is_said(store, push):
    push("iris", b"1")
    with pytest.raises(InputError, match="there is no version 7 to keep"):
        prune(store, ["iris"], Rule(1, DAY, ["7"]), NOW)


class Late(DataStore):
    """A store whose first listing is old when it is answered."""

    def __init__(self, address, meanwhile):
        super().__init__(address)
        self.meanwhile = meanwhile

    def _numbers(self, name):
        numbers, meanwhile = super()._numbers(name), self.meanwhile
        self.meanwhile = lambda: None
        meanwhile()
        return numbers


@pytest.fixture
def late(store, push):
    """One behind whose back two versions are pushed, and all but the newest pruned."""
    push("iris", b"1")

    def meanwhile():
        push("iris", b"2")
        push("iris", b"3")
        prune(store, ["iris"], STRICT, NOW)

    return Late(store.address, meanwhile)


def test_who_reads_the_newest_finds_the_next_one_where_it_was_pruned(late):
    assert late.find(parse_reference(f"{late.address}/iris@latest")).number == 3


def test_who_pushes_meanwhile_becomes_the_newest(late):
    assert late.append("iris", of(b"4"), NOW).record.number == 4
