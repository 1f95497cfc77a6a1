"""MLflow model folders: the flavour that can be served is, and its signature is held against the model."""

from __future__ import annotations

import json
import py_compile
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from mooring_artifacts.loaded_files import hash_loaded
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.mlflow.signature import parse_signature
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.errors import ModelLoadError, RequestError
from onnx import helper

from tests.unit.inference.backends.test_onnx import write_onnx

PYFUNC = {"loader_module": "mlflow.sklearn", "data": "model.pkl"}


def tensor(dtype, shape, name=None):
    entry = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}
    return {**entry, "name": name} if name else entry


def column(kind, name=None):
    return {"type": kind, "name": name, "required": True} if name else {"type": kind}


def write_mlmodel(folder: Path, flavours, inputs=None, outputs=None) -> Path:
    """An MLmodel file; its signature is JSON in YAML."""
    signature = None
    if inputs is not None:
        signature = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs) if outputs else None}
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, "signature": signature}))
    return folder


def write_onnx_flavour(folder: Path, *signature, inputs=(("x", "FP32", ["n", 2]),)) -> Path:
    write_mlmodel(folder, {"onnx": {"data": "model.onnx"}, "python_function": PYFUNC}, *signature)
    nodes = [helper.make_node("Neg", [inputs[0][0]], ["y"])]
    write_onnx(folder / "model.onnx", nodes, list(inputs), [("y", "FP32", ["n", 2])])
    return folder


X, Y = tensor("float32", [-1, 2], "x"), tensor("float32", [-1, 2], "y")


@pytest.mark.parametrize(
    "signature",
    [
        (),
        ([X], [Y]),
        ([tensor("float32", [-1, 2])], [tensor("float32", [-1, 2])]),
        ([tensor("float32", [-1, -1], "x")], None),
        # What MLflow infers from an example in numpy's default dtype; it converts.
        ([tensor("float64", [-1, 2], "x")], [Y]),
        ([tensor("float64", [-1, 2], "anything")], None),
        ([column("double", "a"), column("double", "b")], [column("float", "c"), column("float", "d")]),
    ],
)
def test_the_onnx_flavour_is_served(tmp_path, signature):
    backend = load_model(write_onnx_flavour(tmp_path, *signature), LoadOptions())
    assert backend.platform == "onnx_onnxv1"
    x = backend.signature.inputs[0]
    assert (x.name, x.datatype.name, x.open_shape()) == ("x", "FP32", [-1, 2])
    assert x.columns == (("a", "b") if len(signature) and len(signature[0]) == 2 else ())
    assert backend.predict({"x": np.ones((1, 2), "f4")}, ("y",))[0].tolist() == [[-1, -1]]


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (
            ([tensor("int64", [-1, 2], "x")], [Y]),
            r"input x is declared INT64 \[-1, 2\], the model has FP32 \[-1, 2\]",
        ),
        (([tensor("float32", [-1, 3], "x")], [Y]), r"input x is declared FP32 \[-1, 3\]"),
        (([tensor("float32", [2], "x")], [Y]), r"input x is declared FP32 \[2\]"),
        (([X], [tensor("float32", [-1, 3], "y")]), r"output y is declared FP32 \[-1, 3\]"),
        (([X, tensor("float32", [-1], "z")], [Y]), "MLmodel declares 2 inputs, the model has 1"),
        (([X], [Y, tensor("float32", [-1], "z")]), "output z is not in the model, which has y"),
        (([column("double", "a")], None), "MLmodel declares 1 columns, input x of the model has 2"),
    ],
)
def test_a_signature_that_contradicts_the_model_is_refused(tmp_path, signature, reason):
    with pytest.raises(ModelLoadError, match=reason) as caught:
        load_model(write_onnx_flavour(tmp_path, *signature), LoadOptions())
    assert "\n" not in str(caught.value)


def test_a_model_of_several_inputs_needs_a_column_for_each(tmp_path):
    inputs = (("x", "FP32", ["n", 2]), ("z", "FP32", ["n", 2]))
    folder = write_onnx_flavour(tmp_path, [column("float", "x"), column("float", "w")], inputs=inputs)
    with pytest.raises(ModelLoadError, match="MLmodel: no column for input z of the model"):
        load_model(folder, LoadOptions())


