"""A record is a line of the log, whatever its text holds."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.text import visible
from mooring_operator.runtime import logs

FORGED = "x\n2026-03-01 12:00:00,000 INFO    mooring leads no more\r\x1b[2J\x9b1A\u202e\u2028\x00"
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]) | st.sampled_from(FORGED), max_size=40
)


@pytest.fixture(autouse=True)
def restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(form, text, *, error=None):
    stream = io.StringIO()
    logs.configure("info", form, stream)
    token = logs.current_resource.set(f"ModelDeployment/ns/{text}")
    logging.getLogger("mooring.test").info("said: %s", text, exc_info=error)
    logs.current_resource.reset(token)
    return stream.getvalue()


def hidden(text):
    return [c for c in text if c != "\n" and visible(c) != c]


@given(texts)
def test_a_text_record_is_one_line_without_hidden_characters(text):
    line = written("text", text)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert hidden(line) == []
    assert len(line.splitlines()) == 1


@given(texts)
def test_a_json_record_is_one_line_and_reads_back_as_it_was(text):
    line = written("json", text)
    assert len(line.splitlines()) == 1
    assert hidden(line) == []
    entry = json.loads(line)
    assert entry["message"] == f"said: {text}"
    assert entry["resource"] == f"ModelDeployment/ns/{text}"


def test_a_traceback_in_text_begins_no_line_like_a_record():
    first, *rest = written("text", "x", error=ValueError(FORGED)).rstrip("\n").split("\n")
    assert "said: x" in first
    assert any("ValueError" in line for line in rest)
    assert all(line.startswith("    ") for line in rest)
    assert hidden("".join(rest)) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 特徴 🙂", "größe 特徴 🙂"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m", r"\u001b[31m"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
        ("\\n", "\\n"),
    ],
)
def test_what_is_hidden_is_shown(text, shown):
    assert visible(text) == shown
