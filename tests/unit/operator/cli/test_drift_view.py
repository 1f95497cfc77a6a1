"""`mooring drift NAME` writes what a DriftMonitor has found, and who was told."""

from datetime import UTC, datetime, timedelta
from io import StringIO

from mooring_operator.api.drift_notify import Receiver
from mooring_operator.cli.drift_view import DriftView
from mooring_operator.planning.drift.notices import by_fingerprint
from rich.console import Console

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLACK = {"format": "Slack", "urlSecret": {"name": "slack", "key": "url"}}
HOOK = {"url": "https://hooks.example.com/drift?token=secret"}


def stamp(hours):
    return f"{NOW - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def written(status, **spec):
    item = {
        "metadata": {"namespace": "ml", "name": "traffic"},
        "spec": {"target": {"name": "digits"}, **spec},
    }
    console = Console(file=StringIO(), width=160)
    console.print(DriftView({**item, "status": status}, NOW))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_performance_is_a_table_with_what_is_odd_about_labels():
    lines = written(
        {
            "phase": "Watching",
            "performance": {
                "since": stamp(26),
                "until": stamp(25),
                "labels": {"answered": 400, "labelled": 300, "duplicates": 2, "unknown": 7},
                "metrics": [
                    {"metric": "accuracy", "value": 0.8, "low": 0.75, "high": 0.84, "baseline": 0.93}
                ],
                "broken": ["accuracy is 0.8 and was 0.93"],
                "message": "labels are written otherwise",
            },
        }
    )
    assert "requests from 2026-02-28T10:00:00Z to 2026-02-28T11:00:00Z" in lines
    assert "300 of 400 have a label; labels: 2 came again, 7 are of other requests" in lines
    assert "accuracy is 0.8 and was 0.93" in lines
    assert "labels are written otherwise" in lines
    assert "accuracy 0.8 0.75 0.84 0.93" in lines


def test_a_window_that_gathers_its_rows_says_how_many_there_are():
    said = "the window has 300 of the 5000 rows"
    gathering = {"until": stamp(1), "reason": "GatheringWindow", "message": said}
    assert f"next: {said}" in written({"message": "no drift", "gathering": gathering})
    assert written({"message": said, "gathering": gathering}).count(said) == 1


def test_slices_are_a_table_and_name_what_drifted_in_them():
    slices = [
        {"name": "dach", "baselineRows": 900, "windowRows": 90, "featuresDrifted": 1},
        {"name": "new", "baselineRows": 900, "windowRows": 9, "message": "too few"},
    ]
    age = {"name": "age", "slice": "dach", "drifted": True, "test": "Rank"}
    lines = written({"evaluation": {"time": stamp(1), "features": [age], "slices": slices}})
    assert "dach 900 90 1 -" in lines
    assert "new 900 9 - too few" in lines
    assert len([line for line in lines if line.startswith("age in slice dach ")]) == 2


def test_how_large_drift_is_stands_below_the_features_where_that_is_known():
    sizes = {"test": "Rank", "jensenShannon": 0.25, "wasserstein": 1.5, "outOfRange": 0.125}
    moved = {"name": "age", "drifted": True, "missing": 0.3, "missingBefore": 0.1, **sizes}
    quiet = {"name": "income", "drifted": False, "jensenShannon": 0.01}
    evaluation = {"time": stamp(1), "featuresTested": 2, "featuresDrifted": 1}
    lines = written({"evaluation": {**evaluation, "features": [moved, quiet]}})
    assert "age Rank 0.250 1.5 - 12.5% 10.0% -> 30.0%" in lines
    assert len([line for line in lines if line.startswith("income")]) == 1
    older = {"name": "age", "drifted": True}
    assert "How large" not in written({"evaluation": {**evaluation, "features": [older]}})


def test_an_estimate_is_called_one_and_says_why_there_is_none():
    metric = {"metric": "accuracy", "value": 0.8, "low": 0.75, "high": 0.84}
    lines = written({"performance": {"estimate": {"rows": 900, "metric": metric, "broken": ["it was 0.93"]}}})
    said = "estimated without labels, of 900 requests: accuracy 0.8 (0.75 to 0.84); it was 0.93"
    assert said in lines
    found = {
        "rows": 900,
        "metric": metric,
        "others": [{"metric": "rmse", "value": 2.25}],
        "message": "3.0% differ",
    }
    said = "estimated without labels, of 900 requests: accuracy 0.8 (0.75 to 0.84), rmse 2.25 (- to -); 3.0% differ"
    assert said in written({"performance": {"estimate": found}})
    lines = written({"performance": {"estimate": {"message": "the model gives no score"}}})
    assert "no estimate without labels: the model gives no score" in lines


def test_operation_is_a_line_with_what_it_is_compared_with():
    numbers = {"requests": 400, "errors": 60, "perSecond": 6.7, "p50": 0.01, "p95": 0.045, "p99": 0.1}
    reference = {"until": stamp(30), "p95": 0.02, "perSecond": 7.1}
    lines = written(
        {"operation": {**numbers, "reference": reference, "broken": ["60 of 400 requests failed"]}}
    )
    said = "60 of 400 requests failed; 6.7/s; latency p50 10 ms, p95 45 ms, p99 100 ms; at first p95 20 ms, 7.1/s"
    assert said in lines
    assert "60 of 400 requests failed" in lines


def test_what_was_done_is_shown_with_why():
    taken = {"action": "Pause", "state": "Asked", "revision": "rev3", "at": stamp(1), "message": "2 features"}
    assert "Pause Drift Asked 60m rev3 2 features" in written({"actions": [taken]})


def test_receivers_are_shown_with_what_they_were_told_and_without_keys():
    [key] = by_fingerprint([Receiver.model_validate(SLACK)])
    notice = {"receiver": key, "told": "Drifted", "state": "Sent", "id": "1", "at": stamp(2)}
    lines = written({"notices": [notice]}, notify=[SLACK, HOOK])
    assert "Slack receiver of Secret slack Drift Drifted Sent 2h" in lines
    assert "Generic receiver https://hooks.example.com/drift Drift - - - -" in lines
    assert not [line for line in lines if "token" in line]


def test_without_receivers_and_labels_there_is_nothing_about_them():
    text = "\n".join(written({}))
    assert "RECEIVER" not in text
    assert "Performance" not in text


def test_rows_that_came_late_or_twice_are_counted():
    lines = written({"arrivals": {"late": 300, "repeated": 20}})
    assert "300 rows came after their window was evaluated, and are in none" in lines
    assert "20 rows were kept twice, and count once" in lines
    assert not [line for line in written({"arrivals": {}}) if "rows" in line]
