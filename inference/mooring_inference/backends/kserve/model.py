"""Users' subclasses of ``kserve.Model``, served as they are: preprocess, predict and postprocess are theirs.

kserve is imported when such a model is loaded and not before: it takes some 200 MB and seconds to start.
Source: KServe's Python SDK, ``kserve.Model`` and ``kserve.protocol.infer_type``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from mooring_artifacts.errors import first_line

from mooring_inference.errors import ModelLoadError, RequestError
from mooring_inference.tensors import DATATYPES, Array, Signature, TensorSpec

# How long work that a model left behind may take to end when it is closed, seconds.
_CLOSE_SECONDS = 10.0


class ModelAnswerError(Exception):
    """A model answered with something other than what it declares; the fault is the model's."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Where a transformer's own ``predict`` sends what it has preprocessed.

    Attributes:
        host: ``HOST`` or ``HOST:PORT``.
        protocol: ``v1``, ``v2`` or ``grpc-v2``.
        use_ssl: whether the connection is encrypted.
        timeout: of one request, seconds.
    """

    host: str
    protocol: Literal["v1", "v2", "grpc-v2"] = "v2"
    use_ssl: bool = False
    timeout: int = 60


def load_kserve_model(
    target: str,
    name: str,
    *,
    payload: Literal["v1", "v2"] = "v2",
    predictor: Predictor | None = None,
) -> KServeModelBackend:
    """Make and load a user's model.

    Args:
        target: ``package.module:Class``, a subclass of ``kserve.Model`` that is made with its name alone.
        name: of the model.
        payload: what its handlers take: ``v2`` an ``InferRequest``, ``v1`` a dict with ``instances``.
        predictor: for transformers.

    Raises:
        ModelLoadError: it cannot be served.
    """
    kserve = _import_kserve()
    model_class = _import_class(target, kserve.Model)
    try:
        model = model_class(name)
        signature = Signature(
            _read_types(target, "get_input_types", model), _read_types(target, "get_output_types", model)
        )
        model.load()
        model_is_ready = bool(model.ready)
    except ModelLoadError:
        raise
    except Exception as error:
        raise ModelLoadError(f"{target} cannot be loaded: {first_line(error)}") from error
    if not model_is_ready:
        raise ModelLoadError(f"{target} is not ready after load()")
    if model.engine:
        raise ModelLoadError(f"{target} starts an engine of its own, which this server does not run")
    return KServeModelBackend(kserve, model, signature, payload, predictor)


class KServeModelBackend:
    """A ``kserve.Model`` with an event loop of its own, on which all of its coroutines and clients live.

    Request headers do not reach it: rows of several requests may be in one call.
    """

    platform = "kserve_model"
    device = "cpu"

    def __init__(
        self,
        kserve: Any,
        model: Any,
        signature: Signature,
        payload: Literal["v1", "v2"],
        predictor: Predictor | None,
    ) -> None:
        self.signature = signature
        self._kserve = kserve
        self._model = model
        self._payload = payload
        self._config = _predictor_config(predictor) if predictor else None
        self._loop = _LoopThread(f"kserve model {model.name}")

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Return the named outputs, in that order.

        Raises:
            RequestError: what the model says of the request, with KServe's status for it.
            ModelAnswerError: the answer is not what the model declares.
            Exception: what the model raised.
        """
        body = self._v2_request(inputs, outputs) if self._payload == "v2" else self._v1_request(inputs)
        try:
            answer = self._loop.run(self._answer(body))
        except Exception as error:
            if (refusal := _as_request_error(error)) is not None:
                raise refusal from error
            raise
        # Versions before 0.15 do not give response headers.
        arrays = self._read_answer(answer[0] if isinstance(answer, tuple) else answer)
        return [_pick_output(arrays, self.signature.outputs_by_name[name]) for name in outputs]

    def close(self) -> None:
        """Stop the model and its event loop."""
        self._model.stop()
        self._loop.close()

    async def _answer(self, body: object) -> Any:
        if self._config is not None:
            # kserve keeps it in a context variable, and each call has a context of its own.
            importlib.import_module("kserve.context").set_predictor_config(self._config)
        return await self._model(body, headers={})

    def _v2_request(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> Any:
        kinds = importlib.import_module("kserve.protocol.infer_type")
        specs = self.signature.inputs_by_name
        return kinds.InferRequest(
            self._model.name,
            [
                kinds.InferInput(name, list(array.shape), specs[name].datatype.name, data=array)
                for name, array in inputs.items()
            ],
            request_outputs=[kinds.RequestedOutput(name) for name in outputs],
        )

    def _v1_request(self, inputs: Mapping[str, Array]) -> dict[str, object]:
        columns = {name: array.tolist() for name, array in inputs.items()}
        if len(columns) == 1:
            return {"instances": next(iter(columns.values()))}
        rows = zip(*columns.values(), strict=True)
        return {"instances": [dict(zip(columns, row, strict=True)) for row in rows]}

    def _read_answer(self, answer: Any) -> dict[str, tuple[str, Array]]:
        """Return the datatype's name and the array of each output that was answered, by name."""
        response_class = self._kserve.InferResponse
        if hasattr(answer, "raw_output_contents"):
            answer = response_class.from_grpc(answer)
        elif isinstance(answer, dict) and "outputs" in answer:
            answer = response_class.from_rest(answer)
        if isinstance(answer, response_class):
            return {output.name: (output.datatype, output.as_numpy()) for output in answer.outputs}
        if isinstance(answer, dict) and "predictions" in answer:
            return _read_predictions(answer["predictions"], self.signature.outputs)
        raise ModelAnswerError(
            "expected an InferResponse, or a dict with outputs or predictions, got " + type(answer).__name__
        )


class _LoopThread:
    """An event loop in a thread, for callers that block, whether or not they have a loop themselves."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end_tasks(), self._loop).result(_CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _import_kserve() -> Any:
    try:
        return importlib.import_module("kserve")
    except ImportError as error:
        raise ModelLoadError(
            f"a kserve.Model needs kserve ({first_line(error)}), of kube-mooring's extra kserve"
        ) from None


def _import_class(target: str, base: type) -> Any:
    module_name, colon, class_name = target.partition(":")
    if not (module_name and colon and class_name.isidentifier()):
        raise ModelLoadError(f"kserve_model: expected PACKAGE.MODULE:CLASS, got {target!r}")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:
        raise ModelLoadError(f"kserve_model: {target} cannot be imported: {first_line(error)}") from error
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ModelLoadError(f"kserve_model: {target} is not a subclass of kserve.Model")
    return found


def _read_types(target: str, method: str, model: Any) -> tuple[TensorSpec, ...]:
    """Return what ``get_input_types`` or ``get_output_types`` declares: name, datatype, shape with -1 for any size."""
    declared = getattr(model, method)()
    if not declared:
        raise ModelLoadError(
            f"{target}.{method}() gives nothing; expected a list of name, datatype and shape, "
            "which this server needs to check requests"
        )
    specs = tuple(_read_type(f"{target}.{method}()[{index}]", entry) for index, entry in enumerate(declared))
    if len({spec.name for spec in specs}) != len(specs):
        raise ModelLoadError(f"{target}.{method}(): expected each name once")
    return specs


def _read_type(field: str, entry: Any) -> TensorSpec:
    try:
        name, datatype, shape = entry["name"], entry["datatype"], entry["shape"]
    except (TypeError, KeyError):
        raise ModelLoadError(f"{field}: expected name, datatype and shape, got {entry!r}") from None
    if not isinstance(name, str):
        raise ModelLoadError(f"{field}.name: expected a string, got {name!r}")
    if datatype not in DATATYPES:
        raise ModelLoadError(f"{field}.datatype: expected one of {', '.join(DATATYPES)}, got {datatype!r}")
    if not (isinstance(shape, list | tuple) and all(type(size) is int and size >= -1 for size in shape)):
        raise ModelLoadError(f"{field}.shape: expected whole numbers, -1 for any size, got {shape!r}")
    return TensorSpec(name, DATATYPES[datatype], tuple(None if size == -1 else size for size in shape))


def _read_predictions(rows: Any, specs: Sequence[TensorSpec]) -> dict[str, tuple[str, Array]]:
    columns = {specs[0].name: rows}
    try:
        if len(specs) > 1:
            columns = {spec.name: [row[spec.name] for row in rows] for spec in specs}
        return {
            spec.name: (spec.datatype.name, np.array(columns[spec.name], dtype=spec.datatype.dtype))
            for spec in specs
        }
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        names = ", ".join(spec.name for spec in specs)
        raise ModelAnswerError(f"predictions do not fit {names}: {first_line(error)}") from None


def _pick_output(arrays: Mapping[str, tuple[str, Array]], spec: TensorSpec) -> Array:
    if spec.name not in arrays:
        raise ModelAnswerError(f"expected output {spec.name}, got {', '.join(arrays) or 'none'}")
    datatype, array = arrays[spec.name]
    if datatype != spec.datatype.name or not spec.accepts(array.shape):
        raise ModelAnswerError(
            f"output {spec.name}: expected {spec.datatype.name} {spec.open_shape()}, "
            f"got {datatype} {list(array.shape)}"
        )
    return array


def _as_request_error(error: Exception) -> RequestError | None:
    """Return the error with the status that KServe's server gives; None for exceptions that it does not know."""
    errors = importlib.import_module("kserve.errors")
    if isinstance(error, errors.InvalidInput):
        return RequestError(first_line(error))
    if isinstance(error, errors.ModelNotReady):
        return RequestError(first_line(error), status=503)
    if isinstance(error, NotImplementedError):
        return RequestError(first_line(error), status=501)
    http_exception = importlib.import_module("starlette.exceptions").HTTPException
    if isinstance(error, http_exception):
        return RequestError(str(error.detail), status=error.status_code)
    return None


def _predictor_config(predictor: Predictor) -> Any:
    return importlib.import_module("kserve.predictor_config").PredictorConfig(
        predictor_host=predictor.host,
        predictor_protocol=predictor.protocol,
        predictor_use_ssl=predictor.use_ssl,
        predictor_request_timeout_seconds=predictor.timeout,
    )
