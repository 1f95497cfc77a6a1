"""PyTorch's formats: results as PyTorch's own, and nothing loaded that could run code unasked."""

from __future__ import annotations

import io
import json
import pickle
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.formats import detect_format
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.errors import ModelLoadError, RequestError

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch has it")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DYNAMIC = torch.export.Dim.DYNAMIC
ALLOWED = LoadOptions(allow_torchscript=True)
F4 = "FP32"


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.last = torch.nn.Linear(8, 3)

    def forward(self, x):
        return torch.softmax(self.last(torch.relu(self.norm(self.first(x)))), -1)


class Several(torch.nn.Module):
    """Several inputs and outputs, of several types and ranks, one of them 0-d."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor([2.0]), persistent=False)

    def forward(self, ids, pair, *, mask):
        total = pair["a"].sum()
        return {
            "picked": pair["a"][ids] * self.scale,
            "both": (mask & (ids > 0), pair["b"].half()),
            "total": total,
            "nothing": None,
            "rows": ids.shape[0],
        }


class Branching(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


class Writing(torch.nn.Module):
    """Writes into its input."""

    def forward(self, x):
        return x.mul_(2)


class Rough(torch.nn.Module):
    def forward(self, x):
        return (x * 1.5).to(torch.bfloat16)


def export(path: Path, model, args, kwargs=None, *, shapes=None) -> Path:
    program = torch.export.export(model.eval(), args, kwargs, dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


def specs(tensors):
    return [(spec.name, spec.datatype.name, spec.open_shape()) for spec in tensors]


def declare(folder: Path, inputs, outputs) -> None:
    def entries(rows):
        return [{"name": name, "datatype": kind, "shape": shape} for name, kind, shape in rows]

    (folder / "signature.json").write_text(
        json.dumps({"inputs": entries(inputs), "outputs": entries(outputs)})
    )


def rows(count, width=4):
    return np.random.default_rng(count).standard_normal((count, width)).astype("f4")


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(1)
    model = Net()
    model.norm.running_mean.uniform_()
    return model.eval()


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory):
    return export(tmp_path_factory.mktemp("net") / "m.pt2", net, (torch.zeros(2, 4),), shapes=({0: DYNAMIC},))


@pytest.mark.parametrize("count", [0, 1, 2, 17])
def test_an_exported_program_gives_what_its_module_gives(net, exported, count):
    backend = load_model(exported.parent, LoadOptions(device="cpu"))
    assert (backend.platform, backend.device) == ("pytorch_export", "cpu")
    assert specs(backend.signature.inputs) == [("x", F4, [-1, 4])]
    assert specs(backend.signature.outputs) == [("output_0", F4, [-1, 3])]
    (found,) = backend.predict({"x": rows(count)}, ("output_0",))
    with torch.inference_mode():
        np.testing.assert_allclose(found, net(torch.from_numpy(rows(count))).numpy(), rtol=1e-5, atol=1e-7)


def test_an_exported_program_is_batchable_where_its_rows_are_independent(exported, tmp_path):
    assert warm_up(load_model(exported, LoadOptions())).reason == ""
    fixed = export(tmp_path / "m.pt2", Net(), (torch.zeros(2, 4),))
    assert warm_up(load_model(fixed, LoadOptions())).reason == "the first dimension of input x is not open"


def test_inputs_and_outputs_of_any_structure_have_names(tmp_path):
    model = Several()
    ids, a, b = torch.tensor([1, 0, 1]), torch.randn(2, 3), torch.randn(5, dtype=torch.float64)
    mask = torch.tensor([True, True, False])
    shapes = {"ids": {0: DYNAMIC}, "pair": {"a": None, "b": {0: DYNAMIC}}, "mask": {0: DYNAMIC}}
    path = export(tmp_path / "m.pt2", model, (ids, {"a": a, "b": b}), {"mask": mask}, shapes=shapes)
    backend = load_model(path, LoadOptions())
    assert specs(backend.signature.inputs) == [
        ("ids", "INT64", [-1]),
        ("pair_a", F4, [2, 3]),
        ("pair_b", "FP64", [-1]),
        ("mask", "BOOL", [-1]),
    ]
    assert specs(backend.signature.outputs) == [
        ("picked", F4, [-1, 3]),
        ("both_0", "BOOL", [-1]),
        ("both_1", "FP16", [-1]),
        ("total", F4, []),
        ("rows", "INT64", []),
    ]
    feed = {"ids": ids.numpy(), "pair_a": a.numpy(), "pair_b": b.numpy(), "mask": mask.numpy()}
    names = ("rows", "both_1", "picked", "both_0", "total")
    expected = model(ids, {"a": a, "b": b}, mask=mask)
    wanted = [np.array(3), expected["both"][1], expected["picked"], expected["both"][0], expected["total"]]
    for name, array, reference in zip(names, backend.predict(feed, names), wanted, strict=True):
        assert array.dtype == backend.signature.outputs_by_name[name].datatype.dtype
        assert array.tolist() == reference.tolist()


def test_sizes_that_must_be_equal_are_the_callers_fault(tmp_path):
    model = Several()
    ids, mask = torch.tensor([1, 0, 1]), torch.tensor([True, True, False])
    pair = {"a": torch.zeros(2, 3), "b": torch.zeros(5)}
    shapes = {"ids": {0: DYNAMIC}, "pair": {"a": None, "b": {0: DYNAMIC}}, "mask": {0: DYNAMIC}}
    backend = load_model(
        export(tmp_path / "m.pt2", model, (ids, pair), {"mask": mask}, shapes=shapes), LoadOptions()
    )
    feed = {"ids": np.zeros(3, "i8"), "pair_a": np.zeros((2, 3), "f4"), "pair_b": np.zeros(1, "f4")}
    with pytest.raises(RequestError) as caught:
        backend.predict({**feed, "mask": np.zeros(1, bool)}, ("total",))
    assert (caught.value.status, caught.value.field, caught.value.got) == (400, "inputs.mask.shape[0]", 1)


def test_sizes_out_of_an_exported_range_are_the_callers_fault(tmp_path):
    size, half = torch.export.Dim("size", min=4, max=6), torch.export.Dim("half", min=2, max=8)

    class Joined(torch.nn.Module):
        def forward(self, x, y, z):
            return x.sum() + (y.reshape(2, -1) + z).sum()

    shapes = ({0: size}, {0: 2 * half}, {0: half})
    path = export(tmp_path / "m.pt2", Joined(), (torch.ones(5), torch.ones(6), torch.ones(3)), shapes=shapes)
    backend = load_model(path, LoadOptions())

    def run(x, y, z):
        feed = {"x": np.ones(x, "f4"), "y": np.ones(y, "f4"), "z": np.ones(z, "f4")}
        return float(backend.predict(feed, ("output_0",))[0])

    assert run(4, 8, 4) == 20
    for sizes, field in (((3, 8, 4), "x"), ((7, 8, 4), "x"), ((5, 8, 3), "y"), ((5, 18, 9), "z")):
        with pytest.raises(RequestError) as caught:
            run(*sizes)
        assert caught.value.field == f"inputs.{field}.shape[0]"


def test_control_flow_of_an_exported_program_stays(tmp_path):
    backend = load_model(export(tmp_path / "m.pt2", Branching(), (torch.ones(3),)), LoadOptions())
    assert backend.predict({"x": np.ones(3, "f4")}, ("output_0",))[0].tolist() == [2, 2, 2]
    assert backend.predict({"x": -np.ones(3, "f4")}, ("output_0",))[0].tolist() == [-2, -2, -2]


def test_a_model_that_writes_into_its_input_does_not_change_the_callers(tmp_path):
    given = np.ones(3, "f4")
    folder = tmp_path / "script"
    folder.mkdir()
    torch.jit.save(torch.jit.script(Writing()), folder / "m.pt")
    declare(folder, [("x", F4, [-1])], [("y", F4, [-1])])
    for path in (export(tmp_path / "m.pt2", Writing(), (torch.ones(3),)), folder):
        backend = load_model(path, ALLOWED)
        assert backend.predict({"x": given}, backend.signature.output_names)[0].tolist() == [2, 2, 2]
        assert given.tolist() == [1, 1, 1]


def test_bfloat16_is_float32_outside(tmp_path):
    example = torch.ones(2, dtype=torch.bfloat16)
    backend = load_model(
        export(tmp_path / "m.pt2", Rough(), (example,), shapes=({0: DYNAMIC},)), LoadOptions()
    )
    assert specs((*backend.signature.inputs, *backend.signature.outputs)) == [
        ("x", F4, [-1]),
        ("output_0", F4, [-1]),
    ]
    (found,) = backend.predict({"x": np.array([1.0, 1.001, 3.0], "f4")}, ("output_0",))
    assert (found.dtype, found.tolist()) == (np.float32, [1.5, 1.5, 4.5])


def test_memory_that_is_only_lent_is_taken(exported, recwarn):
    backend = load_model(exported, LoadOptions())
    lent = np.frombuffer(rows(3).tobytes(), "f4").reshape(3, 4)
    (found,) = backend.predict({"x": lent[::-1]}, ("output_0",))
    (expected,) = backend.predict({"x": rows(3)}, ("output_0",))
    np.testing.assert_allclose(found[::-1], expected, rtol=1e-5, atol=1e-7)
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]


def test_a_declared_signature_renames_what_a_program_has(exported, tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(exported.read_bytes())
    declare(tmp_path, [("features", F4, [-1, 4])], [("scores", F4, [-1, -1])])
    backend = load_model(tmp_path, LoadOptions())
    assert specs(backend.signature.inputs) == [("features", F4, [-1, 4])]
    assert backend.predict({"features": rows(2)}, ("scores",))[0].shape == (2, 3)
    declare(tmp_path, [("features", "FP64", [-1, 4])], [("scores", F4, [-1, 3])])
    with pytest.raises(
        ModelLoadError, match=r"input features is declared FP64 \[-1, 4\], the model has FP32 \[-1, 4\]"
    ):
        load_model(tmp_path, LoadOptions())


def test_the_exported_program_of_an_mlflow_model_has_mlflows_names_of_outputs(exported, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.pt2").write_bytes(exported.read_bytes())

    def tensor(name, width):
        return [{"name": name, "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, width]}}]

    def write(inputs, outputs):
        signature = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}
        document = {"flavors": {"pytorch": {"model_data": "data"}}, "signature": signature}
        # JSON is YAML.
        (tmp_path / "MLmodel").write_text(json.dumps(document))

    write(tensor("x", 4), tensor("scores", 3))
    backend = load_model(tmp_path, LoadOptions())
    assert backend.platform == "pytorch_export"
    assert specs((*backend.signature.inputs, *backend.signature.outputs)) == [
        ("x", F4, [-1, 4]),
        ("scores", F4, [-1, 3]),
    ]
    assert backend.predict({"x": rows(2)}, ("scores",))[0].shape == (2, 3)
    write(tensor("x", 5), tensor("scores", 3))
    with pytest.raises(ModelLoadError, match=r"MLmodel: input x is declared FP32 \[-1, 5\]"):
        load_model(tmp_path, LoadOptions())


@pytest.mark.parametrize("kind", ["exported", "torchscript", "safetensors"])
def test_gradients_are_those_of_pytorch(kind, net, exported, tmp_path, monkeypatch):
    if kind == "exported":
        backend = load_model(exported, LoadOptions())
    else:
        backend = load_model(save_as(kind, net, tmp_path, monkeypatch), everything_allowed())
    x = rows(3)
    targets = np.array([0, 2, 1])
    found = backend.gradients({"x": x}, backend.signature.output_names[0], targets)
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    net(leaf)[torch.arange(3), torch.from_numpy(targets)].sum().backward()
    np.testing.assert_allclose(found["x"], leaf.grad.numpy(), rtol=1e-4, atol=1e-7)


ARCHITECTURE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.first = torch.nn.Linear(4, hidden)
        self.norm = torch.nn.BatchNorm1d(hidden)
        self.last = torch.nn.Linear(hidden, 3)

    def forward(self, x):
        return torch.softmax(self.last(torch.relu(self.norm(self.first(x)))), -1)

def a_function():
    pass
"""


