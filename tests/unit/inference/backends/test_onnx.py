"""ONNX models: results as ONNX Runtime's own, whatever goes in; and the device that was asked for or an error."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.devices import Device, parse_device
from mooring_inference.backends.onnx.backend import OnnxBackend
from mooring_inference.backends.onnx.binding import BoundSession
from mooring_inference.backends.onnx.providers import check_providers, choose_providers, device_of
from mooring_inference.errors import ModelLoadError
from onnx import TensorProto, helper, save

CPU, CUDA, TENSORRT, OPENVINO = (
    f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt", "OpenVINO")
)

NUMBERS = {
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
}


def write_onnx(path: Path, nodes, inputs, outputs, initializers=()) -> Path:
    """Save a graph; inputs and outputs are (name, V2 datatype, shape)."""

    def value(name, datatype, shape):
        return helper.make_tensor_value_info(name, NUMBERS[datatype], shape)

    graph = helper.make_graph(
        nodes, "g", [value(*one) for one in inputs], [value(*one) for one in outputs], list(initializers)
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@dataclass
class Row:
    """A model and what it gets."""

    name: str
    nodes: list
    inputs: list
    outputs: list
    feed: dict
    initializers: list = field(default_factory=list)


def array(values, dtype):
    return np.array(values, dtype=dtype)


DYNAMIC = [
    helper.make_node("Add", ["a", "b"], ["sum"]),
    helper.make_node("ReduceSum", ["a"], ["total"], keepdims=0),
]
DYNAMIC_IN = [("a", "FP32", ["n", "m"]), ("b", "FP32", [1, "m"])]
DYNAMIC_OUT = [("sum", "FP32", ["n", "m"]), ("total", "FP32", [])]
TABLE = [
    *(
        Row(
            f"identity of {name}",
            [helper.make_node("Identity", ["x"], ["y"])],
            [("x", name, ["n", 3])],
            [("y", name, ["n", 3])],
            {"x": array([[0, 1, 2], [3, 100, 5]], {"BOOL": np.bool_, "BYTES": object}.get(name) or "f8")},
        )
        for name in NUMBERS
    ),
    Row(
        "dynamic axes, two inputs, two outputs, one of them 0-d",
        DYNAMIC,
        DYNAMIC_IN,
        DYNAMIC_OUT,
        {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.ones((1, 3), "f4")},
    ),
    Row(
        "the same with no rows",
        DYNAMIC,
        DYNAMIC_IN,
        DYNAMIC_OUT,
        {"a": np.zeros((0, 3), "f4"), "b": np.ones((1, 3), "f4")},
    ),
    Row(
        "0-d in and out",
        [helper.make_node("Mul", ["x", "x"], ["y"])],
        [("x", "FP64", [])],
        [("y", "FP64", [])],
        {"x": array(3.0, "f8")},
    ),
    Row(
        "strings and booleans of several inputs",
        [helper.make_node("Where", ["c", "x", "z"], ["y"]), helper.make_node("Equal", ["c", "d"], ["same"])],
        [("c", "BOOL", ["n"]), ("d", "BOOL", ["n"]), ("x", "BYTES", ["n"]), ("z", "BYTES", ["n"])],
        [("y", "BYTES", ["n"]), ("same", "BOOL", ["n"])],
        {
            "c": array([True, False], bool),
            "d": array([True, True], bool),
            "x": array(["a", "é✓"], object),
            "z": array(["", "z\0z"], object),
        },
    ),
    Row(
        "no strings",
        [helper.make_node("Identity", ["x"], ["y"])],
        [("x", "BYTES", ["n"])],
        [("y", "BYTES", ["n"])],
        {"x": array([], object)},
    ),
    Row(
        "int64 indices into float16 rows",
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        [("i", "INT64", ["n"])],
        [("y", "FP16", ["n", 2])],
        {"i": array([1, 0, 1], np.int64)},
        [helper.make_tensor("table", TensorProto.FLOAT16, [2, 2], [0.5, 1, 2, 65504])],
    ),
]


def typed(row: Row, signature):
    """The feed in the model's own datatypes."""
    feed = {}
    for spec in signature.inputs:
        values = row.feed[spec.name]
        feed[spec.name] = (
            np.array([str(v) for v in values.ravel()], object).reshape(values.shape)
            if spec.datatype.name == "BYTES"
            else values.astype(spec.datatype.dtype)
        )
    return feed


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_results_are_those_of_onnx_runtime(tmp_path, row):
    path = write_onnx(tmp_path / "m.onnx", row.nodes, row.inputs, row.outputs, row.initializers)
    backend = OnnxBackend(path, LoadOptions())
    assert [
        (s.name, s.datatype.name, [d if d is not None else None for d in s.shape])
        for s in backend.signature.inputs
    ] == [
        (name, datatype, [d if isinstance(d, int) else None for d in shape])
        for name, datatype, shape in row.inputs
    ]
    feed = typed(row, backend.signature)
    names = backend.signature.output_names
    expected = ort.InferenceSession(str(path), providers=[CPU]).run(list(names), feed)
    for wanted in (names, tuple(reversed(names)), names[:1]):
        results = backend.predict(feed, wanted)
        assert len(results) == len(wanted)
        for name, result in zip(wanted, results, strict=True):
            reference = expected[names.index(name)]
            assert isinstance(result, np.ndarray)
            assert (result.dtype, result.shape) == (reference.dtype, reference.shape)
            assert result.dtype == backend.signature.outputs_by_name[name].datatype.dtype
            assert result.tolist() == reference.tolist()


