"""Gates are inclusive bounds, and what cannot be compared never passes."""

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.gates import METRICS, Difference, Interval, TestGate, parse_gates
from mooring_artifacts.judging import Findings, judge
from mooring_artifacts.run_documents import Slice
from mooring_components.verdicts import Subject, make_verdict, write_verdict

DIGEST = "sha256:" + "0" * 64
names = st.sampled_from(METRICS)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
bounds = st.none() | numbers


@given(value=numbers, low=bounds, high=bounds, metric=st.sampled_from(METRICS))
def test_a_known_finite_metric_violates_a_gate_exactly_when_it_is_out_of_bounds(value, low, high, metric):
    assume(low is not None or high is not None)
    assume(low is None or high is None or low <= high)
    outside = (low is not None and value < low) or (high is not None and value > high)
    found = judge(Findings({metric: value}), [TestGate(metric=metric, min=low, max=high)])
    assert bool(found) is outside
    assert all((v.metric, v.value, v.min, v.max) == (metric, value, low, high) for v in found)


@given(
    metrics=st.dictionaries(st.sampled_from(METRICS) | st.text(max_size=8), st.floats()),
    gates=st.lists(st.builds(TestGate, metric=names, min=numbers)),
)
def test_a_gate_on_something_missing_or_not_finite_never_passes(metrics, gates):
    failed = {(v.metric, v.min, v.max) for v in judge(Findings(metrics), gates)}
    for gate in gates:
        comparable = math.isfinite(metrics.get(gate.metric, math.nan))
        assert comparable or (gate.metric, gate.min, gate.max) in failed


@pytest.mark.parametrize(
    ("metrics", "gate", "message"),
    [
        ({"accuracy": 0.61}, {"metric": "accuracy", "min": 0.9}, "accuracy 0.61 is below the minimum 0.9"),
        (
            {"latencyP99Ms": 12.5},
            {"metric": "latencyP99Ms", "max": 10},
            "latencyP99Ms 12.5 is above the maximum 10",
        ),
        ({"accuracy": 1.0}, {"metric": "rmse", "max": 1}, "rmse was not measured"),
        ({"rmse": math.nan}, {"metric": "rmse", "max": 1}, "rmse is nan, which is not a finite number"),
    ],
)
def test_a_violation_says_what_was_found_and_what_is_allowed(metrics, gate, message):
    assert [v.message for v in judge(Findings(metrics), parse_gates([gate]))] == [message]


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "accuracy"}, r"gates\[0\]: the gate on accuracy needs min, max or both"),
        (
            {"metric": "accuracy", "min": 2, "max": 1},
            r"gates\[0\]: the gate on accuracy has min 2 above max 1",
        ),
        (
            {"metric": "acuracy", "min": 0.9},
            r"gates\[0\].metric: 'acuracy' is not a metric; did you mean accuracy\? known are accuracy, balanced",
        ),
        (
            {"metric": "x" * 999, "min": 0.9},
            r"gates\[0\].metric: '(x{79}) is not a metric; known are accuracy",
        ),
        ({"metric": "accuracy", "min": "0.9"}, r"gates\[0\].min '0.9' is not allowed"),
        ({"metric": "accuracy", "min": True}, r"gates\[0\].min True is not allowed"),
        ({"metric": "accuracy", "max": math.inf}, r"gates\[0\].max inf is not allowed"),
        ({"metric": "accuracy", "minimum": 1}, r"gates\[0\].minimum 1 is not allowed"),
        ({"min": 1}, r"gates\[0\].metric .* is not allowed"),
        ("accuracy", r"gates\[0\] 'accuracy' is not allowed"),
    ],
)
def test_a_malformed_gate_is_an_error_that_names_it(gate, message):
    with pytest.raises(InputError, match=message):
        parse_gates([gate])


FINDINGS = Findings({"accuracy": 0.61, "rmse": math.inf}, {"accuracy": Interval(low=0.5, high=0.7)})


