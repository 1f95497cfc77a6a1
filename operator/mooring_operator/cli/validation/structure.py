"""Holds an object to its CRD's structural schema: types, limits, patterns, unknown fields, repeated items."""

from collections.abc import Iterator
from typing import Any

from mooring_artifacts.text import nearest, python_pattern

from mooring_operator.api import forms
from mooring_operator.cli.validation.defaults import Schema, child_schema
from mooring_operator.cli.validation.metadata import METADATA_SCHEMA, metadata_problems
from mooring_operator.cli.validation.problem import Problem, kind_of, show
from mooring_operator.cli.validation.source import Path

_ARTICLE = {"integer": "an integer", "array": "a list", "object": "a mapping", "null": "null"}


def find_problems(value: Any, schema: Schema) -> list[Problem]:
    """Give all that is wrong with the structure of `value`, which has its defaults."""
    return [
        *metadata_problems(value.get("metadata")),
        *_unknown(value, {**schema, "properties": {**schema["properties"], "metadata": METADATA_SCHEMA}}, ()),
        *_mismatches(value, schema),
        *_repeated(value, schema, ()),
    ]


# --- unknown fields -------------------------------------------------------------------------------


def _unknown(value: Any, schema: Schema | None, path: Path) -> Iterator[Problem]:
    if schema is None or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        for key, child in value.items():
            below = child_schema(schema, key)
            if below is None and ("properties" in schema or "additionalProperties" not in schema):
                yield Problem((*path, key), _unknown_message(key, schema))
            else:
                yield from _unknown(child, below, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _unknown(child, schema.get("items"), (*path, index))


def _unknown_message(key: str, schema: Schema) -> str:
    known = sorted(schema.get("properties", {}))
    if (meant := nearest(key, known)) is not None:
        return f"unknown field; did you mean {meant}?"
    return f"unknown field; known here: {', '.join(known) or 'none'}"


# --- types and limits -----------------------------------------------------------------------------


def _mismatches(value: Any, schema: Schema) -> Iterator[Problem]:
    import jsonschema

    below = {"type": "object", "required": schema.get("required", []), "properties": {}}
    below["properties"] = {"spec": schema["properties"]["spec"]}
    validator = jsonschema.Draft202012Validator(to_json_schema(below))
    for error in sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path))):
        yield _mismatch(error)


def to_json_schema(node: Any) -> Any:
    """Give the JSON Schema that accepts what the structural schema `node` accepts."""
    if isinstance(node, list):
        return [to_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: to_json_schema(child) for key, child in node.items() if key not in ("default", "properties")}
    if "properties" in node:
        out["properties"] = {name: to_json_schema(child) for name, child in node["properties"].items()}
    for bound in ("Minimum", "Maximum"):
        if out.pop(f"exclusive{bound}", False) is True:
            out[f"exclusive{bound}"] = out.pop(bound.lower())
    if node.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if node.get("nullable") and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    if isinstance(node.get("pattern"), str):
        out["pattern"] = python_pattern(node["pattern"])
    return out


def _mismatch(error: Any) -> Problem:
    path, value, limit = tuple(error.absolute_path), error.instance, error.validator_value
    kind = str(error.validator)
    if kind == "required":
        missing = error.message.split("'")[1]
        return Problem((*path, missing), "is required", blocks=True)
    blocks = kind in ("type", "maxLength", "maxItems", "maxProperties")
    return Problem(path, _explain(kind, value, limit), blocks)


def _explain(kind: str, value: Any, limit: Any) -> str:
    if kind == "type":
        kinds = [limit] if isinstance(limit, str) else limit
        # A quantity such as 0.5: the API has integers and text there, and no other numbers.
        hint = "; quote it" if isinstance(value, float) and "string" in kinds else ""
        return f"must be {' or '.join(_ARTICLE.get(k, f'a {k}') for k in kinds)}, got {kind_of(value)}{hint}"
    if kind == "enum":
        meant = nearest(value, map(str, limit)) if isinstance(value, str) else None
        hint = f"; did you mean {meant}?" if meant else ""
        return f"{show(value)} is not one of {', '.join(map(str, limit))}{hint}"
    if kind == "pattern":
        return f"{show(value)} {_pattern_meaning(limit)}"
    if kind in _LIMITS:
        return _LIMITS[kind].format(limit=limit, value=show(value), size=len(value) if _sized(value) else 0)
    return f"{show(value)} breaks {kind} {show(limit)}"


_LIMITS = {
    "minimum": "must be at least {limit}, got {value}",
    "maximum": "must be at most {limit}, got {value}",
    "exclusiveMinimum": "must be above {limit}, got {value}",
    "exclusiveMaximum": "must be below {limit}, got {value}",
    "minLength": "must have at least {limit} characters, got {value}",
    "maxLength": "must have at most {limit} characters, got {size}",
    "minItems": "must have at least {limit} item, got {size}",
    "maxItems": "must have at most {limit} items, got {size}",
    "maxProperties": "must have at most {limit} entries, got {size}",
}


def _sized(value: Any) -> bool:
    return isinstance(value, str | list | dict)


def _pattern_meaning(compiled: str) -> str:
    for form in forms.FORMS:
        if python_pattern(form.pattern) == compiled:
            return f"is not {form.allowed}"
    plain = compiled.removeprefix("(?a)").replace(r"\Z", "$")
    return f"must match {plain}"


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
    seen: list[Any] = []
    for index, item in enumerate(value):
        identity = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
        if identity in seen:
            yield Problem((*path, index), f"duplicate value: {show(identity)}")
        seen.append(identity)
