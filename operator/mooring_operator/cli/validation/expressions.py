"""Reads the CEL of policies: the API server takes any text there, and the operator would reject every model."""

from collections.abc import Iterator
from typing import Any

from mooring_operator.cli.validation.problem import Problem, show

POLICIES = ("ModelPolicy", "ClusterModelPolicy")


def unreadable_expressions(policy: dict[str, Any]) -> Iterator[Problem]:
    """Yield a problem for every expression of a valid policy that is no condition in CEL."""
    from mooring_operator.adapters.rules.child import Child, RulesUnavailable
    from mooring_operator.planning.policies.rules import RuleQuestion

    rules = policy["spec"].get("rules") or []
    if not rules:
        return
    try:
        with Child() as child:
            problems = child.ask(RuleQuestion(tuple(rule["expression"] for rule in rules))).problems
    except RulesUnavailable as error:
        yield Problem(("spec", "rules"), f"are not checked: {error}")
        return
    for index, (rule, problem) in enumerate(zip(rules, problems, strict=True)):
        if problem is not None:
            path = ("spec", "rules", index, "expression")
            yield Problem(path, f"{show(rule['expression'])} is never met: {problem}")
