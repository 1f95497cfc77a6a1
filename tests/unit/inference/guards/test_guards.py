"""Input guards: the vectorised checks against a slow reference, and the file they come from."""

from __future__ import annotations

import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mooring_inference.errors import ModelLoadError, RequestError
from mooring_inference.guards import load_guards, parse_guards
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec


def signature(datatype="FP32", shape=(None, 3), name="x"):
    spec = TensorSpec(name, DATATYPES[datatype], shape)
    return Signature((spec,), (spec,))


def guards(features, datatype="FP32", **top):
    shape = (None, len(features))
    return parse_guards({"inputs": {"x": {"features": features}}} | top, signature(datatype, shape))


def floats(*rows):
    array = np.array(rows, np.float32)
    array.flags.writeable = False
    return array


def refusal(model_guards, array):
    with pytest.raises(RequestError) as caught:
        model_guards.check({"x": array})
    return caught.value


AGE = {"name": "age", "min": 0, "max": 120}


def test_values_inside_the_ranges_pass_as_the_very_same_arrays():
    inputs = {"x": floats([0, 120], [1, 5])}
    result = guards([AGE, {}]).check(inputs)
    assert result.inputs is inputs
    assert result.headers() == []


def test_a_rejected_value_is_named_with_feature_row_and_allowed_range():
    error = refusal(guards([{}, AGE], range="reject"), floats([7, 5], [7, 130]))
    assert error.status == 400
    assert error.body() == {
        "error": ("inputs[0].data[3]: expected 0 to 120 for feature 'age' of input 'x' in row 1, got 130.0"),
        "field": "inputs[0].data[3]",
        "expected": "0 to 120",
        "got": 130.0,
    }


@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_non_finite_values_are_rejected_in_words_that_json_has(value, shown):
    error = refusal(parse_guards({"non_finite": "reject"}, signature()), floats([1, value, 2]))
    assert (error.field, error.expected, error.got) == ("inputs[0].data[1]", "a finite number", shown)
    assert orjson.loads(orjson.dumps(error.body()))["got"] == shown


def test_non_finite_values_are_allowed_unless_something_else_is_said():
    result = guards([AGE, AGE, {}], range="reject").check({"x": floats([math.nan, 3, math.inf])})
    assert result.flags == ()


def test_an_infinity_outside_a_range_breaks_the_range_where_non_finite_values_are_allowed():
    assert guards([AGE]).check({"x": floats([-math.inf])}).flags == ("inputs.x[0]:range",)


def test_flags_name_each_feature_once_and_leave_the_values_alone():
    array = floats([-1, math.nan, 5], [200, 1, 5])
    result = guards([AGE, AGE, AGE], non_finite="flag").check({"x": array})
    assert result.inputs["x"] is array
    assert result.flags == ("inputs.x[1]:non_finite", "inputs.x[0]:range")
    assert result.headers() == [("x-mooring-flags", "inputs.x[1]:non_finite,inputs.x[0]:range")]


def test_clipping_makes_a_corrected_copy_and_says_so():
    array = floats([-1, math.nan, 500], [math.inf, -math.inf, 1])
    features = [AGE | {"median": 40}, AGE | {"median": 41}, {"max": 9, "median": 0}]
    result = guards(features, non_finite="clip", range="clip").check({"x": array})
    np.testing.assert_array_equal(result.inputs["x"], floats([0, 41, 9], [120, 0, 1]))
    assert result.inputs["x"].dtype == np.float32
    assert array[0, 0] == -1
    assert result.flags == (
        "inputs.x[0]:non_finite-clipped",
        "inputs.x[1]:non_finite-clipped",
        "inputs.x[0]:range-clipped",
        "inputs.x[2]:range-clipped",
    )


def test_an_infinity_without_a_bound_is_clipped_to_the_largest_number():
    result = guards([{"median": 0}], non_finite="clip").check({"x": floats([math.inf])})
    assert result.inputs["x"].tolist() == [[float(np.finfo(np.float32).max)]]


