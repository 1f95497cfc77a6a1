"""Formats of one model that say something else are found, with what differs most, and where."""

import shutil

import numpy as np
import onnx
import pytest
from mooring_artifacts.gates import TestGate
from mooring_artifacts.judging import judge
from mooring_components.feeding import feed_model
from mooring_components.other_forms import METRIC, NONE, compare_forms, worst_of_forms
from mooring_components.quality import evaluate
from onnx import TensorProto, helper

from tests.unit.components.test_importances import linear, rows_of

WEIGHTS = [2.0, -1.0, 0.5, 0.0]


def form(place, weights=WEIGHTS, inputs=("x",), outputs=("y",)):
    """Write the weighted sum again, perhaps of other weights or names."""
    place.parent.mkdir(parents=True, exist_ok=True)
    nodes = [helper.make_node("MatMul", [inputs[0], "w"], [outputs[0]])]
    nodes += [helper.make_node("Identity", [outputs[0]], [more]) for more in outputs[1:]]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 1], weights)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, place)


def own_weights(folder):
    [found] = onnx.load(folder / "m.onnx").graph.initializer
    return onnx.numpy_helper.to_array(found).ravel().tolist()


def compared(model, **settings):
    return compare_forms(feed_model(model, rows_of(), {}), **settings)


def test_a_model_of_one_format_has_nothing_to_compare(tmp_path):
    found = evaluate(linear(tmp_path), rows_of())
    assert found.unmeasured[METRIC] == NONE
    assert found.evidence.other_forms == []


def test_a_copy_says_the_same_whatever_its_input_and_output_are_called(tmp_path):
    model = linear(tmp_path)
    form(tmp_path / "forms" / "again" / "m.onnx", own_weights(tmp_path), ("args_0",), ("output_0",))
    found = evaluate(model, rows_of())
    assert found.metrics[METRIC] == 0.0
    assert [(each.file, each.problem) for each in found.evidence.other_forms] == [("forms/again/m.onnx", "")]


def test_a_form_of_older_weights_fails_a_gate_with_the_worst_difference(tmp_path, capsys):
    model = linear(tmp_path)
    older = [own_weights(tmp_path)[0] + 0.5, *own_weights(tmp_path)[1:]]
    form(tmp_path / "forms" / "m.onnx", older)
    shutil.copytree(tmp_path / "forms", tmp_path / "forms" / "b")
    data = rows_of()
    first = data.columns[next(iter(data.columns))].to_numpy()[:32].astype("f4")
    found = evaluate(model, data)
    one, two = found.evidence.other_forms
    assert (one.row, one.difference) == (two.row, two.difference)
    asked = np.stack([column.to_numpy()[:32] for column in data.columns.values()], axis=1)
    larger = np.maximum(np.abs(asked @ own_weights(tmp_path)), np.abs(asked @ older))
    apart = np.abs(first * 0.5) / np.maximum(larger, 1.0)
    assert (one.output, one.row) == ("y", int(apart.argmax()))
    assert found.metrics[METRIC] == pytest.approx(apart.max(), rel=1e-4)
    [broken] = judge(found.findings({}), [TestGate(metric=METRIC, max=1e-3)])
    assert broken.value == found.metrics[METRIC]
    assert (
        f"forms/m.onnx: output 'y' differs by {one.difference:.3g} for row {one.row}"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        (("x", "z"), ("y",), "its inputs are x, z; those of the model that serves x"),
        (("x",), ("y", "z"), "its outputs are y, z; those of the model that serves y"),
    ],
)
def test_a_form_of_another_signature_cannot_be_compared(tmp_path, inputs, outputs, says):
    model = linear(tmp_path)
    form(tmp_path / "forms" / "m.onnx", inputs=inputs, outputs=outputs)
    [found] = compared(model)
    assert found.problem == says
    assert worst_of_forms([found]) == f"forms/m.onnx: {says}"


def test_a_form_that_cannot_be_loaded_is_a_reason_without_where_it_was_copied_to(tmp_path):
    model = linear(tmp_path)
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms" / "m.pt2").write_bytes(b"PK\x03\x04 torn")
    found = evaluate(model, rows_of())
    assert "m.pt2 is a damaged zip archive" in found.unmeasured[METRIC]
    assert str(tmp_path) not in found.unmeasured[METRIC]
    [broken] = judge(found.findings({}), [TestGate(metric=METRIC, max=1.0)])
    assert "was not measured: forms/m.pt2: " in broken.message


def test_one_form_that_cannot_be_compared_is_not_hidden_by_others_that_agree(tmp_path):
    model = linear(tmp_path)
    form(tmp_path / "forms" / "a.onnx", own_weights(tmp_path))
    (tmp_path / "forms" / "b.pt2").write_bytes(b"PK\x03\x04 torn")
    assert "b.pt2" in str(worst_of_forms(compared(model)))


def test_a_slow_form_is_asked_for_one_row(tmp_path):
    model = linear(tmp_path)
    form(tmp_path / "forms" / "m.onnx", [9.0] * 4)
    [found] = compared(model, seconds=0.0)
    assert found.row == 0


def test_other_files_there_are_no_forms(tmp_path):
    model = linear(tmp_path)
    form(tmp_path / "forms" / ".m.onnx")
    (tmp_path / "forms" / "notes.txt").write_text("of the model\n")
    assert compared(model) == []
