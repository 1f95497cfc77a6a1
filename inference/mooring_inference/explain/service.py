"""Answer ``:explain`` requests: their batches go through the model's batcher, like everybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from time import perf_counter

from mooring_inference.errors import RequestError
from mooring_inference.explain.methods import Integers
from mooring_inference.explain.plan import plan_explanation, run_plan_async
from mooring_inference.explain.protocol import decode_request, encode_response
from mooring_inference.explain.request import ExplanationLimits
from mooring_inference.models.batching.call import Call
from mooring_inference.models.served import ServedModel
from mooring_inference.observability.metrics import GONE
from mooring_inference.tensors import Array

# Explanations at a time: each takes as much of the model as thousands of requests.
_MOST_EXPLANATIONS = 4


class Explanations:
    """Makes explanations.

    Attributes:
        count: how many are being made.
    """

    def __init__(self, timeout: float | None) -> None:
        """``timeout``: seconds that any caller waits at most; None for no limit."""
        self._timeout = timeout
        self.count = 0

    def require_room(self) -> None:
        """Raise RequestError, 429, where no more are made at a time."""
        if self.count >= _MOST_EXPLANATIONS:
            raise RequestError(
                f"{_MOST_EXPLANATIONS} explanations are being made, which is the most; try again later",
                status=429,
                headers=((b"retry-after", b"1"),),
            )

    async def answer(self, model: ServedModel, body: bytes, started: float) -> bytes:
        """Return the response to a request.

        Args:
            model: is asked, as often as the method needs.
            body: see ``mooring_inference.explain.protocol``.
            started: when the request's first byte came, by ``perf_counter``.

        Raises:
            RequestError: it cannot be explained, or not in time.
            Exception: what the model raised.
        """
        deadline = None if self._timeout is None else started + self._timeout
        model.series.began()
        self.count += 1
        status = GONE
        try:
            answer = await _explain(model, body, deadline)
            status = 200
            return answer
        except RequestError as error:
            status = error.status
            raise
        except Exception:
            status = 500
            raise
        finally:
            self.count -= 1
            model.series.answered("explain", status, perf_counter() - started)


async def _explain(model: ServedModel, body: bytes, deadline: float | None) -> bytes:
    request = decode_request(body, model.signature)
    gradients = getattr(model.backend, "gradients", None)
    output, plan = plan_explanation(
        request,
        model.signature,
        differentiable=gradients is not None,
        # Rows of a batch are variants of one row: where they show in each other's results they run alone.
        limits=ExplanationLimits(batch=1) if model.warm.rows_depend else None,
        odd_outputs=model.warm.odd_outputs,
    )

    async def differentiate(inputs: Mapping[str, Array], targets: Integers) -> Mapping[str, Array]:
        assert gradients is not None
        found: Mapping[str, Array] = await asyncio.to_thread(gradients, inputs, output, targets)
        return found

    predict = partial(_predict, model, output, deadline)
    return encode_response(await run_plan_async(plan, predict, differentiate if gradients else None))


async def _predict(
    model: ServedModel, output: str, deadline: float | None, inputs: Mapping[str, Array]
) -> Array:
    answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def notify(_: Call) -> None:
        if not answered.done():
            answered.set_result(None)

    call = Call(inputs, (output,), notify, deadline=deadline)
    model.batcher.submit(call)
    try:
        await answered
    except asyncio.CancelledError:
        call.abandon()
        raise
    if call.error is not None:
        raise call.error
    if call.results is None:
        raise RequestError("the model gave no answer", status=500)
    return call.results[0]
