"""Labels that a model can never get right get a hint: they are counted, or written, in another way."""

import json

import numpy as np
import onnx
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.judging import Findings
from mooring_artifacts.run_documents import parse_verdict
from mooring_components.datasets import TestData
from mooring_components.models import open_model
from mooring_components.quality import evaluate
from mooring_components.report.markdown import render_markdown
from mooring_components.verdicts import Subject, make_verdict
from onnx import TensorProto, helper

SUBJECT = Subject("s3://b/m", "sha256:" + "0" * 64, "sha256:" + "1" * 64)


def echo(folder, columns, kind=TensorProto.FLOAT):
    """A model that gives what it gets, cast."""
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=kind)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info("y", kind, [None, columns])],
    )
    folder.mkdir(exist_ok=True)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.onnx")
    return open_model(folder)


def scores_of(classes, columns):
    return np.eye(columns)[np.asarray(classes)]


def quality(model, features, labels):
    kind = object if isinstance(labels[0], str) else np.int64
    columns = {f"c{i}": pa.array(column) for i, column in enumerate(np.asarray(features, np.float64).T)}
    return evaluate(model, TestData(columns, np.array(labels, dtype=kind), "the test data"))


SCORES = "the model's scores stand for the labels 0 to 2, so that no row can get "
DECLARE = "; name their labels in spec.ci.testData.classes"
TAKEN = (
    "the model's scores were taken for the labels {} in this order; spec.ci.testData.classes says otherwise"
)


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        ([1, 2, 3, 1], TAKEN.format("1, 2, 3")),
        ([30, 10, 20, 30], TAKEN.format("10, 20, 30")),
        ([2, 3, 3, 2], SCORES + "3 of the test data" + DECLARE),
        ([0, 1, 2, 3], SCORES + "3 of the test data" + DECLARE),
        ([10, 20, 30, 40], SCORES + "10, 20, 30 and others of the test data" + DECLARE),
        ([-1, 0, 1, 2], SCORES + "-1 of the test data" + DECLARE),
        ([0, 1, 2, 0], ""),
        ([0, 0, 0, 0], ""),
        ([1, 0, 0, 1], "no row is right: the model gives 0, 1, 2, the test data holds 0, 1"),
    ],
)
def test_labels_beyond_the_scores(tmp_path, labels, hint):
    found = quality(echo(tmp_path, 3), scores_of([0, 1, 2, 0], 3), labels)
    assert found.hint == hint


def test_labels_from_1_are_the_columns_of_the_scores(tmp_path):
    found = quality(echo(tmp_path, 3), scores_of([0, 1, 2, 1], 3), [1, 2, 3, 2])
    assert found.metrics["accuracy"] == 1.0
    assert found.categories == ["1", "2", "3"]


def test_probabilities_of_one_class_stand_for_two_labels(tmp_path):
    found = quality(echo(tmp_path, 1), [[0.1], [0.9]], [1, 2])
    assert (found.metrics["accuracy"], found.hint) == (1.0, TAKEN.format("1, 2"))
    assert quality(echo(tmp_path, 1), [[0.1], [0.9]], [2, 2]).hint.startswith(
        "the model's scores stand for the labels 0 to 1, so that no row can get 2 of"
    )


def test_labels_that_the_model_gives_itself_are_not_counted_by_columns(tmp_path):
    model = echo(tmp_path, 1, TensorProto.INT64)
    assert quality(model, [[1.0], [3.0]], [1, 3]).hint == ""
    assert quality(model, [[1.0], [3.0]], [3, 4]).hint == (
        "no row is right: the model gives 1, 3, the test data holds 3, 4"
    )


COUNTS = "the model's labels count from {}, the test data's from {}: {} of 5 rows are right, and {} would be; write "


@pytest.mark.parametrize(
    "kind", [TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT], ids=["i64", "i32", "float"]
)
@pytest.mark.parametrize(
    ("given_", "labels", "hint"),
    [
        # A bad model is right here and there, whatever it counts from.
        ([0, 1, 2, 2, 2], [1, 2, 3, 3, 2], COUNTS.format(0, 1, 1, 4)),
        ([1, 2, 3, 3, 2], [0, 1, 2, 2, 2], COUNTS.format(1, 0, 1, 4)),
        ([0, 2, 2, 2, 2], [1, 2, 3, 3, 1], COUNTS.format(0, 1, 1, 3)),
        ([0, 1, 2, 2, 2], [0, 1, 2, 1, 0], ""),
        ([1, 2, 3, 3, 3], [1, 2, 3, 2, 1], ""),
        ([1, 1, 2, 2, 2], [2, 2, 3, 1, 2], ""),
        ([0, 1, 2, 5, 2], [1, 2, 3, 3, 2], ""),
        ([0, 1, 2, 2, 3], [1, 1, 2, 2, 3], ""),
    ],
)
def test_labels_of_the_model_that_count_from_elsewhere(tmp_path, kind, given_, labels, hint):
    found = quality(echo(tmp_path, 1, kind), [[float(one)] for one in given_], labels)
    assert found.hint.startswith(hint)
    assert bool(found.hint) == bool(hint)


@pytest.mark.parametrize(("labels", "model"), [(["1", "2"], "strings"), (["0", "1"], "strings")])
def test_labels_that_are_text_beside_numbers_are_refused_by_name(tmp_path, labels, model):
    with pytest.raises(InputError, match=f"the label column holds {model}, but the model gives int64"):
        quality(echo(tmp_path, 1, TensorProto.INT64), [[0.0], [1.0]], labels)


def test_text_that_counts_from_1_is_taken_in_order_and_said(tmp_path):
    found = quality(echo(tmp_path, 3), scores_of([0, 1, 2, 1], 3), ["1", "2", "3", "2"])
    assert (found.metrics["accuracy"], found.hint) == (1.0, TAKEN.format("'1', '2', '3'"))


@pytest.fixture(scope="module")
def three_scores(tmp_path_factory):
    return echo(tmp_path_factory.mktemp("echo"), 3)


@given(given_=st.lists(st.integers(0, 2), min_size=1, max_size=8), shift=st.integers(0, 2))
def test_there_is_a_hint_exactly_where_a_label_is_out_of_reach_or_none_is_right(three_scores, given_, shift):
    labels = [label + shift for label in given_]
    found = quality(three_scores, scores_of(given_, 3), labels)
    assert bool(found.hint) == (max(labels) > 2 or shift > 0)
    if len(set(labels)) == 3:
        assert found.metrics["accuracy"] == 1.0


def test_what_a_label_holds_does_not_leave_the_hint(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value_strings=["{{$.inputs}}", "🙂" * 99])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [2])],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "model.onnx")
    hint = quality(open_model(tmp_path), [[1.0], [2.0]], ["{{$}}", "cat\nx"]).hint
    assert hint.startswith("no row is right: the model gives ")
    assert "{{$" not in hint
    assert hint.isascii()
    assert hint.isprintable()
    assert len(hint) < 400


def test_the_hint_stands_with_the_first_metric_that_it_explains():
    gates = [
        {"metric": "latencyP99Ms", "max": 1},
        {"metric": "f1", "min": 0.5},
        {"metric": "accuracy", "min": 0.9},
    ]
    metrics = {"latencyP99Ms": 2.0, "f1": 0.0, "accuracy": 0.0}
    verdict = make_verdict("r", SUBJECT, Findings(metrics), gates, "count the labels from 0")
    assert [violation.message for violation in verdict.violations] == [
        "latencyP99Ms 2 is above the maximum 1",
        "f1 0 is below the minimum 0.5; count the labels from 0",
        "accuracy 0 is below the minimum 0.9",
    ]
    assert parse_verdict(verdict.to_json()) == verdict
    assert "Hint: count the labels from 0\n" in render_markdown(verdict, gates, "count the labels from 0")


def test_a_hint_changes_no_verdict():
    plain, hinted = (make_verdict("r", SUBJECT, Findings({"accuracy": 0.0}), [], hint) for hint in ("", "x"))
    assert json.loads(plain.to_json()) == json.loads(hinted.to_json())
    long = make_verdict("r", SUBJECT, Findings({"f1": 0.0}), [{"metric": "f1", "min": 1}], "x" * 5000)
    assert parse_verdict(long.to_json()) == long
