"""What policies ask of a revision: rules in CEL over the facts about it. The asking is done elsewhere.

Rules are programs that tenants write, so nothing here evaluates one: a plan asks a `RuleQuestion`, and finds its
`RuleAnswers` among what was observed when it is made again.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mooring_operator.api.model_policy import FACTS, PolicyRule
from mooring_operator.planning.policies.evidence import ReadyMade


@dataclass(frozen=True)
class RuleQuestion:
    """Whether the expressions of one policy are true for `facts`; without facts, whether they can be read."""

    expressions: tuple[str, ...]
    facts: Mapping[str, Any] | None = None
    names: tuple[str, ...] = FACTS

    @cached_property
    def key(self) -> str:
        """Stands for the question: the same one has the same answers."""
        content = json.dumps([self.expressions, self.facts, self.names], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class RuleAnswers:
    """Why each expression is not met, None where it is; and the indices of those that cost too much, or are false."""

    problems: tuple[str | None, ...]
    expensive: frozenset[int] = frozenset()
    untrue: frozenset[int] = frozenset()


@dataclass(frozen=True)
class PolicyResult:
    """How a revision does under one policy. `expensive` names the rules that cost too much."""

    met: int
    total: int
    failures: tuple[str, ...]
    compliant: bool
    expensive: tuple[str, ...] = ()


def question_of(rules: Sequence[PolicyRule], facts: Mapping[str, Any]) -> RuleQuestion:
    """Give what a policy's rules ask of `facts`."""
    return RuleQuestion(tuple(rule.expression for rule in rules), _with_doubles(facts))


def judge(
    rules: Sequence[PolicyRule],
    minimum_score: float,
    answers: RuleAnswers,
    ready_made: Sequence[ReadyMade] = (),
) -> PolicyResult:
    """Give how a revision does; a rule that errs, for a missing fact or a typing mistake, is not met.

    Ready-made rules count as one each.
    """
    failures = [str(found) for found in ready_made if found.reason]
    for index, (rule, problem) in enumerate(zip(rules, answers.problems, strict=True)):
        if problem is not None:
            said = problem if index in answers.expensive else rule.message or problem
            failures.append(f"{rule.name}: {said}")
    total = len(rules) + len(ready_made)
    met = total - len(failures)
    expensive = tuple(rules[index].name for index in sorted(answers.expensive))
    return PolicyResult(met, total, tuple(failures), met / total >= minimum_score, expensive)


def _with_doubles(value: Any) -> Any:
    """Make all numbers doubles, as metrics are, so that 3 / 2 is 1.5."""
    if isinstance(value, Mapping):
        return {str(name): _with_doubles(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_doubles(item) for item in value]
    return as_double(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_double(value: int) -> float:
    """Give the double nearest to `value`, infinity where it has none."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
