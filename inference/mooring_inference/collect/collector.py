"""From events to captured requests."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from time import perf_counter

from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.capture import Capture, CaptureSettingsError
from mooring_inference.collect.events import Event, Place
from mooring_inference.collect.joining import DuplicateError, FullError, Half, Joiner, Pair
from mooring_inference.collect.metrics import CollectMetrics
from mooring_inference.collect.self_described import Exchanged, NotInferenceError, decode_exchange
from mooring_inference.errors import RequestError
from mooring_inference.tensors import Signature

log = logging.getLogger(__name__)

# Forms of requests that are kept apart, of one revision and of all: each is a schema, and a file of its own.
_MOST_FORMS, _MOST_FORMS_OF_ALL = 8, 256
_ANSWERED = 200
# A transformer or an explainer that has a logger as well would have each request kept twice.
_COMPONENTS = ("", "predictor")


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """What is collected, and within which bounds.

    Attributes:
        namespace: the only one that events may be of; None for any.
        revision: what requests are kept under; None for their event's endpoint.
        columns: names of what rows of the only input hold.
        join_seconds: how long a body waits for its other half.
        join_bytes: of all that wait.
        limits: what a body may cost.
    """

    namespace: str | None = None
    revision: str | None = None
    columns: tuple[str, ...] = ()
    join_seconds: float = 60.0
    join_bytes: int = 64 << 20
    limits: JsonLimits = field(default_factory=JsonLimits)


class Collector:
    """Takes events, joins and decodes them, and has capture keep them; on one thread."""

    def __init__(self, settings: CollectSettings, capture: Capture, metrics: CollectMetrics) -> None:
        self._settings = settings
        self._capture = capture
        self._metrics = metrics
        self._joiner = Joiner(settings.join_bytes, settings.join_seconds)
        self._forms: dict[tuple[str, str], dict[Signature, str | None]] = {}

    def take(self, event: Event, body: bytes, now: float | None = None) -> None:
        """Take an event.

        Raises:
            RequestError: it is not taken, and why: 403, 409, 413 or 503.
        """
        now = perf_counter() if now is None else now
        try:
            self._check(event, body)
            pair = self._joiner.add(event, body, now)
        except DuplicateError:
            self._metrics.events.labels("duplicate").inc()
            raise RequestError(
                f"ce-id: {event.id} waits already for its other half", status=409, field="ce-id"
            ) from None
        except FullError:
            self._metrics.events.labels("full").inc()
            raise RequestError(
                "as many bytes wait for their other half as may",
                status=503,
                headers=((b"retry-after", b"1"),),
            ) from None
        self._metrics.events.labels("taken").inc()
        if pair is not None:
            self._metrics.requests.labels(self._keep(pair)).inc()

    def expire(self, now: float | None = None) -> None:
        """Give up what has waited for too long."""
        for half in self._joiner.expire(perf_counter() if now is None else now):
            self._give_up(half)
        self._metrics.waiting.set(len(self._joiner))
        self._metrics.waiting_bytes.set(self._joiner.held_bytes)

    def close(self) -> int:
        """Give up all that waits; how many that were."""
        left = len(self._joiner)
        for half in self._joiner.clear():
            self._give_up(half)
        self.expire()
        return left

    def _give_up(self, half: Half) -> None:
        self._metrics.requests.labels("unanswered" if half.event.is_request else "unasked").inc()

    def _check(self, event: Event, body: bytes) -> None:
        wanted = self._settings.namespace
        if wanted is not None and event.namespace != wanted:
            self._metrics.events.labels("foreign").inc()
            raise RequestError(
                f"ce-namespace: expected {wanted}, got {event.namespace}", status=403, field="ce-namespace"
            )
        if event.component not in _COMPONENTS:
            self._metrics.events.labels("foreign").inc()
            raise RequestError(
                f"ce-component: expected predictor, got {event.component}", status=403, field="ce-component"
            )
        most = self._settings.limits.max_bytes
        if len(body) > most:
            self._metrics.events.labels("too_large").inc()
            raise RequestError(
                f"body: expected at most {most} bytes, got {len(body)}", status=413, field="body"
            )

    def _keep(self, pair: Pair) -> str:
        """Have a request kept; what became of it."""
        event = pair.request.event
        try:
            decoded = decode_exchange(
                pair.request.body,
                pair.response.body,
                event.header_length,
                self._settings.columns,
                self._settings.limits,
            )
        except NotInferenceError:
            return "not_inference"
        except RequestError as error:
            log.warning(
                "a request cannot be decoded", extra={"fields": {"id": event.id, "error": error.message}}
            )
            return "undecodable"
        except Exception:
            # Whatever a body holds, the collector goes on.
            log.exception("a request cannot be decoded", extra={"fields": {"id": event.id}})
            return "undecodable"
        return self._record(pair, decoded)

    def _record(self, pair: Pair, decoded: Exchanged) -> str:
        event = pair.request.event
        known = self._forms.setdefault((event.place.service, self._revision(event.place)), {})
        if decoded.signature not in known:
            if len(known) >= _MOST_FORMS or sum(map(len, self._forms.values())) >= _MOST_FORMS_OF_ALL:
                return "too_many_forms"
            known[decoded.signature] = self._register(event.place, decoded.signature, len(known))
        form = known[decoded.signature]
        if form is None:
            return "unsettled"
        self._capture.record(
            decoded.request_id or event.request_id or event.id,
            event.place.service,
            form,
            self._capture.route,
            decoded.inputs,
            decoded.outputs,
            pair.seconds,
            _ANSWERED,
        )
        return "captured"

    def _register(self, place: Place, signature: Signature, number: int) -> str | None:
        """Make a form of requests known to capture; None where the settings do not fit it."""
        revision = self._revision(place)
        form = f"{revision}#{number}"
        try:
            self._capture.register(place.service, revision, signature, signature.input_columns, form=form)
        except CaptureSettingsError as error:
            # Kept without its mask it would be what nobody may see.
            log.warning(
                "requests of a form that the settings do not fit are not kept",
                extra={"fields": {"service": place.service, "revision": revision, "error": str(error)}},
            )
            return None
        log.info(
            "a form of requests",
            extra={
                "fields": {
                    "service": place.service,
                    "revision": revision,
                    "inputs": [spec.metadata() for spec in signature.inputs][:20],
                    "outputs": [spec.metadata() for spec in signature.outputs][:20],
                }
            },
        )
        return form

    def _revision(self, place: Place) -> str:
        return self._settings.revision or place.endpoint or "default"
