"""Threads in which models are loaded: nothing can interrupt that, and nobody has to wait for it at the end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_NAME = "loading"


async def in_loading_thread(function: Callable[[], T]) -> T:
    """Run in a daemon thread, and return or raise what the function does."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where T is

    def run() -> None:
        result, failure = None, None
        try:
            result = function()
        except BaseException as error:
            failure = error
        # The loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=_NAME, daemon=True).start()
    return await done


def is_loading() -> bool:
    """Return whether such a thread is still at work."""
    return any(thread.name == _NAME for thread in threading.enumerate())
