"""Reads the CEL of a ModelPolicy: the API server takes any text there, and the operator would reject every model."""

from collections.abc import Iterator
from typing import Any

from mooring_operator.cli.validation.problem import Problem, show


def unreadable_expressions(policy: dict[str, Any]) -> Iterator[Problem]:
    """Yield a problem for every expression of a valid ModelPolicy that is no CEL."""
    import celpy
    from celpy.celparser import CELParseError

    environment = celpy.Environment()
    for index, rule in enumerate(policy["spec"]["rules"]):
        try:
            environment.compile(rule["expression"])
        except CELParseError:
            path = ("spec", "rules", index, "expression")
            yield Problem(path, f"{show(rule['expression'])} is no CEL: this rule is never met")
