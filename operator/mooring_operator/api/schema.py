"""From a pydantic model to a structural OpenAPI v3 schema, as a CustomResourceDefinition wants it.

Specification: Kubernetes, "Specifying a structural schema" (apiextensions.k8s.io/v1).
"""

import json
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from mooring_operator.api.forms import allowed_by
from mooring_operator.api.types import format_duration

Schema = dict[str, Any]

# JSON Schema words that carry no meaning in a CRD, or that it forbids.
_DROPPED = frozenset(
    {"title", "$defs", "additionalProperties", "patternProperties", "propertyNames", "discriminator"}
)


_TOLD_EACH_TIME = 3
"""Levels of a spec's fields that say what they mean wherever they stand: of spec.batch.resources, for one."""


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write defaults as the API carries them: camelCase, durations like 10m, nothing that is unset."""
        return _plain(dft)

    def emit_warning(self, kind: Any, detail: str) -> None:
        raise TypeError(f"no schema for this field: {detail}")


def structural_schema(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """Give the schema of `model` with references resolved and optional fields left plain.

    Without `defaults` nothing is filled in by the API server: right for a status, which has one writer. What its
    fields mean is said where each comes first: a status has revisions in five places, and a definition has little room.
    So it is with the fields of a spec that are deep in it.

    Raises:
        TypeError: the model has a type that a structural schema cannot say.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    structural = _structural(schema, schema.get("$defs", {}))
    if defaults:
        return _told_once(structural, set(), level=-_TOLD_EACH_TIME)
    return _told_once(_without_defaults(structural), set())


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return format_duration(value) if isinstance(value, timedelta) else value


def _structural(node: Schema, definitions: dict[str, Schema]) -> Schema:
    node = _resolve(node, definitions)
    out: Schema = {"description": node["description"]} if "description" in node else {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: _structural(child, definitions) for name, child in value.items()}
        elif key == "items":
            out[key] = _structural(value, definitions)
        elif key == "default":
            # An object is given even when empty: its own fields' defaults fill it in, see below.
            if value is not None and (value not in ({}, []) or "properties" in node):
                out[key] = value
        elif key == "const":
            out["enum"] = [value]
        elif key in ("exclusiveMinimum", "exclusiveMaximum"):
            # OpenAPI 3.0 has a flag where JSON Schema has the number.
            out[key.replace("exclusive", "").lower()] = value
            out[key] = True
        elif key not in _DROPPED:
            out[key] = value
    if isinstance(out.get("default"), dict):
        out["default"] = _filled(out["default"], out)
    extra = node.get("additionalProperties")
    if "patternProperties" in node:
        [(pattern, extra)] = node["patternProperties"].items()
        keys = _keys(pattern, node["propertyNames"]["maxLength"])
        out["x-kubernetes-validations"] = [keys, *node.get("x-kubernetes-validations", [])]
    if isinstance(extra, dict) and extra:
        out["additionalProperties"] = _structural(extra, definitions)
    return out


def _keys(pattern: str, longest: int) -> dict[str, str]:
    """Give the rule that a map's keys have a form: a structural schema says nothing about keys."""
    fits = f"size(key) <= {longest} && key.matches(r'{pattern}')"
    allowed = allowed_by(pattern) or f"of the form {pattern}"
    return {
        "rule": f"self.all(key, {fits})",
        "messageExpression": f"'the key ' + self.filter(key, !({fits}))[0] + ' is not {allowed}'",
    }


def _filled(value: Any, node: Schema) -> Any:
    """Fill in the defaults of nested fields: the API server checks a default against CEL before it would."""
    if not isinstance(value, dict) or "properties" not in node:
        return value
    defaults = {name: child["default"] for name, child in node["properties"].items() if "default" in child}
    return {
        name: _filled(field, node["properties"].get(name, {}))
        for name, field in {**defaults, **value}.items()
    }


def _without_defaults(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    out = {key: _without_defaults(value) for key, value in node.items() if key != "default"}
    if "properties" in node:
        out["properties"] = {name: _without_defaults(child) for name, child in node["properties"].items()}
    return out


def _told_once(node: Schema, told: set[tuple[str, str]], level: int = 0) -> Schema:
    """Leave out the descriptions that a field of the same name has had before, from level 0 on."""
    if "properties" not in node:
        return {**node, "items": _told_once(node["items"], told, level)} if "items" in node else node
    fields = {}
    for name, child in node["properties"].items():
        field = (name, child.get("description", ""))
        known = level >= 0 and field in told
        told.add(field)
        kept = {k: v for k, v in child.items() if not known or k != "description"}
        fields[name] = _told_once(kept, told, level + 1)
    return {**node, "properties": fields}


def _resolve(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Follow a reference and drop the null of an optional field; what stands beside them wins."""
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        return {**_resolve(target, definitions), **{k: v for k, v in node.items() if k != "$ref"}}
    if "anyOf" in node:
        kinds = [option for option in node["anyOf"] if option.get("type") != "null"]
        if len(kinds) != 1:
            raise TypeError(f"no structural schema for a choice of types: {json.dumps(node)[:200]}")
        return {**_resolve(kinds[0], definitions), **{k: v for k, v in node.items() if k != "anyOf"}}
    if "allOf" in node and len(node["allOf"]) == 1:
        return {**_resolve(node["allOf"][0], definitions), **{k: v for k, v in node.items() if k != "allOf"}}
    return node
