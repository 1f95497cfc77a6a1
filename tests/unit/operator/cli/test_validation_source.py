"""YAML that is small and stands for much: one error, at once."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.cli.main import run
from mooring_operator.cli.validation.check import check_document
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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: " + "9" * 5000, "expected at most 100 digits, got 5000"),
        ("a: 0x" + "f" * 300_000, "expected at most 100 digits, got 300002"),
        ("a: 1e" + "9" * 200, "expected at most 100 digits, got 202"),
        ("<<: 5", "expected mappings to merge"),
        ("<<: [1, 2]", "expected mappings to merge"),
        ("? [a, b]\n: c", "expected text as a key, got a list or a mapping"),
        ("? {a: b}\n: c", "expected text as a key, got a list or a mapping"),
        ('a: "\\ud800"', "expected characters of Unicode, got half of a surrogate pair"),
        ('"\\udfff": 1', "expected characters of Unicode, got half of a surrogate pair"),
    ],
)
def test_what_no_json_has_is_refused_with_its_line(text, says):
    with pytest.raises(SourceError) as raised:
        list(read_documents(f"# a comment\n{text}\n"))
    assert (raised.value.line, raised.value.message) == (2, says)


@pytest.mark.parametrize("text", ["0b_", "0x_", "0o_", "0_8", "!!int x", "!!float y", "!!int ''"])
def test_what_only_looks_like_a_number_is_text(text):
    (document,) = read_documents(f"a: {text}")
    assert document.value == {"a": text.rpartition(" ")[2].strip("'")}


@given(st.text(alphabet="a1b_x.-+e:&*!<>{}[],'\"?|% \n\\u0") | st.text())
def test_any_text_is_read_or_refused(text):
    with suppress(SourceError):
        for document in read_documents(text):
            assert len(check_document(document).problems) < 100


def test_many_problems_are_said_in_few_lines(tmp_path, capsys):
    path = tmp_path / "many.yaml"
    numbers = ", ".join(["1"] * 5000)
    path.write_text(
        "apiVersion: mooring.dev/v1alpha1\nkind: DriftMonitor\nmetadata: {name: "
        f"{'a' * 100_000}}}\nspec: {{features: [{numbers}]}}\n"
    )
    assert run(["validate", str(path)]) == 1
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert len(lines) == 101
    assert "more problems" in lines[-1]
    assert max(map(len, lines)) < 2100
