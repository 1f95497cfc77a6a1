"""Processes that push, read and prune one folder at once lose nothing of each other."""

import pytest
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.uris import parse

from tests.unit.components.data_pruning import PRUNER, PUSHER, READER, WRITER, Process, check_whole


@pytest.fixture
def place(tmp_path):
    return (tmp_path / "store").as_uri()


def test_what_is_pushed_while_others_prune_is_whole(tmp_path, place):
    pushers_and_pruners(tmp_path, place)


def test_the_newest_is_read_while_two_push_and_one_prunes(tmp_path, place):
    writers_and_readers(tmp_path, place)


def pushers_and_pruners(tmp_path, place, turns=40):
    """Two push the same contents to datasets of their own, of which all but the newest are pruned at once."""
    pushers = [Process(PUSHER, tmp_path / me, f"{place}/{me}", turns) for me in ("one", "two")]
    store = DataStore(parse(place))
    pruners, pruned = [Process(PRUNER, place, 0) for _ in range(2)], 0
    while any(pusher.running for pusher in pushers):
        if store.names():
            pruned += sum(pruner.ask() for pruner in pruners)
    for process in pushers:
        process.end()
    pruned += pruners[0].ask()
    for process in pruners:
        process.end()
    assert pruned > turns / 4
    assert [len(store.records(name)) for name in store.names()] == [1, 1]
    check_whole(store)
    assert len(list(store.objects.listed("blobs"))) <= 2


def writers_and_readers(tmp_path, place, turns=60):
    """Two push to one dataset, of which what was superseded a while ago is pruned, and one reads the newest."""
    dataset = f"{place}/iris"
    writers = [Process(WRITER, tmp_path / me, dataset, turns) for me in ("one", "two")]
    store = DataStore(parse(place))
    while not store.records("iris"):
        assert all(writer.running for writer in writers)
    pruner, reader, pruned, seen = Process(PRUNER, place, 30), Process(READER, dataset), 0, 0
    while any(writer.running for writer in writers):
        pruned, seen = pruned + pruner.ask(), reader.ask()
    seen = reader.ask("end")
    numbers = sorted(number for writer in writers for number in writer.end())
    pruner.end()
    reader.end()
    # Each has a number of its own, and the last ones are there.
    assert numbers == list(range(1, 2 * turns + 1))
    left = [record.number for record in store.records("iris")]
    assert left == list(range(left[0], 2 * turns + 1))
    assert (pruned, seen > 2) == (left[0] - 1, True)
    assert pruned > 0
    check_whole(store)
