"""Evaluates the CEL rules of a CRD (``x-kubernetes-validations``) without an API server.

Source: Kubernetes, "Validation rules" and "Common Expression Language in Kubernetes".
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from mooring_operator.cli.validation.defaults import Schema, child_schema
from mooring_operator.cli.validation.problem import Problem, format_path
from mooring_operator.cli.validation.source import Path

_OLD_SELF = re.compile(r"\boldSelf\b")
_PLACE = re.compile(r"%[sd%]")
_LEADING_FIELD = re.compile(r"(?:spec|metadata)(?:\.\w+)+")


def broken_rules(value: Any, schema: Schema, path: Path = ()) -> Iterator[Problem]:
    """Yield a problem for every rule that `value`, or a part of it, does not meet."""
    for rule in schema.get("x-kubernetes-validations", []):
        if not is_transition(rule):
            problem = _evaluate(rule, value, schema, path)
            if problem is not None:
                yield problem
    for key, child, below in _children(value, schema):
        yield from broken_rules(child, below, (*path, key))


def skipped_rules(value: Any, schema: Schema, path: Path = ()) -> Iterator[str]:
    """Yield the fields whose rules compare with the object before an update, which is not known here."""
    if any(is_transition(rule) for rule in schema.get("x-kubernetes-validations", [])):
        yield format_path(path)
    for key, child, below in _children(value, schema):
        yield from skipped_rules(child, below, (*path, key))


def is_transition(rule: dict[str, str]) -> bool:
    """Whether a rule compares with the object as it was."""
    return _OLD_SELF.search(rule["rule"]) is not None


def _children(value: Any, schema: Schema) -> Iterator[tuple[str | int, Any, Schema]]:
    pairs: list[tuple[str | int, Any, Schema | None]] = []
    if isinstance(value, dict):
        # Status is not the user's to write.
        pairs = [(key, child, child_schema(schema, key)) for key, child in value.items() if key != "status"]
    elif isinstance(value, list):
        pairs = [(index, child, schema.get("items")) for index, child in enumerate(value)]
    for key, child, below in pairs:
        if below is not None:
            yield key, child, below


def _evaluate(rule: dict[str, str], value: Any, schema: Schema, path: Path) -> Problem | None:
    from celpy.evaluation import CELEvalError

    this = {"self": _to_cel(value, schema)}
    try:
        if bool(_program(rule["rule"]).evaluate(this)):
            return None
    except CELEvalError as error:
        return Problem(path, f"the rule {rule['rule']} cannot be evaluated: {error.args[0]}")
    message = _message(rule, this)
    return Problem(_where(message, path), message)


def _message(rule: dict[str, str], this: dict[str, Any]) -> str:
    from celpy.evaluation import CELEvalError

    fallback = rule.get("message", f"failed rule: {rule['rule']}")
    if "messageExpression" not in rule:
        return fallback
    try:
        return str(_program(rule["messageExpression"]).evaluate(this)).strip() or fallback
    except CELEvalError:
        return fallback


def _where(message: str, path: Path) -> Path:
    """Give the field that the message names; the rule's own where that is more exact."""
    named = _LEADING_FIELD.match(message)
    if named is None:
        return path
    field: Path = tuple(named[0].split("."))
    return path if path[: len(field)] == field else field


# --- CEL ----------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _program(expression: str) -> Any:
    import celpy

    environment = celpy.Environment()
    return environment.program(environment.compile(expression), functions=_library())


@lru_cache(maxsize=1)
def _library() -> dict[str, Callable[..., Any]]:
    """Give what Kubernetes adds to CEL and our rules use."""
    from celpy import celtypes

    def is_sorted(items: Any) -> Any:
        return celtypes.BoolType(all(a <= b for a, b in pairwise(items)))

    def join(items: Any, separator: str = "") -> Any:
        return celtypes.StringType(separator.join(items))

    def string(value: Any) -> Any:
        return celtypes.StringType(_text(value))

    def format_(template: Any, values: Any) -> Any:
        rest = iter(values)
        text = _PLACE.sub(lambda place: "%" if place[0] == "%%" else _text(next(rest)), template)
        return celtypes.StringType(text)

    return {"isSorted": is_sorted, "join": join, "string": string, "format": format_}


def _text(value: Any) -> str:
    """Write a value as cel-go does: 2.0 is 2, a list has brackets."""
    from celpy import celtypes

    if isinstance(value, celtypes.BoolType):
        return "true" if value else "false"
    if isinstance(value, celtypes.DoubleType) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    return str(value)


def _to_cel(value: Any, schema: Schema | None) -> Any:
    """Give `value` in CEL's types, which the schema decides: 1 may be an int or a double."""
    from celpy import adapter, celtypes

    if isinstance(value, dict):
        return celtypes.MapType(
            {
                celtypes.StringType(key): _to_cel(child, child_schema(schema, key))
                for key, child in value.items()
            }
        )
    if isinstance(value, list):
        return celtypes.ListType([_to_cel(child, (schema or {}).get("items")) for child in value])
    if (schema or {}).get("type") == "number" and isinstance(value, int | float):
        return celtypes.DoubleType(value)
    return adapter.json_to_cel(value)