def test_the_verdict_document_has_the_public_form_and_overwrites(tmp_path):
    uri = f"file://{tmp_path}/ci/verdict.json"
    gates = [{"metric": "accuracy", "min": 0.9}, {"metric": "rmse", "max": 1.0}]
    write_verdict(make_verdict("r0", Subject("m", DIGEST, DIGEST), Findings({"accuracy": 1.0}), []), uri)
    write_verdict(
        make_verdict("r1", Subject("s3://b/m", DIGEST, DIGEST), FINDINGS, gates),
        uri,
    )
    assert json.loads((tmp_path / "ci/verdict.json").read_text()) == {
        "schemaVersion": 1,
        "runId": "r1",
        "modelUri": "s3://b/m",
        "modelDigest": DIGEST,
        "testDataDigest": DIGEST,
        "passed": False,
        "metrics": {"accuracy": 0.61},
        "violations": [
            {
                "metric": "accuracy",
                "value": 0.61,
                "min": 0.9,
                "max": None,
                "message": "accuracy 0.61 is below the minimum 0.9",
            },
            {
                "metric": "rmse",
                "value": None,
                "min": None,
                "max": 1.0,
                "message": "rmse is inf, which is not a finite number",
            },
        ],
        "intervals": {"accuracy": {"low": 0.5, "high": 0.7}},
        "championDigest": None,
        "differences": {},
        "slices": [],
        "groups": [],
        "stability": [],
        "registration": None,
        "signature": None,
        "documents": [],
        "scan": None,
        "importances": None,
        "brought": None,
    }


def test_without_gates_everything_passes():
    assert make_verdict("r", Subject("m", DIGEST, DIGEST), Findings({"accuracy": 0.0}), []).passed


@pytest.mark.parametrize(
    "uri", ["/tmp/verdict.json", "http://host/v.json", "file://host/v.json", "s3:///v.json"]
)
def test_a_verdict_uri_of_another_form_is_refused_by_name(uri):
    with pytest.raises(InputError, match="verdict_uri"):
        write_verdict(make_verdict("r", Subject("m", DIGEST, DIGEST), Findings({}), []), uri)


FOUND = Findings(
    {"accuracy": 0.9, "mae": 2.0, "prAuc": 0.5},
    {"accuracy": Interval(low=0.85, high=0.94), "mae": Interval(low=1.5, high=2.5)},
    champion=True,
    differences={
        "accuracy": Difference(value=-0.02, low=-0.05, high=0.01),
        "mae": Difference(value=0.25, low=-0.5, high=0.75),
    },
    incomparable={"f1": "the rows are gone"},
)
BESIDE = {"notWorseThan": "champion"}


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "accuracy", "min": 0.9}, None),
        (
            {"metric": "accuracy", "min": 0.9, "means": "Bound"},
            "accuracy 0.9 may be as low as 0.85 (95 %), which is below the minimum 0.9",
        ),
        ({"metric": "accuracy", "min": 0.85, "means": "Bound"}, None),
        (
            {"metric": "mae", "max": 2.25, "means": "Bound"},
            "mae 2 may be as high as 2.5 (95 %), which is above the maximum 2.25",
        ),
        (
            {"metric": "prAuc", "min": 0.1, "means": "Bound"},
            "prAuc 0.5 has no interval here, so that no bound of it can be judged",
        ),
        ({"metric": "accuracy", **BESIDE, "margin": 0.02}, None),
        (
            {"metric": "accuracy", **BESIDE, "margin": 0.01},
            "accuracy 0.9 is 0.02 worse than the champion's 0.92; 0.01 is allowed",
        ),
        ({"metric": "accuracy", **BESIDE, "margin": 0.05, "means": "Bound"}, None),
        (
            {"metric": "accuracy", **BESIDE, "margin": 0.02, "means": "Bound"},
            "accuracy 0.9 may be 0.05 worse (95 %) than the champion's 0.92; 0.02 is allowed",
        ),
        ({"metric": "mae", **BESIDE}, "mae 2 is 0.25 worse than the champion's 1.75; 0 is allowed"),
        ({"metric": "mae", **BESIDE, "margin": 0.75, "means": "Bound"}, None),
        (
            {"metric": "mae", **BESIDE, "margin": 0.5, "means": "Bound"},
            "mae 2 may be 0.75 worse (95 %) than the champion's 1.75; 0.5 is allowed",
        ),
        (
            {"metric": "accuracy", **BESIDE, "margin": 1, "min": 0.95},
            "accuracy 0.9 is below the minimum 0.95",
        ),
    ],
)
def test_a_gate_says_whether_it_means_the_estimate_or_the_bound(gate, message):
    assert [violation.message for violation in judge(FOUND, parse_gates([gate]))] == (
        [message] if message else []
    )


