"""A model that answers at an address, in KServe's V1 or V2 REST protocol: it is tested as it serves.

Sources: KServe's data plane V1; Open Inference Protocol (V2), REST.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import numpy as np
import orjson
from mooring_artifacts.errors import InputError, first_line
from mooring_inference.score.read_parquet import kind_of
from mooring_inference.tensors import DATATYPES, Array, Datatype, Signature, TensorSpec

from mooring_components.datasets import TestData
from mooring_components.feeding import feed_model
from mooring_components.models import Model
from mooring_components.options import TestOptions

TOKEN = "MOORING_ENDPOINT_TOKEN"  # noqa: S105 - the variable's name
"""In the environment: sent as a bearer token."""

_FORM = re.compile(
    r"(?P<base>/(?:[\w.~-]+/)*?v(?P<version>[12])/models/[\w.~-]+(?:/versions/[\w.~-]+)?)", re.ASCII
)
_ACTION = re.compile(r":predict$|/infer$")
_SECONDS = 60.0
_LARGEST_ANSWER = 64 << 20
_LONGEST_WORDS = 300
_UNNAMED = "input-0"
_KINDS = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64", "U": "BYTES", "O": "BYTES"}


class RefusedError(InputError):
    """The model's server says that a request is not one that it takes."""


def open_endpoint(address: str, data: TestData, options: TestOptions) -> Model:
    """Find out what a model that is served takes and gives, asking it for a row of `data` where it does not say.

    Args:
        address: ``http(s)://HOST/.../v2/models/NAME`` or ``.../v1/models/NAME``.
        data: rows; those of text feed inputs of text where the model does not say what it takes.
        options: among them the columns of inputs.

    Raises:
        InputError: the address has another form, does not answer, or answers nonsense.
    """
    endpoint = _Version1(check_address(address)) if "/v1/" in address else _Version2(check_address(address))
    signature = endpoint.describe()
    if not signature.inputs:
        signature = Signature(_guess_inputs(data, options), ())
    if not signature.outputs:
        # What it gives is known when it has given something.
        asked = feed_model(Model(Served(endpoint, signature), {}), data, options.inputs, options.beside)
        given = endpoint.ask(asked.single_rows(1)[0], ())
        specs = (
            TensorSpec(name, _datatype(array), (None, *array.shape[1:])) for name, array in given.items()
        )
        signature = Signature(signature.inputs, tuple(specs))
    return Model(Served(endpoint, signature), {})


def check_address(address: str) -> str:
    """Give the address of a model without the action behind it.

    Raises:
        InputError: it is none.
    """
    parts = urlsplit(_ACTION.sub("", address))
    form = _FORM.fullmatch(parts.path)
    beside = parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or form is None or beside:
        raise InputError(
            f"endpoint {address!r:.200} is not allowed: write http(s)://HOST/v2/models/NAME or .../v1/models/NAME"
        )
    return f"{parts.scheme}://{parts.netloc}{form['base']}"


def is_generative(address: str) -> bool:
    """Whether an endpoint's address is that of a model by OpenAI's API."""
    return "/openai/v1/models/" in address


def client_headers() -> dict[str, str]:
    """Give what every request to an endpoint says of itself."""
    token = os.environ.get(TOKEN)
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "mooring-ci",
    }
    return {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}


