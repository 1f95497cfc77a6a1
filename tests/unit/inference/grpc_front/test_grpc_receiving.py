"""When a call whose message does not come is ended."""

from __future__ import annotations

import threading

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.grpc_front.receiving import Receiver
from mooring_inference.grpc_front.renewal import Renewal

LONG = 30


class Call:
    """A call whose message comes when it is let."""

    def __init__(self):
        self.is_awaited, self.may_come = threading.Event(), threading.Event()
        self.was_cancelled = False

    def __iter__(self):
        return self

    def __next__(self):
        self.is_awaited.set()
        assert self.may_come.wait(LONG)
        return b"message"

    def add_callback(self, act):
        return True

    def cancel(self):
        self.was_cancelled = True


def test_a_message_that_came_while_the_process_stood_still_is_read():
    now = 0.0
    receiver = Receiver(MemoryBudget(), 1 << 20, Renewal(0), is_crowded=lambda: True, clock=lambda: now)
    call = Call()
    thread = threading.Thread(target=receiver.receive, args=(call, call))
    thread.start()
    try:
        assert call.is_awaited.wait(LONG)
        now += 100
        receiver.sweep()
        assert not call.was_cancelled
        for _ in range(5):
            now += 0.25
            receiver.sweep()
        assert call.was_cancelled
    finally:
        call.may_come.set()
        thread.join(LONG)