@pytest.mark.parametrize(
    "row", [row for row in TABLE if all(one[1] != "BYTES" for one in row.inputs)], ids=lambda row: row.name
)
def test_bound_inputs_and_outputs_give_the_same(tmp_path, row):
    path = write_onnx(tmp_path / "m.onnx", row.nodes, row.inputs, row.outputs, row.initializers)
    plain = OnnxBackend(path, LoadOptions(device="cpu"))
    bound = BoundSession(ort.InferenceSession(str(path), providers=[CPU]), "cpu", 0)
    feed = typed(row, plain.signature)
    names = plain.signature.output_names
    for one, other in zip(plain.predict(feed, names), bound.run(names, feed), strict=True):
        assert (one.dtype, one.shape, one.tolist()) == (other.dtype, other.shape, other.tolist())


def test_arrays_that_only_lend_their_memory_are_taken(tmp_path):
    path = write_onnx(tmp_path / "m.onnx", DYNAMIC, DYNAMIC_IN, DYNAMIC_OUT)
    lent = np.frombuffer(np.arange(6, dtype="f4").tobytes(), "f4").reshape(2, 3)
    sliced = np.arange(12, dtype="f4").reshape(2, 6)[:, ::2]
    backend = OnnxBackend(path, LoadOptions())
    (total,) = backend.predict({"a": lent, "b": sliced[:1]}, ["total"])
    assert total == 15
    (both,) = backend.predict({"a": sliced, "b": lent[:1]}, ["sum"])
    assert both.tolist() == [[0, 3, 6], [6, 9, 12]]


def test_an_input_that_the_protocol_cannot_carry_is_named(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    path = tmp_path / "m.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    with pytest.raises(
        ModelLoadError, match=r"m\.onnx: input x is tensor\(bfloat16\), which cannot be served"
    ):
        OnnxBackend(path, LoadOptions())


def test_auto_says_what_it_took(tmp_path, caplog):
    path = write_onnx(tmp_path / "m.onnx", DYNAMIC, DYNAMIC_IN, DYNAMIC_OUT)
    with caplog.at_level(logging.INFO, logger="mooring_inference"):
        backend = OnnxBackend(path, LoadOptions(device="cpu"))
    assert backend.device == "cpu"
    assert caplog.records[-1].fields == {"file": "m.onnx", "device": "cpu", "providers": [CPU]}