class Served:
    """A model at an address, as a backend: what it is asked for crosses the network."""

    platform, device = "endpoint", "remote"

    def __init__(self, endpoint: _Endpoint, signature: Signature) -> None:
        self.signature = signature
        self._endpoint = endpoint

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Ask the model.

        Raises:
            InputError: there is no answer, or not the one that was asked for.
        """
        given = self._endpoint.ask(inputs, outputs)
        if missing := [name for name in outputs if name not in given]:
            raise InputError(f"{self._endpoint.address} gave no output {missing[0]!r:.100}")
        return [given[name] for name in outputs]

    def close(self) -> None:
        """Give back the connection."""
        self._endpoint.close()


class _Endpoint(ABC):
    def __init__(self, address: str) -> None:
        self.address = address
        self._client = httpx.Client(headers=client_headers(), timeout=_SECONDS, trust_env=False)

    def describe(self) -> Signature:
        """Give what the model says of itself; what it does not say is empty."""
        return Signature((), ())

    @abstractmethod
    def ask(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Give what the model answers, by output; all of it where `outputs` is empty."""

    def close(self) -> None:
        self._client.close()

    def _fetch(self, method: str, path: str, document: object = None) -> Any:
        body = b"" if document is None else orjson.dumps(document)
        try:
            with self._client.stream(method, self.address + path, content=body) as response:
                answer = bytearray()
                for part in response.iter_raw():
                    answer += part
                    if len(answer) > _LARGEST_ANSWER:
                        raise InputError(
                            f"{self.address} answers more than {_LARGEST_ANSWER >> 20} MiB at once"
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise InputError(f"{self.address} does not answer: {first_line(error)}") from error
        if not response.is_success:
            kind = RefusedError if response.is_client_error else InputError
            raise kind(f"{self.address} answers {response.status_code}: {words_of(answer)}")
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{self.address} answers what is not JSON: {words_of(answer)}") from error

    def _nonsense(self, what: str) -> InputError:
        return InputError(f"{self.address} answers nonsense: {what}")


class _Version2(_Endpoint):
    def describe(self) -> Signature:
        found = self._fetch("GET", "")
        if not isinstance(found, dict):
            raise self._nonsense("its metadata is no object")
        return Signature(self._specs(found.get("inputs")), self._specs(found.get("outputs")))

    def ask(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        sent = [
            {
                "name": name,
                "shape": array.shape,
                "datatype": _datatype(array).name,
                "data": array.reshape(-1).tolist(),
            }
            for name, array in inputs.items()
        ]
        wanted = {"outputs": [{"name": name} for name in outputs]} if outputs else {}
        found = self._fetch("POST", "/infer", {"inputs": sent, **wanted})
        entries = found.get("outputs") if isinstance(found, dict) else None
        if not isinstance(entries, list) or not entries:
            raise self._nonsense("there are no outputs")
        return dict(self._tensor(entry) for entry in entries)

    def _specs(self, entries: Any) -> tuple[TensorSpec, ...]:
        try:
            return tuple(
                TensorSpec(
                    str(entry["name"]),
                    DATATYPES[entry["datatype"]],
                    tuple(None if int(size) < 0 else int(size) for size in entry["shape"]),
                )
                for entry in entries or ()
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense(f"its metadata holds {error!r:.200}") from error

    def _tensor(self, entry: Any) -> tuple[str, Array]:
        try:
            dtype = DATATYPES[entry["datatype"]].dtype
            data = entry["data"]
            values = np.array(
                [np.nan if one is None else one for one in data] if None in data else data, dtype
            )
            return str(entry["name"]), values.reshape([int(size) for size in entry["shape"]])
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense(f"an output holds {error!r:.200}") from error


class _Version1(_Endpoint):
    def ask(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        columns = {name: array.tolist() for name, array in inputs.items()}
        if len(columns) == 1:
            [instances] = columns.values()
        else:
            instances = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        found = self._fetch("POST", ":predict", {"instances": instances})
        predictions = found.get("predictions") if isinstance(found, dict) else None
        if not isinstance(predictions, list) or len(predictions) != len(instances):
            count = len(predictions) if isinstance(predictions, list) else "no"
            raise self._nonsense(f"{count} predictions for {len(instances)} instances")
        if not predictions:
            # Nothing has no names.
            return {name: np.zeros(0) for name in outputs or ("predictions",)}
        if all(isinstance(row, dict) for row in predictions):
            first = predictions[0]
            return {name: self._array(name, [row.get(name) for row in predictions]) for name in first}
        return {"predictions": self._array("predictions", predictions)}

    def _array(self, name: str, values: list[Any]) -> Array:
        try:
            array = np.array(values)
        except ValueError as error:
            raise self._nonsense(f"{name} has rows of several shapes") from error
        if array.dtype.kind == "O" and all(isinstance(one, str) for one in array.flat):
            return array
        try:
            # JSON has no NaN: null stands for it, at any depth.
            array = array.astype(np.float64) if array.dtype.kind == "O" else array
        except (TypeError, ValueError) as error:
            raise self._nonsense(f"{name} holds neither numbers nor text") from error
        if array.dtype.kind not in "biufU":
            raise self._nonsense(f"{name} holds neither numbers nor text")
        return array.astype(object) if array.dtype.kind == "U" else array


def _guess_inputs(data: TestData, options: TestOptions) -> tuple[TensorSpec, ...]:
    """One input of all columns, or those that are named; of text where a column is."""
    texts = {name for name, column in data.columns.items() if kind_of(column.type) == "text"}
    named: Mapping[str, Sequence[str]] = options.inputs or {_UNNAMED: list(data.columns)}
    return tuple(
        TensorSpec(
            name,
            DATATYPES["BYTES" if columns and texts.issuperset(columns) else "FP64"],
            (None, None if options.inputs == {} or len(columns) > 1 else 1),
        )
        for name, columns in named.items()
    )


def _datatype(array: Array) -> Datatype:
    exact = next((one for one in DATATYPES.values() if one.dtype == array.dtype), None)
    return exact or DATATYPES[_KINDS[array.dtype.kind]]


def words_of(answer: bytes | bytearray) -> str:
    """Give what a server says of an error: the field for that, or its first line."""
    text = bytes(answer[: 1 << 16])
    try:
        found = orjson.loads(text)
        said = found.get("error") or found.get("detail") if isinstance(found, dict) else None
        # OpenAI's API says it a level deeper.
        said = said.get("message") if isinstance(said, dict) else said
    except orjson.JSONDecodeError:
        said = None
    line = next(iter(str(said or text.decode("utf-8", "replace")).strip().splitlines()), "nothing")
    return "".join(one if one.isprintable() else "?" for one in line)[:_LONGEST_WORDS]
