"""What these functions raise, and how the errors of other libraries are told."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message is one line that names the field, the value and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class DataInvalid(InputError):
    """Rows are not what their schema says."""


class StoreUnavailable(Exception):
    """A store did not answer, or refused: trying again later may help."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none.

    obstore and onnxruntime append dumps of many lines.
    """
    return next(iter(str(error).strip().splitlines()), "").strip() or type(error).__name__


_CLOUD_IDENTITY = ("/latest/api/token", "/latest/meta-data/", "/computeMetadata/", "/metadata/identity/")
"""Where clouds give a pod its identity, which clients of stores ask last: on AWS, Google Cloud and Azure."""


def store_failure(error: BaseException) -> str:
    """Say in one line why a store does not serve; that there are no credentials is said as that."""
    line = first_line(error)
    if any(path in line for path in _CLOUD_IDENTITY):
        return (
            "there are no credentials: neither variables such as AWS_ACCESS_KEY_ID, nor an identity of the "
            "service account's"
        )
    return line
