"""Results that a container writes: JSON of a few kilobytes, which conditions read.

Source: Kubernetes, terminationMessagePath: the kubelet keeps 4096 bytes of a container's last words.
"""

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn

from pydantic import JsonValue

LARGEST = 4096
DEEPEST = 8
"""Brackets in one another."""
_HOW = 'write JSON to /dev/termination-log, as 0.97 or {"accuracy": 0.97}'


@dataclass(frozen=True)
class Result:
    """What was written; or, in a sentence, why it is no result. Numbers are doubles, as conditions have them."""

    value: JsonValue = None
    problem: str = ""


def read_result(text: str) -> Result:
    """Read what a container wrote."""
    if not text.strip():
        return Result(problem=f"it has ended and wrote no result: {_HOW}")
    if len(text.encode(errors="replace")) > LARGEST:
        return Result(problem=f"its result is larger than {LARGEST} bytes: write what the conditions need")
    if _depth(text) > DEEPEST:
        return Result(problem=f"its result has more than {DEEPEST} brackets in one another")
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refuse)
    except _NotFiniteError as error:
        return Result(problem=f"its result has {error}, which is no number to judge by")
    except ValueError:
        return Result(problem=f"its result is no JSON, or longer than {LARGEST} bytes: {_HOW}")
    return Result(value)


def read_number(text: str) -> Result:
    """Read what a program of ours wrote: an object with a number `value`."""
    found = read_result(text)
    value: Any = found.value.get("value") if isinstance(found.value, dict) else None
    return Result(value) if isinstance(value, float) else Result(problem=found.problem or "it gave no number")


class _NotFiniteError(ValueError):
    """A number that is none, or too large for a double."""


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        _refuse(text)
    return number


def _refuse(text: str) -> NoReturn:
    raise _NotFiniteError(f"{text[:20]}")


def _depth(text: str) -> int:
    """Give how many brackets stand in one another at most; those in texts count too, which is more than enough."""
    depth = deepest = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest
