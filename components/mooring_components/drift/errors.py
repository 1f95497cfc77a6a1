"""What ends an evaluation."""

from __future__ import annotations


class EvaluationError(Exception):
    """Something that a person has to do something about."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
