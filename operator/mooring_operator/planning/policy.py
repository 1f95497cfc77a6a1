"""Evaluates ModelPolicies: CEL rules over the facts about a revision.

Source of the language: Common Expression Language, google/cel-spec.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mooring_operator.api.model_policy import ModelPolicySpec


@dataclass(frozen=True)
class PolicyResult:
    """How a revision does under one policy."""

    met: int
    total: int
    failures: tuple[str, ...]
    compliant: bool


def evaluate(policy: ModelPolicySpec, facts: Mapping[str, Any]) -> PolicyResult:
    """Apply every rule to `facts`; a rule that errs, for a missing fact or a typing mistake, is not met."""
    failures = []
    for rule in policy.rules:
        problem = _problem(rule.expression, facts)
        if problem is not None:
            failures.append(f"{rule.name}: {rule.message or problem}")
    total = len(policy.rules)
    met = total - len(failures)
    return PolicyResult(met, total, tuple(failures), met / total >= policy.minimum_score)


def _problem(expression: str, facts: Mapping[str, Any]) -> str | None:
    # Imported here: only deployments with policies pay for the CEL parser's memory.
    import celpy
    import celpy.adapter
    from celpy.celparser import CELParseError
    from celpy.evaluation import CELEvalError

    try:
        answer = _program(expression).evaluate(
            {name: celpy.adapter.json_to_cel(_with_doubles(value)) for name, value in facts.items()}
        )
    except CELParseError as error:
        return f"the expression cannot be read: {error.args[0]}"
    except CELEvalError as error:
        return f"{expression} cannot be evaluated: {error.args[0]}"
    if not isinstance(answer, celpy.celtypes.BoolType):
        return f"{expression} is no condition: it gives {answer!r:.60}, not true or false"
    return None if answer else f"{expression} is not true"


def _with_doubles(value: Any) -> Any:
    """Make all numbers doubles, as metrics are: CEL does not compare them with whole numbers."""
    if isinstance(value, Mapping):
        return {name: _with_doubles(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_doubles(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@lru_cache(maxsize=256)
def _program(expression: str) -> Any:
    import celpy

    environment = celpy.Environment()
    return environment.program(environment.compile(expression))