@pytest.mark.parametrize(
    "options",
    [
        LoadOptions(device="cuda"),
        LoadOptions(device="cuda:1"),
        LoadOptions(providers=("CUDAExecutionProvider",)),
        LoadOptions(providers=("tensorrt",)),
        LoadOptions(providers=("openvino", "cpu")),
    ],
)
def test_what_was_asked_for_and_is_missing_is_an_error(tmp_path, options):
    path = write_onnx(tmp_path / "m.onnx", DYNAMIC, DYNAMIC_IN, DYNAMIC_OUT)
    wanted = choose_providers(options, [CPU, CUDA, TENSORRT, OPENVINO]).required[0]
    if wanted in ort.get_available_providers():
        pytest.skip(f"this ONNX Runtime was built with {wanted}")
    with pytest.raises(
        ModelLoadError, match=f"^{wanted} was asked for and is not in this ONNX Runtime, which has .*{CPU}"
    ):
        OnnxBackend(path, options)


@pytest.mark.parametrize(
    ("options", "available", "names", "required"),
    [
        (LoadOptions(), [CPU], [CPU], ()),
        (LoadOptions(), ["AzureExecutionProvider", CPU], [CPU], ()),
        (LoadOptions(), [TENSORRT, CUDA, CPU], [CUDA, CPU], ()),
        (LoadOptions(device="cpu"), [CUDA, CPU], [CPU], (CPU,)),
        (LoadOptions(device="cuda:1"), [CUDA, CPU], [CUDA, CPU], (CUDA,)),
        (LoadOptions(providers=("tensorrt",)), [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU], (TENSORRT,)),
        (LoadOptions(providers=("CPUExecutionProvider",)), [CUDA, CPU], [CPU], (CPU,)),
        (LoadOptions(providers=("OpenVINO", "cpu")), [OPENVINO, CPU], [OPENVINO, CPU], (OPENVINO, CPU)),
        (LoadOptions(device="cuda", providers=("cpu", "cuda")), [CUDA, CPU], [CPU, CUDA], (CPU, CUDA)),
    ],
)
def test_providers_are_those_asked_for_and_the_cpu_for_the_rest(options, available, names, required):
    choice = choose_providers(options, available)
    assert (choice.names, choice.required) == (names, required)


def test_the_number_of_a_gpu_reaches_the_providers():
    choice = choose_providers(LoadOptions(device="cuda:3", providers=("tensorrt",)), [TENSORRT, CUDA, CPU])
    assert [options.get("device_id") for _, options in choice.providers] == ["3", "3", None]
    assert device_of([TENSORRT, CUDA, CPU], choice.device) == "cuda:3"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (LoadOptions(device="gpu"), "device: expected auto, cpu, cuda or cuda:N, got 'gpu'"),
        (LoadOptions(device="cuda:-1"), "got 'cuda:-1'"),
        (
            LoadOptions(providers=("rocm",)),
            "providers: expected some of cpu, cuda, tensorrt, openvino, got 'rocm'",
        ),
        (LoadOptions(device="cpu", providers=("cuda",)), f"device cpu and provider {CUDA} contradict"),
        (LoadOptions(device="cuda:1", providers=("openvino",)), "device cuda:1 and providers OpenVINO"),
    ],
)
def test_choices_that_mean_nothing_are_refused(options, reason):
    with pytest.raises(ModelLoadError, match=reason):
        choose_providers(options, [TENSORRT, CUDA, OPENVINO, CPU])


def test_a_provider_that_onnx_runtime_dropped_is_an_error_except_under_auto():
    with pytest.raises(
        ModelLoadError, match=f"{CUDA} was asked for and could not start.*the session has {CPU}"
    ):
        check_providers(choose_providers(LoadOptions(device="cuda"), [CUDA, CPU]), [CPU])
    check_providers(choose_providers(LoadOptions(), [CUDA, CPU]), [CPU])
    assert device_of([CPU], Device("auto")) == "cpu"
    assert device_of([CUDA, CPU], Device("auto")) == "cuda:0"
    assert device_of([OPENVINO, CPU], Device("auto")) == "openvino:cpu"


