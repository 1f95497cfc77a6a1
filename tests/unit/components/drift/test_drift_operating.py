"""How requests were answered is measured from what the runtime keeps: each request once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from mooring_artifacts.run_documents import parse_drift_report
from mooring_components.drift.report import make_report

from tests.unit.inference.capture.capture_records import (
    NOON,
    SECONDS,
    Clock,
    capturing,
    record,
    signature,
    spec,
)

SIGNATURE = signature([spec("x", shape=(None, 1))], [spec("y", shape=(None, 1))])


def keep(folder, seconds, failed=0):
    """Requests of two rows that took these seconds, and some that failed at once."""
    capture = capturing(folder, sig=SIGNATURE, clock=Clock())
    rows = np.random.default_rng(0).normal(size=(2 * (len(seconds) + failed), 1))
    for number, took in enumerate(seconds):
        part = rows[2 * number : 2 * number + 2]
        record(capture, f"r{number}", part, part, sig=SIGNATURE, seconds=took)
    for number in range(failed):
        record(capture, f"f{number}", rows[:2], None, sig=SIGNATURE, seconds=9.0, status=500)
    assert capture.close(SECONDS)


def measured(folder, **fields):
    moment = datetime.fromtimestamp(NOON, UTC)
    rows = {"uri": f"file://{folder}/deployment=m/revision=v1"}
    since, until = (f"{moment + timedelta(minutes=m):%Y-%m-%dT%H:%M:%SZ}" for m in (-5, 5))
    question = {
        "baseline": rows,
        "window": {**rows, "since": since, "until": until},
        "minRows": 10,
        "ks": {"alpha": 0.01},
    }
    report = make_report({**question, "operation": True, **fields}, "run-1")
    return parse_drift_report(report.to_json()).operation


def test_quantiles_are_of_answered_requests_and_errors_are_counted(tmp_path):
    seconds = np.random.default_rng(1).exponential(0.02, 400).astype(np.float32)
    keep(tmp_path, seconds.tolist(), failed=100)
    found = measured(tmp_path)
    assert (found.requests, found.errors, found.seconds) == (500, 100, 600)
    assert [found.p50, found.p95, found.p99] == pytest.approx(
        np.quantile(seconds, [0.5, 0.95, 0.99]).tolist()
    )


def test_where_all_failed_nothing_took_any_time(tmp_path):
    keep(tmp_path, [], failed=50)
    found = measured(tmp_path)
    assert (found.requests, found.errors, found.p95) == (50, 50, None)


def test_it_is_measured_where_it_is_asked_for(tmp_path):
    keep(tmp_path, [0.1] * 50)
    assert measured(tmp_path, operation=False) is None