def everything_allowed():
    names = ("Net", "a_function", "Missing")
    return LoadOptions(
        allow_torchscript=True, architectures=frozenset(f"an_architecture:{name}" for name in names)
    )


def save_as(kind, net, folder, monkeypatch):
    """The net as TorchScript or as weights with a declared architecture."""
    declare(folder, [("x", F4, [-1, 4])], [("y", F4, [-1, 3])])
    if kind == "torchscript":
        torch.jit.save(torch.jit.trace(net, torch.zeros(2, 4)), folder / "m.pt")
        return folder
    (folder / "code").mkdir()
    (folder / "code" / "an_architecture.py").write_text(textwrap.dedent(ARCHITECTURE))
    monkeypatch.syspath_prepend(str(folder / "code"))
    monkeypatch.delitem(sys.modules, "an_architecture", raising=False)
    safetensors.save_model(net, str(folder / "m.safetensors"))
    architecture = {"architecture": "an_architecture:Net", "kwargs": {"hidden": 8}}
    (folder / "architecture.json").write_text(json.dumps(architecture))
    return folder


@pytest.mark.parametrize("kind", ["torchscript", "safetensors"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_declared_models_give_what_their_module_gives(kind, count, net, tmp_path, monkeypatch):
    backend = load_model(save_as(kind, net, tmp_path, monkeypatch), everything_allowed())
    assert backend.platform == f"pytorch_{kind}"
    assert specs((*backend.signature.inputs, *backend.signature.outputs)) == [
        ("x", F4, [-1, 4]),
        ("y", F4, [-1, 3]),
    ]
    (found,) = backend.predict({"x": rows(count)}, ("y",))
    with torch.inference_mode():
        np.testing.assert_allclose(found, net(torch.from_numpy(rows(count))).numpy(), rtol=1e-5, atol=1e-7)
    assert warm_up(backend).reason == ""


def test_torchscript_is_loaded_only_where_it_is_allowed(net, tmp_path, monkeypatch):
    save_as("torchscript", net, tmp_path, monkeypatch)
    with pytest.raises(ModelLoadError, match=r"^m\.pt is TorchScript.*start with --allow_torchscript$"):
        load_model(tmp_path, LoadOptions())
    (tmp_path / "signature.json").unlink()
    with pytest.raises(ModelLoadError, match=r"declare them in signature\.json beside it$"):
        load_model(tmp_path, ALLOWED)


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        (
            [("x", F4, [-1, 4]), ("z", F4, [-1])],
            [("y", F4, [-1, 3])],
            r"takes 1 inputs \(x\), and 2 are declared",
        ),
        (
            [("x", F4, [-1, 4])],
            [("y", F4, [-1, 3]), ("z", F4, [-1])],
            "2 outputs are declared, the model gives 1",
        ),
        ([("x", F4, [-1, 4])], [("y", "FP64", [-1, 3])], "output y is float32, and declared as float64"),
        (
            [("x", F4, [-1, 4])],
            [("y", F4, [-1, 2])],
            r"output y has shape \[1, 3\], and declared is \[-1, 2\]",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["torchscript", "safetensors"])
def test_a_signature_that_a_model_does_not_keep_is_refused(
    kind, inputs, outputs, reason, net, tmp_path, monkeypatch
):
    save_as(kind, net, tmp_path, monkeypatch)
    declare(tmp_path, inputs, outputs)
    with pytest.raises(ModelLoadError, match=reason):
        load_model(tmp_path, everything_allowed())


def test_inputs_of_other_names_are_passed_in_order(net, tmp_path, monkeypatch):
    save_as("torchscript", net, tmp_path, monkeypatch)
    declare(tmp_path, [("features", F4, [-1, 4])], [("y", F4, [-1, 3])])
    assert load_model(tmp_path, ALLOWED).predict({"features": rows(2)}, ("y",))[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        (
            {"architecture": "os:system"},
            "architecture: os:system is not allowed; start with --architectures=os:system",
        ),
        ({"architecture": "Net"}, "architecture: expected package.module:Class, got 'Net'"),
        ({"architecture": ["x"]}, r"architecture: expected package.module:Class, got \['x'\]"),
        ({"architecture": "an_architecture:Net", "kwargs": [8]}, r"kwargs: expected an object, got \[8\]"),
        (
            {"architecture": "an_architecture:Net", "kwargs": {"depth": 8}},
            "kwargs: an_architecture:Net does not take",
        ),
        ({"architecture": "an_architecture:Missing"}, "cannot import an_architecture:Missing"),
        (
            {"architecture": "an_architecture:a_function"},
            "an_architecture:a_function is not a torch.nn.Module",
        ),
        (
            {"architecture": "an_architecture:Net", "kwargs": {"hidden": 9}},
            r"m\.safetensors cannot be loaded into",
        ),
    ],
)
def test_an_architecture_that_is_wrong_or_not_allowed_is_named(
    declaration, reason, net, tmp_path, monkeypatch
):
    save_as("safetensors", net, tmp_path, monkeypatch)
    (tmp_path / "architecture.json").write_text(json.dumps(declaration))
    with pytest.raises(ModelLoadError, match=reason) as caught:
        load_model(tmp_path, everything_allowed())
    assert "\n" not in str(caught.value)


def test_nothing_is_imported_before_the_architecture_is_allowed(net, tmp_path, monkeypatch):
    save_as("safetensors", net, tmp_path, monkeypatch)
    with pytest.raises(ModelLoadError, match="is not allowed"):
        load_model(tmp_path, LoadOptions())
    assert "an_architecture" not in sys.modules


def test_weights_and_architecture_must_fit_each_other(net, tmp_path, monkeypatch):
    save_as("safetensors", net, tmp_path, monkeypatch)
    weights = safetensors.load_file(tmp_path / "m.safetensors")
    spare = {**weights, "extra.weight": torch.ones(1)}
    safetensors.save_file(spare, tmp_path / "m.safetensors")
    with pytest.raises(ModelLoadError, match=r"unknown to the architecture, 1 weights: extra\.weight$"):
        load_model(tmp_path, everything_allowed())
    del weights["last.bias"]
    safetensors.save_file(weights, tmp_path / "m.safetensors")
    with pytest.raises(ModelLoadError, match=r"it lacks 1 weights: last\.bias$"):
        load_model(tmp_path, everything_allowed())


def test_a_gpu_that_is_missing_is_an_error(exported):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert load_model(exported, LoadOptions(device="auto")).device == "cpu"
    with pytest.raises(ModelLoadError, match=r"^cuda:1 was asked for, and PyTorch .* sees 0 GPUs$"):
        load_model(exported, LoadOptions(device="cuda:1"))


def test_a_gpu_gives_the_same_results(net, exported):
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    backend = load_model(exported, LoadOptions(device="cuda"))
    assert backend.device == "cuda:0"
    (found,) = backend.predict({"x": rows(5)}, ("output_0",))
    (expected,) = load_model(exported, LoadOptions(device="cpu")).predict({"x": rows(5)}, ("output_0",))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def rewrite(source: Path, target: Path, change) -> Path:
    """A copy of an archive; ``change`` gets each member's name below the root and its bytes, and gives bytes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name.partition("/")[2], old.read(name)))
    return target


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path(self.path).touch, ())


def test_sample_inputs_of_an_archive_cannot_run_code(exported, tmp_path):
    content = io.BytesIO()
    torch.save((Bomb(tmp_path / "hit"),), content)

    def change(name, old):
        return content.getvalue() if name == "data/sample_inputs/model.pt" else old

    bad = rewrite(exported, tmp_path / "m.pt2", change)
    with pytest.raises(ModelLoadError, match=r"^m\.pt2: its sample inputs are not plain tensors"):
        load_model(bad, LoadOptions())
    assert not (tmp_path / "hit").exists()


def test_weights_of_an_archive_cannot_be_pickles(exported, tmp_path):
    def change(name, old):
        return old.replace(b'"use_pickle": false', b'"use_pickle": true', 1)

    bad = rewrite(exported, tmp_path / "m.pt2", change)
    with pytest.raises(ModelLoadError, match="is kept as a pickle"):
        load_model(bad, LoadOptions())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            b'"torch.ops.aten.relu.default"',
            b'"torch.hub.os.system"',
            "operator 'torch.hub.os.system' is not allowed",
        ),
        (
            b"Symbol('s77', positive=True, integer=True)",
            b"__import__('os').system('true')",
            "is not an expression of sizes",
        ),
    ],
)
def test_graphs_of_an_archive_cannot_run_code(exported, tmp_path, old, new, reason):
    seen = []

    def change(name, content):
        if name == "models/model.json":
            # PyTorch numbers symbols as it likes.
            symbol = json.loads(content)["range_constraints"]
            content = content.replace(next(iter(symbol)).encode(), b"s77")
            seen.append(old in content)
            content = content.replace(old, new)
        return content

    bad = rewrite(exported, tmp_path / "m.pt2", change)
    assert seen == [True]
    with pytest.raises(ModelLoadError, match=reason):
        load_model(bad, LoadOptions())


def test_pickles_are_refused_without_a_look_inside(net, tmp_path):
    torch.save(net, tmp_path / "whole.pt")
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    torch.save(net.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "hit")))
    for name in ("whole.pt", "weights.pth", "old.pt", "plain.pt"):
        with pytest.raises(ModelLoadError, match=f"^{name} .*is a pickle, which runs code when it is loaded"):
            load_model(tmp_path / name, LoadOptions(allow_torchscript=True, allow_pyfunc=True))
    assert not (tmp_path / "hit").exists()


def test_formats_are_told_by_content(net, exported, tmp_path, monkeypatch):
    script = save_as("torchscript", net, tmp_path, monkeypatch) / "m.pt"
    safetensors.save_model(net, str(tmp_path / "weights"))
    for source, kind in (
        (exported, "exported"),
        (script, "torchscript"),
        (tmp_path / "weights", "safetensors"),
    ):
        for name in ("model", "model.pt", "model.onnx", "model.bin"):
            (tmp_path / name).write_bytes(source.read_bytes())
            assert detect_format(tmp_path / name) == kind
