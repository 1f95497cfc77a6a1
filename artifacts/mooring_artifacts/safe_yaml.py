"""YAML that somebody else wrote, as plain data: within a size, and without what a few bytes can make large.

An alias stands for all that its anchor holds, so that ten lines can be gigabytes; a number in base 60 takes time in the
square of its length. Neither is read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mooring_artifacts.errors import InputError
from mooring_artifacts.small_files import read_small

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# What a text may say that a value is; the others are Python's, or would be none that JSON has.
_TAGS = frozenset(
    f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "timestamp")
)
_LONGEST_NUMBER = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may cost.

    Attributes:
        size: bytes.
        depth: lists and objects within each other.
        nodes: scalars, lists and objects.
    """

    size: int = 1 << 20
    depth: int = 64
    nodes: int = 200_000


DEFAULT_LIMITS = Limits()


def load_yaml(content: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The one document of a YAML text; None for none.

    Raises:
        InputError: it is no such text, or over a limit; the message names the line.
    """
    documents = load_all_yaml(content, limits)
    if len(documents) > 1:
        raise InputError(f"expected one document, got {len(documents)}")
    return documents[0] if documents else None


def load_all_yaml(content: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Any]:
    """The documents of a YAML text; raises as ``load_yaml``."""
    if len(content) > limits.size:
        raise InputError(f"expected at most {limits.size} bytes, got {len(content)}")
    try:
        return list(_Builder(content, limits).documents())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(f"{_line(mark)}{error.problem or error.context or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"not YAML: {' '.join(str(error).split())[:200]}") from None


def read_yaml(path: Path, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The one document of a YAML file; raises as ``load_yaml``, with the file's name."""
    content = read_small(path, limits.size)
    try:
        return load_yaml(content, limits)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None


class _Builder:
    """Plain data of the parser's events."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._events: Iterator[Any] = yaml.parse(content, Loader=_PARSER)
        self._limits = limits
        self._nodes = 0
        self._scalars: Any = yaml.SafeLoader("")

    def documents(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                yield self._build(next(self._events), 0)

    def _build(self, event: Any, depth: int) -> Any:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._build(child, depth + 1) for child in self._until(yaml.SequenceEndEvent)]
        found: dict[Any, Any] = {}
        for key in self._until(yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise InputError(f"{_line(key.start_mark)}expected a scalar as key, got a list or object")
            name = self._build(key, depth + 1)
            found[name] = self._build(next(self._events), depth + 1)
        return found

    def _until(self, end: type) -> Iterator[Any]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _check(self, event: Any, depth: int) -> None:
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise InputError(f"{line}expected no anchors and aliases, got {event.anchor[:60]}")
        self._nodes += 1
        if self._nodes > self._limits.nodes:
            raise InputError(f"{line}expected at most {self._limits.nodes} values")
        if depth > self._limits.depth:
            raise InputError(f"{line}expected at most {self._limits.depth} levels of lists and objects")
        if event.tag is not None and event.tag not in _TAGS:
            raise InputError(f"{line}expected plain data, got the tag {event.tag[:60]}")

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        kind = event.tag or self._scalars.resolve(yaml.ScalarNode, text, event.implicit)
        node = yaml.ScalarNode(kind, text)
        match kind.removeprefix(_TAG):
            case "null":
                return None
            case "bool" if text.lower() in self._scalars.bool_values:
                return self._scalars.construct_yaml_bool(node)
            case "int" if _is_number(text):
                return self._scalars.construct_yaml_int(node)
            case "float" if _is_number(text):
                return self._scalars.construct_yaml_float(node)
        return text


def _is_number(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NUMBER and ":" not in text


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}: " if mark is not None else ""
