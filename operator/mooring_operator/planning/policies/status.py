"""What the status of a ModelPolicy or ClusterModelPolicy says: whether every part of it can be applied."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.api.model_policy import ModelPolicySpec, PolicyRule, PolicyStatus
from mooring_operator.api.names import SIGNERS_CONFIG_MAP
from mooring_operator.planning.freezes import problem_of
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion
from mooring_operator.planning.policies.sources import parts
from mooring_operator.planning.status import conditions

Policy = ModelPolicySpec | ClusterModelPolicySpec

_MOST_TOLD = 5


def reading_of(policy: Policy) -> RuleQuestion | None:
    """Ask whether the expressions of `policy` can be read; None where it has none."""
    return RuleQuestion(tuple(rule.expression for rule in policy.rules)) if policy.rules else None


def judge_policy(
    policy: Policy, before: PolicyStatus, generation: int, now: datetime, read: RuleAnswers | None
) -> PolicyStatus:
    """Give the status of a policy whose signers have the keys that are kept for them; `read` says whether its
    expressions could be read.
    """
    problems = [*_expressions(policy.rules, read)] if read is not None else []
    reason = reasons.INVALID_EXPRESSION
    if isinstance(policy, ClusterModelPolicySpec) and (sources := list(_sources(policy))):
        reason = reason if problems else reasons.INVALID_SOURCE
        problems += sources
    if isinstance(policy, ClusterModelPolicySpec) and (endless := problem_of(policy.freeze, now)):
        reason = reason if problems else reasons.FREEZE_INVALID
        problems.append(f"spec.freeze{endless}")
    if unknown := list(_unknown_signers(policy)):
        reason = reason if problems else reasons.SIGNER_UNKNOWN
        problems += unknown
    if not problems:
        count = len(policy.rules)
        message = f"every expression can be read ({count})" if count else "there are no expressions to read"
        wanted = {"Ready": ("True", reasons.POLICY_ACCEPTED, message)}
        return conditions.report(before, wanted, generation, now)
    more = f"; and {len(problems) - _MOST_TOLD} more" if len(problems) > _MOST_TOLD else ""
    return refuse_policy(before, reason, "; ".join(problems[:_MOST_TOLD]) + more, generation, now)


def refuse_policy(
    before: PolicyStatus, reason: str, message: str, generation: int, now: datetime
) -> PolicyStatus:
    """Give the status of a policy of which something cannot be applied."""
    wanted = {"Ready": ("False", reason, message), "Stalled": ("True", reason, message)}
    return conditions.report(before, wanted, generation, now)


def _expressions(rules: Sequence[PolicyRule], read: RuleAnswers) -> Iterator[str]:
    for index, (rule, problem) in enumerate(zip(rules, read.problems, strict=True)):
        if problem is not None:
            yield f"spec.rules[{index}] {rule.name} is never met: {problem}"


def _unknown_signers(policy: Policy) -> Iterator[str]:
    for signer in policy.signed_by:
        if signer.public_key is None:
            yield f"spec.signedBy {signer.name}: ConfigMap {SIGNERS_CONFIG_MAP} has no key of that name"


def _sources(policy: ClusterModelPolicySpec) -> Iterator[str]:
    for index, source in enumerate(policy.allowed_sources):
        if not source.startswith("models:/") and parts(source) is None:
            yield f"spec.allowedSources[{index}] {source!r:.100} can be read in more than one way: nothing lies there"
