"""The policies that a revision must comply with before any of it is served."""

from collections.abc import Mapping
from typing import Any

from mooring_operator.api import reasons
from mooring_operator.api.model_policy import ModelPolicySpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rules import PolicyResult, judge, question_of

_SOON = 1.0
_MOST_LABELS = 128


def enforce_policies(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Every policy that the deployment names must find the candidate compliant."""
    policies: dict[str, ModelPolicySpec] = {}
    for name in draft.spec.policies:
        policy = draft.observed.policies.get(name)
        if policy is None:
            return _without_policy(draft, name)
        policies[name] = policy
    if not policies:
        return draft
    if len(draft.observed.owner.labels) > _MOST_LABELS:
        return _with_too_many_labels(draft)
    metrics = draft.status.ci.metrics if draft.status.ci else {}
    draft, results = _evaluate(draft, policies, facts_of(draft, draft.candidate, metrics))
    if len(results) < len(policies):
        return _await_answers(draft)
    failed = {name: result for name, result in results.items() if not result.compliant}
    if not failed:
        return draft.set_condition("PoliciesMet", "True", reasons.POLICIES_MET, "every policy is met")
    expensive = any(result.expensive for result in failed.values())
    reason = reasons.POLICY_TOO_EXPENSIVE if expensive else reasons.POLICY_VIOLATED
    message = f"revision {draft.candidate.revision}: {'; '.join(map(_told, failed, failed.values()))}"
    return draft.set_condition("PoliciesMet", "False", reason, message).reject(reason, message)


def facts_of(draft: Draft, revision: Revision, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Give what rules see of a revision."""
    owner = draft.observed.owner
    return {
        "metrics": dict(metrics),
        "model": {
            "uri": revision.model_uri,
            "storageUri": revision.storage_uri,
            "digest": revision.digest or "",
            "format": revision.format,
        },
        "deployment": {"name": owner.name, "namespace": owner.namespace, "labels": dict(owner.labels)},
        "serving": revision.serving,
    }


def _evaluate(
    draft: RolloutDraft, policies: Mapping[str, ModelPolicySpec], facts: Mapping[str, Any]
) -> tuple[RolloutDraft, dict[str, PolicyResult]]:
    """Give the results that are known, and a draft that asks for the others."""
    results = {}
    for name, policy in policies.items():
        question = question_of(policy, facts)
        answers = draft.observed.answers.get(question.key)
        if answers is None:
            draft = draft.ask(question)
        else:
            results[name] = judge(policy, answers)
    return draft, results


def _await_answers(draft: RolloutDraft) -> Settled:
    before = draft.before
    if draft.candidate.weight > 0:
        # It has complied before, and keeps the traffic that it has.
        kept = draft.keep_conditions()
        return kept.settle(before.phase, before.reason, before.message, recheck_after=_SOON)
    message = f"evaluating the rules of policies for revision {draft.candidate.revision}"
    return draft.set_condition("PoliciesMet", "Unknown", reasons.EVALUATING_POLICIES, message).settle(
        "Testing", reasons.EVALUATING_POLICIES, message, recheck_after=_SOON
    )


def _without_policy(draft: RolloutDraft, name: str) -> Settled:
    namespace = draft.observed.owner.namespace
    message = f"ModelPolicy {name!r} does not exist in namespace {namespace!r}; make it"
    return draft.set_condition("PoliciesMet", "Unknown", reasons.POLICY_NOT_FOUND, message).settle(
        "Pending", reasons.POLICY_NOT_FOUND, message, recheck_after=60.0
    )


def _with_too_many_labels(draft: RolloutDraft) -> Settled:
    # Facts without some of the labels would be others, and all of them may be a megabyte.
    count = len(draft.observed.owner.labels)
    message = (
        f"metadata.labels: rules of policies see at most {_MOST_LABELS} labels, got {count}; remove some"
    )
    return draft.set_condition("PoliciesMet", "Unknown", reasons.TOO_MANY_LABELS, message).settle(
        "Pending", reasons.TOO_MANY_LABELS, message, stalled=True
    )


def _told(name: str, result: PolicyResult) -> str:
    return f"{name} meets {result.met} of {result.total} rules ({'; '.join(result.failures)})"
