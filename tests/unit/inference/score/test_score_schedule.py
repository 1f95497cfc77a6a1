"""Each part of the input is scored by one worker of one shard, whoever asks when."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.score.schedule import Schedule, Task

# None: a file that is not shared.
files_of_parts = st.lists(st.none() | st.integers(1, 7), max_size=6)


def work_off(files, shard, shards, turns):
    """Let workers take turns as drawn; yield (worker, file, number) for parts, number None for whole files."""
    schedule = Schedule([count is not None for count in files], shard, shards)
    opened: dict[int, int] = {}
    while not schedule.is_done:
        worker = turns()
        if worker in opened:
            file = opened.pop(worker)
            if files[file] is None:
                schedule.end_file(worker)
                yield worker, file, None
            else:
                schedule.add_parts(worker, file, files[file])
        elif (task := schedule.take(worker)) is not None:
            if task.number is None:
                opened[worker] = task.file
            else:
                yield worker, task.file, task.number


@given(files_of_parts, st.integers(1, 4), st.integers(1, 4), st.data())
def test_all_shards_together_do_each_part_once(files, shards, workers, data):
    done = Counter(
        (file, number)
        for shard in range(shards)
        for _, file, number in work_off(
            files, shard, shards, lambda: data.draw(st.integers(0, workers - 1), label="who asks")
        )
    )
    wanted = [
        (file, number)
        for file, count in enumerate(files)
        for number in ([None] if count is None else range(count))
    ]
    assert done == Counter(wanted)


@given(files_of_parts, st.integers(1, 3))
def test_one_worker_goes_through_each_file_forwards(files, shards):
    for shard in range(shards):
        done = [(file, number or 0) for _, file, number in work_off(files, shard, shards, lambda: 0)]
        assert all(before < after for before, after in pairwise(done))


def test_a_worker_without_work_takes_the_later_half_of_what_another_has():
    schedule = Schedule([True])
    assert schedule.take(0) == Task(0)
    assert schedule.take(1) is None
    assert not schedule.is_done
    schedule.add_parts(0, 0, 6)
    assert [schedule.take(1).number for _ in range(3)] == [3, 4, 5]
    assert schedule.take(0).number == 0
    assert schedule.take(1).number == 2
    assert schedule.take(0).number == 1
    assert schedule.is_done
