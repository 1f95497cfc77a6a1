"""What a consumer group knows of records: up to where they are done, and how often the others were begun."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.stream.offsets import OffsetTracker

STEPS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["read", "finish", "die"])), max_size=60)


class Group:
    """A group of one member at a time; each reads as Kafka lets it, and remembers nothing of the one before."""

    def __init__(self):
        self.committed = {0: (0, ""), 1: (0, "")}
        self.begun = {}
        self.done = set()
        self.join()

    def join(self):
        self.tracker = OffsetTracker()
        self.next = {}
        self.open = []
        for partition, (offset, note) in self.committed.items():
            self.tracker.begin(partition, offset, note)
            self.next[partition] = offset

    def read(self, partition, records):
        for _ in range(1 if self.tracker.has_begun(partition) else records):
            record = partition, self.next[partition]
            self.begun[record] = self.begun.get(record, 0) + 1
            assert self.tracker.take(*record) == self.begun[record]
            self.next[partition] += 1
            self.open.append(record)
        self.commit()

    def finish(self, record):
        self.open.remove(record)
        self.done.add(record)
        self.tracker.finish(*record)
        self.commit()

    def commit(self):
        said = self.tracker.committable()
        for partition, (offset, _) in said.items():
            assert offset >= self.committed[partition][0]
            assert all((partition, before) in self.done for before in range(offset))
            assert offset == self.next[partition] or (partition, offset) in self.open
        self.committed |= said
        self.tracker.commit({partition: offset for partition, (offset, _) in said.items()})


@given(STEPS, st.randoms(use_true_random=False))
def test_only_a_beginning_of_done_records_is_committed_and_each_beginning_counts(steps, random):
    group = Group()
    for partition, step in steps:
        if step == "die":
            group.join()
        elif step == "finish" and group.open:
            group.finish(random.choice(group.open))
        else:
            group.read(partition, random.randint(1, 5))


@pytest.mark.parametrize("note", ["", "done by hand", "mooring", "mooring 5:x", "mooring 5:1 ", "kafka 5:1"])
def test_a_note_of_somebody_else_says_nothing(note):
    tracker = OffsetTracker()
    tracker.begin("p", 3, note)
    assert not tracker.has_begun("p")
    assert tracker.take("p", 3) == 1


def test_a_note_fits_beside_an_offset_and_counts_rather_too_often():
    tracker = OffsetTracker()
    ends = " ".join(f"{offset + 1}:{offset % 7 + 1}" for offset in range(500))
    tracker.begin("p", 0, f"mooring {ends}")
    assert tracker.take("p", 0) == 2
    [(offset, note)] = tracker.committable().values()
    assert (offset, len(note) < 1000) == (0, True)
    after = OffsetTracker()
    after.begin("p", offset, note)
    assert after.take("p", 0) == 3
    assert all(after.take("p", offset) > offset % 7 + 1 for offset in range(1, 500))


def test_gaps_of_a_topic_are_no_records():
    """A topic that is compacted has them, and one that is written in transactions."""
    tracker = OffsetTracker()
    tracker.begin("p", 5, "mooring 9:1")
    assert tracker.take("p", 12) == 1
    assert not tracker.has_begun("p")
    assert tracker.committable() == {"p": (12, "mooring 13:1")}


def test_records_of_a_partition_that_went_elsewhere_are_forgotten():
    tracker = OffsetTracker()
    tracker.begin("p", 5, "")
    tracker.take("p", 5)
    tracker.forget("p")
    tracker.finish("p", 5)
    assert tracker.committable() == {}
    assert not tracker.knows("p")
    assert not tracker.has_begun("p")
    assert not tracker.holds("p", 5)


def test_records_that_end_with_others_are_committed_up_to_the_first_open_one():
    tracker = OffsetTracker()
    tracker.begin("p", 5, "")
    for offset in (5, 6, 7, 8):
        tracker.take("p", offset)
    assert tracker.position("p", {5, 6, 8}) == (7, "mooring 9:1")
    assert tracker.position("p", {6}) == (5, "mooring 9:1")
    tracker.commit({"p": 7})
    assert [tracker.holds("p", offset) for offset in (5, 6, 7, 8)] == [False, False, True, True]
    assert tracker.committed("p") == 7
