"""What a run and its worker processes tell each other: one JSON object a line, over pipes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any

from mooring_inference.errors import ModelLoadError
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.part_scorer import ScoredPart
from mooring_inference.score.parts import Manifest

# What a worker may end with, by the name under which it is sent.
ERRORS: dict[str, type[Exception]] = {"usage": UsageError, "score": ScoreError, "model": ModelLoadError}


def send(pipe: IO[str], message: Mapping[str, object]) -> None:
    """Write a message."""
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def receive(pipe: IO[str]) -> dict[str, Any] | None:
    """Return the next message; None where the other side has ended, be it in the middle of one."""
    line = pipe.readline()
    return json.loads(line) if line.endswith("\n") else None


def part_message(scored: ScoredPart | None) -> dict[str, object]:
    """Return what a worker answers when it has scored a part."""
    if scored is None:
        return {"part": None}
    return {"part": asdict(scored.manifest), "reused": scored.reused}


def read_part(message: dict[str, Any]) -> ScoredPart | None:
    """Return what ``part_message`` was made from."""
    return None if message["part"] is None else ScoredPart(Manifest(**message["part"]), message["reused"])


def error_message(error: Exception) -> dict[str, str]:
    """Return what a worker says when it cannot go on."""
    return {"error": next(name for name, kind in ERRORS.items() if type(error) is kind), "text": str(error)}
