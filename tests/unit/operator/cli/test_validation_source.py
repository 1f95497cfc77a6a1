"""YAML that is small and stands for much: one error, at once."""

from __future__ import annotations

import time

import pytest
from mooring_operator.cli.validation.source import SourceError, read_documents


def bomb(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


def merges(levels):
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [bomb(9), merges(9), "a: &a [*a]\n", "a: &a {<<: *a}\n", "[" * 5000 + "]" * 5000, "- x\n" * 100_001],
    ids=["aliases", "merges", "itself", "merged with itself", "depth", "many"],
)
def test_what_stands_for_too_much_is_refused(text):
    started = time.process_time()
    with pytest.raises(SourceError, match="expected at most"):
        list(read_documents(text))
    # PyYAML itself takes most of it, for what is written out.
    assert time.process_time() - started < 20


def test_aliases_within_bounds_are_read():
    (document,) = read_documents("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n")
    assert document.value == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