def test_a_gpu_build_without_a_gpu_says_so_when_it_was_asked_for(tmp_path, caplog):
    if CUDA not in ort.get_available_providers():
        pytest.skip("this ONNX Runtime was built without CUDA")
    path = write_onnx(tmp_path / "m.onnx", DYNAMIC, DYNAMIC_IN, DYNAMIC_OUT)
    with caplog.at_level(logging.WARNING, logger="mooring_inference"):
        backend = OnnxBackend(path, LoadOptions())
    if backend.device != "cpu":
        pytest.skip("there is a GPU")
    assert "a GPU was not usable" in [record.message for record in caplog.records]
    for options in (LoadOptions(device="cuda"), LoadOptions(providers=("tensorrt",))):
        with pytest.raises(ModelLoadError, match=r"was asked for and could not start|cannot be run by"):
            OnnxBackend(path, options)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "openvino"])
def test_a_provider_that_is_there_gives_the_same_results(tmp_path, provider):
    options = LoadOptions(providers=(provider,))
    if (
        choose_providers(options, [CUDA, TENSORRT, OPENVINO, CPU]).required[0]
        not in ort.get_available_providers()
    ):
        pytest.skip(f"this ONNX Runtime was built without {provider}")
    path = write_onnx(tmp_path / "m.onnx", DYNAMIC, DYNAMIC_IN, DYNAMIC_OUT)
    try:
        backend = OnnxBackend(path, options)
    except ModelLoadError as error:
        if provider == "openvino":
            raise
        pytest.skip(f"no GPU here: {error}")
    feed = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.ones((1, 3), "f4")}
    (total, both) = backend.predict(feed, ["total", "sum"])
    assert (total.tolist(), both.tolist()) == (15, [[1, 2, 3], [4, 5, 6]])


OPENVINO_REFUSAL = """[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: \
/onnxruntime/onnxruntime/core/providers/openvino/backends/basic_backend.cc:136 onnxruntime::openvino_ep::\
BasicBackend::BasicBackend(std::unique_ptr<onnx::ModelProto>&) [OpenVINO-EP] Exception while Loading Network for \
graph OpenVINOExecutionProvider_OpenVINO-EP-subgraph_1_0: Exception from src/inference/src/cpp/core.cpp:114:
Exception from src/inference/src/dev/plugin.cpp:53:
Check '!shape.rank().is_dynamic()' failed at src/plugins/intel_cpu/src/node.cpp:106:
Unexpected: CPU plug-in doesn't support Parameter operation with dynamic rank. Operation name: label


"""
"""What ONNX Runtime 1.24 with OpenVINO 2026 says of a random forest of skl2onnx."""


def test_what_openvino_cannot_run_is_said_by_its_last_line_which_is_the_cause(tmp_path, monkeypatch):
    path = write_onnx(tmp_path / "m.onnx", DYNAMIC, DYNAMIC_IN, DYNAMIC_OUT)

    def refuse(*args, **kwargs):
        raise RuntimeError(OPENVINO_REFUSAL)

    monkeypatch.setattr(ort, "get_available_providers", lambda: [OPENVINO, CPU])
    monkeypatch.setattr(ort, "InferenceSession", refuse)
    with pytest.raises(ModelLoadError) as caught:
        OnnxBackend(path, LoadOptions(providers=("openvino",)))
    assert str(caught.value) == (
        f"m.onnx cannot be run by {OPENVINO}: Unexpected: CPU plug-in doesn't support Parameter operation "
        "with dynamic rank. Operation name: label"
    )


def test_devices_have_names():
    assert [parse_device(text).name for text in ("auto", "cpu", "cuda", "cuda:2")] == [
        "auto",
        "cpu",
        "cuda:0",
        "cuda:2",
    ]


def test_a_closed_model_has_given_its_session_back(tmp_path):
    backend = OnnxBackend(write_onnx(tmp_path / "m.onnx", DYNAMIC, DYNAMIC_IN, DYNAMIC_OUT), LoadOptions())
    backend.close()
    with pytest.raises(AttributeError):
        backend.predict({}, ["sum"])
