"""What ends an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn


class EvaluationError(Exception):
    """Something that a person has to do something about."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class UnreadableWindow:
    """A window of the past whose rows cannot be read; those before and after it can."""

    name: str
    error: EvaluationError
    rows: int = 0
    digest: str = ""

    @property
    def table(self) -> NoReturn:
        """Its rows, which there are none of.

        Raises:
            EvaluationError: why.
        """
        raise self.error
