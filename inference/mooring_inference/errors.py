"""What can go wrong with a request or a model, as values the fronts can render."""

from __future__ import annotations


class ModelLoadError(Exception):
    """The model cannot be served; the message is one line for an operator to read."""


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
        super().__init__(message)
        self.message = message
        self.status = status
        self.field = field
        self.expected = expected
        self.got = got
        self.headers = headers

    def body(self) -> dict[str, object]:
        """The JSON body: ``error`` always; ``field``, ``expected``, ``got`` where they are known."""
        body: dict[str, object] = {"error": self.message}
        for key in ("field", "expected", "got"):
            value = getattr(self, key)
            if value is not None:
                body[key] = value
        return body


def bad_field(field: str, expected: object, got: object) -> RequestError:
    """A 400 that names the field, what was expected there and what was got."""
    return RequestError(f"{field}: expected {expected}, got {got}", field=field, expected=expected, got=got)
