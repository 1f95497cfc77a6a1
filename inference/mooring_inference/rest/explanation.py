"""One ``:explain`` request: its batches go through the model's batcher, like everybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from mooring_inference.errors import RequestError
from mooring_inference.explain import decode_request, encode_response, plan_explanation, run_plan_async
from mooring_inference.explain.methods import Integers
from mooring_inference.models.batching.call import Call
from mooring_inference.models.served import ServedModel
from mooring_inference.tensors import Array


async def explain(model: ServedModel, body: bytes, deadline: float | None) -> bytes:
    """The response to a request.

    Args:
        model: is asked, as often as the method needs.
        body: see ``mooring_inference.explain.protocol``.
        deadline: by ``perf_counter``.

    Raises:
        RequestError: it cannot be explained, or not in time.
        Exception: what the model raised.
    """
    request = decode_request(body, model.signature)
    gradients = getattr(model.backend, "gradients", None)
    output, plan = plan_explanation(request, model.signature, differentiable=gradients is not None)

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

    def tell(_: Call) -> None:
        if not answered.done():
            answered.set_result(None)

    call = Call(inputs, (output,), tell, deadline=deadline)
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
