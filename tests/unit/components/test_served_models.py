"""What is tested is what will serve: inputs, outputs, labels and answers of every form that the runtime takes."""

import json
import re

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import content_digest
from mooring_components.champions import evaluate_beside
from mooring_components.datasets import load_test_data
from mooring_components.feeding import feed_model
from mooring_components.latency import time_requests
from mooring_components.models import open_model
from mooring_components.options import TestOptions, parse_options
from mooring_components.quality import Quality, evaluate
from mooring_components.verdicts import Subject, make_verdict
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn import datasets, linear_model, metrics

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
SUBJECT = Subject("s3://b/m", "sha256:" + "0" * 64, "sha256:" + "1" * 64)


def model(folder, nodes, inputs, outputs, constants=(), opsets=(("", 17),)):
    """Save a graph; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        list(constants),
    )
    folder.mkdir(exist_ok=True)
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets], ir_version=9
    )
    onnx.save(made, folder / "model.onnx")
    return folder


def sum_of(folder, *shapes):
    """y = the sum of all values of a row, over inputs a, b, ... of these shapes."""
    names = [chr(ord("a") + i) for i in range(len(shapes))]
    nodes = [
        node
        for name in names
        for node in (
            helper.make_node("Flatten", [name], [f"{name}_flat"], axis=1),
            helper.make_node("ReduceSum", [f"{name}_flat", "axes"], [f"{name}_sum"], keepdims=0),
        )
    ]
    nodes.append(helper.make_node("Sum", [f"{name}_sum" for name in names], ["y"]))
    axes = helper.make_tensor("axes", INT64, [1], [1])
    inputs = [(name, FLOAT, [None, *shape]) for name, shape in zip(names, shapes, strict=True)]
    return model(folder, nodes, inputs, [("y", FLOAT, [None])], [axes])


def rows(tmp_path, **columns):
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    return load_test_data(f"file://{tmp_path}/rows.parquet", "label")


def echo(folder, width, kind=FLOAT):
    node = helper.make_node("Cast", ["x"], ["y"], to=kind)
    return model(folder, [node], [("x", FLOAT, [None, width])], [("y", kind, [None, width])])


ROWS = {
    "p": [1.0, 2.0],
    "q": [10.0, 20.0],
    "r": [100.0, 200.0],
    "label": [111.0, 222.0],
}


@pytest.mark.parametrize(
    ("shapes", "names", "inputs"),
    [
        (((2,), (1,)), None, {"a": ["p", "q"], "b": ["r"]}),
        (((2,), (1,)), {"a": ["p", "q"], "b": ["r"]}, {}),
        (((2,), (1,)), {"a": ["q", "p"], "b": ["r"]}, {"b": ["r"]}),
        (((), ()), None, {"a": ["p"], "b": ["r"]}),
        (((3,),), None, {}),
        (((1, 3),), None, {}),
        (((1, 3, 1),), None, {"a": ["r", "q", "p"]}),
    ],
)
def test_columns_reach_the_inputs_that_are_named_for_them(tmp_path, shapes, names, inputs):
    if shapes == ((), ()):
        nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
        folder = model(
            tmp_path / "m",
            nodes,
            [("a", FLOAT, [None]), ("b", FLOAT, [None])],
            [("y", FLOAT, [None])],
        )
        columns = {**ROWS, "label": [101.0, 202.0]}
    else:
        folder, columns = sum_of(tmp_path / "m", *shapes), ROWS
    if names:
        (folder / "features.json").write_text(json.dumps(names))
    data, opened = rows(tmp_path, **columns), open_model(folder)
    assert evaluate(opened, data, TestOptions(inputs=inputs)).metrics["mae"] == 0
    assert min(time_requests(feed_model(opened, data, inputs), requests=2, warm_up=1)) > 0


def test_columns_of_the_inputs_own_names_need_no_naming(tmp_path):
    data = rows(tmp_path, b=[[10.0, 1.0]], a=[100.0], other=["x"], label=[111.0])
    assert evaluate(open_model(sum_of(tmp_path / "m", (1,), (2,))), data).metrics["mae"] == 0


@pytest.mark.parametrize(
    ("columns", "inputs", "message"),
    [
        (
            {"a": [1.0]},
            {},
            "no column 'b' for the model's input of that name; there are 'a': name its columns in",
        ),
        ({"a": [1.0], "b": [2.0]}, {"c": ["a"]}, "inputs names input 'c'; the model has a, b"),
        (
            {"a": [1.0], "b": [2.0]},
            {"a": ["z"]},
            "input 'a' of the model takes column 'z', which is not there",
        ),
        ({"a": ["x"], "b": [2.0]}, {}, "column a is of kind text; input a needs FP32"),
        ({"a": [1.0], "b": [2.0]}, {"a": ["a", "b"]}, "2 columns for input a, which needs 1"),
        ({"a": [1e300], "b": [2.0]}, {}, "row 0.*1e.300 does not fit FP32"),
    ],
)
def test_what_cannot_feed_a_model_is_said_of_input_and_column(tmp_path, columns, inputs, message):
    types = {"b": pa.array(columns.get("b", []), pa.float64())} if "b" in columns else {}
    data = rows(tmp_path, **{**columns, **types}, label=[1.0])
    with pytest.raises(InputError, match=message):
        evaluate(open_model(sum_of(tmp_path / "m", (1,), (1,))), data, TestOptions(inputs=inputs))


def test_null_is_nan_to_inputs_of_floats_as_it_is_when_served(tmp_path):
    columns = {"a": [1.0, 2.0], "b": pa.array([1.0, None])}
    data = rows(tmp_path, **columns, label=[2.0, 2.0])
    found = evaluate(open_model(sum_of(tmp_path / "m", (1,), (1,))), data)
    assert found.metrics["invalidPredictions"] == 1
    whole = model(
        tmp_path / "w",
        [helper.make_node("Identity", ["b"], ["y"])],
        [("b", INT64, [None])],
        [("y", INT64, [None])],
    )
    with pytest.raises(InputError, match="row 1 cannot be scored: column b: null"):
        evaluate(open_model(whole), rows(tmp_path, b=pa.array([1, None]), label=[1, 2]))


def test_a_model_of_text_is_tested_with_a_column_of_text(tmp_path):
    encode = helper.make_node(
        "LabelEncoder",
        ["text"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=["bad", "good"],
        values_int64s=[0, 1],
        default_int64=-1,
    )
    folder = model(
        tmp_path / "m",
        [encode],
        [("text", STRING, [None])],
        [("y", INT64, [None])],
        opsets=(("", 17), ("ai.onnx.ml", 2)),
    )
    words = {"review": ["good", "bad", "good", "so so"], "label": [1, 0, 0, 1]}
    data = rows(tmp_path, stars=[5, 1, 2, 3], **words)
    assert evaluate(open_model(folder), data).metrics["accuracy"] == 0.5
    dictionary = {**words, "review": pa.array(words["review"]).dictionary_encode()}
    assert evaluate(open_model(folder), rows(tmp_path, **dictionary)).metrics["accuracy"] == 0.5


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    """Classifiers with labels beside probabilities, for labels that are words and that count from 1."""
    folder = tmp_path_factory.mktemp("iris")
    x, y = datasets.load_iris(return_X_y=True)
    x = x.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(y))
    made = {}
    for kind, labels in {"words": np.array(["setosa", "versicolor", "virginica"])[y], "from1": y + 1}.items():
        train, test = order[:60], order[60:]
        fitted = linear_model.LogisticRegression(max_iter=300).fit(x[train], labels[train])
        (folder / kind).mkdir()
        graph = to_onnx(fitted, x[:1], options={"zipmap": kind == "words"})
        (folder / kind / "model.onnx").write_bytes(graph.SerializeToString())
        made[kind] = (folder / kind, x[test], labels[test], fitted.predict(x[test]))
    return made


@pytest.mark.parametrize("kind", ["words", "from1"])
def test_labels_of_the_models_own_are_compared_whatever_they_are(iris, tmp_path, kind):
    folder, x, labels, predicted = iris[kind]
    data = rows(tmp_path, **{f"c{i}": x[:, i] for i in range(4)}, label=labels)
    found = evaluate(open_model(folder), data)
    assert found.metrics["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert found.categories == sorted(map(str, set(labels.tolist())))
    assert found.hint == ""


@pytest.mark.parametrize(
    ("labels", "classes", "accuracy"),
    [
        (["no", "yes", "no"], [], 1.0),
        (["no", "yes", "no"], ["no", "yes"], 1.0),
        (["no", "yes", "no"], ["yes", "no"], 0.0),
        ([7, 3, 7], [7, 3], 1.0),
        ([7, 3, 7], ["7", "3"], 1.0),
        ([0, 1, 0], [1, 0], 0.0),
        ([3, 3, 3], [7, 3], 1 / 3),
        ([False, True, False], [], 1.0),
        ([0.0, 1.0, 0.0], [], 1.0),
        ([2.0, 3.0, 2.0], [2, 3], 1.0),
    ],
)
def test_scores_stand_for_the_labels_that_are_declared_or_there(tmp_path, labels, classes, accuracy):
    opened = open_model(echo(tmp_path / "m", 2))
    data = rows(tmp_path, a=[0.9, 0.2, 0.8], b=[0.1, 0.8, 0.2], label=labels)
    assert evaluate(opened, data, TestOptions(classes=classes)).metrics["accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("labels", "answers", "task", "measured"),
    [
        ([0.0, 1.0, 1.0], [0.1, 0.9, 0.8], "", "accuracy"),
        ([0.0, 1.0, 1.0], [0.1, 0.9, 0.8], "Regression", "mae"),
        ([0.0, 1.0, 1.0], [-3.0, 9.0, 0.8], "", "mae"),
        ([0.0, 0.5, 1.0], [0.1, 0.9, 0.8], "", "mae"),
        ([0, 1, 2], [0.5, 1.5, 1.0], "Regression", "mae"),
        ([5.0, 7.0, 5.0], [5.0, 7.0, 7.0], "Classification", "accuracy"),
    ],
)
def test_float_labels_are_flags_beside_probabilities_and_else_amounts(
    tmp_path, labels, answers, task, measured
):
    data = rows(tmp_path, x=answers, label=labels)
    found = evaluate(open_model(echo(tmp_path / "m", 1)), data, TestOptions(task=task))
    assert measured in found.metrics


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a"], "classes names 1 labels; the model gives 2 scores"),
        (["a", "b"], "classes holds 'a', but the label column holds integers"),
        (["1", "1"], "classes names a label twice"),
    ],
)
def test_classes_that_do_not_fit_are_refused(tmp_path, classes, message):
    data = rows(tmp_path, a=[0.9], b=[0.1], label=[1])
    with pytest.raises(InputError, match=message):
        evaluate(open_model(echo(tmp_path / "m", 2)), data, TestOptions(classes=classes))


def test_fractions_are_no_classes(tmp_path):
    data = rows(tmp_path, x=[0.5], label=[0.5])
    with pytest.raises(InputError, match="fractions, which are no classes"):
        evaluate(open_model(echo(tmp_path / "m", 1)), data, TestOptions(task="Classification"))


@pytest.mark.parametrize(
    ("labels", "answers", "metric"),
    [([1.0, 2.0, 3.0], [1.0, np.nan, 3.0], "mae"), ([1.0, 2.0, 3.0], [1.0, np.inf, 3.0], "rmse")],
)
def test_a_prediction_that_is_no_number_leaves_a_reason_and_a_verdict(tmp_path, labels, answers, metric):
    found = evaluate(open_model(echo(tmp_path / "m", 1)), rows(tmp_path, x=answers, label=labels))
    json.dumps(found.metrics, allow_nan=False)
    assert found.metrics["invalidPredictions"] == 1
    facts = found.findings({})
    verdict = make_verdict("r", SUBJECT, facts, [{"metric": metric, "max": 9}])
    assert [violation.message for violation in verdict.violations] == [
        f"{metric} was not measured: 1 of 3 predictions are not finite, the first in row 1"
    ]
    assert make_verdict("r", SUBJECT, facts, [{"metric": "invalidPredictions", "max": 0}]).violations


def test_a_score_that_is_no_number_is_a_row_that_is_wrong(tmp_path):
    scores = {"a": [0.9, np.nan, 0.2, 0.7], "b": [0.1, 0.5, 0.8, 0.3]}
    data = rows(tmp_path, **scores, label=[0, 1, 1, 0])
    found = evaluate(open_model(echo(tmp_path / "m", 2)), data)
    assert found.metrics["accuracy"] == 0.75
    assert found.metrics["recall"] == pytest.approx((1 + 0.5) / 2)
    assert found.metrics["precision"] == 1.0
    assert found.hint == "1 of 4 predictions are not finite, the first in row 1"
    json.dumps(found.metrics, allow_nan=False)


@pytest.fixture
def scored(tmp_path):
    """Two models of the same rows: the second, which counts classes otherwise, is right more often."""
    x = {"a": [0.9, 0.2, 0.8, 0.7], "b": [0.1, 0.8, 0.2, 0.3]}
    return open_model(echo(tmp_path / "m", 2)), rows(tmp_path, **x, label=[0, 1, 0, 1]), tmp_path


def test_a_candidate_is_compared_with_the_champion_on_the_same_rows(scored):
    opened, data, folder = scored
    halves = helper.make_tensor("w", FLOAT, [2, 2], [1.0, 0.0, 0.0, 2.5])
    champion = model(
        folder / "c",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", FLOAT, [None, 2])],
        [("y", FLOAT, [None, 2])],
        [halves],
    )
    place = folder / "place"
    found = evaluate_beside(folder / "m", data, TestOptions(), [], f"file://{champion}", "", place)
    assert found.differences["accuracy"].value == pytest.approx(found.metrics["accuracy"] - 1.0)
    assert "are no probabilities" in found.incomparable["logLoss"]
    assert Quality.from_json(json.loads(json.dumps(found.to_json()))).findings({}) == found.findings({})
    alone = evaluate(opened, data)
    assert alone.metrics == found.metrics
    assert not alone.findings({}).champion


@pytest.mark.parametrize("kind", ["gone", "no model", "other columns", "another digest"])
def test_a_champion_that_cannot_be_tested_is_a_reason_and_no_failure(scored, kind):
    _, data, folder = scored
    digest = "sha256:" + "0" * 64 if kind == "another digest" else ""
    if kind == "no model":
        (folder / "c").mkdir()
        (folder / "c" / "model.onnx").write_bytes(b"?")
    elif kind != "gone":
        echo(folder / "c", 3 if kind == "other columns" else 2)
    found = evaluate_beside(
        folder / "m", data, TestOptions(), [], f"file://{folder}/c", digest, folder / "place"
    )
    verdict = make_verdict(
        "r", SUBJECT, found.findings({}), [{"metric": "accuracy", "notWorseThan": "champion"}]
    )
    (violation,) = verdict.violations
    assert violation.message.startswith(
        "accuracy cannot be compared with the champion's: the model that serves now cannot be tested: "
    )
    assert make_verdict("r", SUBJECT, found.findings({}), [{"metric": "accuracy", "min": 0.5}]).passed


def test_one_of_several_outputs_is_chosen_by_name(tmp_path):
    nodes = [helper.make_node("Identity", ["x"], ["first"]), helper.make_node("Neg", ["x"], ["second"])]
    shape = [None, 1]
    outputs = [("first", FLOAT, shape), ("second", FLOAT, shape)]
    folder = model(tmp_path / "m", nodes, [("x", FLOAT, shape)], outputs)
    opened, data = open_model(folder), rows(tmp_path, x=[1.5, 2.5], label=[-1.5, -2.5])
    assert evaluate(opened, data).metrics["mae"] == 4
    assert evaluate(opened, data, TestOptions(output="second")).metrics["mae"] == 0
    with pytest.raises(InputError, match="output 'third' is no output of the model; it has first, second"):
        evaluate(opened, data, TestOptions(output="third"))


def test_an_mlflow_folder_is_tested_as_it_is_served(iris, tmp_path):
    source, x, labels, predicted = iris["from1"]
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.onnx").write_bytes((source / "model.onnx").read_bytes())
    (folder / "MLmodel").write_text("flavors:\n  onnx: {data: model.onnx}\n")
    data = rows(tmp_path, **{f"c{i}": x[:, i] for i in range(4)}, label=labels)
    assert evaluate(open_model(folder), data).metrics["accuracy"] == pytest.approx(
        (labels == predicted).mean()
    )
    (folder / "MLmodel").write_text("flavors:\n  python_function: {loader_module: os}\n")
    advice = "runs the model's own code: name 'pyfunc' in the run's parameter allow"
    with pytest.raises(InputError, match=advice):
        open_model(folder)


def test_test_data_that_was_mended_under_its_address_has_another_digest(tmp_path):
    before = rows(tmp_path, x=[1.0], label=[1])
    uri = f"file://{tmp_path}/rows.parquet"
    assert before.digest == content_digest(uri)
    after = rows(tmp_path, x=[1.0], label=[0])
    assert after.digest != before.digest
    with pytest.raises(InputError, match=f"test_data_digest '{before.digest}' does not match the content of"):
        load_test_data(uri, "label", expected_digest=before.digest)
    assert load_test_data(uri, "label", expected_digest=after.digest).digest == after.digest


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"colour": "red"}, "test_options.colour 'red' is not allowed"),
        ({"classes": 3}, "test_options.classes is not a list"),
        ({"classes": [None]}, r"test_options.classes.0.*None is not allowed"),
        ({"task": "Clustering"}, "test_options.task 'Clustering' is not allowed"),
        ({"inputs": {"x": "a"}}, "test_options.inputs.x 'a' is not allowed"),
    ],
)
def test_options_of_another_form_are_refused_by_field(document, message):
    with pytest.raises(InputError, match=message):
        parse_options(document)


def test_numbers_of_options_may_have_become_floats_on_the_way():
    assert parse_options({"classes": [1.0, 2]}).classes == [1, 2]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("a.onnx", "b.onnx"), "2 models in its folder, expected one: a.onnx, b.onnx"),
        (("notes.txt",), "no model in its folder: expected one file of ONNX"),
        (("features.json", "model.onnx"), "features.json is not JSON"),
    ],
)
def test_what_is_wrong_with_a_folder_names_no_path_of_the_run(tmp_path, files, said):
    content = sum_of(tmp_path / "good", (1,)) / "model.onnx"
    (tmp_path / "copy").mkdir()
    for name in files:
        (tmp_path / "copy" / name).write_bytes(content.read_bytes() if name.endswith("onnx") else b"what")
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        open_model(tmp_path / "copy", "s3://models/m")
    assert str(tmp_path) not in str(caught.value)
    assert str(caught.value).startswith("model 's3://models/m': ")