@pytest.mark.parametrize(
    ("flavours", "reason"),
    [
        ({}, "its flavours are none, expected onnx or pytorch"),
        ({"sklearn": {}, "xgboost": {}}, "its flavours are sklearn, xgboost, expected onnx or pytorch"),
        (
            {"sklearn": {}, "python_function": PYFUNC},
            r"python_function \(by mlflow\.sklearn\) runs the model's own code: start with --allow_pyfunc",
        ),
        ({"pytorch": {"model_data": "data"}}, "pytorch: model.pth is a pickle, which runs code"),
        (
            {"pytorch": {"model_data": "data"}, "python_function": PYFUNC},
            "pytorch: .* is a pickle.*; python_function",
        ),
        ({"pytorch": {"model_data": "none"}}, "pytorch: .*none does not exist"),
        (
            {"onnx": {"data": "../model.onnx"}},
            r"flavors\.onnx\.data: \.\./model\.onnx is outside of the model's folder",
        ),
        ({"onnx": {"data": "/etc/passwd"}}, "/etc/passwd is outside of the model's folder"),
        ({"onnx": {}}, r"flavors\.onnx\.data: expected a path, got None"),
        ({"onnx": None}, "onnx: expected an object, got None"),
        (None, "flavors: expected an object, got None"),
    ],
)
def test_what_cannot_be_served_is_said(tmp_path, flavours, reason):
    folder = write_mlmodel(tmp_path / "m", flavours)
    (folder / "data").mkdir()
    (folder / "data" / "model.pth").write_bytes(b"\x80\x02}q\x00.")
    (folder / "data" / "pickle_module_info.txt").write_text("mlflow.pytorch.pickle_module")
    with pytest.raises(ModelLoadError, match=reason):
        load_model(folder, LoadOptions())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("flavors: [", "MLmodel: line 2: "),
        ("[]", "MLmodel: expected an object"),
        ("x: !!python/object/apply:os.system ['true']", "MLmodel: line 1: expected plain data"),
        ("flavors: &a {onnx: *a}", "MLmodel: line 1: expected no anchors and aliases"),
        ("x: " + "y" * (1 << 20), "MLmodel: expected at most 1048576 bytes"),
        ("flavors: {onnx: {data: a}}\nsignature: 3", "signature: expected an object, got 3"),
        ("flavors: {onnx: {data: a}}\nsignature: {inputs: '['}", r"signature\.inputs is not JSON"),
    ],
)
def test_an_mlmodel_file_that_is_wrong_is_one_line(tmp_path, text, reason):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ModelLoadError, match=reason) as caught:
        load_model(tmp_path, LoadOptions())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (3, "expected an object, got 3"),
        ({"type": "binary", "name": "a"}, r"\.type: expected one of tensor, boolean, .*'binary'"),
        ({"type": "array", "items": {"type": "double"}}, r"\.type: expected one of .*'array'"),
        (tensor("complex64", [1]), r"\.tensor-spec\.dtype: expected one of .*'complex64'"),
        (tensor("float32", [-2]), r"\.tensor-spec\.shape: expected whole numbers"),
        ({"type": "tensor"}, r"\.tensor-spec\.dtype: expected one of .*None"),
    ],
)
def test_types_that_no_tensor_carries_are_named(entry, reason):
    for inputs in ([entry], json.dumps([entry])):
        with pytest.raises(ModelLoadError, match=rf"^MLmodel: signature\.inputs\[0\].*{reason}"):
            parse_signature({"inputs": inputs})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Real MLflow models: of a table, of one array, of named arrays; and one without outputs."""
    pyfunc = pytest.importorskip("mlflow.pyfunc", reason="MLflow is not installed: pip install mlflow")
    import pandas as pd
    from mlflow.models import infer_signature

    class Table(pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            day = model_input["day"].dt.day
            return pd.DataFrame({"sum": model_input["a"] + day, "text": model_input["word"] + "!"})

    class Single(pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return (model_input > 0).sum(axis=1)

    class Named(pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return {"double": model_input["x"] * 2, "kind": model_input["k"]}

    frame = pd.DataFrame(
        {"a": [1.5], "word": ["x"], "day": pd.to_datetime(["2026-01-02"]), "n": np.array([3], "i4")}
    )
    array = np.zeros((2, 3), "f4")
    arrays = {"x": array, "k": np.zeros(2, "i8")}
    root = tmp_path_factory.mktemp("mlflow")
    signatures = {
        "table": (Table(), infer_signature(frame, pd.DataFrame({"sum": [1.0], "text": ["x"]}))),
        "single": (Single(), infer_signature(array, np.zeros(2, "i8"))),
        "named": (Named(), infer_signature(arrays, {"double": array, "kind": arrays["k"]})),
        "silent": (Single(), infer_signature(array)),
    }
    for name, (model, signature) in signatures.items():
        pyfunc.save_model(root / name, python_model=model, signature=signature, pip_requirements=[])
    return root


PYFUNC_ALLOWED = LoadOptions(allow_pyfunc=True)


@pytest.mark.filterwarnings("ignore")
def test_a_table_goes_to_a_python_function_and_a_table_comes_back(saved):
    with pytest.raises(ModelLoadError, match="start with --allow_pyfunc"):
        load_model(saved / "table", LoadOptions())
    backend = load_model(saved / "table", PYFUNC_ALLOWED)
    assert (backend.platform, backend.device) == ("mlflow_pyfunc", "cpu")
    assert [(s.name, s.datatype.name, s.open_shape()) for s in backend.signature.inputs] == [
        ("a", "FP64", [-1, 1]),
        ("word", "BYTES", [-1, 1]),
        ("day", "BYTES", [-1, 1]),
        ("n", "INT32", [-1, 1]),
    ]
    feed = {
        "a": np.array([[1.5], [2.5]]),
        "word": np.array([["x"], ["é"]], object),
        "day": np.array([["2026-03-04"], ["2026-03-05T10:00:00"]], object),
        "n": np.array([[1], [2]], "i4"),
    }
    text, total = backend.predict(feed, ("text", "sum"))
    assert (text.dtype, text.tolist(), total.tolist()) == (object, [["x!"], ["é!"]], [[5.5], [7.5]])
    feed["day"] = np.array([["soon"], ["later"]], object)
    with pytest.raises(RequestError, match="day: expected times as ISO 8601"):
        backend.predict(feed, ("text",))


@pytest.mark.filterwarnings("ignore")
def test_arrays_go_to_a_python_function_as_they_are(saved):
    single = load_model(saved / "single", PYFUNC_ALLOWED)
    assert [spec.name for spec in (*single.signature.inputs, *single.signature.outputs)] == [
        "input-0",
        "output-0",
    ]
    x = np.array([[1, 2, -3], [-1, -1, -1], [1, 1, 1]], "f4")
    (found,) = single.predict({"input-0": x}, ("output-0",))
    assert (found.dtype, found.tolist()) == (np.int64, [2, 0, 3])
    assert warm_up(single).batchable
    named = load_model(saved / "named", PYFUNC_ALLOWED)
    kinds = np.array([5, 6, 7])
    kind, double = named.predict({"x": x, "k": kinds}, ("kind", "double"))
    assert (kind.tolist(), double.tolist(), double.dtype) == ([5, 6, 7], (x * 2).tolist(), np.float32)


@pytest.mark.filterwarnings("ignore")
def test_outputs_without_a_signature_are_declared_beside_the_model(saved):
    with pytest.raises(ModelLoadError, match="MLmodel has no signature of outputs"):
        load_model(saved / "silent", PYFUNC_ALLOWED)
    declared = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}
    declared["outputs"] = [{"name": "count", "datatype": "INT32", "shape": [-1]}]
    (saved / "silent" / "signature.json").write_text(json.dumps(declared))
    (found,) = load_model(saved / "silent", PYFUNC_ALLOWED).predict(
        {"input-0": np.ones((2, 3), "f4")}, ("count",)
    )
    assert (found.dtype, found.tolist()) == (np.int32, [3, 3])


@pytest.fixture
def with_code(tmp_path, monkeypatch):
    """A model whose module lies in its folder, and imports another one when it predicts."""
    pyfunc = pytest.importorskip("mlflow.pyfunc", reason="MLflow is not installed: pip install mlflow")
    import pandas as pd
    from mlflow.models import infer_signature

    package = tmp_path / "source" / "house_rules"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "first.py").write_text(
        "def double(table):\n    from house_rules import later\n    return later.twice(table)\n"
    )
    (package / "later.py").write_text("def twice(table):\n    return table * 2\n")
    (tmp_path / "model.py").write_text(
        "from mlflow.models import set_model\nfrom mlflow.pyfunc import PythonModel\n"
        "class Rules(PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        from house_rules.first import double\n        return double(model_input)\n"
        "set_model(Rules())\n"
    )
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    pyfunc.save_model(
        tmp_path / "model",
        python_model=str(tmp_path / "model.py"),
        code_paths=[str(package)],
        signature=infer_signature(frame, frame * 2),
        pip_requirements=[],
    )
    # As where the variable PYTHONDONTWRITEBYTECODE is not set.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path / "model"
    for name in [name for name in sys.modules if name.partition(".")[0] == "house_rules"]:
        del sys.modules[name]


@pytest.mark.filterwarnings("ignore")
def test_what_a_model_imports_leaves_its_folder_as_it_was_tested(with_code):
    """A second server, or a second load, would refuse what Python had left there."""
    tested = hash_loaded(with_code).digest
    backend = load_model(with_code, LoadOptions(allow_pyfunc=True, digest=tested))
    (doubled,) = backend.predict({"x": np.array([[1.5], [2.5]])}, ("x",))
    assert doubled.tolist() == [[3.0], [5.0]]
    assert hash_loaded(with_code).digest == tested
    assert "house_rules.later" in sys.modules
    load_model(with_code, LoadOptions(allow_pyfunc=True, digest=tested))


@pytest.mark.filterwarnings("ignore")
def test_bytecode_that_somebody_adds_is_not_what_was_tested(with_code):
    """Python would run it in place of the source beside it."""
    tested = hash_loaded(with_code).digest
    source = with_code / "code" / "house_rules" / "first.py"
    py_compile.compile(str(source))
    with pytest.raises(ModelLoadError, match="it is not the model that was tested"):
        load_model(with_code, LoadOptions(allow_pyfunc=True, digest=tested))
