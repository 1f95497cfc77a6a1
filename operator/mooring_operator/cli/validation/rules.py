"""Evaluates the CEL rules of a CRD (``x-kubernetes-validations``) without an API server.

Source: Kubernetes, "Validation rules" and "Common Expression Language in Kubernetes".
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from mooring_operator.api import forms
from mooring_operator.api.freezes import ZONE_RULE
from mooring_operator.api.quantities import parse_quantity
from mooring_operator.cli.validation.defaults import Schema, child_schema
from mooring_operator.cli.validation.problem import Problem, format_path, show
from mooring_operator.cli.validation.source import Path
from mooring_operator.planning.freezes import is_zone
from mooring_operator.planning.policies.rules import as_double

_OLD_SELF = re.compile(r"\boldSelf\b")
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
    this = _typed(value, schema)
    if rule["rule"] == ZONE_RULE:
        # CEL looks zones up where the system has them; ours may come with a package.
        known = is_zone(value)
        return None if known else Problem(path, f"{show(value)} {rule['message']}")
    met, error = _calculate(rule["rule"], this)
    if met is True:
        return None
    if error:
        return Problem(path, f"the rule {rule['rule']} cannot be evaluated: {error}")
    message = _message(rule, this)
    return Problem(_where(message, path), message)


def _message(rule: dict[str, str], this: Any) -> str:
    fallback = rule.get("message", f"failed rule: {rule['rule']}")
    if "messageExpression" not in rule:
        return fallback
    text, error = _calculate(rule["messageExpression"], this)
    return fallback if error else str(text).strip() or fallback


def _where(message: str, path: Path) -> Path:
    """Give the field that the message names; the rule's own where that is more exact."""
    named = _LEADING_FIELD.match(message)
    if named is None:
        return path
    field: Path = tuple(named[0].split("."))
    return path if path[: len(field)] == field else field


# --- CEL ----------------------------------------------------------------------------------------


def _calculate(expression: str, this: Any) -> tuple[Any, str]:
    """Give the value of `expression` where self is `this`, and what went wrong."""
    from cel_expr_python import cel

    try:
        answer = _program(expression).eval(data={"self": this})
        value = answer.plain_value()
    except (RuntimeError, ValueError) as error:
        return None, str(error)
    return (None, str(value)) if answer.type() == cel.Type.ERROR else (value, "")


@lru_cache(maxsize=256)
def _program(expression: str) -> Any:
    return _environment().compile(expression)


@lru_cache(maxsize=1)
def _environment() -> Any:
    """Give CEL with what Kubernetes adds to it and our rules use."""
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_strings

    def function(name: str, returns: Any, takes: list[Any], call: Callable[..., Any], *, member: bool) -> Any:
        overload = cel.Overload(
            f"{name}_here", return_type=returns, parameters=takes, is_member=member, impl=call
        )
        return cel.FunctionDecl(name, [overload])

    items, text = cel.Type.List(cel.Type.DYN), cel.Type.STRING
    return cel.NewEnv(
        variables={"self": cel.Type.DYN},
        extensions=[ext_strings.ExtStrings()],
        functions=[
            function("isSorted", cel.Type.BOOL, [items], _is_sorted, member=True),
            function("sum", cel.Type.INT, [items], sum, member=True),
            function("isQuantity", cel.Type.BOOL, [text], forms.QUANTITY.fits, member=False),
            # A quantity is its text: the rules compare quantities, and do nothing else with them.
            function("quantity", text, [text], str, member=False),
            function("isGreaterThan", cel.Type.BOOL, [text, text], _is_more, member=True),
        ],
    )


def _is_sorted(items: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(items))


def _is_more(quantity: str, other: str) -> bool:
    return parse_quantity(quantity) > parse_quantity(other)


def _typed(value: Any, schema: Schema | None) -> Any:
    """Give `value` with the numbers that the schema says: 1 may be an int or a double."""
    if isinstance(value, dict):
        return {key: _typed(child, child_schema(schema, key)) for key, child in value.items()}
    if isinstance(value, list):
        return [_typed(child, (schema or {}).get("items")) for child in value]
    if isinstance(value, int) and not isinstance(value, bool):
        # What JSON's readers in Go do with a number that no int64 holds.
        return as_double(value) if (schema or {}).get("type") == "number" or abs(value) >> 63 else value
    return value
