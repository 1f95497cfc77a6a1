"""The trail in a store: each entry once, whoever appends, and however often."""

import asyncio

import obstore
import pytest
from mooring_artifacts.audit import trail
from mooring_artifacts.audit.records import check_chain, file_name, head_of, parse_record
from mooring_artifacts.audit.trail import Trail, namespaces_of, read_chain
from mooring_artifacts.errors import InputError, StoreUnavailable

from tests.unit.artifacts.audit.test_audit_records import entry


@pytest.fixture
def root(tmp_path):
    (tmp_path / "audit").mkdir()
    return (tmp_path / "audit").as_uri()


def ids(root, namespace="ns"):
    return [int(parse_record(content).id, 16) for _, content in read_chain(root, namespace)]


async def test_entries_come_one_after_the_other(root):
    first = Trail(root)
    await first.append("ns", [entry(1), entry(2)])
    await first.append("", [entry(3)])
    head = await Trail(root).append("ns", [entry(4)])
    assert (ids(root), ids(root, "")) == ([1, 2, 4], [3])
    assert namespaces_of(root) == ["_cluster", "ns"]
    stored = list(read_chain(root, "ns"))
    assert check_chain(stored) == []
    assert head == head_of(*stored[-1])


async def test_nothing_is_no_chain(root):
    assert (await Trail(root).append("ns", []), namespaces_of(root), ids(root)) == (trail.Head(), [], [])


async def test_an_entry_is_there_once_also_after_a_restart(root):
    await Trail(root).append("ns", [entry(1), entry(2)])
    again = Trail(root)
    await again.append("ns", [entry(1), entry(2), entry(3)])
    await again.append("ns", [entry(3)])
    assert ids(root) == [1, 2, 3]


async def test_writers_that_meet_lose_nothing(root):
    """As when an operator that was away for long goes on beside its successor."""
    writers = [Trail(root) for _ in range(4)]
    for number in range(0, 40, 4):
        await asyncio.gather(
            *(writer.append("ns", [entry(number + at)]) for at, writer in enumerate(writers))
        )
    assert sorted(ids(root)) == list(range(40))
    assert check_chain(read_chain(root, "ns")) == []


async def test_an_answer_that_is_lost_makes_no_second_record(root, monkeypatch):
    put, lost = obstore.put_async, []

    async def lose(*arguments, **options):
        await put(*arguments, **options)
        if not lost:
            lost.append(arguments)
            raise OSError("connection reset")

    monkeypatch.setattr(obstore, "put_async", lose)
    written = Trail(root)
    with pytest.raises(StoreUnavailable, match="connection reset"):
        await written.append("ns", [entry(1), entry(2)])
    await written.append("ns", [entry(1), entry(2)])
    assert ids(root) == [1, 2]


async def test_the_end_of_a_long_chain_is_found_in_few_requests(monkeypatch):
    """As a store lists: in order, a thousand at a time."""
    store, asked = obstore.store.MemoryStore(), []
    monkeypatch.setattr(trail, "locate", lambda uri, field: trail.Location(trail_address(uri), store))
    for sequence in range(1, 5301):
        obstore.put(store, f"long/ns/{file_name(sequence)}", b"{}")
    listed = obstore.list

    def list_counted(*arguments, **options):
        asked.append(options["offset"])
        return listed(*arguments, **options)

    monkeypatch.setattr(obstore, "list", list_counted)
    assert Trail("s3://b/long")._last_sequence("ns") == 5300
    assert len(asked) <= 14
    assert Trail("s3://b/long")._last_sequence("other") == 0


def trail_address(uri):
    from mooring_artifacts.uris import parse

    return parse(uri, "root")


async def test_what_somebody_put_among_them_stops_nothing(root, tmp_path):
    written = Trail(root)
    await written.append("ns", [entry(1)])
    (tmp_path / "audit/ns/notes.txt").write_text("hello")
    (tmp_path / "audit/ns/000000000002.json").write_text("no record")
    await Trail(root).append("ns", [entry(3)])
    assert [sequence for sequence, _ in read_chain(root, "ns")] == [1, 2, 3]
    assert [fault.sequence for fault in check_chain(read_chain(root, "ns"))] == [2]


async def test_a_store_that_cannot_be_had_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable, match="file/audit/ns"):
        await Trail((tmp_path / "file/audit").as_uri()).append("ns", [entry(1)])
    with pytest.raises(InputError, match="audit root"):
        Trail("nonsense")