def test_one_entry_can_stand_for_all_elements_of_an_input():
    model_guards = parse_guards(
        {"range": "reject", "inputs": {"x": {"all": {"min": 0, "max": 255}}}},
        signature("UINT16", (None, None, None)),
    )
    image = np.full((2, 4, 4), 255, np.uint16)
    assert model_guards.check({"x": image}).flags == ()
    image[1, 2, 3] = 256
    error = refusal(model_guards, image)
    assert (error.field, error.got) == ("inputs[0].data[27]", 256)
    assert "in row 1" in error.message


def test_an_input_of_one_axis_is_one_feature():
    spec = TensorSpec("x", DATATYPES["INT64"], (None,))
    model_guards = parse_guards(
        {"inputs": {"x": {"features": [{"min": 0.5, "max": 3.5}]}}}, Signature((spec,), ())
    )
    assert model_guards.check({"x": np.array([1, 3])}).flags == ()
    assert model_guards.check({"x": np.array([0, 3])}).flags == ("inputs.x[0]:range",)
    assert model_guards.check({"x": np.array([1, 4])}).flags == ("inputs.x[0]:range",)


def test_an_open_last_axis_is_held_to_the_number_of_features():
    model_guards = parse_guards({"inputs": {"x": {"features": [AGE, AGE]}}}, signature(shape=(None, None)))
    error = refusal(model_guards, floats([1, 2, 3]))
    assert (error.status, error.field, error.got) == (400, "inputs[0].shape", [1, 3])


def test_more_rows_than_allowed_are_413():
    model_guards = parse_guards({"max_rows": 2}, signature())
    assert model_guards.check({"x": np.zeros((2, 3), np.float32)}).flags == ()
    error = refusal(model_guards, np.zeros((3, 3), np.float32))
    assert (error.status, error.expected, error.got) == (413, "at most 2 rows", 3)


def test_unknown_categories_of_numbers_follow_the_policy():
    colour = {"categories": [0, 1, 0.1], "default": 1}
    array = floats([0, 5], [0.1, 1], [2, 7])
    assert guards([colour, {}]).check({"x": array}).flags == ("inputs.x[0]:category",)
    assert refusal(guards([colour, {}], range="reject"), array).field == "inputs[0].data[4]"
    clipped = guards([colour | {"range": "clip"}, {}]).check({"x": array})
    np.testing.assert_array_equal(clipped.inputs["x"], floats([0, 5], [0.1, 1], [1, 7]))


def test_unknown_categories_of_strings_follow_the_policy():
    features = [{"categories": ["red", "blue"], "default": "red", "range": "clip"}, {}]
    array = np.array([["blue", "x"], ["green", "y"]], object)
    result = guards(features, "BYTES").check({"x": array})
    assert result.inputs["x"].tolist() == [["blue", "x"], ["red", "y"]]
    assert array[1, 0] == "green"
    error = refusal(
        guards([{"categories": ["red"]}], "BYTES", range="reject"), np.array([["g" * 500]], object)
    )
    assert error.got == "g" * 60 + "..."


def test_nan_is_no_unknown_category_where_missing_values_are_allowed():
    colour = {"categories": [0, 1], "range": "reject"}
    assert guards([colour]).check({"x": floats([math.nan], [1])}).flags == ()
    error = refusal(guards([colour]), floats([math.nan], [2]))
    assert error.got == 2


def test_the_outlier_score_is_the_farthest_feature_in_interquartile_ranges():
    features = [{"median": 10, "iqr": 2}, {"median": 0, "iqr": 0}, {}, {"median": 5, "iqr": 10}]
    model_guards = guards(features, outlier_score=True)
    result = model_guards.check({"x": floats([11, 900, 900, 5], [10, 0, math.nan, 0], [10, 0, 0, math.nan])})
    assert result.outlier_score == 0.5
    assert result.headers() == [("x-mooring-outlier-score", "0.5")]
    assert model_guards.check({"x": floats([math.inf, 0, 0, 0])}).outlier_score == math.inf
    assert model_guards.check({"x": np.zeros((0, 4), np.float32)}).outlier_score == 0


def test_the_outlier_score_is_of_what_was_sent_and_not_of_what_clipping_made_of_it():
    model_guards = guards([AGE | {"median": 0, "iqr": 1}], outlier_score=True, range="clip")
    assert model_guards.check({"x": floats([150])}).outlier_score == 150


