"""What PyTorch's formats tell in addition: their parameters, which of them count, and what an adversary finds."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from mooring_components.converting import convert
from mooring_components.datasets import TestData
from mooring_components.models import open_model
from mooring_components.options import TestOptions
from mooring_components.quality import evaluate

from tests.unit.components.test_importances import linear, rows_of

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    """Two layers, and what the answer may not depend on."""

    def __init__(self, idle=False, frozen=False):
        super().__init__()
        self.first = torch.nn.Linear(4, 8)
        self.last = torch.nn.Linear(8, 2)
        self.idle = idle
        if idle:
            self.beside = torch.nn.Linear(4, 2)
        if frozen:
            torch.nn.init.zeros_(self.last.weight)

    def forward(self, x):
        scores = self.last(torch.relu(self.first(x)))
        return scores + 0 * self.beside(x) if self.idle else torch.softmax(scores, dim=1)


def exported(folder, **settings):
    torch.manual_seed(3)
    net = Net(**settings).eval()
    with torch.no_grad():
        scores = net.last(torch.relu(net.first(torch.from_numpy(table()))))
        # Each class has half of the rows.
        net.last.bias[1] += (scores[:, 0] - scores[:, 1]).median()
    program = torch.export.export(
        net,
        (torch.zeros(2, 4),),
        dynamic_shapes=({0: torch.export.Dim("rows")},),
    )
    torch.export.save(program, folder / "m.pt2")
    return open_model(folder)


def table():
    return np.random.default_rng(5).normal(size=(200, 4)).astype("f4")


def classes(model):
    columns = {name: pa.array(table()[:, place]) for place, name in enumerate("abcd")}
    [scores] = model.backend.predict({"x": table()}, model.signature.output_names)
    return TestData(columns, scores.argmax(axis=1), "rows")


def test_parameters_are_counted_and_all_of_them_count(tmp_path):
    model = exported(tmp_path)
    found = evaluate(model, classes(model))
    assert found.metrics["parameters"] == 4 * 8 + 8 + 8 * 2 + 2
    assert found.metrics["parametersWithoutGradient"] == 0.0
    assert found.metrics["oddInputsFailed"] == 0.0
    assert found.metrics["batchDifference"] < 1e-5


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"idle": True}, ["beside.weight", "beside.bias"]), ({"frozen": True}, ["first.weight", "first.bias"])],
    ids=["a layer that is multiplied by 0", "a layer behind weights of 0"],
)
def test_parameters_that_do_not_count_are_named(tmp_path, settings, named, capsys):
    model = exported(tmp_path, **settings)
    found = evaluate(model, classes(model))
    assert found.metrics["parametersWithoutGradient"] == len(named)
    assert all(name in capsys.readouterr().out for name in named[:1])
    # The model is left as it was.
    assert not any(tensor.requires_grad for tensor in model.backend._backend._parameters.values())


def test_an_adversary_finds_what_noise_does_not(tmp_path):
    model = exported(tmp_path)
    found = evaluate(model, classes(model), TestOptions(noise=[0.01, 0.5]))
    near, far = found.evidence.attacks
    assert near.share > 0.9
    assert far.share < found.evidence.stability[1].share - 0.1
    assert found.metrics["adversarialAccuracy"] == far.share


def test_a_format_that_does_not_tell_says_so(tmp_path):
    found = evaluate(linear(tmp_path), rows_of())
    assert found.unmeasured["parametersWithoutGradient"] == "the model's format gives no gradients"


def test_pytorch_an_exported_program_and_onnx_agree_until_one_is_left_behind(tmp_path):
    """The weights with their architecture, what was exported of them, and the ONNX that is served."""
    pytest.importorskip("onnxscript")
    weights = pytest.importorskip("safetensors.torch")
    (source := tmp_path / "source").mkdir()
    data = classes(exported(source))
    served = tmp_path / "served"
    convert(f"file://{source}", served)
    shutil.copytree(source, served / "forms" / "exported")
    net = torch.export.load(source / "m.pt2").state_dict
    (kept := served / "forms" / "pytorch").mkdir()
    weights.save_file(
        {name: tensor.detach().contiguous() for name, tensor in net.items()}, kept / "m.safetensors"
    )
    architecture = f"{Net.__module__}:{Net.__name__}"
    (kept / "architecture.json").write_text(json.dumps({"architecture": architecture}))
    tensors = [
        [{"name": name, "datatype": "FP32", "shape": [-1, size]}] for name, size in (("x", 4), ("y", 2))
    ]
    (kept / "signature.json").write_text(json.dumps(dict(zip(("inputs", "outputs"), tensors, strict=True))))
    found = evaluate(open_model(served, allow=[architecture]), data)
    assert [(each.file, each.problem) for each in found.evidence.other_forms] == [
        ("forms/exported/m.pt2", ""),
        ("forms/pytorch/m.safetensors", ""),
    ]
    assert found.metrics["formatDifference"] < 1e-5
    # A class by its name is code, and runs only where it may.
    refused = evaluate(open_model(served), data)
    assert "is not allowed" in refused.unmeasured["formatDifference"]
    # Trained on, and not exported again.
    net["last.bias"] = net["last.bias"] + torch.tensor([1.0, -1.0])
    weights.save_file(
        {name: tensor.detach().contiguous() for name, tensor in net.items()}, kept / "m.safetensors"
    )
    later = evaluate(open_model(served, allow=[architecture]), data)
    assert later.metrics["formatDifference"] > 0.1
    assert [each.difference < 1e-5 for each in later.evidence.other_forms] == [True, False]
