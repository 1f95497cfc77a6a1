"""Subclasses of kserve.Model under this server; skipped where kserve is not installed."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

kserve = pytest.importorskip("kserve", reason="kserve is not installed")

from kserve.errors import InvalidInput, ModelNotReady  # noqa: E402
from mooring_inference.backends.kserve.model import (  # noqa: E402
    ModelAnswerError,
    Predictor,
    load_kserve_model,
)
from mooring_inference.backends.warm_up import warm_up  # noqa: E402
from mooring_inference.errors import ModelLoadError, RequestError  # noqa: E402

from tests.unit.inference.model_server import serving  # noqa: E402


def declare(*rows):
    return [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in rows]


def respond(model, **arrays):
    outputs = []
    for name, (datatype, array) in arrays.items():
        outputs.append(kserve.InferOutput(name, list(array.shape), datatype))
        outputs[-1].set_data_from_numpy(array)
    return kserve.InferResponse("id", model.name, outputs)


class Doubling(kserve.Model):
    """x [n, 2] -> y = 2 x, and words [n] -> upper; preprocess and postprocess do a part of it."""

    def get_input_types(self):
        return declare(("x", "FP32", [-1, 2]), ("words", "BYTES", [-1]))

    def get_output_types(self):
        return declare(("y", "FP32", [-1, 2]), ("upper", "BYTES", [-1]))

    def preprocess(self, payload, headers=None):
        return {one.name: one.as_numpy() for one in payload.inputs}

    async def predict(self, payload, headers=None, response_headers=None):
        await asyncio.sleep(0)
        upper = np.array([word.upper() for word in payload["words"]], object)
        return {"y": ("FP32", payload["x"] * 2), "upper": ("BYTES", upper)}

    def postprocess(self, result, headers=None, response_headers=None):
        return respond(self, **result)

    def stop(self):
        super().stop()
        self.was_stopped = True


class One(kserve.Model):
    """x [n, 2] -> y [n, 2]; tests say how it answers."""

    def get_input_types(self):
        return declare(("x", "FP32", [-1, 2]))

    def get_output_types(self):
        return declare(("y", "FP32", [-1, 2]))


class OldStyle(One):
    """Takes and gives what V1 says."""

    def predict(self, payload, headers=None):
        return {"predictions": [[2 * value for value in row] for row in payload["instances"]]}


class OldStyleOfTwo(Doubling):
    def preprocess(self, payload, headers=None):
        return payload["instances"]

    def predict(self, payload, headers=None):
        rows = [{"y": [2 * v for v in row["x"]], "upper": row["words"].upper()} for row in payload]
        return {"predictions": rows}

    def postprocess(self, result, headers=None):
        return result


class AsDict(One):
    def predict(self, payload, headers=None):
        x = payload.inputs[0].as_numpy()
        data = (x * 2).ravel().tolist()
        return {"outputs": [{"name": "y", "datatype": "FP32", "shape": list(x.shape), "data": data}]}


class AsMessage(One):
    def predict(self, payload, headers=None):
        return respond(self, y=("FP32", payload.inputs[0].as_numpy() * 2)).to_grpc()


class Failing(One):
    error = None

    def predict(self, payload, headers=None):
        raise self.error


class Answering(One):
    answer = None

    def predict(self, payload, headers=None):
        return self.answer()


class Undeclared(kserve.Model):
    pass


class BadlyDeclared(One):
    def get_output_types(self):
        return declare(("y", "FLOAT", [-1, 2]))


class NeverReady(One):
    def load(self):
        return False


class Broken(One):
    def load(self):
        raise OSError("no weights\nin /mnt/models")


X = np.array([[1, 2], [3, 4]], np.float32)
WORDS = np.array(["a", "bé"], object)


def load(model_class, **options):
    return load_kserve_model(f"{__name__}:{model_class.__name__}", "m", **options)


@pytest.fixture
def closing():
    loaded = []
    yield loaded.append
    for backend in loaded:
        backend.close()


@pytest.mark.parametrize(("model", "payload"), [(Doubling, "v2"), (OldStyleOfTwo, "v1")])
def test_all_three_handlers_run_and_outputs_come_in_the_order_asked_for(closing, model, payload):
    backend = load(model, payload=payload)
    closing(backend)
    assert backend.signature.inputs[0].shape == (None, 2)
    upper, y = backend.predict({"x": X, "words": WORDS}, ["upper", "y"])
    np.testing.assert_array_equal(y, X * 2)
    assert y.dtype == np.float32
    assert [word if isinstance(word, str) else word.decode() for word in upper] == ["A", "BÉ"]


@pytest.mark.parametrize(("model", "payload"), [(OldStyle, "v1"), (AsDict, "v2"), (AsMessage, "v2")])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_every_form_of_answer_becomes_the_same_array(closing, model, payload, rows):
    backend = load(model, payload=payload)
    closing(backend)
    x = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    (y,) = backend.predict({"x": x}, ["y"])
    assert (y.dtype, y.shape) == (np.float32, x.shape)
    np.testing.assert_array_equal(y, x * 2)


def test_a_model_whose_rows_do_not_depend_on_each_other_is_batched(closing):
    backend = load(OldStyle, payload="v1")
    closing(backend)
    assert warm_up(backend).batchable


async def test_it_runs_where_the_caller_has_an_event_loop_and_from_several_threads(closing):
    backend = load(Doubling)
    closing(backend)
    inputs = {"x": X, "words": WORDS}
    # On this loop, as the batcher does for quick models; then from others.
    found = [backend.predict(inputs, ["y"])]
    found += await asyncio.gather(*(asyncio.to_thread(backend.predict, inputs, ["y"]) for _ in range(4)))
    for (y,) in found:
        np.testing.assert_array_equal(y, X * 2)


def http_exception(status, text):
    from fastapi import HTTPException

    return HTTPException(status, text)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InvalidInput("x is odd"), 400, "x is odd"),
        (ModelNotReady("m"), 503, "not ready"),
        (NotImplementedError("no such verb"), 501, "no such verb"),
        (http_exception(418, "a teapot"), 418, "a teapot"),
    ],
)
def test_what_the_model_says_of_a_request_reaches_the_caller_with_its_status(
    closing, monkeypatch, error, status, message
):
    monkeypatch.setattr(Failing, "error", error)
    backend = load(Failing)
    closing(backend)
    with pytest.raises(RequestError, match=message) as caught:
        backend.predict({"x": X}, ["y"])
    assert caught.value.status == status


def test_other_errors_stay_what_they_are(closing, monkeypatch):
    monkeypatch.setattr(Failing, "error", ZeroDivisionError("inside"))
    backend = load(Failing)
    closing(backend)
    with pytest.raises(ZeroDivisionError, match="inside"):
        backend.predict({"x": X}, ["y"])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda model: respond(model, z=("FP32", X)), "expected output y, got z"),
        (
            lambda model: respond(model, y=("FP64", X.astype(float))),
            r"y: expected FP32 \[-1, 2\], got FP64 \[2, 2\]",
        ),
        (lambda model: respond(model, y=("FP32", X[:, :1])), r"expected FP32 \[-1, 2\], got FP32 \[2, 1\]"),
        (lambda model: {"predictions": [["a", "b"]]}, "predictions do not fit y"),
        (lambda model: {"predictions": [[1, 2], [3]]}, "predictions do not fit y"),
        (lambda model: None, "got NoneType"),
        (lambda model: {"error": "?"}, "got dict"),
    ],
)
def test_an_answer_that_is_not_what_was_declared_is_an_error(closing, monkeypatch, answer, message):
    monkeypatch.setattr(Answering, "answer", answer)
    backend = load(Answering)
    closing(backend)
    with pytest.raises(ModelAnswerError, match=message):
        backend.predict({"x": X}, ["y"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_colon", "expected PACKAGE.MODULE:CLASS, got 'no_colon'"),
        ("a.b:c d", "expected PACKAGE.MODULE:CLASS"),
        ("no_such_package.module:Model", "cannot be imported: No module named 'no_such_package'"),
        (f"{__name__}:Nothing", "cannot be imported"),
        ("pathlib:Path", "pathlib:Path is not a subclass of kserve.Model"),
        (f"{__name__}:Undeclared", r"get_input_types\(\) gives nothing"),
        (
            f"{__name__}:BadlyDeclared",
            r"get_output_types\(\)\[0\]\.datatype: expected one of BOOL, .*got 'FLOAT'",
        ),
        (f"{__name__}:NeverReady", r"is not ready after load\(\)"),
        (f"{__name__}:Broken", "cannot be loaded: no weights$"),
    ],
)
def test_what_cannot_be_served_is_one_line_that_says_why(target, message):
    with pytest.raises(ModelLoadError, match=message) as caught:
        load_kserve_model(target, "m")
    assert "\n" not in str(caught.value)


def test_closing_stops_the_model_and_ends_its_thread():
    backend = load(Doubling)
    (thread,) = [one for one in threading.enumerate() if one.name == "kserve model m"]
    backend.close()
    assert backend._model.was_stopped
    thread.join(20)
    assert not thread.is_alive()


V2 = {
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]},
        {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
    ]
}


async def test_the_server_serves_it_over_v1_and_v2():
    async with serving({"m": {"1": load(Doubling)}}) as (_, client):
        answer = (await client.post("/v2/models/m/infer", json=V2)).json()
        assert [one["data"] for one in answer["outputs"]] == [[2, 4, 6, 8], ["A", "B"]]
        rows = [{"x": [1, 2], "words": "c"}, {"x": [3, 4], "words": "d"}]
        answer = (await client.post("/v1/models/m:predict", json={"instances": rows})).json()
        assert answer == {"predictions": [{"y": [2, 4], "upper": "C"}, {"y": [6, 8], "upper": "D"}]}


class Transformer(One):
    """Its own predict, kserve's, sends what preprocess gives to a predictor."""

    def preprocess(self, payload, headers=None):
        payload.inputs[0].data = payload.inputs[0].as_numpy() + 1
        return payload


async def test_a_transformer_sends_what_it_has_preprocessed_to_its_predictor(closing):
    async with serving({"m": {"1": load(AsDict)}}) as (server, _):
        backend = load(Transformer, predictor=Predictor(f"127.0.0.1:{server.port}"))
        closing(backend)
        (y,) = await asyncio.to_thread(backend.predict, {"x": X}, ["y"])
        np.testing.assert_array_equal(y, (X + 1) * 2)
