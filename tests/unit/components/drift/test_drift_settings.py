"""What is declared of a feature decides how it is compared, in rows and in counts alike."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from mooring_artifacts.feature_settings import FeatureSettings, parse_setting
from mooring_artifacts.window_states import count, prepare
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.prepared import PreparedBaseline
from mooring_components.drift.states import evaluate_states

RNG = np.random.default_rng(7)
EVEN = np.full(40, 1 / 40)
# A total variation of .25 that leaves the distribution function nearly as it was.
ODD = EVEN + np.tile([0.0125, -0.0125], 20)
CODES = {
    "before": RNG.choice(40, 20_000, p=EVEN),
    "calm": RNG.choice(40, 2000, p=EVEN),
    "moved": RNG.choice(40, 2000, p=ODD),
}


def settings(*texts):
    return FeatureSettings(map(parse_setting, texts))


def compare(before, now, *texts, features=None):
    found = evaluate(pa.table(before), pa.table(now), features, 100, Detectors(), settings(*texts))
    return {feature.name: feature for feature in found.features}, found.schema_changes


def counted(before, now, *texts):
    profile = prepare({"x": np.asarray(before, np.float64)})
    state = count(profile, {"x": np.asarray(now, np.float64)})
    [feature] = evaluate_states(profile, state, None, 100, Detectors(), settings(*texts)).features
    return feature


def refused(*arguments, **more):
    with pytest.raises(EvaluationError) as caught:
        compare(*arguments, **more)
    return caught.value.reason, caught.value.message


def test_codes_by_a_pattern_are_compared_as_categories():
    before = {"zip_a": CODES["before"] * 1.5, "age": CODES["before"]}
    now = {"zip_a": CODES["moved"] * 1.5, "age": CODES["calm"]}
    assert (compare(before, now)[0]["zip_a"].drifted, compare(before, now)[0]["zip_a"].variation) == (
        False,
        None,
    )
    features, _ = compare(before, now, "zip*=Category")
    assert (features["zip_a"].kind, features["zip_a"].drifted) == ("category", True)
    assert (features["age"].kind, features["age"].drifted) == ("number", False)


def test_codes_that_are_text_on_one_side_are_the_same_codes():
    for store in (np.int64, np.float32, np.float64):
        before = {"zip": CODES["before"].astype(store)}
        calm, moved = ({"zip": [str(code) for code in CODES[side]]} for side in ("calm", "moved"))
        assert compare(before, calm)[1][0].change == "TypeChanged"
        features, changes = compare(before, calm, "zip=Category")
        assert (features["zip"].drifted, features["zip"].effects.unseen, changes) == (False, 0.0, [])
        assert compare(before, moved, "zip=Category")[0]["zip"].drifted


def test_booleans_are_compared_by_their_shares_whether_true_or_1():
    before = {"paid": RNG.random(20_000) < 0.5}
    calm, moved = ({"paid": (RNG.random(2000) < share).astype(np.int8)} for share in (0.5, 0.6))
    features, changes = compare(before, calm, "paid=Boolean")
    assert (features["paid"].kind, features["paid"].drifted, changes) == ("category", False, [])
    assert compare(before, moved, "paid=Boolean")[0]["paid"].test == "ChiSquare"


def test_missing_codes_are_missing_and_no_category():
    before = {"zip": np.where(np.arange(20_000) % 10 < 5, np.nan, CODES["before"])}
    now = {"zip": [None if row % 10 < 5 else str(code) for row, code in enumerate(CODES["calm"])]}
    feature = compare(before, now, "zip=Category")[0]["zip"]
    assert (feature.drifted, feature.missing, feature.missing_before) == (False, 0.5, 0.5)


def test_few_integers_that_are_declared_as_numbers_are_compared_one_way():
    before, now = {"x": CODES["before"]}, {"x": CODES["moved"]}
    assert compare(before, now)[0]["x"].variation is not None
    declared = compare(before, now, "x=Number")[0]["x"]
    assert (declared.variation, declared.hint, declared.drifted) == (None, "", False)
    prepared = PreparedBaseline(pa.table(before))
    [feature] = evaluate(prepared, pa.table(now), None, 100, Detectors(), settings("x=Number")).features
    assert (feature.variation, feature.hint) == (None, "")


def test_numbers_of_a_dictionary_are_numbers_where_that_is_declared():
    before, now = ({"x": pa.array(CODES[side]).dictionary_encode()} for side in ("before", "moved"))
    assert compare(before, now)[0]["x"].kind == "category"
    assert compare(before, now, "x=Number")[0]["x"].kind == "number"


def test_times_are_compared_where_they_are_declared():
    begin = datetime(2026, 1, 1)
    before = {"t": [begin + timedelta(hours=row) for row in range(2000)], "x": np.arange(2000)}
    now = {"t": [begin + timedelta(hours=row + 5000) for row in range(500)], "x": np.arange(500) * 4}
    assert set(compare(before, now)[0]) == {"x"}
    assert compare(before, now, "t=Timestamp")[0]["t"].drifted


def test_what_is_ignored_is_neither_compared_nor_told_of():
    before = {"x": CODES["before"], "debug_a": CODES["before"], "debug_b": CODES["before"]}
    now = {"x": CODES["calm"], "debug_a": CODES["calm"] + 100}
    features, changes = compare(before, now, "debug_*=Ignored")
    assert (set(features), changes) == ({"x"}, [])
    assert set(compare(before, now, "debug_*=Ignored", features=["x", "debug_a"])[0]) == {"x"}


def test_a_feature_has_a_distance_of_its_own():
    before, now = {"a": RNG.normal(size=20_000)}, {"a": RNG.normal(0.5, 1, 2000)}
    before["b"], now["b"] = before["a"], now["a"]
    features, _ = compare(before, now, "b=0.4")
    assert {name: feature.drifted for name, feature in features.items()} == {"a": True, "b": False}


def test_settings_that_fit_nothing_or_no_value_are_told():
    before, now = {"x": CODES["before"], "s": ["a"] * 20_000}, {"x": CODES["calm"], "s": ["a"] * 2000}
    assert refused(before, now, "y*=Number") == (
        "FeatureMissing",
        "spec.featureSettings[0].match: 'y*' fits no column; there are x, s",
    )
    assert refused(before, now, "s=Number") == (
        "TypeUnsupported",
        "spec.featureSettings: 's' is string in the baseline, which cannot be compared as Number",
    )


def test_lists_are_left_out_of_patterns_and_told_of_by_their_name():
    before = {"x": CODES["before"], "l": [[1]] * 20_000}
    now = {"x": CODES["calm"], "l": [[1]] * 2000}
    assert set(compare(before, now, "*=Number")[0]) == {"x"}
    assert refused(before, now, "l=Number")[0] == "TypeUnsupported"


def test_counts_are_compared_as_what_is_declared_too():
    assert counted(CODES["before"], CODES["calm"]).variation is not None
    number = counted(CODES["before"], CODES["moved"], "x=Number")
    assert (number.kind, number.variation) == ("number", None)
    moved, calm = (counted(CODES["before"], CODES[side], "x=Category") for side in ("moved", "calm"))
    assert (moved.kind, moved.drifted, calm.drifted) == ("category", True, False)
    rows = compare({"x": CODES["before"]}, {"x": CODES["moved"]}, "x=Category")[0]["x"]
    assert moved.ks[0] == pytest.approx(rows.ks[0], abs=1e-12)
    assert counted(CODES["before"], CODES["moved"], "x=Category", "x=0.9").drifted is False


def test_ranges_that_were_counted_are_no_categories():
    with pytest.raises(EvaluationError) as caught:
        counted(RNG.normal(size=5000), RNG.normal(size=500), "x=Category")
    assert caught.value.reason == "TypeUnsupported"
    assert "is counted as ranges of numbers" in caught.value.message
    with pytest.raises(EvaluationError) as caught:
        counted(CODES["before"], CODES["calm"], "y=Category")
    assert caught.value.reason == "FeatureMissing"
