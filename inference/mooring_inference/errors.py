"""What can go wrong with a request or a model, as values the fronts can render."""

from __future__ import annotations

# Every status that a request can be refused with, and when.
STATUSES = {
    400: "a name, datatype, shape, size or value does not fit, or it is no request",
    401: "no valid key, with `--api_keys`",
    403: "the key does not allow it, or nobody may do it here",
    404: "no such path, model or version",
    405: "another method is for this path; `Allow` names it",
    408: "the request does not come to its end",
    409: "labels, where nothing is captured",
    413: "the body is too large, inflated or parsed, or has too many rows; or an answer would be too large",
    414: "the path is too long",
    415: "the body is compressed in another way than gzip or deflate",
    429: "the queue is full, or four explanations are being made; `Retry-After`",
    431: "the head of the request is too large",
    499: "the caller has gone; in metrics and logs only",
    500: "the model failed, or the server did; the reason is in the log under the request's id, and not in the answer",
    501: "a transfer coding that the server does not know",
    503: "not loaded yet, or being unloaded; or no room for more requests or connections, with `Retry-After`",
    504: "the caller's or the server's time is over",
}

# Of a message, and of what was expected or got: callers' own text must not come back to them by the megabyte.
_LONGEST_MESSAGE, _LONGEST_VALUE, _MOST_ITEMS = 2000, 500, 20


class ModelLoadError(Exception):
    """The model cannot be served; the message is one line for an operator to read."""

    def __init__(self, message: str) -> None:
        super().__init__(_shorten(message, _LONGEST_MESSAGE))


class RequestError(Exception):
    """A request that is answered with an error status.

    Attributes:
        status: the HTTP status.
        field: what in the request is wrong, as a path such as ``inputs[0].shape``; None if the whole.
        expected: what would have been right, ready for JSON.
        got: what was there instead, ready for JSON.
        headers: of the response, lower-case names.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        field: str | None = None,
        expected: object = None,
        got: object = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        message = _shorten(message, _LONGEST_MESSAGE)
        super().__init__(message)
        self.message = message
        self.status = status
        self.field = field
        self.expected = _bounded(expected)
        self.got = _bounded(got)
        self.headers = headers

    def body(self) -> dict[str, object]:
        """Return the JSON body: ``error`` always; ``field``, ``expected``, ``got`` where they are known."""
        body: dict[str, object] = {"error": self.message}
        for key in ("field", "expected", "got"):
            value = getattr(self, key)
            if value is not None:
                body[key] = value
        return body


def bad_field(field: str, expected: object, got: object) -> RequestError:
    """Return a 400 that names the field, what was expected there and what was got."""
    expected, got = _bounded(expected), _bounded(got)
    return RequestError(f"{field}: expected {expected}, got {got}", field=field, expected=expected, got=got)


def _bounded(value: object) -> object:
    """Return what is ready for JSON, without most of it where it is long."""
    if isinstance(value, str):
        return _shorten(value, _LONGEST_VALUE)
    if isinstance(value, list | tuple) and len(value) > _MOST_ITEMS:
        return [*map(_bounded, value[:_MOST_ITEMS]), f"... ({len(value) - _MOST_ITEMS} more)"]
    if isinstance(value, list | tuple):
        return [_bounded(item) for item in value]
    return value


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
