"""The chain: whatever is taken away, put in or changed shows, but at its end."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.audit.records import (
    Entry,
    Head,
    Subject,
    check_chain,
    file_name,
    head_of,
    parse_record,
    seal,
    sequence_of,
)
from mooring_artifacts.errors import InputError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(number=1, **changes):
    subject = Subject(kind="ModelDeployment", namespace="ns", name="digits", uid="u", generation=3)
    return Entry(
        id=f"{number:064x}", time=NOON, actor="alice", action="Promoted", message="it is", subject=subject
    ).model_copy(update=changes)


def chain(length):
    head, stored = Head(), []
    for number in range(1, length + 1):
        content = seal(entry(number), head)
        stored.append((number, content))
        head = head_of(number, content)
    return stored


def test_a_record_is_read_as_it_was_written():
    content = seal(entry(revision="47fd", run_id="r"), Head(6, "a" * 64))
    record = parse_record(content)
    assert (record.sequence, record.previous, record.revision, record.run_id) == (7, "a" * 64, "47fd", "r")
    assert record.subject.name == "digits"
    assert content.count(b"\n") == 1
    assert b"verdict" not in content


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "EOF"),
        (b"[]", "object"),
        (b'{"id": "x"}', "id"),
        (b"{" + b" " * 70_000 + b"}", "65536 at most"),
        (seal(entry(), Head()).replace(b"alice", b'alice", "more": "x'), "more"),
    ],
)
def test_what_is_no_record_is_refused(content, why):
    with pytest.raises(InputError, match=why):
        parse_record(content)


def test_names_of_files():
    assert (file_name(41), sequence_of("000000000041.json")) == ("000000000041.json", 41)
    assert [sequence_of(name) for name in ("41.json", "000000000041.json.tmp", "notes.txt")] == [None] * 3


def test_a_whole_chain_has_no_faults():
    stored = chain(5)
    assert check_chain(stored) == check_chain([]) == []
    assert check_chain(stored, head=head_of(*stored[3])) == []


@given(length=st.integers(2, 8), data=st.data())
def test_a_record_that_is_gone_shows(length, data):
    stored = chain(length)
    gone = data.draw(st.integers(1, length - 1))
    faults = check_chain([one for one in stored if one[0] != gone])
    assert [(fault.sequence, fault.message) for fault in faults] == [(gone, "it is missing")]


@given(length=st.integers(2, 8), data=st.data())
def test_a_record_that_was_changed_shows_at_the_next(length, data):
    stored = chain(length)
    at = data.draw(st.integers(1, length - 1))
    content = bytearray(stored[at - 1][1])
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    stored[at - 1] = (at, bytes(content))
    assert {fault.sequence for fault in check_chain(stored)} >= {at + 1}


def test_two_that_changed_places_show():
    stored = chain(4)
    stored[1], stored[2] = (2, stored[2][1]), (3, stored[1][1])
    assert [fault.sequence for fault in check_chain(stored)] == [2, 3, 4]


def test_what_was_cut_off_shows_by_a_head_that_is_known():
    stored = chain(5)
    head = head_of(*stored[-1])
    assert check_chain(stored[:3]) == []
    [fault] = check_chain(stored[:3], head=head)
    assert (fault.sequence, fault.message) == (4, "records 4 to 5 are missing")
    [fault] = check_chain([], head=head)
    assert fault.message == "records 1 to 5 are missing"
    forged = [*stored[:4], (5, seal(entry(5, actor="mallory"), head_of(*stored[3])))]
    assert check_chain(forged) == []
    assert [fault.message for fault in check_chain(forged, head=head)] == [
        "it is not the record that was there"
    ]
