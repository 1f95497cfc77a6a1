"""What statuses say, as metrics: in numbers that Prometheus takes, whatever somebody wrote into a status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.runtime.status_metrics import samples_of
from mooring_operator.runtime.telemetry import Telemetry
from prometheus_client.parser import text_string_to_metric_families

DEPLOYMENT = {
    "phase": "Canary",
    "stable": {"revision": "aaaa"},
    "candidate": {"revision": "bbbb", "weight": 50, "routed": 20},
    "conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "Tested", "status": "True"}],
}
MONITOR = {
    "phase": "Drifted",
    "conditions": [{"type": "Drifted", "status": "True"}],
    "evidence": {"value": 1200.5, "limit": 1000.0},
    "evaluation": {
        "time": "2026-03-01T12:00:00Z",
        "windowRows": 5000,
        "featuresTested": 4,
        "featuresDrifted": 1,
        "features": [
            {"name": "age", "drifted": True, "ks": {"statistic": 0.4, "pValue": 1e-9}, "missing": 0.25},
            {"name": 'in"come\n', "drifted": False, "psi": {"statistic": 0.01}},
        ],
    },
}


LABELS = (
    "kind",
    "condition",
    "phase",
    "stable",
    "candidate",
    "feature",
    "slice",
    "statistic",
    "metric",
    "quantile",
)


def shown(telemetry):
    """Every sample as Prometheus reads it: {(name, labels without the object's): value}."""
    found = {}
    for family in text_string_to_metric_families(telemetry.exposition().decode()):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in LABELS if name in sample.labels)
            if sample.labels.get("name") == "iris":
                assert (sample.name, labels) not in found
                found[sample.name, labels] = sample.value
    return found


@pytest.fixture
def telemetry():
    return Telemetry()


def test_a_rollout_shows_what_is_asked_for_and_what_is_seen(telemetry):
    telemetry.saw("ModelDeployment", "ml", "iris", DEPLOYMENT)
    assert shown(telemetry) == {
        ("mooring_condition", ("ModelDeployment", "Ready")): -1,
        ("mooring_condition", ("ModelDeployment", "Tested")): 1,
        ("mooring_deployment_info", ("Canary", "aaaa", "bbbb")): 1,
        ("mooring_deployment_candidate_weight", ()): 50,
        ("mooring_deployment_candidate_routed", ()): 20,
    }
    telemetry.saw("ModelDeployment", "ml", "iris", {"phase": "Promoted", "stable": {"revision": "bbbb"}})
    assert shown(telemetry) == {("mooring_deployment_info", ("Promoted", "bbbb", "")): 1}


def test_a_monitor_shows_its_last_window(telemetry):
    telemetry.saw("DriftMonitor", "ml", "iris", MONITOR)
    assert shown(telemetry) == {
        ("mooring_condition", ("DriftMonitor", "Drifted")): 1,
        ("mooring_drift_evaluated_timestamp_seconds", ()): 1772366400,
        ("mooring_drift_window_rows", ()): 5000,
        ("mooring_drift_features_tested", ()): 4,
        ("mooring_drift_features_drifted", ()): 1,
        ("mooring_drift_evidence", ()): 1200.5,
        ("mooring_drift_evidence_limit", ()): 1000,
        ("mooring_drift_feature_drifted", ("age",)): 1,
        ("mooring_drift_feature_statistic", ("age", "ks")): 0.4,
        ("mooring_drift_feature_statistic", ("age", "missing")): 0.25,
        ("mooring_drift_feature_drifted", ('in"come\n',)): 0,
        ("mooring_drift_feature_statistic", ('in"come\n', "psi")): 0.01,
        ("mooring_drift_feature_statistic", ('in"come\n', "missing")): 0,
    }


def test_a_feature_of_a_slice_is_no_series_of_all_rows(telemetry):
    features = [{"name": "age", "drifted": False}, {"name": "age", "slice": "dach", "drifted": True}]
    slices = [{"name": "dach", "featuresDrifted": 1}, {"name": "new"}]
    telemetry.saw("DriftMonitor", "ml", "iris", {"evaluation": {"features": features, "slices": slices}})
    assert shown(telemetry) == {
        ("mooring_drift_features_drifted", ()): 0,
        ("mooring_drift_slice_features_drifted", ("dach",)): 1,
        ("mooring_drift_slice_features_drifted", ("new",)): 0,
        ("mooring_drift_feature_drifted", ("age",)): 0,
        ("mooring_drift_feature_statistic", ("age", "missing")): 0,
    }


def test_a_monitor_shows_what_labels_and_answers_say(telemetry):
    performance = {
        "labels": {"answered": 400, "labelled": 100},
        "metrics": [{"metric": "accuracy", "value": 0.8, "baseline": 0.9}, {"metric": "f1", "value": 0.7}],
    }
    operation = {"requests": 50, "errors": 5, "perSecond": 2.5, "p50": 0.01, "p95": 0.02}
    telemetry.saw("DriftMonitor", "ml", "iris", {"performance": performance, "operation": operation})
    assert shown(telemetry) == {
        ("mooring_drift_performance", ("accuracy",)): 0.8,
        ("mooring_drift_performance", ("f1",)): 0.7,
        ("mooring_drift_performance_baseline", ("accuracy",)): 0.9,
        ("mooring_drift_performance_label_coverage", ()): 0.25,
        ("mooring_drift_operation_latency_seconds", ("0.5",)): 0.01,
        ("mooring_drift_operation_latency_seconds", ("0.95",)): 0.02,
        ("mooring_drift_operation_error_ratio", ()): 0.1,
        ("mooring_drift_operation_requests_per_second", ()): 2.5,
    }
    telemetry.saw("DriftMonitor", "ml", "iris", {"operation": {"requests": 0, "errors": 0, "perSecond": 0.0}})
    assert shown(telemetry) == {("mooring_drift_operation_requests_per_second", ()): 0}


def test_what_is_gone_is_shown_no_more(telemetry):
    telemetry.saw("DriftMonitor", "ml", "iris", MONITOR)
    telemetry.saw("ModelDeployment", "ml", "iris", DEPLOYMENT)
    telemetry.saw("DriftMonitor", "ml", "iris", None)
    assert {name for name, _ in shown(telemetry)} == {
        "mooring_condition",
        *(name for name, _ in shown(telemetry) if "deployment" in name),
    }
    telemetry.saw_all("ModelDeployment", [("ml", "other")])
    assert shown(telemetry) == {}


def test_what_stands_twice_is_shown_once(telemetry):
    twice = {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Ready", "status": "True"}]}
    telemetry.saw("ModelDeployment", "ml", "iris", twice)
    assert shown(telemetry)["mooring_condition", ("ModelDeployment", "Ready")] == 1


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = (
    *("phase", "stable", "candidate", "conditions", "evaluation", "evidence", "performance", "operation"),
)


@given(
    kind=st.sampled_from(["ModelDeployment", "DriftMonitor"]),
    status=st.dictionaries(st.sampled_from(_FIELDS), _anything),
)
def test_a_status_of_any_form_stops_no_scrape(kind, status):
    telemetry = Telemetry()
    telemetry.saw(kind, "ml", "iris", status)
    shown(telemetry)


def test_an_object_has_so_many_series_at_most():
    many = [{"name": f"f{number}", "drifted": True} for number in range(5000)]
    assert len(list(samples_of("DriftMonitor", {"evaluation": {"features": many}}))) <= 100