def test_flags_in_headers_are_ascii_and_few():
    spec = TensorSpec("größe,\r\nx: y", DATATYPES["FP32"], (None, 40))
    model_guards = parse_guards(
        {"inputs": {spec.name: {"features": [{"max": 0}] * 40}}}, Signature((spec,), ())
    )
    ((_, value),) = model_guards.check({spec.name: np.ones((1, 40), np.float32)}).headers()
    assert value.isascii()
    assert value.isprintable()
    assert len(value.split(",")) == 33
    assert value.endswith(",+8")


@pytest.mark.parametrize("bits", [0x7F800001, 0xFFC00000])
@pytest.mark.filterwarnings("error")
def test_every_bit_pattern_of_nan_is_seen_without_a_warning(bits):
    array = np.array([[bits, 0x3F800000]], np.uint32).view(np.float32)
    assert refusal(guards([AGE, AGE], non_finite="reject"), array).field == "inputs[0].data[0]"


# The reference: one element at a time, in words of the documentation.

POLICIES = st.sampled_from(["flag", "reject", "clip"])
BOUND = st.one_of(st.none(), st.integers(-4, 4))


@st.composite
def cases(draw):
    datatype = draw(st.sampled_from(["FP16", "FP32", "FP64", "INT8", "INT64", "UINT8"]))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4).filter(lambda s: s[-1]))
    features = []
    for _ in range(shape[-1]):
        low, high = draw(BOUND), draw(BOUND)
        if low is not None and high is not None and low > high:
            low, high = high, low
        if datatype == "UINT8" and high is not None and high < 0:
            high = None
        feature = {"min": low, "max": high, "median": 0, "range": draw(POLICIES)}
        features.append({key: value for key, value in feature.items() if value is not None})
    dtype = DATATYPES[datatype].dtype
    elements = (
        st.sampled_from([-5.0, -1.0, -0.0, 0.0, 1.0, 3.0, 5.0, math.nan, math.inf, -math.inf])
        if dtype.kind == "f"
        else st.integers(0 if dtype.kind == "u" else -6, 6)
    )
    array = draw(hnp.arrays(dtype, shape, elements=elements))
    array.flags.writeable = False
    return datatype, features, draw(st.sampled_from(["allow", "flag", "reject", "clip"])), array


def judge(value, feature, non_finite, dtype):
    """What should become of one value: (rule, policy, corrected value)."""
    low, high = feature.get("min", -math.inf), feature.get("max", math.inf)
    if dtype.kind == "f" and not math.isfinite(value) and non_finite != "allow":
        largest = float(np.finfo(dtype).max)
        nearest = min(max(value, low, -largest), high, largest)
        return "non_finite", non_finite, 0 if math.isnan(value) else nearest
    if value < low or value > high:
        return "range", feature["range"], min(max(value, low), high)
    return None


