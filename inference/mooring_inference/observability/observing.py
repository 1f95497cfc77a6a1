"""What observers are notified of when an inference is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mooring_inference.tensors import Array, TensorSpec


class AnsweredModel(Protocol):
    """What observers may know of a model."""

    name: str
    version: str


class AnsweredCall(Protocol):
    """What observers may know of a run of a model."""

    batch_rows: int

    @property
    def has_results(self) -> bool:
        """Whether the model answered."""
        ...

    @property
    def queue_seconds(self) -> float:
        """How long the call waited."""
        ...

    @property
    def compute_seconds(self) -> float:
        """How long the batch took that it was part of."""
        ...


class Answered:
    """One inference, answered or refused.

    Attributes:
        model: that was asked.
        request_id: the caller's, or one that was made.
        protocol: ``v1``, ``v2`` or ``grpc``.
        started: when its first byte came, by ``perf_counter``.
        headers: the caller's that matter here, by lower-case name.
        inputs: what the model was to be given, after the guards; empty where the request was refused before.
        call: the run of the model; None where there was none.
        outputs: the answer; None where there is none.
        status: the HTTP status, or what it would have been.
        seconds: how long it took.
    """

    __slots__ = (
        "call",
        "headers",
        "inputs",
        "model",
        "outputs",
        "protocol",
        "request_id",
        "seconds",
        "started",
        "status",
    )

    def __init__(
        self,
        model: AnsweredModel,
        request_id: str,
        protocol: str,
        started: float,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.model = model
        self.request_id = request_id
        self.protocol = protocol
        self.started = started
        self.headers: Mapping[bytes, bytes] = headers or {}
        self.inputs: Mapping[str, Array] = {}
        self.call: AnsweredCall | None = None
        self.outputs: Sequence[tuple[TensorSpec, Array]] | None = None
        self.status = 0
        self.seconds = 0.0


class Observer(Protocol):
    """Is notified of inferences; called from any thread, after the response, and must not block."""

    def answered(self, inference: Answered) -> None:
        """Take note of an inference that was answered."""
        ...
