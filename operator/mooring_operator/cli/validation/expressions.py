"""Reads the CEL of policies: the API server takes any text there, and the operator would reject every model."""

import re
from collections.abc import Iterator
from typing import Any

from mooring_artifacts.gates import unknown_metric

from mooring_operator.cli.validation.problem import Problem, show

POLICIES = ("ModelPolicy", "ClusterModelPolicy")

_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_FIELD = re.compile(r"(?<![\w.])metrics\.([A-Za-z_]\w*)")
_KEY = re.compile(r"(?<![\w.])metrics\[['\"]([^'\"]*)['\"]\]")


def unreadable_expressions(policy: dict[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with expressions of a valid policy: no condition in CEL, an unknown metric."""
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
        path = ("spec", "rules", index, "expression")
        if problem is not None:
            yield Problem(path, f"{show(rule['expression'])} is never met: {problem}")
        for unknown in filter(None, map(unknown_metric, _metrics_in(rule["expression"]))):
            yield Problem(path, f"metrics: {unknown}")


def unreadable_conditions(template: dict[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the conditions of a valid template's queries."""
    from mooring_operator.adapters.rules.child import Child, RulesUnavailable
    from mooring_operator.api import ClusterAnalysisTemplateSpec
    from mooring_operator.planning.analysis.template_status import reading_of
    from mooring_operator.planning.analysis.templates import expressions_of

    spec = ClusterAnalysisTemplateSpec.model_validate(template["spec"])
    question = reading_of(spec)
    if question is None:
        return
    try:
        with Child() as child:
            problems = child.ask(question).problems
    except RulesUnavailable as error:
        yield Problem(("spec", "queries"), f"are not checked: {error}")
        return
    for (path, expression), problem in zip(expressions_of(spec), problems, strict=True):
        if problem is not None:
            yield Problem(("spec", *path), f"{show(expression)} tells nothing: {problem}")


def _metrics_in(expression: str) -> list[str]:
    """Give the names that an expression looks up among the metrics."""
    plain = _TEXT.sub("''", expression)
    return list(dict.fromkeys([*_FIELD.findall(plain), *_KEY.findall(expression)]))
