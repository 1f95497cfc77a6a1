"""What ends a scoring run."""

from __future__ import annotations


class ScoreError(Exception):
    """The run cannot go on; the message is one line that a person can act on."""


class UsageError(ScoreError):
    """What was asked for makes no sense, whatever the files hold."""
