"""The windows before this one, as a picture on the page."""

from datetime import UTC, datetime, timedelta

import pytest
from mooring_artifacts.drift_question import PastWindow
from mooring_components.drift.timeline import HEIGHT, WIDTH, draw_timeline

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def past(*evidence, drifted=0, tested=4):
    return [
        PastWindow(time=NOON + timedelta(hours=place), tested=tested, drifted=drifted, evidence=value)
        for place, value in enumerate(evidence)
    ]


def places(line):
    return [tuple(map(float, point.split(","))) for point in line.split()]


def test_evidence_rises_to_the_line_that_alarms_and_stays_within_the_picture():
    found = draw_timeline(past(0.0, 10.0, 1000.0, 10_000.0, 1e9), 1000.0)
    heights = [y for _, y in places(found.line)]
    assert heights[0] == HEIGHT
    assert heights == sorted(heights, reverse=True)
    assert heights[2] == pytest.approx(found.limit, abs=0.1)
    assert heights[3:] == pytest.approx([0.0, 0.0], abs=0.2)
    assert all(0 <= x <= WIDTH for x, _ in places(found.line))


def test_bars_are_shares_of_features():
    found = draw_timeline(past(None, None, drifted=1), None)
    assert [bar.height for bar in found.bars] == [HEIGHT / 4] * 2
    assert (found.line, found.limit) == ("", None)
    assert found.bars[1].title == "2026-03-01 13:00: 1 of 4 features drifted"
    assert [bar.height for bar in draw_timeline(past(None, None, tested=0), None).bars] == [0.0, 0.0]


def test_windows_without_evidence_leave_a_gap_and_one_alone_is_no_line():
    assert len(places(draw_timeline(past(1.0, None, 2.0), 100.0).line)) == 2
    assert draw_timeline(past(1.0), 100.0) is None
    assert draw_timeline([], None) is None
