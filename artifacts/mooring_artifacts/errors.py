"""What these functions raise, and how the errors of other libraries are told."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message is one line that names the field, the value and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class DataInvalid(InputError):
    """Rows are not what their schema says."""


class AccessError(InputError):
    """A store refuses the credentials, or there are none: what it holds is not known."""


class StoreUnavailable(Exception):
    """A store did not answer, or said that it cannot now: trying again later may help.

    The message is one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none.

    obstore and onnxruntime append dumps of many lines.
    """
    return next(iter(str(error).strip().splitlines()), "").strip() or type(error).__name__
