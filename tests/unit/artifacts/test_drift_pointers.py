"""Where the evidence points, for any findings."""

from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.drift_pointers import MISSING, Moved, point
from mooring_artifacts.text import visible
from mooring_components.drift.evaluation import NAMES

shares = st.floats(0, 1)
features = st.lists(
    st.builds(Moved, st.text(max_size=60), st.sampled_from(["", *NAMES.values()]), shares, shares, shares),
    max_size=9,
)
performances = st.sampled_from(["Dropped", "Holds", "Unknown", "Unmeasurable"])

SHIFTED = Moved("age", "Rank", 0.3, out_of_range=0.01)
GONE = Moved("income", MISSING, 0.02)
NEW = Moved("colour", "ChiSquare", 0.25, unseen=0.2)
SCALED = Moved("length", "KolmogorovSmirnov", 0.9, out_of_range=0.8)


def told(moved, performance="Unknown", drifted=True):
    return [(each.at, each.action) for each in point(moved, performance, drifted=drifted)]


def test_missing_unseen_and_out_of_range_point_at_the_data_pipeline():
    [pointer] = point([SCALED, NEW, GONE], "Holds", drifted=True)
    assert (pointer.at, pointer.action) == ("DataPipeline", "InspectData")
    assert "missing: income; unseen: colour; out of range: length" in pointer.message


def test_another_distribution_points_at_the_world_where_predictions_hold():
    assert told([SHIFTED], "Holds") == [("World", "RenewBaseline")]
    assert told([SHIFTED]) == [("World", "MeasurePerformance")]


def test_predictions_that_got_worse_point_at_the_model():
    assert told([SHIFTED], "Dropped") == [("Model", "Retrain")]
    assert told([], "Dropped", drifted=False) == [("Model", "Retrain")]


def test_a_model_is_not_trained_on_rows_that_are_odd():
    [pointer] = point([GONE], "Dropped", drifted=True)
    assert (pointer.at, "predictions got worse" in pointer.message) == ("DataPipeline", True)
    assert told([GONE, SHIFTED], "Dropped") == [("DataPipeline", "InspectData"), ("Model", "Retrain")]


@given(features, performances)
def test_nothing_is_suggested_where_nothing_has_happened(moved, performance):
    assert bool(point(moved, performance, drifted=False)) == (performance == "Dropped")


@given(features, performances)
def test_there_is_one_way_about_what_moved_and_one_about_data(moved, performance):
    found = point(moved, performance, drifted=True)
    places = [each.at for each in found]
    assert 1 <= len(found) <= 2
    assert len(set(places)) == len(places)
    assert ("DataPipeline" in places) == any(each.by_data for each in moved)
    assert ("World" in places) <= (performance != "Dropped")
    assert ("Model" in places) <= (performance == "Dropped")
    assert all(visible(each.message) == each.message and len(each.message) < 1000 for each in found)


@given(features, performances)
def test_how_features_are_ordered_changes_no_advice(moved, performance):
    forward, backward = (point(each, performance, drifted=True) for each in (moved, moved[::-1]))
    assert [(each.at, each.action) for each in forward] == [(each.at, each.action) for each in backward]


def test_the_test_of_missing_values_is_called_as_evaluations_call_it():
    assert NAMES["missing"] == MISSING
