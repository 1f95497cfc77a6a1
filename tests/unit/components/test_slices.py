"""How good a model is on parts of the rows."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import MOST_SLICES, Verdict, parse_verdict
from mooring_components.datasets import TestData
from mooring_components.intervals import share
from mooring_components.options import TestOptions
from mooring_components.outcomes import Classified, Estimated
from mooring_components.quality import _with_slices, measure
from mooring_components.report.markdown import render_markdown
from mooring_components.report.page import Tested, render_page
from mooring_components.slices import LEAST_ROWS, measure_slices, worst_of
from mooring_components.verdicts import Subject, make_verdict

DIGEST = "sha256:" + "0" * 64


def rows_of(column, labels=None):
    array = column if isinstance(column, pa.Array) else pa.array(column)
    return TestData({"c": array}, np.zeros(len(array)) if labels is None else labels, "rows")


def verdict_of(slices):
    quality = measure(right_where([True] * 50))
    return make_verdict("run-1", Subject("s3://m/x", DIGEST, DIGEST), quality.findings({}), [], "", slices)


def right_where(right):
    right = np.asarray(right)
    return Classified([0, 1], np.zeros(len(right), np.int64), np.where(right, 0, 1))


def test_each_value_has_its_accuracy_and_interval_and_the_worst_is_first():
    column = ["a"] * 60 + ["b"] * 40
    right = [True] * 54 + [False] * 6 + [True] * 10 + [False] * 30
    found = measure_slices(right_where(right), rows_of(column), ["c"])
    assert [(each.name, each.rows, each.value) for each in found] == [("b", 40, 0.25), ("a", 60, 0.9)]
    expected = share(10, 40)
    assert (found[0].interval.low, found[0].interval.high) == (expected.low, expected.high)
    assert found[0].metric == "accuracy"


def test_of_amounts_it_is_the_mean_error():
    actual = np.zeros(60)
    outcome = Estimated(actual, np.repeat([1.0, 3.0], 30))
    found = measure_slices(outcome, rows_of([1] * 30 + [2] * 30), ["c"])
    assert [(each.name, each.metric, each.value) for each in found] == [("2", "mae", 3.0), ("1", "mae", 1.0)]


def test_predictions_that_are_not_finite_leave_their_slices_out():
    outcome = Estimated(np.zeros(60), np.repeat([1.0, np.nan], 30))
    assert [each.name for each in measure_slices(outcome, rows_of(["x"] * 30 + ["y"] * 30), ["c"])] == ["x"]


def test_slices_of_few_rows_come_last_and_missing_values_are_one():
    column = [None] * LEAST_ROWS + ["few"] * (LEAST_ROWS - 1) + ["many"] * 50
    right = [True] * LEAST_ROWS + [False] * (LEAST_ROWS - 1) + [False] + [True] * 49
    found = measure_slices(right_where(right), rows_of(column), ["c"])
    assert [(each.name, each.rows) for each in found] == [("many", 50), ("(missing)", 20), ("few", 19)]
    assert worst_of(found) is found[0]
    assert worst_of(found[2:]) is None
    text = render_markdown(verdict_of(found), [])
    assert "| `c` | `few` | 19 | accuracy | 0 | too few rows |" in text


@pytest.mark.parametrize(
    ("outcome", "slices", "name", "value", "why"),
    [
        (right_where([True] * 30 + [False] * 10 + [True] * 40), ["c"], "worstSliceAccuracy", 0.75, None),
        (right_where([True] * 80), [], "worstSliceAccuracy", None, "spec.ci.testData.slices is empty"),
        (Estimated(np.zeros(80), np.repeat([1.0, 3.0], 40)), ["c"], "worstSliceMae", 3.0, None),
    ],
)
def test_the_worst_slice_is_a_metric_with_its_interval(outcome, slices, name, value, why):
    data = rows_of(["a"] * 40 + ["b"] * 40)
    options = TestOptions(slices=slices)
    found = _with_slices(measure(outcome), measure_slices(outcome, data, slices), outcome, options)
    assert found.metrics.get(name) == value
    assert found.unmeasured.get(name) == why
    findings = found.findings({})
    assert (name in findings.intervals) is (value is not None)
    assert len(findings.slices) == 2 * len(slices)


def test_rows_that_are_all_in_small_slices_leave_nothing_to_judge():
    outcome, data = right_where([True] * 30), rows_of(["a", "b"] * 15)
    found = _with_slices(
        measure(outcome), measure_slices(outcome, data, ["c"]), outcome, TestOptions(slices=["c"])
    )
    assert found.unmeasured["worstSliceAccuracy"] == "no slice has 20 rows"


@pytest.mark.parametrize(
    "column",
    [
        pa.array(np.arange(400.0)),
        pa.array(np.arange(400)),
        pa.array(np.arange(400, dtype=np.uint8) % 250),
        pa.array([None, float("nan"), float("inf"), *np.arange(397.0)], pa.float64()),
    ],
    ids=["floats", "integers", "bytes", "with holes"],
)
def test_many_numbers_are_cut_at_their_quartiles(column):
    found = measure_slices(right_where([True] * 400), rows_of(column), ["c"])
    found = [each for each in found if each.rows >= LEAST_ROWS]
    assert len(found) == 4
    assert all(90 <= each.rows <= 110 for each in found)
    assert all(" <= x <" in each.name for each in found)


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(0, 3).map(float)), min_size=1, max_size=300))
def test_no_row_is_in_two_slices(column):
    array = pa.array(column, pa.float64())
    found = measure_slices(right_where([True] * len(column)), rows_of(array), ["c"])
    assert sum(each.rows for each in found) <= len(column)
    assert len({each.name for each in found}) == len(found)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "b"] * 50).dictionary_encode(),
        pa.array([True, False] * 50),
        pa.array([0, 86_400_000] * 50, pa.timestamp("ms")),
        pa.array([b"x", b"y"] * 50),
    ],
    ids=["dictionary", "flags", "times", "bytes"],
)
def test_columns_of_other_types_have_values_too(column):
    found = measure_slices(right_where([True] * 100), rows_of(column), ["c"])
    assert [each.rows for each in found] == [50, 50]


def test_a_column_that_is_not_there_and_one_of_lists_are_named():
    with pytest.raises(
        InputError, match=r"spec\.ci\.testData\.slices names column 'd', which is not in rows"
    ):
        measure_slices(right_where([True]), rows_of(["a"]), ["d"])
    with pytest.raises(InputError, match="column 'c' of rows is of type list"):
        measure_slices(right_where([True]), rows_of([[1]]), ["c"])


def test_a_verdict_holds_as_many_as_there_may_be():
    column = [f"value {i % 500}" for i in range(30_000)]
    data = TestData(
        {name: pa.array([f"{name}{value}" for value in column]) for name in "abcd"}, np.zeros(30_000), "rows"
    )
    found = measure_slices(right_where([True] * 30_000), data, list("abcd"))
    assert len(found) == MOST_SLICES
    quality = measure(right_where([True] * 30_000))
    subject = Subject("s3://m/x", DIGEST, DIGEST)
    verdict = make_verdict("run-1", subject, quality.findings({}), [], "", found)
    assert isinstance(parse_verdict(verdict.to_json()), Verdict)


def test_reports_show_them_as_text():
    column = ["<b>|`x`</b>"] * 50 + ["y"] * 50
    outcome = right_where([True] * 30 + [False] * 20 + [True] * 50)
    quality = measure(outcome)
    found = measure_slices(outcome, rows_of(column), ["c"])
    verdict = make_verdict("run-1", Subject("s3://m/x", DIGEST, DIGEST), quality.findings({}), [], "", found)
    assert r"| `c` | `<b>\|'x'</b>` | 50 | accuracy | 0.6 |" in render_markdown(verdict, [])
    page = render_page(Tested(verdict, [], quality.findings({}), "", quality.evidence, []))
    assert page.index("&lt;b&gt;|`x`&lt;/b&gt;") < page.index("<td>y</td>")
    assert "<b>" not in page