@given(cases())
def test_the_vectorised_check_does_what_the_reference_does_for_each_element(case):
    datatype, features, non_finite, array = case
    dtype = DATATYPES[datatype].dtype
    spec = TensorSpec("x", DATATYPES[datatype], (None,) * array.ndim)
    model_guards = parse_guards(
        {"non_finite": non_finite, "inputs": {"x": {"features": features}}}, Signature((spec,), ())
    )
    expected, flags, rejected = array.copy(), set(), set()
    for position, index in enumerate(np.ndindex(array.shape)):
        verdict = judge(array[index].item(), features[index[-1]], non_finite, dtype)
        if verdict is None:
            continue
        rule, policy, corrected = verdict
        if policy == "reject":
            rejected.add(f"inputs[0].data[{position}]")
        elif policy == "flag":
            flags.add(f"inputs.x[{index[-1]}]:{rule}")
        else:
            flags.add(f"inputs.x[{index[-1]}]:{rule}-clipped")
            expected[index] = corrected
    if rejected:
        assert refusal(model_guards, array).field in rejected
    else:
        result = model_guards.check({"x": array})
        assert set(result.flags) == flags
        assert result.inputs["x"].shape == array.shape
        np.testing.assert_array_equal(result.inputs["x"], expected)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "document: expected an object, got array"),
        ({"nonfinite": "flag"}, "document: expected keys out of"),
        ({"non_finite": "drop"}, "non_finite: expected one of ['allow', 'clip', 'flag', 'reject'], got drop"),
        ({"range": "allow"}, "range: expected one of ['clip', 'flag', 'reject'], got allow"),
        ({"range": ["flag"]}, "range: expected one of"),
        ({"max_rows": 0}, "max_rows: expected a whole number of 1 or more, got 0"),
        ({"max_rows": True}, "max_rows: expected a whole number of 1 or more, got True"),
        ({"outlier_score": 1}, "outlier_score: expected true or false, got 1"),
        ({"outlier_score": True}, "outlier_score: expected a feature with median and a positive iqr"),
        ({"inputs": {"y": {}}}, "inputs: expected inputs of the model, ['x'], got y"),
        ({"inputs": {"x": {"features": [{}]}}}, "inputs.x.features: expected 3 features"),
        ({"inputs": {"x": {"features": {}}}}, "inputs.x.features: expected a list of features"),
        ({"inputs": {"x": {"features": [{}] * 3, "all": {}}}}, "inputs.x: expected either features or all"),
        ({"inputs": {"x": {"all": {"minimum": 1}}}}, "inputs.x.all: expected keys out of"),
        ({"inputs": {"x": {"all": {"min": "1"}}}}, "inputs.x.all.min: expected a finite number, got 1"),
        ({"inputs": {"x": {"all": {"min": 2, "max": 1}}}}, "inputs.x.all: expected a min and a max"),
        ({"inputs": {"x": {"all": {"iqr": -1}}}}, "inputs.x.all.iqr: expected 0 or more, got -1"),
        ({"inputs": {"x": {"all": {"name": 1}}}}, "inputs.x.all.name: expected a string, got 1"),
        ({"inputs": {"x": {"all": {"categories": []}}}}, "inputs.x.all.categories: expected a list"),
        ({"inputs": {"x": {"all": {"categories": ["a"]}}}}, "categories[0]: expected a value of FP32, got a"),
        ({"inputs": {"x": {"all": {"categories": [1], "min": 0}}}}, "either categories or min and max"),
        ({"inputs": {"x": {"all": {"categories": [1], "range": "clip"}}}}, "default: expected one of [1]"),
        ({"inputs": {"x": {"non_finite": "clip"}}}, "inputs.x: expected a median for every feature"),
    ],
)
def test_a_mistake_in_the_file_is_named(document, message):
    with pytest.raises(ModelLoadError) as caught:
        parse_guards(document, signature())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({"min": 256}, "a min and a max with values of UINT8 between"),
        ({"min": 0.2, "max": 0.8}, "a min and a max with values of UINT8 between"),
        ({"categories": [300]}, "expected a value of UINT8, got 300"),
    ],
)
def test_rules_that_no_value_of_the_datatype_can_keep_are_refused(feature, message):
    with pytest.raises(ModelLoadError) as caught:
        guards([feature], "UINT8")
    assert message in str(caught.value)


def test_bounds_for_strings_are_refused():
    with pytest.raises(ModelLoadError, match="expected nothing, as the input is BYTES"):
        guards([{"min": 1}], "BYTES")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "x", "all", "features", "min", "max", "categories", "range", "max_rows"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_document_is_taken_or_refused_and_never_crashes(document):
    message = "expected"
    try:
        parse_guards(document, signature())
    except ModelLoadError as exc:
        message = str(exc)
    assert "expected" in message


def test_a_file_is_read_and_a_broken_one_refused_by_its_name(tmp_path):
    path = tmp_path / "guards.json"
    path.write_text('{"max_rows": 1}')
    assert refusal(load_guards(path, signature()), np.zeros((2, 3), np.float32)).status == 413
    path.write_text("{")
    with pytest.raises(ModelLoadError, match=r"guards\.json is not JSON"):
        load_guards(path, signature())
    path.write_text('{"max_rows": -1}')
    with pytest.raises(ModelLoadError, match=r"guards\.json: max_rows: expected"):
        load_guards(path, signature())
    with pytest.raises(ModelLoadError, match=r"none\.json cannot be read: No such file"):
        load_guards(tmp_path / "none.json", signature())
