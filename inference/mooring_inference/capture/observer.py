"""Answered inferences into capture."""

from __future__ import annotations

from mooring_inference.capture import Capture
from mooring_inference.capture.settings import ROUTES
from mooring_inference.observability.observing import Answered

ROUTE_HEADER = b"x-mooring-route"
_ROUTES = {route.encode(): route for route in ROUTES}


class CaptureObserver:
    """Records features, predictions and what became of requests."""

    def __init__(self, capture: Capture) -> None:
        self._record = capture.record
        self._route = capture.route

    def answered(self, inference: Answered) -> None:
        """One inference was answered."""
        headers = inference.headers
        route = _ROUTES.get(headers[ROUTE_HEADER], self._route) if ROUTE_HEADER in headers else self._route
        self._record(
            inference.request_id,
            inference.model.name,
            inference.model.version,
            route,
            inference.inputs,
            inference.outputs,
            inference.seconds,
            inference.status,
        )
