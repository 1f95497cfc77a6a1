"""Real models: those that come in Python packages, with the results that their makers expect where they say so."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.errors import ModelLoadError
from onnx import TensorProto, numpy_helper


def folder_of(package: str) -> Path:
    """Where a package is, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {package}, which holds the model, is not installed")
    return Path(spec.submodule_search_locations[0])


def read_tensor(path: Path):
    tensor = TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def load_or_none(path: Path):
    """The model; None where ONNX Runtime has no operators, types or locales for it, and that was said in a line."""
    try:
        return load_model(path.parent, LoadOptions(device="cpu"))
    except ModelLoadError as error:
        reason = str(error)
    assert "\n" not in reason
    if "cannot be served" not in reason:
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return None


def test_onnx_reference_models_give_the_expected_results():
    served = 0
    for path in sorted((Path(onnx.__file__).parent / "backend" / "test" / "data").rglob("model.onnx")):
        backend = load_or_none(path)
        if backend is None:
            continue
        warm_up(backend)
        for data in path.parent.glob("test_data_set_*"):
            feed = {
                spec.name: read_tensor(data / f"input_{index}.pb")
                for index, spec in enumerate(backend.signature.inputs)
            }
            for index, result in enumerate(backend.predict(feed, backend.signature.output_names)):
                expected = read_tensor(data / f"output_{index}.pb")
                assert (result.dtype.kind, result.shape) == (expected.dtype.kind, expected.shape)
                if result.dtype.kind == "f":
                    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-5)
                else:
                    assert result.tolist() == expected.tolist()
            served += 1
    assert served >= 90


def test_a_classifier_that_onnx_runtime_ships():
    backend = load_model(folder_of("onnxruntime") / "datasets" / "logreg_iris.onnx", LoadOptions())
    assert [spec.metadata() for spec in backend.signature.outputs] == [
        {"name": "label", "datatype": "INT64", "shape": [3]},
        {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": [-1, 3],
            "parameters": {"columns": ["0", "1", "2"]},
        },
    ]
    flowers = np.array([[5.1, 3.5], [6.2, 2.9], [5.9, 3.0]], "f4")
    labels, probabilities = backend.predict({"float_input": flowers}, ("label", "probabilities"))
    assert labels.dtype == np.int64
    assert labels.tolist() == probabilities.argmax(axis=1).tolist()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_a_model_that_tells_kinds_of_files():
    """Magika: bytes of a file, as int32, to 214 kinds."""
    (path,) = (folder_of("magika") / "models").rglob("model.onnx")
    backend = load_model(path, LoadOptions())
    assert warm_up(backend).batchable
    kinds = json.loads((path.parent / "config.min.json").read_text())["target_labels_space"]
    text = b"import os\n\n\ndef main(argv):\n    print(os.getcwd(), argv)\n" * 20
    content = np.full((1, 2048), 256, np.int32)
    content[0, :1024] = np.frombuffer(text[:1024], np.uint8)
    content[0, 1024:] = np.frombuffer(text[-1024:], np.uint8)
    (scores,) = backend.predict({"bytes": np.repeat(content, 3, axis=0)}, ("target_label",))
    assert scores.shape == (3, len(kinds))
    assert {kinds[best] for best in scores.argmax(axis=1)} == {"python"}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_voice_detector_gives_the_same_as_onnx_and_as_torchscript(tmp_path):
    """Silero VAD: 512 samples, a state and the 0-d int64 sample rate to a probability of speech and a state."""
    pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch has it")
    data = folder_of("silero_vad") / "data"
    plain = load_model(data / "silero_vad.onnx", LoadOptions())
    assert [spec.metadata() for spec in plain.signature.inputs] == [
        {"name": "input", "datatype": "FP32", "shape": [-1, -1]},
        {"name": "state", "datatype": "FP32", "shape": [2, -1, 128]},
        {"name": "sr", "datatype": "INT64", "shape": []},
    ]
    assert not warm_up(plain).batchable
    samples = np.random.default_rng(1).standard_normal((3, 64 + 512)).astype("f4")
    feed = {"input": samples, "state": np.zeros((2, 3, 128), "f4"), "sr": np.array(16000)}
    speech, state = plain.predict(feed, ("output", "stateN"))
    assert (speech.shape, state.shape) == ((3, 1), (2, 3, 128))
    (other,) = plain.predict({**feed, "input": samples[:1], "state": feed["state"][:, :1]}, ("output",))
    np.testing.assert_allclose(other, speech[:1], rtol=1e-4)

    (tmp_path / "model.pt").write_bytes((data / "silero_vad.jit").read_bytes())
    declared = {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 512]},
            {"name": "sr", "datatype": "INT64", "shape": []},
        ],
        "outputs": [{"name": "speech", "datatype": "FP32", "shape": [-1, 1]}],
    }
    (tmp_path / "signature.json").write_text(json.dumps(declared))
    script = load_model(tmp_path, LoadOptions(allow_torchscript=True))
    # The TorchScript model keeps the last 64 samples itself, none at first.
    feed["input"][:, :64] = 0
    (speech,) = plain.predict(feed, ("output",))
    (same,) = script.predict({"x": samples[:, 64:], "sr": np.array(16000)}, ("speech",))
    np.testing.assert_allclose(same, speech, rtol=1e-3, atol=1e-6)
