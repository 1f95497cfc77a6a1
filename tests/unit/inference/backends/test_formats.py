"""Formats are told by content, and what cannot be served is said in one line; without PyTorch."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.declared import adopt_signature, read_signature
from mooring_inference.backends.formats import detect_format, find_model
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.torch.pt2_archive import check_archive
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec
from onnx import helper

from tests.unit.inference.backends.test_onnx import write_onnx


def identity(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_onnx(
        path, [helper.make_node("Identity", ["x"], ["y"])], [("x", "FP32", [2])], [("y", "FP32", [2])]
    )


def write_zip(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_safetensors(path: Path) -> Path:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")
    return path


@pytest.mark.parametrize("name", ["model.onnx", "model", "model.pt", "1/deep/model.onnx", "weights"])
def test_an_onnx_file_is_found_and_loaded_whatever_its_name(tmp_path, name):
    identity(tmp_path / "m" / name)
    (tmp_path / "m" / "notes.txt").write_text("a model")
    (tmp_path / "m" / "guards.json").write_text("{}")
    (tmp_path / "m" / ".hidden.onnx").write_bytes(b"")
    backend = load_model(tmp_path / "m", LoadOptions())
    assert backend.platform == "onnx_onnxv1"
    assert find_model(tmp_path / "m" / name) == tmp_path / "m" / name


def test_the_top_of_a_folder_goes_before_what_is_below(tmp_path):
    identity(tmp_path / "old" / "model.onnx")
    assert find_model(tmp_path) == tmp_path / "old" / "model.onnx"
    identity(tmp_path / "model.onnx")
    assert find_model(tmp_path) == tmp_path / "model.onnx"
    (tmp_path / "MLmodel").write_text("flavors: {}")
    assert find_model(tmp_path) == tmp_path / "MLmodel"


def test_a_folder_must_hold_one_model(tmp_path):
    with pytest.raises(ModelLoadError, match=r"^no model in .*: expected one file of ONNX, torch\.export"):
        find_model(tmp_path)
    identity(tmp_path / "b.onnx")
    write_safetensors(tmp_path / "a.safetensors")
    with pytest.raises(ModelLoadError, match=r"^2 models in .*, expected one: a\.safetensors, b\.onnx$"):
        find_model(tmp_path)
    with pytest.raises(ModelLoadError, match=r"nowhere does not exist$"):
        find_model(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x04K\x01.", "is a pickle, which runs code when it is loaded"),
        (b"\x80\x02}q\x00.", "is a pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), r"is an HDF5 file \(Keras\)"),
        (b"GGUF\x03\0\0\0", "is a GGUF file"),
        (b"\x1f\x8b\x08\0", "is compressed by gzip"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b'{"learner": {}}', "is JSON or text"),
        (b"<html>", "is XML or HTML"),
        (b"PK\x03\x04 and no more", "is a damaged zip archive"),
        (b"what is this", "is not a model that can be served"),
        (b"", "is not a model that can be served"),
    ],
)
def test_other_files_are_refused_with_what_they_are(tmp_path, content, reason):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ModelLoadError, match=f"^model.pt {reason}") as caught:
        load_model(tmp_path, LoadOptions(allow_torchscript=True, allow_pyfunc=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"m/archive_format": "pt2", "m/models/model.json": "{}"}, "exported"),
        ({"m/data.pkl": "", "m/constants.pkl": "", "m/code/__torch__.py": ""}, "torchscript"),
    ],
)
def test_archives_of_pytorch_are_told_by_their_members(tmp_path, members, kind):
    assert detect_format(write_zip(tmp_path / "model", members)) == kind


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"archive/data.pkl": "", "archive/version": "3"}, r"saved by torch\.save and is a pickle"),
        ({"serialized_exported_program.json": "{}", "version": "8.1"}, r"exported by torch 2\.7 or older"),
        ({"config.json": "{}", "model.weights.h5": ""}, "is a zip archive of something else"),
    ],
)
def test_other_archives_are_refused_with_what_they_are(tmp_path, members, reason):
    with pytest.raises(ModelLoadError, match=reason):
        detect_format(write_zip(tmp_path / "model.pt", members))


def test_safetensors_are_told_by_their_header(tmp_path):
    assert detect_format(write_safetensors(tmp_path / "model.bin")) == "safetensors"


@given(st.binary(max_size=200))
def test_any_bytes_are_told_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "model"
    path.write_bytes(content)
    try:
        found = detect_format(path)
    except ModelLoadError as error:
        found = str(error)
    assert found in {"onnx", "safetensors"} or (found.startswith("model ") and "\n" not in found)


def test_onnx_loads_without_pytorch_and_mlflow(tmp_path):
    identity(tmp_path / "model.onnx")
    code = (
        "import sys; from pathlib import Path; import mooring_inference.main; "
        "from mooring_inference.backends.loading import load_model, LoadOptions; "
        f"load_model(Path({str(tmp_path)!r}), LoadOptions()); "
        "print(sorted({'torch', 'safetensors', 'mlflow', 'kserve', 'pandas', 'yaml'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_missing_pytorch_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("mooring_inference.backends.torch.")]:
        monkeypatch.delitem(sys.modules, name)
    write_zip(tmp_path / "m.pt2", {"m/archive_format": "pt2"})
    with pytest.raises(
        ModelLoadError, match=r"^m\.pt2 needs the package torch, of kube-mooring's extra torch$"
    ):
        load_model(tmp_path, LoadOptions())


NODE = {"target": "torch.ops.aten.relu.default", "inputs": [{"name": "self"}], "name": "relu"}
PROGRAM = {
    "graph_module": {
        "graph": {
            "nodes": [NODE],
            "tensor_values": {
                "x": {"sizes": [{"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)"}}]}
            },
        },
        "module_call_graph": [
            {
                "fqn": "",
                "signature": {
                    "in_spec": '[1, {"type": "builtins.tuple", "context": "null", "children_spec": []}]',
                },
            }
        ],
    },
    "range_constraints": {"s77": {"min_val": 2}, "2*s77": {"min_val": 4}},
}
WEIGHT = {"path_name": "weight_0", "use_pickle": False}


def archive(path, *, program=PROGRAM, weights=None, extra=None):
    """An archive of the layout that ``torch.export.save`` writes."""
    members = {
        "m/archive_format": "pt2",
        "m/models/model.json": json.dumps(program),
        "m/data/weights/model_weights_config.json": json.dumps({"config": weights or {"w": WEIGHT}}),
        "m/data/constants/model_constants_config.json": json.dumps({"config": {}}),
        "m/data/sample_inputs/model.pt": b"",
    }
    return write_zip(path, {**members, **(extra or {})})


def with_node(**changes):
    graph_module = PROGRAM["graph_module"]
    graph = {**graph_module["graph"], "nodes": [{**NODE, **changes}]}
    return {**PROGRAM, "graph_module": {**graph_module, "graph": graph}}


def with_expression(text):
    return with_node(inputs=[{"name": "self", "arg": {"as_sym_int": {"as_expr": {"expr_str": text}}}}])


def with_tree(**schema):
    return {
        **PROGRAM,
        "tree": {"out_spec": json.dumps([1, {"context": None, "children_spec": [], **schema}])},
    }


def test_an_archive_of_tensors_and_operators_passes(tmp_path):
    assert check_archive(archive(tmp_path / "m.pt2")) == "m/data/sample_inputs/model.pt"


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten._softmax.default",
        "torch.ops.aten.__and__.Tensor",
        "torch.ops.higher_order.cond",
        "torch.ops.torchvision.nms.default",
        "_operator.getitem",
        "math.trunc",
        "torch.sym_max",
        "torch._sym_sqrt",
    ],
)
def test_operators_of_graphs_pass(tmp_path, target):
    check_archive(archive(tmp_path / "m.pt2", program=with_node(target=target)))


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.os.system",
        "torch.load",
        "torch.ops.load_library",
        "torch.ops.__class__.mro",
        "torch.ops.aten.__class__",
        "torch.ops.aten.relu.default.__globals__",
        "torch.ops.aten.from_file.default",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "_operator.call",
        "os.system",
        "#namespace:op",
        "math.__loader__",
        "torch.ops.aten.relu.default\nimport os",
    ],
)
def test_what_is_no_operator_of_graphs_is_refused(tmp_path, target):
    for program in (
        with_node(target=target),
        with_node(inputs=[{"name": "f", "arg": {"as_operator": target}}]),
    ):
        with pytest.raises(ModelLoadError, match=r"the operator .* is not allowed"):
            check_archive(archive(tmp_path / "m.pt2", program=program))


@pytest.mark.parametrize(
    "text",
    [
        "s0",
        "2*s77 + 1",
        "((s0 - 1)//2) + 1",
        "Max(1, FloorDiv(Symbol('u3', integer=True), 2))",
        "0.5*s1",
        "-s0 % 3",
    ],
)
def test_expressions_of_sizes_pass(tmp_path, text):
    check_archive(archive(tmp_path / "m.pt2", program=with_expression(text)))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "s0.__class__",
        "(1).real",
        "s0 .args",
        "S('1')",
        "Symbol('s0').func",
        "lambda: 0",
        "open",
        "[s0]",
        "s0; s1",
        'Symbol("s0")',
        "Symbol('s0' + 'x')",
        "eval(s0)",
        "s0 if s1 else s2",
        "9" * 20_000,
    ],
)
def test_other_expressions_are_refused(tmp_path, text):
    with pytest.raises(ModelLoadError, match="is not an expression of sizes"):
        check_archive(archive(tmp_path / "m.pt2", program=with_expression(text)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": {"a.w": {**WEIGHT, "use_pickle": True}}}, r"a\.w is kept as a pickle"),
        ({"weights": {"w": {**WEIGHT, "path_name": "opaque_obj_0"}}}, "w is kept as a pickle"),
        ({"weights": {"w": {}}}, "w is kept as a pickle"),
        ({"weights": {"w": 1}}, "says nothing of w"),
        ({"extra": {"m/data/weights/model.pt": b""}}, "keeps its weights as a pickle"),
        ({"extra": {"m/data/aotinductor/model/a.so": b""}}, r"machine code \(AOTInductor\)"),
        ({"extra": {"m/models/other.json": "{}"}}, "holds 2 programs"),
        ({"extra": {"n/models/model.json": "{}"}}, "outside of one folder"),
        ({"extra": {"m/data/weights/model_weights_config.json": "[]"}}, "is not a JSON object"),
        ({"extra": {"m/models/model.json": "{"}}, "is not a readable archive"),
        ({"program": with_node(name="x):\n import os #")}, "the name .* is not allowed"),
        ({"program": {"tensor_values": {"x, y=open": 1}}}, "the name .* is not allowed"),
        (
            {"program": with_tree(type="collections.defaultdict")},
            "of type 'collections.defaultdict' are not allowed",
        ),
        ({"program": with_tree(type="builtins.dict", context='{"__enum__": true}')}, "are not allowed"),
    ],
)
def test_what_could_run_code_is_refused(tmp_path, changes, reason):
    with pytest.raises(ModelLoadError, match=reason) as caught:
        check_archive(archive(tmp_path / "m.pt2", **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_are_refused(tmp_path):
    path = archive(tmp_path / "m.pt2")
    with zipfile.ZipFile(path, "a") as more:
        more.writestr("m/models/model.json", "{}")
    with pytest.raises(ModelLoadError, match="two members of one name"):
        check_archive(path)


def spec(name, datatype, *shape):
    return TensorSpec(name, DATATYPES[datatype], shape)


def test_a_declared_signature_has_the_form_of_v2_metadata(tmp_path):
    signature = Signature((spec("x", "FP32", None, 4), spec("s", "BYTES")), (spec("y", "BOOL", None),))
    document = {
        "name": "m",
        "inputs": [one.metadata() for one in signature.inputs],
        "outputs": [one.metadata() for one in signature.outputs],
    }
    assert read_signature(tmp_path) is None
    (tmp_path / "signature.json").write_text(json.dumps(document))
    assert read_signature(tmp_path) == signature


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("[]", "expected an object, got list"),
        ("{", "is not JSON"),
        ("{}", "inputs: expected an array of at least one tensor, got None"),
        ('{"inputs": []}', "inputs: expected an array of at least one tensor"),
        ('{"inputs": [3]}', r"inputs\[0\]: expected an object, got 3"),
        (
            '{"inputs": [{"datatype": "FP32", "shape": []}]}',
            r"inputs\[0\]\.name: expected a string, got None",
        ),
        (
            '{"inputs": [{"name": "x", "datatype": "float", "shape": []}]}',
            r"\.datatype: expected one of BOOL, .*'float'",
        ),
        (
            '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-2]}]}',
            r"\.shape: expected whole numbers",
        ),
        (
            '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [true]}]}',
            r"\.shape: expected whole numbers",
        ),
        (
            json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": []}] * 2}),
            "inputs: names are not unique",
        ),
    ],
)
def test_a_declared_signature_that_is_wrong_is_named_by_field(tmp_path, document, reason):
    (tmp_path / "signature.json").write_text(document)
    with pytest.raises(ModelLoadError, match=rf"^signature\.json.*{reason}"):
        read_signature(tmp_path)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (Signature((spec("x", "FP32", None, 4),), ()), "s declares 0 outputs, the model has 1"),
        (
            Signature((spec("x", "FP64", None, 4),), (spec("y", "BOOL", None),)),
            r"FP64 \[-1, 4\], the model has FP32",
        ),
        (
            Signature((spec("x", "FP32", None, 5),), (spec("y", "BOOL", None),)),
            r"\[-1, 5\], the model has FP32 \[-1, 4\]",
        ),
        (
            Signature((spec("x", "FP32", None),), (spec("y", "BOOL", None),)),
            r"input x is declared FP32 \[-1\]",
        ),
    ],
)
def test_a_declared_signature_must_agree_with_the_models_own(declared, reason):
    own = Signature((spec("a", "FP32", None, 4),), (spec("b", "BOOL", None),))
    with pytest.raises(ModelLoadError, match=reason):
        adopt_signature(own, declared, "s")


def test_a_declared_signature_gives_names_and_the_models_own_gives_sizes():
    own = Signature((spec("a", "FP32", None, 4),), (spec("b", "BOOL", None),))
    declared = Signature((spec("x", "FP32", 8, None),), (spec("y", "BOOL", None),))
    adopted = Signature((spec("x", "FP32", None, 4),), (spec("y", "BOOL", None),))
    assert adopt_signature(own, declared, "s") == adopted
    assert adopt_signature(own, None, "s") is own
