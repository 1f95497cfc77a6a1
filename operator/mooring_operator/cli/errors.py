"""Failures that a person can act on: a message instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

OK = 0
NO = 1
UNUSABLE = 2


class CliError(Exception):
    """Ends the command with `message` on stderr and `exit_code`: 1 the answer is no, 2 it could not be had."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = UNUSABLE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


class RefusedError(CliError):
    """What was asked for does not fit where the deployment stands."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=NO)


@contextmanager
def needing(extras: str, doing: str) -> Iterator[None]:
    """End the command where a package is not installed that `doing` this needs; `extras` have it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CliError(
            f"{doing} needs a package that is not installed: {error.name}",
            hint=f"install kube-mooring with its {extras}",
        ) from error
