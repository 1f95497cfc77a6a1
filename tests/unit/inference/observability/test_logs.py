"""Log lines: one JSON object each, bounded in length and number."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.observability.logs import (
    JsonFormatter,
    RateLimit,
    describe_exception,
    report_suppressed,
)


class Lines(logging.Handler):
    """The lines that a handler set up like the server's would write."""

    def __init__(self, clock):
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.addFilter(RateLimit(clock))
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def logged(now):
    """(a logger, the lines)"""
    handler = Lines(lambda: now[0])
    logger = logging.getLogger("tests.logs")
    logger.propagate, logger.handlers[:] = False, [handler]
    logger.setLevel(logging.INFO)
    yield logger, handler.lines
    logger.handlers.clear()


def recurse(depth):
    return recurse(depth - 1) + 1 if depth else 1 / 0


def mutual(depth):
    try:
        return recurse(depth % 7) if depth % 3 else mutual(depth - 1)
    except ZeroDivisionError as error:
        raise ValueError(f"at {depth}: " + "x" * 1000) from error


def caught(act):
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def deep():
    """As many exceptions as a stack is deep, each the context of the next."""

    def fail(depth):
        try:
            if depth:
                fail(depth - 1)
            raise RuntimeError("inner")
        except RuntimeError:
            raise RuntimeError(f"level {depth}: {'y' * 500}")  # noqa: B904  the chain is what is tested

    return caught(lambda: fail(200))


@pytest.mark.parametrize("error", [caught(lambda: recurse(900)), caught(lambda: mutual(600)), deep()])
def test_however_deep_a_traceback_is_its_text_is_short_and_ends_with_the_error(error):
    text = describe_exception(error)
    assert len(text) < 6100
    assert text.splitlines()[-1].startswith(f"{type(error).__name__}: ")


def test_a_traceback_names_files_lines_and_what_led_to_it():
    text = describe_exception(caught(lambda: mutual(1)))
    assert text.index("ZeroDivisionError: division by zero") < text.index("ValueError: at 1: x")
    assert f"{__file__}:" in text
    assert "recurse" in text
    assert "characters more)" in text


def test_an_exception_without_a_text_is_described_all_the_same():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    assert describe_exception(Mute()) == "Mute: no text"


def test_a_line_is_bounded_whatever_callers_put_in_it(logged):
    logger, lines = logged
    fields = {"request_id": "é\n" * 5000, "list": ["z"] * 100_000, "big": 1 << 100, "half": "\udcff"}
    logger.info("m" * 10_000, extra={"fields": fields})
    (line,) = lines
    assert len(line) < 12_000
    assert "\n" not in line
    assert json.loads(line)["half"] == "\\udcff"


@given(st.text(st.characters(codec=None), max_size=50), st.text(st.characters(codec=None), max_size=50))
def test_any_text_is_one_line_of_json(message, value):
    record = logging.LogRecord("n", logging.INFO, "f", 1, message.replace("%", ""), (), None)
    record.fields = {"value": value}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert isinstance(json.loads(line), dict)


def test_errors_of_one_kind_are_logged_ten_times_in_ten_seconds_and_counted(logged, now):
    logger, lines = logged
    for number in range(5000):
        try:
            recurse(number % 5)
        except ZeroDivisionError:
            logger.exception("it failed")
    assert len(lines) == 10
    logger.error("something else")
    logger.info("not an error")
    assert len(lines) == 12
    now[0] = 10.0
    try:
        recurse(1)
    except ZeroDivisionError:
        logger.exception("it failed")
    assert json.loads(lines[-1])["suppressed"] == 4990


def test_the_same_message_about_another_error_is_another_kind(logged):
    logger, lines = logged
    for error in (ValueError("a"), KeyError("b"), ValueError("c")):
        for _ in range(20):
            logger.error("it failed", exc_info=error)
    # Neither ValueError was raised anywhere, so they are one kind.
    assert len(lines) == 20


def test_messages_that_differ_each_time_are_one_kind_in_the_end(logged, now):
    logger, lines = logged
    for number in range(100_000):
        logger.warning(f"caller {number} did it")
    assert len(lines) <= 256 + 10
    now[0] = 10.0
    logger.warning("later")
    assert len(lines) <= 256 + 11


def test_what_was_left_out_is_told_when_the_period_is_over(monkeypatch, capsys):
    now = [0.0]
    limit = RateLimit(lambda: now[0])
    monkeypatch.setattr("mooring_inference.observability.logs._rate_limit", limit)
    record = logging.LogRecord("some.logger", logging.ERROR, "f", 1, "it failed", (), None)
    assert sum(limit.filter(record) for _ in range(25)) == 10
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("mooring_inference.observability.logs")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        report_suppressed()
        assert capsys.readouterr().out == ""
        now[0] = 10.0
        report_suppressed()
        line = json.loads(capsys.readouterr().out)
        assert (line["of"], line["like"], line["lines"]) == ("some.logger", "it failed", 15)
        report_suppressed()
        assert capsys.readouterr().out == ""
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
