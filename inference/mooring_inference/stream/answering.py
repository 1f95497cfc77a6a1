"""Messages through the model, as few calls of it as shapes allow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from mooring_artifacts.errors import first_line

from mooring_inference.backends.base import Backend
from mooring_inference.backends.no_rows import predict_no_rows
from mooring_inference.errors import RequestError
from mooring_inference.stream.interfaces import Delivery
from mooring_inference.stream.messages import Codec, Request, id_of
from mooring_inference.tensors import Array

Group = list[tuple[int, Request]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a message.

    Attributes:
        key: its id, or its origin where it has none.
        body: the answer; None where there is none.
        reason: why there is none.
        final: whether trying again would give the same.
        content: digest of the features and of the outputs asked for; empty where they could not be read.
    """

    key: str
    body: bytes | None
    reason: str = ""
    final: bool = True
    content: str = ""


class Answerer:
    """A model that answers messages. ``answer`` blocks; call it from one thread at a time."""

    def __init__(
        self, backend: Backend, codec: Codec, *, batchable: bool = True, one_row: bool = False
    ) -> None:
        """Make one.

        Args:
            backend: the model.
            codec: reads and writes messages.
            batchable: whether rows of several messages may run together, as far as their number is open.
            one_row: whether the model takes one row at a time though its signature leaves their number open.
        """
        self._backend = backend
        self._codec = codec
        shapes = [spec.shape for spec in backend.signature.inputs]
        fixed = next((shape[0] for shape in shapes if shape and shape[0] is not None), None)
        self._fixed = 1 if one_row else fixed
        self._is_joined = batchable or self._fixed is not None

    def answer(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Return one outcome for each message, in order."""
        outcomes: dict[int, Outcome] = {}
        groups: dict[object, Group] = {}
        for place, delivery in enumerate(deliveries):
            try:
                if delivery.body is None:
                    raise RequestError("the message lacks the field that holds its content")
                request = self._codec.decode(delivery.body)
            except RequestError as exc:
                outcomes[place] = Outcome(id_of(delivery.body) or delivery.origin, None, exc.message)
                continue
            # What may have brought down its last consumer must not take others with it.
            alone = place if delivery.attempts > 1 or not self._is_joined else None
            shapes = tuple(array.shape[1:] for array in request.inputs.values())
            groups.setdefault((shapes, request.outputs, alone), []).append((place, request))
        for group in groups.values():
            self._answer_group(group, deliveries, outcomes)
        return [outcomes[place] for place in range(len(deliveries))]

    def _answer_group(
        self, group: Group, deliveries: Sequence[Delivery], outcomes: dict[int, Outcome]
    ) -> None:
        try:
            results = self._predict([request for _, request in group])
        except Exception as exc:  # what a model raises is up to it
            if len(group) > 1:
                for one in group:
                    self._answer_group([one], deliveries, outcomes)
                return
            place, request = group[0]
            reason = f"the model failed: {first_line(exc)}"
            outcomes[place] = Outcome(request.id or deliveries[place].origin, None, reason, final=False)
            return
        for (place, request), arrays in zip(group, results, strict=True):
            outcomes[place] = self._encode(request, request.id or deliveries[place].origin, arrays)

    def _encode(self, request: Request, key: str, arrays: list[Array]) -> Outcome:
        try:
            body = self._codec.encode(request, key, arrays)
        except Exception as exc:  # what a model gives is up to it, and must not end the consumer
            return Outcome(key, None, f"the answer cannot be written: {first_line(exc)}")
        return Outcome(key, body, content=_digest(request))

    def _predict(self, requests: list[Request]) -> list[list[Array]]:
        first = requests[0]
        if not self._is_joined:
            # As the server does: what an output of such a model has instead of rows is the model's affair.
            return [self._backend.predict(first.inputs, first.outputs)]
        joined = {
            name: np.concatenate([request.inputs[name] for request in requests]) for name in first.inputs
        }
        rows = sum(request.rows for request in requests)
        if not rows:
            outputs = predict_no_rows(self._backend, joined, first.outputs)
            return [outputs for _ in requests]
        outputs = self._predict_rows(joined, rows, first.outputs)
        edges = np.cumsum([0, *(request.rows for request in requests)])
        return [[array[start:stop] for array in outputs] for start, stop in pairwise(edges)]

    def _predict_rows(self, inputs: dict[str, Array], rows: int, names: Sequence[str]) -> list[Array]:
        size = self._fixed or rows
        chunks = []
        for start in range(0, rows, size):
            chunk = {name: _fill(array[start : start + size], self._fixed) for name, array in inputs.items()}
            outputs = self._backend.predict(chunk, names)
            for name, output in zip(names, outputs, strict=True):
                if output.ndim == 0 or len(output) != size:
                    raise ValueError(f"output {name} has shape {list(output.shape)} for {size} rows")
            chunks.append(outputs)
        return [np.concatenate(parts)[:rows] for parts in zip(*chunks, strict=True)]


def _digest(request: Request) -> str:
    digest = hashlib.sha256(repr(request.outputs).encode())
    for name, array in sorted(request.inputs.items()):
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return digest.hexdigest()


def _fill(array: Array, size: int | None) -> Array:
    """Return the array with its last row repeated up to the one number of rows that the model takes."""
    if size is None or len(array) == size:
        return array
    return np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])
