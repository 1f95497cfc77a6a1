"""Reading ahead gives what reading gives, errors in their places, and leaves no thread behind."""

from __future__ import annotations

import threading

import pytest
from mooring_inference.score.ahead import read_ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def test_everything_comes_in_order():
    with read_ahead(iter(range(1000))) as ready:
        assert list(ready) == list(range(1000))
        assert list(ready) == []
    assert not threads()


def test_an_error_comes_where_its_element_would_have():
    def source():
        yield from range(3)
        raise OSError("the disk is gone")

    def read_all():
        with read_ahead(source()) as ready:
            for element in ready:
                seen.append(element)

    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        read_all()
    assert seen == [0, 1, 2]
    assert not threads()


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_who_leaves_early_leaves_no_thread(taken):
    read = []

    def source():
        for element in range(10**9):
            read.append(element)
            yield element

    with read_ahead(source()) as ready:
        assert [next(ready) for _ in range(taken)] == list(range(taken))
    assert not threads()
    assert len(read) < 100


def test_no_more_is_read_ahead_than_said():
    begun = threading.Event()
    read = []

    def source():
        for element in range(10):
            read.append(element)
            if len(read) == 3:
                begun.set()
            yield element

    with read_ahead(source(), most=2) as ready:
        assert begun.wait(10)
        assert len(read) == 3
        assert list(ready) == list(range(10))
