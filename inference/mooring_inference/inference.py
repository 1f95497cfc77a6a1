"""The one way from a decoded request to its answer: guards, deadline, the model's batches, observers.

The fronts decode requests and encode answers.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Protocol

from mooring_inference.errors import RequestError
from mooring_inference.explain.service import Explanations
from mooring_inference.models.batching.call import Call
from mooring_inference.models.repository import Repository
from mooring_inference.models.served import ServedModel
from mooring_inference.observability.metrics import GONE
from mooring_inference.observability.observing import Answered, Observer
from mooring_inference.tensors import Array, TensorSpec

log = logging.getLogger(__name__)

Inputs = Mapping[str, Array]
Outputs = list[tuple[TensorSpec, Array]]

# Ids are unique by process and number; a random one for each request would cost more than decoding it.
_process_id = os.urandom(8).hex()
_numbers = itertools.count(1)


class Inference(Answered):
    """One request to a model, from its arrays to the answer that observers are notified of.

    Attributes:
        guard_headers: what the guards say about the inputs, as response headers.
    """

    __slots__ = ("_observers", "_timeout", "guard_headers")

    model: ServedModel
    call: Call | None

    def __init__(
        self,
        model: ServedModel,
        request_id: str,
        protocol: str,
        started: float,
        headers: Mapping[bytes, bytes],
        timeout: float | None,
        observers: Sequence[Observer],
    ) -> None:
        super().__init__(model, request_id, protocol, started, headers)
        self.guard_headers: Sequence[tuple[str, str]] = ()
        self._timeout = timeout
        self._observers = observers

    def submit(
        self,
        inputs: Inputs,
        outputs: tuple[str, ...],
        done: Callable[[object], None],
        *,
        timeout: float | None,
        reserve: Callable[[Inputs], None],
    ) -> None:
        """Have the model run, from the event loop's thread.

        Args:
            inputs: one array for each input of the signature.
            outputs: names of the outputs that the caller wants.
            done: called on the event loop when ``result`` has the answer, or the error.
            timeout: how long the caller waits, seconds; None if it did not say.
            reserve: counts the memory that the inputs and their answer take, or raises RequestError.

        Raises:
            RequestError: the guards refuse the inputs, or there is no room.
        """
        inputs = self._admit(inputs, reserve)
        self.call = call = Call(inputs, outputs, done, deadline=self._deadline(timeout))
        self.model.batcher.submit(call)

    def result(self) -> Outputs:
        """Return the outputs that the caller wants, in its order; raises what went wrong instead."""
        call = self.call
        assert call is not None
        if call.error is not None:
            raise call.error
        assert call.results is not None
        specs = self.model.signature.outputs_by_name
        return [(specs[name], array) for name, array in zip(call.outputs, call.results, strict=True)]

    def refuse(self, error: Exception) -> RequestError:
        """Return the caller's answer to an error; log an error that is the server's own."""
        if isinstance(error, RequestError):
            return error
        log.error(
            "inference failed",
            exc_info=error,
            extra={"fields": {"request_id": self.request_id, "model": self.model.name}},
        )
        return RequestError("internal error", status=500)

    def finish(self, status: int, outputs: Outputs | None = None) -> None:
        """Count the request and notify the observers; to be called once, when the response is on its way."""
        self.status, self.outputs = status, outputs
        self.seconds = perf_counter() - self.started
        call = self.call
        if call is not None and call.results is not None:
            self.model.series.answered(
                self.protocol, status, self.seconds, queue=call.queue_seconds, compute=call.compute_seconds
            )
        else:
            self.model.series.answered(self.protocol, status, self.seconds)
        if outputs is not None:
            self._count_prediction(outputs)
        for observer in self._observers:
            try:
                observer.answered(self)
            except Exception:
                # An observer must not cost a request its answer.
                log.exception("an observer failed")

    def _count_prediction(self, outputs: Outputs) -> None:
        """Count the model's first output, where the caller wanted it."""
        first = self.model.signature.outputs[0].name
        for spec, array in outputs:
            if spec.name == first:
                try:
                    self.model.series.predicted(array)
                except Exception:
                    # Nor must what counts cost a request its answer.
                    log.exception("a prediction could not be counted")
                return

    def abandon(self, status: int = GONE) -> None:
        """Note that the caller has gone, or its time is over: what has not begun is not run."""
        if self.call is not None:
            self.model.batcher.abandon(self.call)
        self.finish(status)

    def _admit(self, inputs: Inputs, reserve: Callable[[Inputs], None]) -> Inputs:
        """Return what the model gets of the inputs."""
        if self.model.guards is not None:
            checked = self.model.guards.check(inputs)
            inputs = checked.inputs
            self.guard_headers = checked.headers()
        reserve(inputs)
        self.inputs = inputs
        return inputs

    def _deadline(self, wanted: float | None) -> float | None:
        """Return when nobody waits any longer, by ``perf_counter``."""
        limit = self._timeout
        seconds = wanted if limit is None else limit if wanted is None else min(limit, wanted)
        return None if seconds is None else self.started + seconds


class Changes(Protocol):
    """Loads and unloads models for callers: those of this process, or of several."""

    async def load(self, name: str) -> None:
        """Load a model; raises RequestError."""
        ...

    async def unload(self, name: str) -> None:
        """Unload a model; raises RequestError."""
        ...


class InferenceService:
    """Answers requests that a front has decoded.

    Attributes:
        repository: the models.
        explanations: answers requests for explanations.
        observers: are notified of every inference.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        request_timeout: float | None = None,
        allows_repository_changes: bool = False,
        changes: Changes | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Make one.

        Args:
            repository: the models.
            request_timeout: seconds that any caller waits at most; None for no limit.
            allows_repository_changes: whether callers may load and unload models.
            changes: loads and unloads them; None for the repository itself.
            observers: are notified of every inference.
        """
        self.repository = repository
        self.explanations = Explanations(request_timeout)
        self.observers = tuple(observers)
        self._timeout = request_timeout
        self._allows_changes = allows_repository_changes
        self._changes: Changes = changes or repository

    def begin(
        self,
        model: str,
        version: str | None,
        *,
        protocol: str,
        started: float,
        request_id: str | None,
        headers: Mapping[bytes, bytes],
    ) -> Inference:
        """Begin to answer a request; ``Inference.finish`` must follow.

        Args:
            model, version: that are asked; the newest version where it is None.
            protocol: ``v1``, ``v2`` or ``grpc``.
            started: when the request's first byte came, by ``perf_counter``.
            request_id: the caller's; one is made where it is empty.
            headers: the caller's, by lower-case name.

        Raises:
            RequestError: 404, 503: there is no such model, or it is not loaded.
        """
        found = self.repository.find(model, version)
        request_id = request_id or f"{_process_id}-{next(_numbers):x}"
        found.series.began()
        return Inference(found, request_id, protocol, started, headers, self._timeout, self.observers)

    async def load(self, name: str) -> None:
        """Load a model for a caller; raises RequestError."""
        self._check_changes()
        await self._changes.load(name)

    async def unload(self, name: str) -> None:
        """Unload a model for a caller; raises RequestError."""
        self._check_changes()
        await self._changes.unload(name)

    def _check_changes(self) -> None:
        if not self._allows_changes:
            raise RequestError(
                "models are not loaded and unloaded by request here: --allow_repository_changes", status=403
            )
