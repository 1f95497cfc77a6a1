"""Fills in an object as the API server does before it validates.

Source: apiextensions-apiserver, pkg/apiserver/schema/defaulting.
"""

import copy
from typing import Any

Schema = dict[str, Any]


def with_defaults(value: Any, schema: Schema) -> Any:
    """Give a copy of `value` without nulls that mean nothing and with the schema's defaults."""
    filled = copy.deepcopy(value)
    _drop_nulls(filled, schema)
    _fill(filled, schema)
    return filled


def child_schema(schema: Schema | None, key: str) -> Schema | None:
    """Give the schema of field `key`, or None where the schema says nothing about it."""
    if schema is None:
        return None
    found: Schema | None = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return found


def _is_unset(value: Any, schema: Schema | None) -> bool:
    return value is None and schema is not None and not schema.get("nullable")


def _drop_nulls(value: Any, schema: Schema | None) -> None:
    if isinstance(value, dict):
        for key, child in list(value.items()):
            below = child_schema(schema, key)
            if _is_unset(child, below) and below is not None and "default" not in below:
                del value[key]
            else:
                _drop_nulls(child, below)
    elif isinstance(value, list):
        for child in value:
            _drop_nulls(child, (schema or {}).get("items"))


def _fill(value: Any, schema: Schema | None) -> None:
    if schema is None:
        return
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            if "default" in below and (key not in value or _is_unset(value[key], below)):
                value[key] = copy.deepcopy(below["default"])
        for key, child in value.items():
            _fill(child, child_schema(schema, key))
    elif isinstance(value, list):
        for child in value:
            _fill(child, schema.get("items"))
