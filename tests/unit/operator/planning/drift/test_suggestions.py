"""What the evidence supports is said, and done only where the spec lists it."""

from datetime import timedelta

import pytest
from mooring_operator.api.drift_findings import FeatureDrift
from mooring_operator.api.drift_findings import TestResult as Result
from mooring_operator.api.types import Condition
from mooring_operator.planning.drift.evaluations import Findings, Target
from mooring_operator.planning.drift.suggestions import suggest

from tests.unit.operator.planning.drift.test_plan import NOW, TARGET, evaluated, found, spec


def feature(name, distance=0.3, **fields):
    ks = Result(statistic=distance, p_value=1e-9)
    return FeatureDrift(name=name, drifted=True, **{"ks": ks, "test": "Rank", **fields})


def findings(*features):
    return Findings(9000, 400, "sha256:x", features)


def said(status):
    return [(one.points_at, one.action, one.listed) for one in status.suggestions]


def judged(status, value):
    known = Condition(
        type="PerformanceDropped", status=value, reason="R", message="", last_transition_time=NOW
    )
    others = [each for each in status.conditions if each.type != known.type]
    return status.model_copy(update={"conditions": [*others, known]})


def test_a_shift_points_at_the_world_and_asks_whether_predictions_are_right():
    decision = evaluated(spec(), None, findings(feature("age")))
    assert said(decision.status) == [("World", "MeasurePerformance", False)]
    assert decision.status.suggestions[0].message.startswith("age moved, and whether predictions")


def test_of_two_data_sets_no_field_is_named_that_they_may_not_have():
    files = {"window": {"uri": "s3://b/w.parquet"}, "baseline": {"uri": "s3://b/b.parquet"}}
    decision = evaluated(spec(target=None, **files), None, findings(feature("age")))
    [suggestion] = decision.status.suggestions
    assert (suggestion.action, "spec.performance" in suggestion.message) == ("MeasurePerformance", False)


def test_values_that_the_baseline_has_not_point_at_the_data():
    odd = [
        feature("gone", test="Missing"),
        feature("new", unseen=0.2),
        feature("far", 0.9, out_of_range=0.8),
    ]
    for each in odd:
        assert said(evaluated(spec(), None, findings(each)).status) == [
            ("DataPipeline", "InspectData", False)
        ]
    without = feature("far", ks=None, jensen_shannon=0.6, out_of_range=0.5)
    assert said(evaluated(spec(), None, findings(without)).status)[0][0] == "DataPipeline"


def test_quiet_traffic_suggests_nothing_and_takes_back_what_was_suggested():
    first = evaluated(spec(), None, findings(feature("age")))
    later = evaluated(spec(), first.status, found(), now=NOW + timedelta(minutes=1))
    assert said(later.status) == []


def test_nothing_is_done_because_it_is_suggested():
    decision = evaluated(spec(), None, findings(feature("age")))
    assert {type(action).__name__ for action in decision.actions} == {"Notify"}
    assert decision.status.actions == []
    assert decision.status.retraining is None


@pytest.mark.parametrize(
    ("on", "listed"), [(None, True), (["Performance"], True), (["Operation"], False), (["Drift"], True)]
)
def test_what_the_spec_has_done_is_listed(on, listed):
    training = {"image": "registry.example.com/train:1", "output": "s3://b/models"}
    asked = spec(retrain={**training, **({} if on is None else {"on": on})})
    status = judged(evaluated(spec(), None, findings(feature("age"))).status, "True")
    assert said(suggest(asked, status, TARGET)) == [("Model", "Retrain", listed)]
    assert said(suggest(spec(), status, TARGET)) == [("Model", "Retrain", False)]


def test_predictions_that_hold_let_the_model_alone():
    status = judged(evaluated(spec(), None, findings(feature("age"))).status, "False")
    assert said(suggest(spec(), status, TARGET)) == [("World", "RenewBaseline", False)]


def test_what_was_found_of_another_revision_suggests_nothing_about_this_one():
    status = evaluated(spec(), None, findings(feature("age"))).status
    assert said(suggest(spec(), status, Target("digits", "rev3", "rev2"))) == []
    assert said(suggest(spec(), status, None)) == []
    assert said(suggest(spec(suspend=True), status, Target("digits", "rev3", "rev2"))) == said(status)


def test_the_features_that_the_evidence_comes_from_are_named():
    patient = spec(sensitivity="high")
    calm = feature("age", e_value=1e4).model_copy(update={"drifted": False, "test": ""})
    decision = evaluated(patient, None, findings(calm))
    assert decision.status.phase == "Drifted"
    assert decision.status.suggestions[0].message.startswith("age moved")
