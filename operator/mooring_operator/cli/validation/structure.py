"""Holds an object to its CRD's structural schema: types, limits, patterns, unknown fields, repeated items."""

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from mooring_artifacts.text import nearest, python_pattern

from mooring_operator.api import forms
from mooring_operator.cli.validation.defaults import Schema, child_schema
from mooring_operator.cli.validation.metadata import METADATA_SCHEMA, metadata_problems
from mooring_operator.cli.validation.problem import Problem, kind_of, show
from mooring_operator.cli.validation.source import Path
from mooring_operator.cli.validation.unknown import unknown_fields

_NUMBER = re.compile(r"(\d{1,9})%?", re.ASCII)
_FEW = 12
_ARTICLE = {"integer": "an integer", "array": "a list", "object": "a mapping", "null": "null"}


def find_problems(value: Any, schema: Schema) -> list[Problem]:
    """Give all that is wrong with the structure of `value`, which has its defaults."""
    return [
        *metadata_problems(value.get("metadata")),
        *unknown_fields(
            value, {**schema, "properties": {**schema["properties"], "metadata": METADATA_SCHEMA}}
        ),
        *_mismatches({key: value[key] for key in ("spec",) if key in value}, schema, ()),
        *_repeated(value, schema, ()),
    ]


# --- types and limits -----------------------------------------------------------------------------


def _mismatches(value: Any, schema: Schema, path: Path) -> Iterator[Problem]:
    """Yield what is wrong with `value` and what it holds, by the words that our structural schemas have."""
    kinds = _kinds(schema)
    if kinds and not any(_KINDS[kind](value) for kind in kinds):
        allowed = " or ".join(_ARTICLE.get(kind, f"a {kind}") for kind in kinds)
        hint = _what_to_write(value, schema, kinds)
        yield Problem(path, f"must be {allowed}, got {kind_of(value)}{hint}", blocks=True)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Problem(path, _unlisted(value, schema["enum"]))
    if isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, dict):
        yield from _entries(value, schema, path)
    elif isinstance(value, list):
        yield from _bounds(len(value), schema, path, "item", "minItems", "maxItems")
        for index, item in enumerate(value):
            yield from _mismatches(item, schema.get("items", {}), (*path, index))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, path)


def _what_to_write(value: Any, schema: Schema, kinds: list[str]) -> str:
    """Say what is to be written in place of a value of another type, where that is known."""
    if "enum" in schema:
        return f"; write one of {', '.join(map(str, schema['enum']))}"
    if "string" in kinds and isinstance(value, int | float):
        _, written, how = (forms.allowed_by(schema.get("pattern", "")) or "").partition(": write ")
        # A duration that is only quoted would be refused a second time, for its unit. A quantity such as 0.5 need
        # only be quoted: the API has integers and text there, and no other numbers.
        return f"; write {how}" if written and "integer" not in kinds else "; quote it"
    if "integer" in kinds and isinstance(value, str) and (number := _NUMBER.fullmatch(value)):
        return f"; write {number[1]}"
    fields = sorted(schema.get("properties", {}))
    if "object" in kinds and 0 < len(fields) <= _FEW:
        return f"; it has {', '.join(fields)}"
    return ""


def _kinds(schema: Schema) -> list[str]:
    kinds = ["integer", "string"] if schema.get("x-kubernetes-int-or-string") else [schema.get("type")]
    return [kind for kind in (*kinds, "null" if schema.get("nullable") else None) if kind]


_KINDS: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    # Any other number is a float to JSON's readers in Go.
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool) and not abs(value) >> 63,
}


def _entries(value: dict[str, Any], schema: Schema, path: Path) -> Iterator[Problem]:
    for key in schema.get("required", []):
        if key not in value:
            yield Problem((*path, key), "is required", blocks=True)
    yield from _bounds(len(value), schema, path, "entry", None, "maxProperties")
    for key, child in value.items():
        below = child_schema(schema, key)
        if "additionalProperties" in schema and len(key) > forms.LABEL_KEY.longest:
            # No map has longer keys, and the rules on keys quote them.
            yield Problem(path, f"the key {show(key)} has {len(key)} characters", blocks=True)
        elif below is not None:
            yield from _mismatches(child, below, (*path, key))


def _text(value: str, schema: Schema, path: Path) -> Iterator[Problem]:
    longest = schema.get("maxLength")
    if longest is not None and len(value) > longest:
        # What is too long is not looked through.
        yield Problem(path, f"must have at most {longest} characters, got {len(value)}", blocks=True)
        return
    if len(value) < schema.get("minLength", 0):
        yield Problem(path, f"must have at least {schema['minLength']} characters, got {show(value)}")
    pattern = schema.get("pattern")
    if pattern is not None and not _compiled(pattern).search(value):
        allowed = forms.allowed_by(pattern, longest)
        yield Problem(path, f"{show(value)} {f'is not {allowed}' if allowed else f'must match {pattern}'}")


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(python_pattern(pattern))


def _number(value: float, schema: Schema, path: Path) -> Iterator[Problem]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and (value <= least if schema.get("exclusiveMinimum") else value < least):
        word = "above" if schema.get("exclusiveMinimum") else "at least"
        yield Problem(path, f"must be {word} {least}, got {show(value)}")
    if most is not None and (value >= most if schema.get("exclusiveMaximum") else value > most):
        word = "below" if schema.get("exclusiveMaximum") else "at most"
        yield Problem(path, f"must be {word} {most}, got {show(value)}")


def _bounds(
    size: int, schema: Schema, path: Path, thing: str, least: str | None, most: str
) -> Iterator[Problem]:
    if least is not None and size < schema.get(least, 0):
        yield Problem(path, f"must have at least {schema[least]} {thing}, got {size}")
    if size > schema.get(most, size):
        things = {"item": "items", "entry": "entries"}[thing]
        yield Problem(path, f"must have at most {schema[most]} {things}, got {size}", blocks=True)


def _unlisted(value: Any, known: list[Any]) -> str:
    meant = nearest(value, map(str, known)) if isinstance(value, str) else None
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{show(value)} is not one of {', '.join(map(str, known))}{hint}"


# --- list types -----------------------------------------------------------------------------------


def _repeated(value: Any, schema: Schema | None, path: Path) -> Iterator[Problem]:
    """Yield the items that a list of type set or map has more than once."""
    if schema is None:
        return
    if isinstance(value, dict):
        for key, child in value.items():
            if (*path, key) != ("status",):
                yield from _repeated(child, child_schema(schema, key), (*path, key))
    elif isinstance(value, list):
        yield from _repeated_items(value, schema, path)
        for index, child in enumerate(value):
            yield from _repeated(child, schema.get("items"), (*path, index))


def _repeated_items(value: list[Any], schema: Schema, path: Path) -> Iterator[Problem]:
    list_type = schema.get("x-kubernetes-list-type")
    if list_type not in ("set", "map"):
        return
    keys = schema.get("x-kubernetes-list-map-keys", [])
    seen: set[str] = set()
    for index, item in enumerate(value):
        identity = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
        written = json.dumps(identity, sort_keys=True)
        if written in seen:
            yield Problem((*path, index), f"duplicate value: {show(identity)}")
        seen.add(written)