def test_what_cannot_be_compared_does_not_hold_and_without_a_champion_all_does():
    gates = parse_gates([{"metric": "f1", **BESIDE}])
    compared = Findings({"f1": 0.5}, champion=True, incomparable={"f1": "the rows are gone"})
    assert [violation.message for violation in judge(compared, gates)] == [
        "f1 cannot be compared with the champion's: the rows are gone"
    ]
    assert judge(Findings({"f1": 0.5}, champion=True, incomparable={"": "it is gone"}), gates)
    assert judge(Findings({"f1": 0.5}), gates) == []
    assert judge(Findings({}), gates)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "rows", **BESIDE}, "the gate on rows has notWorseThan, which is for accuracy, "),
        (
            {"metric": "f1", "notWorseThan": "challenger"},
            r"gates\[0\].notWorseThan 'challenger' is not allowed",
        ),
        ({"metric": "f1", **BESIDE, "margin": -1}, r"gates\[0\].margin -1 is not allowed"),
        ({"metric": "f1", "min": 0, "means": "Median"}, r"gates\[0\].means 'Median' is not allowed"),
        ({"metric": "f1", "means": "Bound"}, "the gate on f1 needs min, max or both"),
    ],
)
def test_a_comparison_of_another_form_is_refused(gate, message):
    with pytest.raises(InputError, match=message):
        parse_gates([gate])


def part(name, rows, value, low, high, column="country", metric="accuracy"):
    interval = Interval(low=low, high=high)
    return Slice(column=column, name=name, rows=rows, metric=metric, value=value, interval=interval)


PARTS = (
    part("DE", 400, 0.7, 0.65, 0.75),
    part("18 <= x < 40", 900, 0.75, 0.71, 0.79, column="age"),
    part("FR", 300, 0.85, 0.8, 0.88),
    part("LU", 7, 0.2, 0.05, 0.6),
)


ALONE = "where 'country' is 'DE', alone of 2 such parts"
WORST = "where 'country' is 'DE', the worst of"
UNNAMED = "spec.ci.testData.slices does not name it, or its rows have no such metric"


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"min": 0.7}, None),
        ({"min": 0.71}, f"accuracy 0.7 is below the minimum 0.71 {ALONE}"),
        ({"min": 0.9}, f"accuracy 0.7 is below the minimum 0.9 {WORST} 2 of 2 such parts"),
        ({"min": 0.7, "means": "Bound"}, "accuracy 0.7 may be as low as 0.65 (95 %), which is below "
         f"the minimum 0.7 {ALONE}"),
        ({"min": 0.8, "value": "FR"}, None),
        ({"min": 0.86, "value": "FR"}, "accuracy 0.85 is below the minimum 0.86 where 'country' is 'FR'"),
        ({"min": 0.1, "value": "LU"}, "there are 7 rows where 'country' is 'LU'; 20 are needed to judge accuracy"),
        ({"min": 0.1, "value": "IT"}, "accuracy: no rows where 'country' is 'IT' were measured; "
         "there are 'DE', 'FR', 'LU'"),
        ({"min": 0.1, "column": "sex"}, f"accuracy was not measured by the values of 'sex': {UNNAMED}"),
        ({"max": 9, "metric": "mae"}, f"mae was not measured by the values of 'country': {UNNAMED}"),
    ],
)  # fmt: skip
def test_a_gate_on_slices_is_judged_by_each_and_tells_of_the_worst(gate, message):
    asked = {
        "column": gate.pop("column", "country"),
        **({"value": gate.pop("value")} if "value" in gate else {}),
    }
    (parsed,) = parse_gates([{"metric": "accuracy", **gate, "slice": asked}])
    # All rows together say nothing of it.
    found = judge(Findings({"accuracy": 0.99, "mae": 0.0}, slices=PARTS), [parsed])
    assert [violation.message for violation in found] == ([] if message is None else [message])


def test_slices_too_small_to_judge_are_no_pass():
    (gate,) = parse_gates([{"metric": "accuracy", "min": 0.1, "slice": {"column": "country"}}])
    found = judge(Findings({}, slices=PARTS[3:]), [gate])
    said = "no value of 'country' has more than 7 rows; 20 are needed to judge accuracy"
    assert [violation.message for violation in found] == [said]


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            {"metric": "f1", "min": 0.5},
            "the gate on f1 has slice, which is for accuracy and mae without notWorseThan",
        ),
        ({"metric": "accuracy", "notWorseThan": "champion"}, "the gate on accuracy has slice, which is for"),
    ],
)
def test_what_is_not_measured_of_slices_cannot_be_asked_of_them(gate, message):
    with pytest.raises(InputError, match=message):
        parse_gates([{**gate, "slice": {"column": "country"}}])
