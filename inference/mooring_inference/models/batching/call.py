"""One request to run a model, from submission to its result or error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mooring_inference.errors import RequestError
from mooring_inference.tensors import Array


class Call:
    """What one caller wants of a model, and what became of it.

    Attributes:
        inputs: one array for each input of the signature.
        outputs: names of the outputs wanted.
        rows: size of the first dimension of the inputs; 1 where the model takes no batches.
        deadline: when nobody waits any longer, by ``perf_counter``; None for never.
        results: one array for each of ``outputs``, once it is done without an error.
        error: why there are none.
        submitted, started, finished: by ``perf_counter``; when it was put in the queue, and when the batch that
            it was part of began and ended.
        batch_rows: rows of that batch; of the first of several, where the call has more rows than one may have.
    """

    __slots__ = (
        "_done",
        "batch_rows",
        "deadline",
        "error",
        "finished",
        "inputs",
        "is_settled",
        "outputs",
        "results",
        "rows",
        "started",
        "submitted",
    )

    def __init__(
        self,
        inputs: Mapping[str, Array],
        outputs: tuple[str, ...],
        done: Callable[[Call], None],
        *,
        deadline: float | None = None,
    ) -> None:
        """``done`` is called once, with the call, unless it is abandoned first."""
        self.inputs = inputs
        self.outputs = outputs
        self.rows = 1
        self.deadline = deadline
        self.results: list[Array] | None = None
        self.error: Exception | None = None
        self.submitted = self.started = self.finished = 0.0
        self.batch_rows = 0
        self.is_settled = False
        self._done = done

    def settle(self) -> None:
        """Notify the caller; the second time, and after it was abandoned, nothing happens."""
        if not self.is_settled:
            self.is_settled = True
            # Whoever is told has the call in turn: a circle, which only a collection of garbage would free.
            done, self._done = self._done, _nobody
            done(self)

    def abandon(self) -> None:
        """Note that the caller has gone: it is not told, and what has not begun is not run."""
        self.is_settled = True
        self._done = _nobody

    def expire(self, now: float) -> bool:
        """Give it an error where its deadline has passed; whether that is so."""
        if self.deadline is None or now < self.deadline:
            return False
        if not self.is_settled:
            self.error = RequestError("the deadline passed before the model answered", status=504)
        return True

    @property
    def has_results(self) -> bool:
        """Whether the model answered."""
        return self.results is not None

    @property
    def queue_seconds(self) -> float:
        """How long it waited."""
        return max(0.0, self.started - self.submitted)

    @property
    def compute_seconds(self) -> float:
        """How long the batch took that it was part of."""
        return max(0.0, self.finished - self.started)


def _nobody(_: Call) -> None:
    """Take the place of a caller that needs no telling any more."""
